package dev.lossmeter.client.state;

import java.util.Collections;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;

/** The kinds of sums that a cell may hold, in the order of a cell's fields. */
enum Kind {
  LINEAR,
  MOMENTS,
  LOGARITHMS,
  RECIPROCALS,
  EXPONENTIALS,
  LEAST,
  GREATEST,
  HISTOGRAM;

  /** The name that a request and the message have for it. */
  String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  static Map<Kind, Part> parts(dev.lossmeter.v1.Cell message) {
    Map<Kind, Part> parts = new EnumMap<>(Kind.class);
    if (message.hasLinear()) {
      parts.put(LINEAR, Linear.of(message.getLinear()));
    }
    if (message.hasMoments()) {
      parts.put(MOMENTS, Moments.of(message.getMoments()));
    }
    if (message.hasLogarithms()) {
      parts.put(LOGARITHMS, new Logarithms(ExactSum.of(message.getLogarithms())));
    }
    if (message.hasReciprocals()) {
      parts.put(RECIPROCALS, new Reciprocals(ExactSum.of(message.getReciprocals())));
    }
    if (message.hasExponentials()) {
      parts.put(EXPONENTIALS, Exponentials.of(message.getExponentials()));
    }
    if (message.hasLeast()) {
      parts.put(LEAST, Extremes.of(message.getLeast(), false));
    }
    if (message.hasGreatest()) {
      parts.put(GREATEST, Extremes.of(message.getGreatest(), true));
    }
    if (message.hasHistogram()) {
      parts.put(HISTOGRAM, Histogram.of(message.getHistogram()));
    }
    return Collections.unmodifiableMap(parts);
  }
}
