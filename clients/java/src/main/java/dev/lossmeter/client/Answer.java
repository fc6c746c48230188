package dev.lossmeter.client;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * The answer for one loss.
 *
 * @param tensor the value: without axes for a number, with those that were kept for an array;
 *     nothing under a reduction by group
 * @param groups under a reduction by group, each group with its value, by label
 * @param loss canonical name
 * @param reduction canonical name
 * @param count number of kept entries
 * @param weight sum of their weights
 * @param denominator what was divided by, if one number was
 * @param backend what computed the loss values
 * @param device where
 * @param dtype type of the loss values, {@code float32} or {@code float64}
 * @param index position of the first sample with the extreme, for min and max
 * @param batchId the batch that {@code index} counts in, where several were merged
 * @param relativeError bound of the error of a quantile from a histogram; nothing if it is exact
 * @param omitted number of entries left out because they were not finite, where that was asked for
 * @param kept which entries the mask kept, under {@code none}
 * @param state the mergeable state, if asked for
 * @param stateHash SHA-256 of the state's specification and sums, in hexadecimal; empty without one
 * @param warnings what looks wrong but was computed
 */
public record Answer(
    Optional<Tensor> tensor,
    Map<String, Group> groups,
    String loss,
    String reduction,
    long count,
    double weight,
    OptionalDouble denominator,
    String backend,
    String device,
    String dtype,
    OptionalLong index,
    Optional<String> batchId,
    OptionalDouble relativeError,
    OptionalLong omitted,
    Optional<Tensor> kept,
    Optional<byte[]> state,
    String stateHash,
    List<String> warnings)
    implements Result {

  /**
   * The value, where it is one number.
   *
   * @return the number
   * @throws IllegalStateException it is an array or a mapping of groups
   */
  public double value() {
    return tensor
        .filter(found -> !found.hasAxes())
        .orElseThrow(() -> new IllegalStateException("the value is no single number"))
        .toDoubles()[0];
  }

  @Override
  public boolean isExact() {
    return relativeError.isEmpty();
  }
}
