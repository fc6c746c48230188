package dev.lossmeter.client.state;

import java.math.BigInteger;
import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The sums of one group, which it finishes.
 *
 * <p>ℓ are kept loss values, w their weights, n their number. What is finished here is arithmetic
 * of the sums; what a framework's own {@code mean} divides by is the service's business, and so is
 * all that has an exponential or a logarithm. Each number is rounded once.
 */
public final class Cell {
  private final Key key;
  private final Map<Kind, Part> parts;

  private Cell(Key key, Map<Kind, Part> parts) {
    this.key = key;
    this.parts = parts;
  }

  static Cell of(dev.lossmeter.v1.Cell message) {
    return new Cell(Key.of(message), Kind.parts(message));
  }

  /**
   * The group's label.
   *
   * @return the label; nothing where the groups have none
   */
  public Optional<String> label() {
    return Optional.ofNullable(key.label());
  }

  /**
   * The group's position in the axes that were kept, row-major.
   *
   * @return the position; nothing where no axes were kept
   */
  public OptionalLong position() {
    return key.position() == null ? OptionalLong.empty() : OptionalLong.of(key.position());
  }

  /**
   * The number of kept entries.
   *
   * @return n
   */
  public long count() {
    return Counts.message(linear().count());
  }

  /**
   * The sum of their weights.
   *
   * @return Σw
   */
  public double weight() {
    return linear().weight().doubleValue();
  }

  /**
   * The sum.
   *
   * @return Σwℓ
   */
  public double sum() {
    return linear().total().doubleValue();
  }

  /**
   * The mean.
   *
   * @return Σwℓ / n
   * @throws dev.lossmeter.client.InvalidRequestException EMPTY_REDUCTION: nothing is kept
   */
  public double mean() {
    return mean(ExactSum.ofWhole(linear().count()));
  }

  /**
   * The weighted mean.
   *
   * @return Σwℓ / Σw
   * @throws dev.lossmeter.client.InvalidRequestException EMPTY_REDUCTION: nothing is kept, or Σw is
   *     0
   */
  public double weightedMean() {
    return mean(linear().weight());
  }

  /**
   * The mean over the entries that have a weight.
   *
   * @return Σwℓ / #{w ≠ 0}
   * @throws dev.lossmeter.client.InvalidRequestException EMPTY_REDUCTION: nothing is kept, or all
   *     weights are 0
   */
  public double nonzeroMean() {
    return mean(ExactSum.ofWhole(linear().nonzero()));
  }

  /**
   * The mean over the rows.
   *
   * @return Σwℓ / N, the size of axis 0
   * @throws dev.lossmeter.client.InvalidRequestException EMPTY_REDUCTION: nothing is kept
   */
  public double batchMean() {
    return mean(ExactSum.ofWhole(linear().rows()));
  }

  /**
   * The root of the weighted mean of squares.
   *
   * @return √(Σwℓ² / Σw)
   * @throws dev.lossmeter.client.InvalidRequestException EMPTY_REDUCTION: Σw is 0
   * @throws dev.lossmeter.client.FailedPreconditionException NOT_MERGEABLE: there are no squares
   */
  public double rms() {
    return root(ratio(moments().second(), linear().weight()));
  }

  /**
   * The weighted harmonic mean.
   *
   * @return Σw / Σ(w/ℓ)
   * @throws dev.lossmeter.client.InvalidRequestException EMPTY_REDUCTION: Σw is 0
   * @throws dev.lossmeter.client.FailedPreconditionException NOT_MERGEABLE: there are no
   *     reciprocals
   */
  public double harmonicMean() {
    ExactSum weight = linear().weight();
    ExactSum below = part(Kind.RECIPROCALS, Reciprocals.class).total();
    if (weight.equals(ExactSum.ZERO)) {
      throw Refused.nothing();
    }
    try {
      return weight.dividedBy(below);
    } catch (ArithmeticException zero) {
      return Math.copySign(Double.POSITIVE_INFINITY, weight.doubleValue());
    }
  }

