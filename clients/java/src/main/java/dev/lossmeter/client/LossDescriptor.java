package dev.lossmeter.client;

import java.util.List;
import java.util.Map;

/**
 * What is known of a loss.
 *
 * @param name canonical name
 * @param names other names it answers to
 * @param kind its family
 * @param summary what it measures, in a line
 * @param formula its formula, in LaTeX
 * @param notes what there is to say besides
 * @param inputs what it takes
 * @param output {@code elementwise}; {@code per_sample} where an axis is used up; {@code batch}
 *     where the batch defines the values
 * @param defaultReduction its reduction if a request names none
 * @param params its parameters, as JSON Schema
 * @param source the paper, or the framework whose rule it is
 * @param symbols the frameworks' names for it
 * @param examples requests and their loss values
 */
public record LossDescriptor(
    String name,
    List<String> names,
    String kind,
    String summary,
    String formula,
    String notes,
    List<Input> inputs,
    String output,
    String defaultReduction,
    Map<String, Object> params,
    String source,
    List<Symbol> symbols,
    List<Map<String, Object>> examples) {

  /**
   * An input of a loss.
   *
   * @param name its name
   * @param shape its shape: {@code ...} is any number of axes, a letter is one size
   * @param domain name of its domain
   * @param values its admissible values, in words
   * @param description what it is
   */
  public record Input(
      String name, String shape, String domain, String values, String description) {}

  /**
   * A framework's name for a loss.
   *
   * @param symbol the name, as a request gives it
   * @param framework the framework
   * @param version the version whose rules are followed
   * @param defaultReduction its reduction if a request names none
   * @param params its parameters, as JSON Schema
   * @param reductions the framework's own words for reductions
   */
  public record Symbol(
      String symbol,
      String framework,
      String version,
      String defaultReduction,
      Map<String, Object> params,
      List<String> reductions) {}
}
