package dev.lossmeter.client;

import dev.lossmeter.v1.EvaluateRequest;
import dev.lossmeter.v1.EvaluateResponse;
import dev.lossmeter.v1.Options;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * What is asked: one loss or several, and tensors. Immutable: each method answers with a changed
 * copy, so that one evaluation can be the beginning of others.
 *
 * @param <A> what is answered: {@link Answer} for one loss, {@link Answers} for several
 */
public final class Evaluation<A extends Result> {
  private final EvaluateRequest settings;
  private final Map<String, Tensor> inputs;
  private final Function<EvaluateResponse, A> reader;

  private Evaluation(
      EvaluateRequest settings, Map<String, Tensor> inputs, Function<EvaluateResponse, A> reader) {
    this.settings = settings;
    this.inputs = inputs;
    this.reader = reader;
  }

  /**
   * Evaluation of one loss.
   *
   * @param loss canonical name such as {@code huber}, or framework symbol such as {@code
   *     torch.nn.HuberLoss}
   * @return the evaluation
   */
  public static Evaluation<Answer> of(String loss) {
    EvaluateRequest settings = EvaluateRequest.newBuilder().setLoss(loss).build();
    return new Evaluation<>(settings, Map.of(), Replies::answer);
  }

  /**
   * Evaluation of a loss of one's own.
   *
   * @param expression over inputs and parameters by name, such as {@code abs(predictions -
   *     targets)}
   * @return the evaluation
   */
  public static Evaluation<Answer> ofExpression(String expression) {
    EvaluateRequest settings = EvaluateRequest.newBuilder().setExpression(expression).build();
    return new Evaluation<>(settings, Map.of(), Replies::answer);
  }

  /**
   * Evaluation of several losses over the same tensors, which {@link #loss} adds.
   *
   * @return the evaluation
   */
  public static Evaluation<Answers> ofSeveral() {
    return new Evaluation<>(EvaluateRequest.getDefaultInstance(), Map.of(), Replies::answers);
  }

  /**
   * The same with one more loss.
   *
   * @param name what its answer is called
   * @param loss the loss
   * @return the evaluation
   */
  public Evaluation<Answers> loss(String name, Loss loss) {
    EvaluateRequest made = settings.toBuilder().putLosses(name, loss.message()).build();
    return new Evaluation<>(made, inputs, Replies::answers);
  }

  /**
   * The same with a parameter.
   *
   * @param name its name, as the loss, the symbol's framework or the expression has it
   * @param value a number, boolean, text, array, collection or map
   * @return the evaluation
   */
  public Evaluation<A> param(String name, Object value) {
    return params(Collections.singletonMap(name, value));
  }

  /**
   * The same with parameters.
   *
   * @param params values by name
   * @return the evaluation
   */
  public Evaluation<A> params(Map<String, ?> params) {
    return set(made -> made.getParamsBuilder().putAllFields(Json.struct(params).getFieldsMap()));
  }

  /**
   * The same with a reduction; without, it is the default of the loss or symbol.
   *
   * @param name its name, such as {@code weighted_mean}
   * @return the evaluation
   */
  public Evaluation<A> reduction(String name) {
    return reduction(Reduction.of(name));
  }

  /**
   * The same with a reduction; without, it is the default of the loss or symbol.
   *
   * @param reduction the reduction
   * @return the evaluation
   */
  public Evaluation<A> reduction(Reduction reduction) {
    return set(made -> made.setReduction(reduction.message()));
  }

  /**
   * The same with predictions in float64.
   *
   * @param values one for each sample
   * @return the evaluation
   */
  public Evaluation<A> predictions(double... values) {
    return predictions(Tensor.of(values));
  }

  /**
   * The same with predictions.
   *
   * @param tensor the predictions
   * @return the evaluation
   */
  public Evaluation<A> predictions(Tensor tensor) {
    return input("predictions", tensor);
  }

  /**
   * The same with targets in float64.
   *
   * @param values one for each sample
   * @return the evaluation
   */
  public Evaluation<A> targets(double... values) {
    return targets(Tensor.of(values));
  }

