package dev.lossmeter.client.state;

import java.math.BigInteger;

/** The ratio of two whole numbers of any size as the nearest float64. */
final class Ratio {
  private static final int DIGITS = 53;
  // Two places below the least float64, so that what is cut off still tells how to round.
  private static final int LEAST = -1076;

  private Ratio() {}

  /**
   * The ratio rounded once, to nearest and even; infinite where it is beyond float64.
   *
   * @throws ArithmeticException the divisor is zero
   */
  static double of(BigInteger above, BigInteger below) {
    boolean negative = above.signum() < 0 ^ below.signum() < 0;
    double size = positive(above.abs(), below.abs());
    return negative ? -size : size;
  }

  private static double positive(BigInteger above, BigInteger below) {
    int place = Math.max(above.bitLength() - below.bitLength() - DIGITS - 2, LEAST);
    BigInteger[] parts =
        above
            .shiftLeft(Math.max(-place, 0))
            .divideAndRemainder(below.shiftLeft(Math.max(place, 0)));
    // Below the last digit one bit stands for all of the remainder.
    long digits = parts[0].longValueExact() | (parts[1].signum() == 0 ? 0 : 1);
    int cut = Math.max(Long.SIZE - Long.numberOfLeadingZeros(digits) - DIGITS, 2);
    return Math.scalb((double) rounded(digits, cut), place + cut);
  }

  private static long rounded(long digits, int cut) {
    long kept = digits >> cut;
    long rest = digits - (kept << cut);
    long half = 1L << (cut - 1);
    boolean up = rest > half || rest == half && (kept & 1) == 1;
    return up ? kept + 1 : kept;
  }
}
