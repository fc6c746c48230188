package dev.lossmeter.client;

/** No credentials, or wrong ones. */
public final class UnauthenticatedException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public UnauthenticatedException(Problem problem) {
    super(problem);
  }
}
