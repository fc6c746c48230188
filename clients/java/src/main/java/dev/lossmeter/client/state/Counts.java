package dev.lossmeter.client.state;

import java.math.BigInteger;

/** Counts of states: uint64, which Java has no type of. */
final class Counts {
  private Counts() {}

  static BigInteger of(long message) {
    return new BigInteger(Long.toUnsignedString(message));
  }

  static long message(BigInteger count) {
    if (!isCountable(count)) {
      throw Refused.tooMany();
    }
    return count.longValue();
  }

  /** Whether a message has room for a count; merging may lead beyond that. */
  static boolean isCountable(BigInteger count) {
    return count.bitLength() <= Long.SIZE;
  }
}
