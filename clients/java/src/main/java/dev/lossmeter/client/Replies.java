package dev.lossmeter.client;

import com.google.protobuf.ByteString;
import dev.lossmeter.v1.EvaluateResponse;
import dev.lossmeter.v1.ExplainResponse;
import java.util.Collections;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.function.Function;

/** Messages of the service as answers. */
final class Replies {
  private Replies() {}

  static Answer answer(EvaluateResponse found) {
    return new Answer(
        found.hasValue() ? Optional.of(Tensor.of(found.getValue())) : Optional.empty(),
        sorted(found.getGroupsMap(), Replies::group),
        found.getLoss(),
        found.getReduction(),
        found.getCount(),
        found.getWeight(),
        optional(found.hasDenominator(), found.getDenominator()),
        found.getBackend(),
        found.getDevice(),
        found.getDtype(),
        optional(found.hasIndex(), found.getIndex()),
        found.hasBatchId() ? Optional.of(found.getBatchId()) : Optional.empty(),
        optional(found.hasRelativeError(), found.getRelativeError()),
        optional(found.hasOmitted(), found.getOmitted()),
        found.hasKept() ? Optional.of(Tensor.of(found.getKept())) : Optional.empty(),
        Optional.of(found.getState())
            .filter(state -> !state.isEmpty())
            .map(ByteString::toByteArray),
        found.getStateHash(),
        found.getWarningsList());
  }

  static Answers answers(EvaluateResponse found) {
    return new Answers(
        sorted(found.getResultsMap(), Replies::answer),
        optional(found.hasTotal(), found.getTotal()),
        found.getSkippedList());
  }

  static Explanation explanation(ExplainResponse found) {
    return new Explanation(
        answer(evaluated(found)),
        found.getSymbol(),
        found.getFramework(),
        found.getStepsList().stream().map(Replies::step).toList(),
        found.getDialectsList().stream().map(Replies::dialect).toList(),
        sorted(found.getResultsMap(), Replies::explanation));
  }

  /** What an explanation and an answer have in common. */
  private static EvaluateResponse evaluated(ExplainResponse found) {
    EvaluateResponse.Builder made =
        EvaluateResponse.newBuilder()
            .putAllGroups(found.getGroupsMap())
            .setLoss(found.getLoss())
            .setReduction(found.getReduction())
            .setCount(found.getCount())
            .setWeight(found.getWeight())
            .setBackend(found.getBackend())
            .setDevice(found.getDevice())
            .setDtype(found.getDtype())
            .addAllWarnings(found.getWarningsList());
    if (found.hasValue()) {
      made.setValue(found.getValue());
    }
    if (found.hasDenominator()) {
      made.setDenominator(found.getDenominator());
    }
    if (found.hasIndex()) {
      made.setIndex(found.getIndex());
    }
    if (found.hasOmitted()) {
      made.setOmitted(found.getOmitted());
    }
    return made.build();
  }

  static LossDescriptor descriptor(dev.lossmeter.v1.LossDescriptor found) {
    return new LossDescriptor(
        found.getName(),
        found.getNamesList(),
        found.getKind(),
        found.getSummary(),
        found.getFormula(),
        found.getNotes(),
        found.getInputsList().stream().map(Replies::input).toList(),
        found.getOutput(),
        found.getDefaultReduction(),
        Json.map(found.getParams()),
        found.getSource(),
        found.getSymbolsList().stream().map(Replies::symbol).toList(),
        found.getExamplesList().stream().map(Json::map).toList());
  }

  private static Group group(dev.lossmeter.v1.Group found) {
    return new Group(
        found.getValue(),
        found.getCount(),
        found.getWeight(),
        optional(found.hasDenominator(), found.getDenominator()));
  }

  private static Explanation.Step step(ExplainResponse.Step found) {
    return new Explanation.Step(found.getStep(), found.getSays(), Json.map(found.getNumbers()));
  }

  private static Explanation.DialectAnswer dialect(ExplainResponse.DialectAnswer found) {
    return new Explanation.DialectAnswer(
        found.getSymbol(),
        found.getFramework(),
        found.getVersion(),
        found.getReduction(),
        found.hasValue() ? Optional.of(Tensor.of(found.getValue())) : Optional.empty(),
        sorted(found.getGroupsMap(), Replies::group),
        optional(found.hasNumerator(), found.getNumerator()),
        optional(found.hasDenominator(), found.getDenominator()),
        found.getDivisor(),
        found.getAgrees(),
        found.getWhyList(),
        found.getNote());
  }

  private static LossDescriptor.Input input(dev.lossmeter.v1.LossDescriptor.Input found) {
    return new LossDescriptor.Input(
        found.getName(),
        found.getShape(),
        found.getDomain(),
        found.getValues(),
        found.getDescription());
  }

  private static LossDescriptor.Symbol symbol(dev.lossmeter.v1.LossDescriptor.Symbol found) {
    return new LossDescriptor.Symbol(
        found.getSymbol(),
        found.getFramework(),
        found.getVersion(),
        found.getDefaultReduction(),
        Json.map(found.getParams()),
        found.getReductionsList());
  }

  /** A map of protobuf has no order of its own. */
  private static <M, T> Map<String, T> sorted(Map<String, M> found, Function<M, T> read) {
    Map<String, T> made = new TreeMap<>();
    found.forEach((name, one) -> made.put(name, read.apply(one)));
    return Collections.unmodifiableMap(made);
  }

  private static OptionalDouble optional(boolean has, double x) {
    return has ? OptionalDouble.of(x) : OptionalDouble.empty();
  }

  private static OptionalLong optional(boolean has, long x) {
    return has ? OptionalLong.of(x) : OptionalLong.empty();
  }
}
