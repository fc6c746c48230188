package dev.lossmeter.client.state;

import com.google.protobuf.ByteString;
import java.math.BigInteger;

/**
 * A sum of float64 numbers that has not been rounded, whatever their order.
 *
 * @param units the sum of the finite terms, in units of 2<sup>-1074</sup>, the least float64
 * @param nan how many terms were NaN
 * @param positiveInfinity how many terms were +∞
 * @param negativeInfinity how many terms were −∞
 */
public record ExactSum(
    BigInteger units, BigInteger nan, BigInteger positiveInfinity, BigInteger negativeInfinity) {

  /** The sum of nothing. */
  public static final ExactSum ZERO = ofUnits(BigInteger.ZERO);

  static final int UNIT_BITS = 1074;
  // The widest sum: 2^64 terms of the greatest float64.
  private static final int MOST_BITS = 2200;
  private static final int FRACTION_BITS = 52;
  private static final BigInteger UNIT = BigInteger.ONE.shiftLeft(UNIT_BITS);

  /**
   * The sum of some numbers.
   *
   * @param terms the numbers
   * @return their sum
   */
  public static ExactSum of(double... terms) {
    BigInteger units = BigInteger.ZERO;
    long nan = 0;
    long high = 0;
    long low = 0;
    for (double term : terms) {
      if (Double.isFinite(term)) {
        units = units.add(units(term));
      } else if (Double.isNaN(term)) {
        nan++;
      } else if (term > 0) {
        high++;
      } else {
        low++;
      }
    }
    return new ExactSum(
        units, BigInteger.valueOf(nan), BigInteger.valueOf(high), BigInteger.valueOf(low));
  }

  /** A whole number as a sum, to divide by. */
  static ExactSum ofWhole(BigInteger number) {
    return ofUnits(number.shiftLeft(UNIT_BITS));
  }

  static ExactSum ofUnits(BigInteger units) {
    return new ExactSum(units, BigInteger.ZERO, BigInteger.ZERO, BigInteger.ZERO);
  }

  private static BigInteger units(double term) {
    // A subnormal number has the exponent of the least normal one.
    int exponent = Math.max(Math.getExponent(term), Double.MIN_EXPONENT);
    int shift = exponent - FRACTION_BITS + UNIT_BITS;
    return BigInteger.valueOf((long) Math.scalb(term, FRACTION_BITS - exponent)).shiftLeft(shift);
  }

  /**
   * Both sums as one.
   *
   * @param other the other sum
   * @return the sum of all terms
   */
  public ExactSum plus(ExactSum other) {
    return new ExactSum(
        units.add(other.units),
        nan.add(other.nan),
        positiveInfinity.add(other.positiveInfinity),
        negativeInfinity.add(other.negativeInfinity));
  }

  /**
   * The sum, rounded once.
   *
   * @return the nearest float64; NaN or infinite if a term was, infinite if it is beyond float64
   */
  public double doubleValue() {
    return isFinite() ? Ratio.of(units, UNIT) : special();
  }

  /**
   * The ratio of two sums, rounded once.
   *
   * @param divisor what is divided by
   * @return the nearest float64
   * @throws ArithmeticException the divisor is zero
   */
  public double dividedBy(ExactSum divisor) {
    if (isFinite() && divisor.isFinite()) {
      return Ratio.of(units, divisor.units);
    }
    double below = divisor.doubleValue();
    if (below == 0.0) {
      throw new ArithmeticException("the divisor is zero");
    }
    return doubleValue() / below;
  }

  /**
   * Whether all terms were finite.
   *
   * @return true if none was NaN or infinite
   */
  public boolean isFinite() {
    return nan.signum() == 0 && positiveInfinity.signum() == 0 && negativeInfinity.signum() == 0;
  }

  private double special() {
    if (nan.signum() != 0 || positiveInfinity.signum() != 0 && negativeInfinity.signum() != 0) {
      return Double.NaN;
    }
    return positiveInfinity.signum() != 0 ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY;
  }

  static ExactSum of(dev.lossmeter.v1.ExactSum message) {
    byte[] mantissa = reversed(message.getMantissa().toByteArray());
    BigInteger units = mantissa.length == 0 ? BigInteger.ZERO : new BigInteger(mantissa);
    long shift = units.signum() == 0 ? 0 : (long) message.getExponent() + UNIT_BITS;
    State.check(0 <= shift && shift <= MOST_BITS && units.abs().bitLength() + shift <= MOST_BITS);
    return new ExactSum(
        units.shiftLeft((int) shift),
        Counts.of(message.getNan()),
        Counts.of(message.getPositiveInfinity()),
        Counts.of(message.getNegativeInfinity()));
  }

  dev.lossmeter.v1.ExactSum message() {
    dev.lossmeter.v1.ExactSum.Builder made =
        dev.lossmeter.v1.ExactSum.newBuilder()
            .setNan(Counts.message(nan))
            .setPositiveInfinity(Counts.message(positiveInfinity))
            .setNegativeInfinity(Counts.message(negativeInfinity));
    if (units.signum() != 0) {
      int zeros = units.getLowestSetBit();
      made.setExponent(zeros - UNIT_BITS)
          .setMantissa(ByteString.copyFrom(reversed(units.shiftRight(zeros).toByteArray())));
    }
    return made.build();
  }

  /** Java has the highest byte first, a state the lowest. */
  private static byte[] reversed(byte[] bytes) {
    byte[] made = new byte[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      made[i] = bytes[bytes.length - 1 - i];
    }
    return made;
  }
}
