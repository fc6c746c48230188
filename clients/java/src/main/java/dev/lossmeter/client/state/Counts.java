package dev.lossmeter.client.state;

import java.math.BigInteger;

/** Counts of states: uint64, which Java has no type of. */
final class Counts {
  private Counts() {}

  static BigInteger of(long message) {
    return new BigInteger(Long.toUnsignedString(message));
  }

  /** A count as a message has it; merging may lead beyond that. */
  static long message(BigInteger count) {
    if (count.bitLength() > Long.SIZE) {
      throw Refused.malformed("states");
    }
    return count.longValue();
  }
}
