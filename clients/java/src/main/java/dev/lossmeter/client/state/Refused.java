package dev.lossmeter.client.state;

import dev.lossmeter.client.FailedPreconditionException;
import dev.lossmeter.client.InvalidRequestException;
import dev.lossmeter.client.LossmeterException;
import dev.lossmeter.client.Problem;
import io.grpc.Status;
import java.util.Map;

/** What is refused here as the service would refuse it. */
final class Refused {
  private static final String STATES = "states";
  private static final String REDUCTION = "reduction";

  private Refused() {}

  static LossmeterException malformed(String field) {
    return invalid(
        "MALFORMED_REQUEST",
        field,
        "not a state of a service: the bytes are foreign, damaged or inconsistent");
  }

  static LossmeterException noStates() {
    return invalid("MALFORMED_REQUEST", STATES, "give at least one state");
  }

  static LossmeterException tooMany() {
    return invalid("MALFORMED_REQUEST", STATES, "the states count more than 2^64 entries");
  }

  static LossmeterException mismatch(String detail) {
    return failed("STATE_MISMATCH", STATES, detail);
  }

  static LossmeterException duplicate() {
    return failed(
        "DUPLICATE_BATCH", STATES, "a batch is in two of the states; merge each batch once");
  }

  static LossmeterException lacks(Kind kind) {
    String detail = "the state holds no %s; ask for the reduction by name when the state is made";
    return failed("NOT_MERGEABLE", REDUCTION, detail.formatted(kind.word()));
  }

  static LossmeterException nothing() {
    return invalid(
        "EMPTY_REDUCTION",
        REDUCTION,
        "a mean of nothing: no entry is kept, or the divisor is 0; keep an entry, or take the sum");
  }

  private static LossmeterException invalid(String reason, String field, String detail) {
    return new InvalidRequestException(
        new Problem(Status.Code.INVALID_ARGUMENT, detail, reason, field, Map.of(), null));
  }

  private static LossmeterException failed(String reason, String field, String detail) {
    return new FailedPreconditionException(
        new Problem(Status.Code.FAILED_PRECONDITION, detail, reason, field, Map.of(), null));
  }
}
