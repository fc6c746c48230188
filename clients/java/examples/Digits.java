package dev.lossmeter.examples;

import dev.lossmeter.client.Answer;
import dev.lossmeter.client.Evaluation;
import dev.lossmeter.client.LossmeterClient;
import dev.lossmeter.client.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A table of several losses of a real model's predictions.
 *
 * <p>The file has a header and columns target, p0 to p9: a logistic regression's probabilities of
 * ten digits, and the digit.
 */
public final class Digits {
  private Digits() {}

  /**
   * Prints the table.
   *
   * @param arguments path of the CSV file; host and port of the service
   * @throws IOException the file cannot be read
   */
  public static void main(String[] arguments) throws IOException {
    double[][] rows = read(Path.of(arguments[0]));
    Map<String, Tensor> inputs =
        Map.of(
            "targets",
            Tensor.of(Arrays.stream(rows).mapToInt(row -> (int) row[0]).toArray()),
            "predictions",
            Tensor.of(
                Arrays.stream(rows)
                    .map(row -> Arrays.copyOfRange(row, 1, row.length))
                    .toArray(double[][]::new)));
    try (LossmeterClient client = LossmeterClient.connect(arguments[1])) {
      evaluations().forEach((title, asked) -> print(title, client.evaluate(asked.inputs(inputs))));
    }
  }

  private static Map<String, Evaluation<Answer>> evaluations() {
    Evaluation<Answer> logLoss = Evaluation.of("sparse_categorical_cross_entropy");
    Map<String, Evaluation<Answer>> asked = new LinkedHashMap<>();
    asked.put("log loss", logLoss.reduction("mean"));
    asked.put("log loss, worst sample", logLoss.reduction("max"));
    asked.put("log loss, median sample", logLoss.reduction("median"));
    asked.put("log loss of Keras", Evaluation.of("keras.losses.SparseCategoricalCrossentropy"));
    asked.put("perplexity", logLoss.reduction("exp_mean"));
    return asked;
  }

  private static double[][] read(Path file) throws IOException {
    try (Stream<String> lines = Files.lines(file)) {
      return lines
          .skip(1)
          .map(line -> Arrays.stream(line.split(",")).mapToDouble(Double::parseDouble).toArray())
          .toArray(double[][]::new);
    }
  }

  private static void print(String title, Answer answer) {
    System.out.printf(
        Locale.ROOT, "%-24s %.15f  %4d samples%n", title, answer.value(), answer.count());
  }
}
