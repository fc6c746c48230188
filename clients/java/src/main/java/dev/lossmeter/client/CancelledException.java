package dev.lossmeter.client;

/** The call was cancelled, or its thread was interrupted. */
public final class CancelledException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public CancelledException(Problem problem) {
    super(problem);
  }
}