  /**
   * The weighted variance, unbiased: with one delta degree of freedom.
   *
   * @return Σw(ℓ − μ)² / (Σw − Σw²/Σw)
   * @throws dev.lossmeter.client.InvalidRequestException EMPTY_REDUCTION: fewer than two entries
   *     are kept, or Σw is 0
   * @throws dev.lossmeter.client.FailedPreconditionException NOT_MERGEABLE: there are no squares
   */
  public double variance() {
    ExactSum weight = linear().weight();
    Moments moments = moments();
    ExactSum squares = moments.squaredWeight();
    boolean finite = weight.isFinite() && moments.first().isFinite();
    if (!finite || !moments.second().isFinite() || !squares.isFinite()) {
      return Double.NaN;
    }
    BigInteger w = weight.units();
    if (w.signum() == 0) {
      throw Refused.nothing();
    }
    // Both times Σw, and in units: products have twice the places that sums have.
    BigInteger first = moments.first().units();
    BigInteger above = moments.second().units().multiply(w).subtract(first.multiply(first));
    BigInteger below = w.multiply(w).subtract(squares.units().shiftLeft(ExactSum.UNIT_BITS));
    if (below.signum() == 0) {
      throw Refused.nothing();
    }
    // Of a negative divisor the zero would be negative, too.
    return below.signum() < 0 ? Ratio.of(above.negate(), below.negate()) : Ratio.of(above, below);
  }

  /**
   * The weighted standard deviation.
   *
   * @return the root of {@link #variance}
   * @throws dev.lossmeter.client.InvalidRequestException as {@link #variance}
   * @throws dev.lossmeter.client.FailedPreconditionException as {@link #variance}
   */
  public double std() {
    return root(variance());
  }

  /**
   * The least loss value and where it is.
   *
   * @return the first sample that has it
   * @throws dev.lossmeter.client.InvalidRequestException EMPTY_REDUCTION: nothing is kept
   * @throws dev.lossmeter.client.FailedPreconditionException NOT_MERGEABLE: it was not asked for
   */
  public Extreme min() {
    return extreme(Kind.LEAST);
  }

  /**
   * The greatest loss value and where it is.
   *
   * @return the first sample that has it
   * @throws dev.lossmeter.client.InvalidRequestException EMPTY_REDUCTION: nothing is kept
   * @throws dev.lossmeter.client.FailedPreconditionException NOT_MERGEABLE: it was not asked for
   */
  public Extreme max() {
    return extreme(Kind.GREATEST);
  }

  private double mean(ExactSum divisor) {
    if (linear().count().signum() == 0) {
      throw Refused.nothing();
    }
    return ratio(linear().total(), divisor);
  }

  private static double ratio(ExactSum above, ExactSum below) {
    try {
      return above.dividedBy(below);
    } catch (ArithmeticException zero) {
      throw Refused.nothing();
    }
  }

  private static double root(double value) {
    return value >= 0.0 ? Math.sqrt(value) : Double.NaN;
  }

  private Extreme extreme(Kind kind) {
    Extremes found = part(kind, Extremes.class);
    if (!found.found()) {
      throw Refused.nothing();
    }
    return found.extreme();
  }

  private Moments moments() {
    return part(Kind.MOMENTS, Moments.class);
  }

  Linear linear() {
    return part(Kind.LINEAR, Linear.class);
  }

  private <P extends Part> P part(Kind kind, Class<P> type) {
    Part found = parts.get(kind);
    if (found == null) {
      throw Refused.lacks(kind);
    }
    return type.cast(found);
  }

  Key key() {
    return key;
  }

  Map<Kind, Part> parts() {
    return parts;
  }

  /** Both as one; both have the same parts. */
  Cell plus(Cell other) {
    Map<Kind, Part> sums = new EnumMap<>(Kind.class);
    parts.forEach((kind, part) -> sums.put(kind, part.plus(other.parts.get(kind))));
    return new Cell(key, Collections.unmodifiableMap(sums));
  }

  /** The same without the names of batches. */
  Cell anonymous() {
    Map<Kind, Part> nameless = new EnumMap<>(Kind.class);
    parts.forEach((kind, part) -> nameless.put(kind, part.anonymous()));
    return new Cell(key, nameless);
  }

  dev.lossmeter.v1.Cell message() {
    dev.lossmeter.v1.Cell.Builder made = dev.lossmeter.v1.Cell.newBuilder();
    key.write(made);
    parts.values().forEach(part -> part.write(made));
    return made.build();
  }
}
