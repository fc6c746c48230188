package dev.lossmeter.client;

import dev.lossmeter.v1.ExportLossRequest;
import java.util.Collections;
import java.util.Map;
import java.util.function.Consumer;

/** A loss that is to become an ONNX graph. Immutable: each method answers with a changed copy. */
public final class Export {
  private final ExportLossRequest message;

  private Export(ExportLossRequest message) {
    this.message = message;
  }

  /**
   * Export of a loss.
   *
   * @param loss canonical name or framework symbol
   * @return the export
   */
  public static Export of(String loss) {
    return new Export(ExportLossRequest.newBuilder().setName(loss).build());
  }

  /**
   * Export of a loss of one's own.
   *
   * @param expression over inputs and parameters by name
   * @return the export
   */
  public static Export ofExpression(String expression) {
    return new Export(ExportLossRequest.newBuilder().setExpression(expression).build());
  }

  /**
   * The same with a parameter.
   *
   * @param name its name, as the loss or the symbol's framework has it
   * @param value a number, boolean, text, collection or map
   * @return the export
   */
  public Export param(String name, Object value) {
    return params(Collections.singletonMap(name, value));
  }

  /**
   * The same with parameters.
   *
   * @param params values by name
   * @return the export
   */
  public Export params(Map<String, ?> params) {
    return set(made -> made.getParamsBuilder().putAllFields(Json.struct(params).getFieldsMap()));
  }

  /**
   * The same with a reduction.
   *
   * @param name its name
   * @return the export
   */
  public Export reduction(String name) {
    return reduction(Reduction.of(name));
  }

  /**
   * The same with a reduction.
   *
   * @param reduction the reduction
   * @return the export
   */
  public Export reduction(Reduction reduction) {
    return set(made -> made.setReduction(reduction.message()));
  }

  /**
   * The same with a type for the inputs that are values.
   *
   * @param type {@link DataType#FLOAT32} or {@link DataType#FLOAT64}, which is the default
   * @return the export
   */
  public Export type(DataType type) {
    return set(made -> made.setDtype(type.wireName()));
  }

  /**
   * The same with a version of the operators.
   *
   * @param version 17 to 21; 17 if not set
   * @return the export
   */
  public Export opset(int version) {
    return set(made -> made.setOpset(version));
  }

  /**
   * The same with a version of the file format.
   *
   * @param version 8 to 10; 8 if not set
   * @return the export
   */
  public Export irVersion(int version) {
    return set(made -> made.setIrVersion(version));
  }

  /**
   * The same with an axis of fixed size.
   *
   * @param axis name of the axis; those that are not named are free
   * @param size its size
   * @return the export
   */
  public Export size(String axis, long size) {
    return set(made -> made.putSizes(axis, size));
  }

  /**
   * The same for loss values with so many axes.
   *
   * @param axes of the loss values; of samples and image, where a loss sums axes
   * @return the export
   */
  public Export rank(int axes) {
    return set(made -> made.setRank(axes));
  }

  /**
   * The same for one of the canonical losses that a symbol's inputs choose between.
   *
   * @param loss its canonical name
   * @return the export
   */
  public Export standsFor(String loss) {
    return set(made -> made.setStandsFor(loss));
  }

  ExportLossRequest message() {
    return message;
  }

  private Export set(Consumer<ExportLossRequest.Builder> change) {
    ExportLossRequest.Builder made = message.toBuilder();
    change.accept(made);
    return new Export(made.build());
  }
}
