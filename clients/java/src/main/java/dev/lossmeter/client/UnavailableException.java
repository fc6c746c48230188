package dev.lossmeter.client;

/** Nobody answers, the connection broke, or the service is stopping. */
public final class UnavailableException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public UnavailableException(Problem problem) {
    super(problem);
  }
}
