package dev.lossmeter.client;

/** The timeout passed before the answer came. */
public final class DeadlineExceededException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public DeadlineExceededException(Problem problem) {
    super(problem);
  }
}
