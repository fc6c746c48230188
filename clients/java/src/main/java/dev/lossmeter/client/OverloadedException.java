package dev.lossmeter.client;

/** The service serves others first, and went on doing so through every retry. */
public final class OverloadedException extends ResourceExhaustedException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public OverloadedException(Problem problem) {
    super(problem);
  }
}
