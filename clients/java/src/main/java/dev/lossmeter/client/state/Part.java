package dev.lossmeter.client.state;

/** One kind of sum. */
interface Part {
  /** Both as one; the other is of the same kind. */
  Part plus(Part other);

  /** Write it into a cell's message. */
  void write(dev.lossmeter.v1.Cell.Builder cell);

  /** The same without the names of batches. */
  default Part anonymous() {
    return this;
  }
}
