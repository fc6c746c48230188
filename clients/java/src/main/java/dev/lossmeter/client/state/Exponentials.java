package dev.lossmeter.client.state;

import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * Σw·e^ℓ for losses of any size, as a sum for each band of 512 binades.
 *
 * <p>Only the four highest bands are kept; the four highest of a union are among the four highest
 * of its members, so merging loses nothing.
 */
record Exponentials(NavigableMap<Double, ExactSum> bands, ExactSum special) implements Part {
  private static final int KEPT = 4;

  static Exponentials of(dev.lossmeter.v1.Exponentials message) {
    State.check(message.getBandsCount() <= KEPT);
    NavigableMap<Double, ExactSum> bands = new TreeMap<>();
    for (dev.lossmeter.v1.Exponentials.Band band : message.getBandsList()) {
      double number = band.getNumber();
      State.check(Double.isFinite(number) && number == Math.rint(number));
      bands.put(number + 0.0, ExactSum.of(band.getTotal())); // -0.0 is 0.0
    }
    return new Exponentials(bands, ExactSum.of(message.getSpecial()));
  }

  @Override
  public Exponentials plus(Part part) {
    Exponentials other = (Exponentials) part;
    NavigableMap<Double, ExactSum> sums = new TreeMap<>(bands);
    other.bands.forEach((number, total) -> sums.merge(number, total, ExactSum::plus));
    sums.values().removeIf(ExactSum.ZERO::equals);
    while (sums.size() > KEPT) {
      sums.pollFirstEntry();
    }
    return new Exponentials(sums, special.plus(other.special));
  }

  @Override
  public void write(dev.lossmeter.v1.Cell.Builder cell) {
    dev.lossmeter.v1.Exponentials.Builder made = cell.getExponentialsBuilder();
    bands.forEach(
        (number, total) -> made.addBandsBuilder().setNumber(number).setTotal(total.message()));
    made.setSpecial(special.message());
  }
}
