package dev.lossmeter.client.state;

/** Σw·ln ℓ. */
record Logarithms(ExactSum total) implements Part {

  @Override
  public Logarithms plus(Part part) {
    return new Logarithms(total.plus(((Logarithms) part).total));
  }

  @Override
  public void write(dev.lossmeter.v1.Cell.Builder cell) {
    cell.setLogarithms(total.message());
  }
}
