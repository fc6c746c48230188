package dev.lossmeter.client.state;

/** Σwℓ, Σwℓ² and Σw² of the exact products, so that a variance does not cancel. */
record Moments(ExactSum first, ExactSum second, ExactSum squaredWeight) implements Part {

  static Moments of(dev.lossmeter.v1.Moments message) {
    return new Moments(
        ExactSum.of(message.getFirst()),
        ExactSum.of(message.getSecond()),
        ExactSum.of(message.getSquaredWeight()));
  }

  @Override
  public Moments plus(Part part) {
    Moments other = (Moments) part;
    return new Moments(
        first.plus(other.first),
        second.plus(other.second),
        squaredWeight.plus(other.squaredWeight));
  }

  @Override
  public void write(dev.lossmeter.v1.Cell.Builder cell) {
    cell.getMomentsBuilder()
        .setFirst(first.message())
        .setSecond(second.message())
        .setSquaredWeight(squaredWeight.message());
  }
}
