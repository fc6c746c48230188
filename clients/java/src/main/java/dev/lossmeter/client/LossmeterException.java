package dev.lossmeter.client;

import io.grpc.Status;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * Everything that can go wrong with a call, as one tree.
 *
 * <pre>
 * LossmeterException
 * ├── InvalidRequestException       what is asked is wrong; field() says where
 * ├── FailedPreconditionException   well formed, but this loss, reduction or state cannot serve it
 * ├── NotFoundException             no loss has the name
 * ├── UnauthenticatedException      no credentials, or wrong ones
 * ├── PermissionDeniedException     credentials that do not suffice
 * ├── UnimplementedException        a service that does not know the call
 * ├── ResourceExhaustedException
 * │   ├── TooLargeException         a size over a limit
 * │   └── OverloadedException       the service serves others first
 * ├── UnavailableException          nobody answers, or the service is stopping
 * ├── DeadlineExceededException     the timeout passed
 * ├── CancelledException            somebody cancelled the call
 * └── InternalException             a fault of the service
 * </pre>
 *
 * <p>{@link #reason()} is the word for programs; the service's documents list them.
 */
public class LossmeterException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What went wrong. */
  private final Problem problem;

  /**
   * An exception that stands for a problem.
   *
   * @param problem what went wrong
   */
  public LossmeterException(Problem problem) {
    super(problem.toString());
    this.problem = problem;
  }

  /**
   * The code of gRPC.
   *
   * @return such as {@code INVALID_ARGUMENT}
   */
  public Status.Code code() {
    return problem.code();
  }

  /**
   * What was wrong, in one word.
   *
   * @return such as {@code SHAPE_MISMATCH}; empty where it was not the service that refused
   */
  public String reason() {
    return problem.reason();
  }

  /**
   * Where it was wrong.
   *
   * @return a dotted path such as {@code inputs.targets}; nothing if no one place is wrong
   */
  public Optional<String> field() {
    return problem.field();
  }

  /**
   * What was wrong and what would be right.
   *
   * @return a sentence without any of the caller's data
   */
  public String detail() {
    return problem.detail();
  }

  /**
   * Numbers beside the sentence.
   *
   * @return {@code limit} and {@code actual} of a size, {@code chunk} of a stream
   */
  public Map<String, Long> facts() {
    return problem.facts();
  }

  /**
   * After what time the service asks to be tried again.
   *
   * @return the time; nothing if the service does not say
   */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(problem.pause());
  }
}
