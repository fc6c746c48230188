package dev.lossmeter.client;

/** A size over a limit; {@link #facts()} has {@code limit} and {@code actual}. */
public final class TooLargeException extends ResourceExhaustedException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public TooLargeException(Problem problem) {
    super(problem);
  }
}
