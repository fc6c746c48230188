package dev.lossmeter.client.state;

/** Σw/ℓ. */
record Reciprocals(ExactSum total) implements Part {

  @Override
  public Reciprocals plus(Part part) {
    return new Reciprocals(total.plus(((Reciprocals) part).total));
  }

  @Override
  public void write(dev.lossmeter.v1.Cell.Builder cell) {
    cell.setReciprocals(total.message());
  }
}
