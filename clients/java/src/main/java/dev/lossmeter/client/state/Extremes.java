package dev.lossmeter.client.state;

import java.util.Comparator;

/** The least loss value, or the greatest; not found where no entry was kept. */
record Extremes(boolean greatest, boolean found, Extreme extreme) implements Part {
  private static final Comparator<Extreme> NAN_FIRST =
      Comparator.comparing(one -> !Double.isNaN(one.value()));
  private static final Comparator<Extreme> LEAST_FIRST = Extremes::byValue;
  private static final Comparator<Extreme> EARLIEST_FIRST =
      Comparator.comparing(Extreme::batchId, State.BY_CODE_POINT).thenComparing(Extreme::row);

  static Extremes of(dev.lossmeter.v1.Extreme message, boolean greatest) {
    Extreme extreme = new Extreme(message.getValue(), message.getBatchId(), message.getRow());
    return new Extremes(greatest, message.hasValue(), extreme);
  }

  @Override
  public Extremes plus(Part part) {
    Extremes other = (Extremes) part;
    if (!found || !other.found) {
      return found ? this : other;
    }
    Comparator<Extreme> order =
        NAN_FIRST
            .thenComparing(greatest ? LEAST_FIRST.reversed() : LEAST_FIRST)
            .thenComparing(EARLIEST_FIRST);
    return order.compare(extreme, other.extreme) <= 0 ? this : other;
  }

  /** By value, where -0.0 is 0.0 and one NaN another. */
  private static int byValue(Extreme one, Extreme other) {
    if (one.value() < other.value()) {
      return -1;
    }
    return one.value() > other.value() ? 1 : 0;
  }

  @Override
  public void write(dev.lossmeter.v1.Cell.Builder cell) {
    dev.lossmeter.v1.Extreme.Builder made =
        greatest ? cell.getGreatestBuilder() : cell.getLeastBuilder();
    made.setBatchId(extreme.batchId()).setRow(extreme.index());
    if (found) {
      made.setValue(extreme.value());
    }
  }

  @Override
  public Extremes anonymous() {
    return new Extremes(greatest, found, new Extreme(extreme.value(), "", 0));
  }
}
