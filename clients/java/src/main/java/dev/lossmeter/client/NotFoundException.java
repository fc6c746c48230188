package dev.lossmeter.client;

/** Nothing has this name; the detail gives the nearest. */
public final class NotFoundException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public NotFoundException(Problem problem) {
    super(problem);
  }
}
