package dev.lossmeter.client;

import io.grpc.Status;
import java.io.Serializable;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * What went wrong with a call.
 *
 * @param code the code of gRPC
 * @param detail what was wrong and what would be right
 * @param reason the same in one word, such as {@code SHAPE_MISMATCH}; empty where it was not the
 *     service that refused
 * @param place where, as a dotted path such as {@code inputs.targets}; empty if no one place is
 *     wrong
 * @param facts numbers beside the sentence: {@code limit} and {@code actual} of a size, {@code
 *     chunk} of a stream
 * @param pause after what time the service asks to be tried again; null if it does not say
 * @serial exclude
 */
public record Problem(
    Status.Code code,
    String detail,
    String reason,
    String place,
    Map<String, Long> facts,
    Duration pause)
    implements Serializable {

  /**
   * What is found wrong before anything is sent.
   *
   * @param reason the word for programs
   * @param field where
   * @param detail what was wrong and what would be right
   * @return the problem
   */
  static Problem invalid(String reason, String field, String detail) {
    return new Problem(Status.Code.INVALID_ARGUMENT, detail, reason, field, Map.of(), null);
  }

  /**
   * Where.
   *
   * @return a dotted path; nothing if no one place is wrong
   */
  public Optional<String> field() {
    return place.isEmpty() ? Optional.empty() : Optional.of(place);
  }

  /**
   * The problem in a line.
   *
   * @return the reason, the place and the detail
   */
  @Override
  public String toString() {
    String word = reason.isEmpty() ? code.name() : reason;
    return word + (place.isEmpty() ? "" : " at " + place) + ": " + detail;
  }
}
