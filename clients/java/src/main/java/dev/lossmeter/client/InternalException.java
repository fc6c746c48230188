package dev.lossmeter.client;

/** A fault of the service; its log has the cause beside the id in the detail. */
public final class InternalException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public InternalException(Problem problem) {
    super(problem);
  }
}
