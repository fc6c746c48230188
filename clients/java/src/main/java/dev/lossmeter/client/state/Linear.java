package dev.lossmeter.client.state;

import java.math.BigInteger;
import java.util.stream.Stream;

/** What every mean over kept entries needs: sums, and counts. */
record Linear(
    ExactSum total,
    ExactSum weight,
    ExactSum divisor,
    BigInteger count,
    BigInteger nonzero,
    BigInteger entries,
    BigInteger nonzeroEntries,
    BigInteger rows,
    BigInteger weightEntries)
    implements Part {

  static Linear of(dev.lossmeter.v1.Linear message) {
    return new Linear(
        ExactSum.of(message.getTotal()),
        ExactSum.of(message.getWeight()),
        ExactSum.of(message.getDivisor()),
        Counts.of(message.getCount()),
        Counts.of(message.getNonzero()),
        Counts.of(message.getEntries()),
        Counts.of(message.getNonzeroEntries()),
        Counts.of(message.getRows()),
        Counts.of(message.getWeightEntries()));
  }

  @Override
  public Linear plus(Part part) {
    Linear other = (Linear) part;
    return new Linear(
        total.plus(other.total),
        weight.plus(other.weight),
        divisor.plus(other.divisor),
        count.add(other.count),
        nonzero.add(other.nonzero),
        entries.add(other.entries),
        nonzeroEntries.add(other.nonzeroEntries),
        rows.add(other.rows),
        weightEntries.add(other.weightEntries));
  }

  @Override
  public void write(dev.lossmeter.v1.Cell.Builder cell) {
    cell.getLinearBuilder()
        .setTotal(total.message())
        .setWeight(weight.message())
        .setDivisor(divisor.message())
        .setCount(Counts.message(count))
        .setNonzero(Counts.message(nonzero))
        .setEntries(Counts.message(entries))
        .setNonzeroEntries(Counts.message(nonzeroEntries))
        .setRows(Counts.message(rows))
        .setWeightEntries(Counts.message(weightEntries));
  }

  /** All that is counted. */
  Stream<BigInteger> counts() {
    return Stream.of(count, nonzero, entries, nonzeroEntries, rows, weightEntries);
  }

  /** Whether there are no more of these than of those they are among. */
  boolean isOrdered() {
    return nonzero.compareTo(count) <= 0
        && count.compareTo(entries) <= 0
        && nonzero.compareTo(nonzeroEntries) <= 0
        && nonzeroEntries.compareTo(entries) <= 0;
  }
}
