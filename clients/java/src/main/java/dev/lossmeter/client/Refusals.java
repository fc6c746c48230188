package dev.lossmeter.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/** Statuses of gRPC as exceptions. */
final class Refusals {
  private static final String DOMAIN = "lossmeter";
  private static final Set<String> FACTS = Set.of("limit", "actual", "chunk");
  private static final Map<String, Function<Problem, LossmeterException>> OF_REASON =
      Map.of("TOO_LARGE", TooLargeException::new, "OVERLOADED", OverloadedException::new);
  private static final Map<Status.Code, Function<Problem, LossmeterException>> OF_CODE =
      Map.ofEntries(
          Map.entry(Status.Code.INVALID_ARGUMENT, InvalidRequestException::new),
          Map.entry(Status.Code.FAILED_PRECONDITION, FailedPreconditionException::new),
          Map.entry(Status.Code.NOT_FOUND, NotFoundException::new),
          Map.entry(Status.Code.UNAUTHENTICATED, UnauthenticatedException::new),
          Map.entry(Status.Code.PERMISSION_DENIED, PermissionDeniedException::new),
          Map.entry(Status.Code.UNIMPLEMENTED, UnimplementedException::new),
          Map.entry(Status.Code.RESOURCE_EXHAUSTED, ResourceExhaustedException::new),
          Map.entry(Status.Code.UNAVAILABLE, UnavailableException::new),
          Map.entry(Status.Code.DEADLINE_EXCEEDED, DeadlineExceededException::new),
          Map.entry(Status.Code.CANCELLED, CancelledException::new),
          Map.entry(Status.Code.INTERNAL, InternalException::new));

  private Refusals() {}

  /** What is found wrong before anything is sent. */
  static InvalidRequestException invalid(String reason, String field, String detail) {
    return new InvalidRequestException(Problem.invalid(reason, field, detail));
  }

  /** The exception that a failed call stands for. */
  static LossmeterException of(Throwable failure) {
    Status status = Status.fromThrowable(failure);
    Metadata trailers = Status.trailersFromThrowable(failure);
    LossmeterException found = of(problem(status, trailers));
    found.initCause(failure);
    return found;
  }

  private static LossmeterException of(Problem problem) {
    return OF_REASON
        .getOrDefault(
            problem.reason(), OF_CODE.getOrDefault(problem.code(), LossmeterException::new))
        .apply(problem);
  }

  private static Problem problem(Status status, Metadata trailers) {
    String detail = status.getDescription() == null ? "" : status.getDescription();
    com.google.rpc.Status told =
        trailers == null ? null : StatusProto.fromStatusAndTrailers(status, trailers);
    List<Any> details = told == null ? List.of() : told.getDetailsList();
    ErrorInfo info = unpacked(details, ErrorInfo.getDefaultInstance());
    Map<String, String> metadata =
        info.getDomain().equals(DOMAIN) ? info.getMetadataMap() : Map.of();
    String reason = info.getDomain().equals(DOMAIN) ? info.getReason() : "";
    return new Problem(
        status.getCode(),
        detail,
        reason,
        field(metadata, details),
        facts(metadata),
        pause(details));
  }

  private static String field(Map<String, String> metadata, List<Any> details) {
    BadRequest bad = unpacked(details, BadRequest.getDefaultInstance());
    String first = bad.getFieldViolationsCount() == 0 ? "" : bad.getFieldViolations(0).getField();
    return metadata.getOrDefault("field", first);
  }

  private static Map<String, Long> facts(Map<String, String> metadata) {
    Map<String, Long> facts = new HashMap<>();
    for (String name : FACTS) {
      String told = metadata.get(name);
      if (told != null && told.matches("-?\\d{1,18}")) {
        facts.put(name, Long.valueOf(told));
      }
    }
    return Map.copyOf(facts);
  }

  private static Duration pause(List<Any> details) {
    RetryInfo retry = unpacked(details, RetryInfo.getDefaultInstance());
    if (!retry.hasRetryDelay()) {
      return null;
    }
    com.google.protobuf.Duration delay = retry.getRetryDelay();
    return Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
  }

  /** The first detail of a kind; the kind's own default if there is none. */
  @SuppressWarnings("unchecked")
  private static <M extends com.google.protobuf.Message> M unpacked(List<Any> details, M kind) {
    for (Any detail : details) {
      if (detail.is(kind.getClass())) {
        try {
          return (M) detail.unpack(kind.getClass());
        } catch (InvalidProtocolBufferException broken) {
          return kind;
        }
      }
    }
    return kind;
  }
}