  /**
   * The same with targets.
   *
   * @param tensor the targets
   * @return the evaluation
   */
  public Evaluation<A> targets(Tensor tensor) {
    return input("targets", tensor);
  }

  /**
   * The same with weights in float64.
   *
   * @param values one for each sample
   * @return the evaluation
   */
  public Evaluation<A> sampleWeight(double... values) {
    return sampleWeight(Tensor.of(values));
  }

  /**
   * The same with weights.
   *
   * @param tensor the weights
   * @return the evaluation
   */
  public Evaluation<A> sampleWeight(Tensor tensor) {
    return input("sample_weight", tensor);
  }

  /**
   * The same with a mask; what lies under it does not count, whatever it is.
   *
   * @param kept one for each sample; true keeps
   * @return the evaluation
   */
  public Evaluation<A> mask(boolean... kept) {
    return mask(Tensor.of(kept));
  }

  /**
   * The same with a mask; what lies under it does not count, whatever it is.
   *
   * @param tensor the mask
   * @return the evaluation
   */
  public Evaluation<A> mask(Tensor tensor) {
    return input("mask", tensor);
  }

  /**
   * The same with any input by its name.
   *
   * @param name such as {@code predictions}, {@code anchor}, or the {@code by} of a reduction
   * @param tensor the input
   * @return the evaluation
   */
  public Evaluation<A> input(String name, Tensor tensor) {
    return inputs(Map.of(name, tensor));
  }

  /**
   * The same with inputs by their names.
   *
   * @param more the tensors
   * @return the evaluation
   */
  public Evaluation<A> inputs(Map<String, Tensor> more) {
    Map<String, Tensor> all = new LinkedHashMap<>(inputs);
    all.putAll(more);
    return new Evaluation<>(settings, Collections.unmodifiableMap(all), reader);
  }

  /**
   * The same with a backend.
   *
   * @param name what computes: {@code numpy} or {@code onnx}; the service's default if not set
   * @return the evaluation
   */
  public Evaluation<A> backend(String name) {
    return option(options -> options.setBackend(name));
  }

  /**
   * The same on a device.
   *
   * @param name where: {@code cpu}, {@code cuda} or {@code auto}; the service's default if not set
   * @return the evaluation
   */
  public Evaluation<A> device(String name) {
    return option(options -> options.setDevice(name));
  }

  /**
   * The same with a rule for kept entries that are not finite.
   *
   * @param rule {@code propagate} (the default), {@code omit} or {@code error}
   * @return the evaluation
   */
  public Evaluation<A> nonfinite(String rule) {
    return option(options -> options.setNonfinite(rule));
  }

  /**
   * The same with a mergeable state in the answer.
   *
   * @param reductions those whose parts it shall hold besides the sums, such as {@code max}
   * @return the evaluation
   */
  public Evaluation<A> withState(String... reductions) {
    Object asked = reductions.length == 0 ? Boolean.TRUE : Arrays.asList(reductions);
    return option(options -> options.setState(Json.value(asked)));
  }

  /**
   * The same with a name of the batch, so that merging it twice is refused.
   *
   * @param id the name; a random one if not set
   * @return the evaluation
   */
  public Evaluation<A> batchId(String id) {
    return option(options -> options.setBatchId(id));
  }

  /** The request without its inputs. */
  EvaluateRequest settings() {
    return settings;
  }

  Map<String, Tensor> inputs() {
    return inputs;
  }

  A read(EvaluateResponse response) {
    return reader.apply(response);
  }

  /** The request with its inputs. */
  EvaluateRequest message() {
    EvaluateRequest.Builder made = settings.toBuilder();
    inputs.forEach((name, tensor) -> made.putInputs(name, tensor.message()));
    return made.build();
  }

  private Evaluation<A> option(Consumer<Options.Builder> change) {
    return set(made -> change.accept(made.getOptionsBuilder()));
  }

  private Evaluation<A> set(Consumer<EvaluateRequest.Builder> change) {
    EvaluateRequest.Builder made = settings.toBuilder();
    change.accept(made);
    return new Evaluation<>(made.build(), inputs, reader);
  }
}
