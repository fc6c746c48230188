package dev.lossmeter.client;

/** What an evaluation answers: {@link Answer} for one loss, {@link Answers} for several. */
public sealed interface Result permits Answer, Answers {
  /**
   * Whether no histogram stands between the data and any value.
   *
   * @return true if all is exact
   */
  boolean isExact();
}
