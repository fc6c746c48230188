package dev.lossmeter.client;

/** Too much of something. */
public class ResourceExhaustedException extends LossmeterException {
  private static final long serialVersionUID = 1L;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public ResourceExhaustedException(Problem problem) {
    super(problem);
  }
}
