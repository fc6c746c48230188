package dev.lossmeter.client.state;

import java.math.BigInteger;

/**
 * Which group: a label, a position, or neither where there is one group.
 *
 * @param label the label; null if it has none
 * @param position the position; null if it has none
 */
record Key(String label, Long position) implements Comparable<Key> {

  static Key of(dev.lossmeter.v1.Cell message) {
    return switch (message.getKeyCase()) {
      case LABEL -> new Key(message.getLabel(), null);
      case POSITION -> new Key(null, message.getPosition());
      case KEY_NOT_SET -> new Key(null, null);
    };
  }

  void write(dev.lossmeter.v1.Cell.Builder cell) {
    if (label != null) {
      cell.setLabel(label);
    } else if (position != null) {
      cell.setPosition(position);
    }
  }

  boolean isOnly() {
    return label == null && position == null;
  }

  /** Whether it is a position below some number. */
  boolean isBelow(BigInteger end) {
    return position != null && Counts.of(position).compareTo(end) < 0;
  }

  @Override
  public int compareTo(Key other) {
    int byLabel = State.BY_CODE_POINT.compare(text(), other.text());
    return byLabel == 0 ? Long.compareUnsigned(place(), other.place()) : byLabel;
  }

  private String text() {
    return label == null ? "" : label;
  }

  private long place() {
    return position == null ? 0 : position;
  }
}
