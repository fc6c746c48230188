package dev.lossmeter.client;

/** A call that the service does not know. */
public final class UnimplementedException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public UnimplementedException(Problem problem) {
    super(problem);
  }
}
