package dev.lossmeter.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Which batches go in pieces, and in which. */
class ChunksTest {
  private static final Evaluation<Answer> PAIR =
      Evaluation.of("huber").predictions(1, 2, 3).targets(1, 2, 3);

  private static boolean mayBeCut(Evaluation<?> evaluation) {
    return Chunks.mayBeCut(evaluation.settings(), evaluation.inputs());
  }

  static Stream<Evaluation<?>> whole() {
    return Stream.of(
        Evaluation.of("huber"),
        PAIR.reduction("none"),
        PAIR.reduction(Reduction.of("quantile").with("q", 0.9)),
        PAIR.param("axis", 1),
        PAIR.param("dim", 1),
        PAIR.param("pos_weight", List.of(1, 2, 3)),
        PAIR.param("pos_weight", new double[] {1, 2, 3}),
        PAIR.sampleWeight(Tensor.scalar(1)),
        PAIR.sampleWeight(1, 2),
        PAIR.loss("a", Loss.of("huber")).loss("b", Loss.of("huber").reduction("cvar")));
  }

  @ParameterizedTest
  @MethodSource("whole")
  void someBatchesMustBeWhole(Evaluation<?> evaluation) {
    assertFalse(mayBeCut(evaluation));
  }

  static Stream<Evaluation<?>> pieces() {
    return Stream.of(
        PAIR,
        PAIR.reduction("max"),
        PAIR.reduction(Reduction.of("mean").by("group")).input("group", Tensor.of("a", "b", "a")),
        PAIR.param("class_weight", List.of(1, 2)),
        PAIR.loss("a", Loss.of("huber").reduction("weighted_mean")));
  }

  @ParameterizedTest
  @MethodSource("pieces")
  void othersMayGoInPieces(Evaluation<?> evaluation) {
    assertTrue(mayBeCut(evaluation));
  }

  @Test
  void piecesAreOfAMebibyteAndMakeTheWhole() {
    float[] numbers = new float[1_000_001];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = i;
    }
    Map<String, Tensor> batch =
        Map.of("predictions", Tensor.of(numbers), "delta", Tensor.scalar(1));
    List<Map<String, Tensor>> pieces = Chunks.cut(batch).toList();
    assertEquals(4, pieces.size());
    assertTrue(pieces.stream().allMatch(piece -> Chunks.bytes(piece) <= Chunks.MIB + 8));
    double[] joined =
        pieces.stream()
            .flatMapToDouble(piece -> Arrays.stream(piece.get("predictions").toDoubles()))
            .toArray();
    assertArrayEquals(Tensor.of(numbers).toDoubles(), joined);
    assertTrue(pieces.stream().allMatch(piece -> piece.get("delta") == batch.get("delta")));
  }

  @Test
  void aSmallBatchIsOnePiece() {
    assertEquals(List.of(PAIR.inputs()), Chunks.cut(PAIR.inputs()).toList());
    assertEquals(1, Chunks.cut(Map.of()).count());
  }
}
