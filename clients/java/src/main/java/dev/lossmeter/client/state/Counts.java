package dev.lossmeter.client.state;

import java.math.BigInteger;

/** Counts of states: uint64, which Java has no type of. */
final class Counts {
  private Counts() {}

  static BigInteger of(long message) {
    return new BigInteger(Long.toUnsignedString(message));
  }

  static long message(BigInteger count) {
    State.check(count.bitLength() <= Long.SIZE);
    return count.longValue();
  }
}
