package dev.lossmeter.client.state;

import java.math.BigInteger;

/**
 * An extreme loss value and the first sample that has it.
 *
 * @param value the loss value; NaN if any was
 * @param batchId the batch that holds it
 * @param index position of its sample in that batch
 */
public record Extreme(double value, String batchId, long index) {

  /** Position as a number that is never negative. */
  BigInteger row() {
    return Counts.of(index);
  }
}
