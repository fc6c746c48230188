package dev.lossmeter.client;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * An answer, how it came about, and what other frameworks say.
 *
 * @param answer as {@link LossmeterClient#evaluate} gives it, for one loss
 * @param symbol what the request named
 * @param framework the framework and its version; empty for a canonical loss
 * @param steps what was done, in its order
 * @param dialects what every other dialect that knows the loss says
 * @param results of several losses, the explanation of each
 */
public record Explanation(
    Answer answer,
    String symbol,
    String framework,
    List<Step> steps,
    List<DialectAnswer> dialects,
    Map<String, Explanation> results) {

  /**
   * One step of an evaluation.
   *
   * @param step its name
   * @param says what was done, in a sentence
   * @param numbers the numbers of it
   */
  public record Step(String step, String says, Map<String, Object> numbers) {}

  /**
   * What one framework says of the same data.
   *
   * @param symbol its symbol, or the canonical name
   * @param framework the framework; empty for the canonical loss
   * @param version the version whose rule it is
   * @param reduction canonical name of the reduction
   * @param value its value; nothing if it refuses, or where there are groups
   * @param groups under a reduction by group, each group with its value, by label
   * @param numerator the weighted sum that was divided, if one was
   * @param denominator what it was divided by, if one number was
   * @param divisor the same in words
   * @param agrees whether it is the number that was asked for
   * @param why a sentence for each difference
   * @param note what was done so that it could be asked at all
   */
  public record DialectAnswer(
      String symbol,
      String framework,
      String version,
      String reduction,
      Optional<Tensor> value,
      Map<String, Group> groups,
      OptionalDouble numerator,
      OptionalDouble denominator,
      String divisor,
      boolean agrees,
      List<String> why,
      String note) {}
}
