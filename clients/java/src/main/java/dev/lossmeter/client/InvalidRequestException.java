package dev.lossmeter.client;

/** The request is wrong whatever the state of the service. */
public final class InvalidRequestException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public InvalidRequestException(Problem problem) {
    super(problem);
  }
}
