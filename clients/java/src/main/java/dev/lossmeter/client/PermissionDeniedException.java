package dev.lossmeter.client;

/** Credentials that do not suffice. */
public final class PermissionDeniedException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public PermissionDeniedException(Problem problem) {
    super(problem);
  }
}
