package dev.lossmeter.client;

import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import dev.lossmeter.v1.EvaluateRequest;
import dev.lossmeter.v1.EvaluateStreamRequest;
import dev.lossmeter.v1.LossSpec;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.Set;
import java.util.Spliterators;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** Batches in pieces of about a mebibyte, and which batches may go in pieces. */
final class Chunks {
  static final int MIB = 1 << 20;
  // What is finished from sums, or is a minimum or maximum, has the same bits whole and in pieces.
  // These do not: they need the samples, and a stream has a histogram at best.
  private static final Set<String> OF_SAMPLES = Set.of("none", "median", "quantile", "cvar");
  // Parameters by which a framework's samples may lie along another axis.
  private static final Set<String> AXES = Set.of("axis", "dim");

  private Chunks() {}

  /**
   * Whether a batch may go in pieces along axis 0.
   *
   * <p>What a framework's own word or a loss's default means is not known here: the service refuses
   * a stream that needs all samples or has them along another axis, and says so of a number that
   * comes from a histogram.
   */
  static boolean mayBeCut(EvaluateRequest settings, Map<String, Tensor> inputs) {
    boolean haveRows = inputs.values().stream().allMatch(Tensor::hasAxes);
    if (!haveRows || inputs.values().stream().mapToLong(Tensor::rows).distinct().count() != 1) {
      return false;
    }
    long rows = inputs.values().iterator().next().rows();
    return losses(settings)
        .noneMatch(
            loss ->
                OF_SAMPLES.contains(name(loss.getReduction())) || isOfRows(loss.getParams(), rows));
  }

  private static Stream<LossSpec> losses(EvaluateRequest settings) {
    if (settings.getLossesCount() > 0) {
      return settings.getLossesMap().values().stream();
    }
    return Stream.of(
        LossSpec.newBuilder()
            .setParams(settings.getParams())
            .setReduction(settings.getReduction())
            .build());
  }

  private static String name(Value reduction) {
    Value named = reduction.getStructValue().getFieldsOrDefault("name", reduction);
    return named.getStringValue();
  }

  /** Whether a parameter names an axis, or may hold something for each row. */
  private static boolean isOfRows(Struct params, long rows) {
    Map<String, Value> fields = params.getFieldsMap();
    return fields.keySet().stream().anyMatch(AXES::contains)
        || fields.values().stream()
            .anyMatch(x -> x.hasListValue() && x.getListValue().getValuesCount() == rows);
  }

  static long bytes(Map<String, Tensor> inputs) {
    return inputs.values().stream().mapToLong(Tensor::bytes).sum();
  }

  /** The messages of a stream: the specification, then chunks of rows. */
  static Iterator<EvaluateStreamRequest> messages(
      EvaluateRequest settings, Iterator<? extends Map<String, Tensor>> batches) {
    EvaluateStreamRequest first = EvaluateStreamRequest.newBuilder().setSpec(settings).build();
    Stream<EvaluateStreamRequest> chunks =
        StreamSupport.stream(Spliterators.spliteratorUnknownSize(batches, 0), false)
            .flatMap(Chunks::cut)
            .map(Chunks::message);
    return Stream.concat(Stream.of(first), chunks).iterator();
  }

  /**
   * Pieces along axis 0 of about a mebibyte, as views. Inputs without axes are repeated in every
   * piece.
   */
  static Stream<Map<String, Tensor>> cut(Map<String, Tensor> batch) {
    long rows =
        batch.values().stream().filter(Tensor::hasAxes).mapToLong(Tensor::rows).max().orElse(1);
    long step = Math.max(1, rows * MIB / Math.max(bytes(batch), 1));
    if (step >= rows) {
      return Stream.of(batch);
    }
    return LongStream.iterate(0, start -> start < rows, start -> start + step)
        .mapToObj(start -> piece(batch, start, start + step));
  }

  private static Map<String, Tensor> piece(Map<String, Tensor> batch, long start, long end) {
    Map<String, Tensor> made = new HashMap<>();
    batch.forEach((name, x) -> made.put(name, x.hasAxes() ? x.rows(start, end) : x));
    return made;
  }

  private static EvaluateStreamRequest message(Map<String, Tensor> piece) {
    EvaluateStreamRequest.Chunk.Builder chunk = EvaluateStreamRequest.Chunk.newBuilder();
    piece.forEach((name, x) -> chunk.putInputs(name, x.message()));
    return EvaluateStreamRequest.newBuilder().setChunk(chunk).build();
  }
}
