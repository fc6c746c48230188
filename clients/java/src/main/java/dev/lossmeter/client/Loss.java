package dev.lossmeter.client;

import dev.lossmeter.v1.LossSpec;
import java.util.Collections;
import java.util.Map;

/** One loss of an evaluation of several. Immutable: each method answers with a changed copy. */
public final class Loss {
  private final LossSpec message;

  private Loss(LossSpec message) {
    this.message = message;
  }

  /**
   * A loss by its name.
   *
   * @param name canonical name or framework symbol
   * @return the loss
   */
  public static Loss of(String name) {
    return new Loss(LossSpec.newBuilder().setLoss(name).build());
  }

  /**
   * A loss of one's own.
   *
   * @param expression over inputs and parameters by name, such as {@code abs(predictions -
   *     targets)}
   * @return the loss
   */
  public static Loss ofExpression(String expression) {
    return new Loss(LossSpec.newBuilder().setExpression(expression).build());
  }

  /**
   * The same with a parameter.
   *
   * @param name its name, as the loss or the symbol's framework has it
   * @param value a number, boolean, text, collection or map
   * @return the loss
   */
  public Loss param(String name, Object value) {
    return params(Collections.singletonMap(name, value));
  }

  /**
   * The same with parameters.
   *
   * @param params values by name
   * @return the loss
   */
  public Loss params(Map<String, ?> params) {
    LossSpec.Builder made = message.toBuilder();
    made.getParamsBuilder().putAllFields(Json.struct(params).getFieldsMap());
    return new Loss(made.build());
  }

  /**
   * The same with a reduction.
   *
   * @param name its name
   * @return the loss
   */
  public Loss reduction(String name) {
    return reduction(Reduction.of(name));
  }

  /**
   * The same with a reduction.
   *
   * @param reduction the reduction
   * @return the loss
   */
  public Loss reduction(Reduction reduction) {
    return new Loss(message.toBuilder().setReduction(reduction.message()).build());
  }

  /**
   * The same with an input that has another name among the shared tensors.
   *
   * @param input name of the loss's input, such as {@code predictions}
   * @param shared name of the shared tensor
   * @return the loss
   */
  public Loss input(String input, String shared) {
    return new Loss(message.toBuilder().putInputs(input, shared).build());
  }

  /**
   * The same with a weight in the total.
   *
   * @param weight what its value is multiplied with; 1 if not set
   * @return the loss
   */
  public Loss weight(double weight) {
    return new Loss(message.toBuilder().setLossWeight(weight).build());
  }

  LossSpec message() {
    return message;
  }
}
