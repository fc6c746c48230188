package dev.lossmeter.client.state;

import java.math.BigInteger;
import java.util.NavigableMap;
import java.util.TreeMap;

/** Σw in bins of loss values, 128 to a binade. */
record Histogram(NavigableMap<Integer, BigInteger> bins, BigInteger nan) implements Part {
  // The bin of +∞; that of −∞ is its complement.
  private static final int INFINITE = 0x7FF << 7;

  static Histogram of(dev.lossmeter.v1.Histogram message) {
    State.check(message.getNumbersCount() == message.getWeightsCount());
    NavigableMap<Integer, BigInteger> bins = new TreeMap<>();
    for (int i = 0; i < message.getNumbersCount(); i++) {
      int number = message.getNumbers(i);
      State.check(~INFINITE <= number && number <= INFINITE);
      bins.put(number, ExactSum.of(message.getWeights(i)).units());
    }
    return new Histogram(bins, Counts.of(message.getNan()));
  }

  @Override
  public Histogram plus(Part part) {
    Histogram other = (Histogram) part;
    NavigableMap<Integer, BigInteger> sums = new TreeMap<>(bins);
    other.bins.forEach((number, weight) -> sums.merge(number, weight, BigInteger::add));
    return new Histogram(sums, nan.add(other.nan));
  }

  @Override
  public void write(dev.lossmeter.v1.Cell.Builder cell) {
    dev.lossmeter.v1.Histogram.Builder made = cell.getHistogramBuilder();
    bins.forEach(
        (number, weight) -> made.addNumbers(number).addWeights(ExactSum.ofUnits(weight).message()));
    made.setNan(Counts.message(nan));
  }
}
