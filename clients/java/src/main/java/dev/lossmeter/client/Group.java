package dev.lossmeter.client;

import java.util.OptionalDouble;

/**
 * One group's value and the sums behind it.
 *
 * @param value the value
 * @param count number of kept entries
 * @param weight sum of their weights
 * @param denominator what was divided by, if anything was
 */
public record Group(double value, long count, double weight, OptionalDouble denominator) {}
