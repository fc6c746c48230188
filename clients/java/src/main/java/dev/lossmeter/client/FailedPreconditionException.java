package dev.lossmeter.client;

/** A well-formed request that this loss, reduction or state cannot serve. */
public final class FailedPreconditionException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public FailedPreconditionException(Problem problem) {
    super(problem);
  }
}
