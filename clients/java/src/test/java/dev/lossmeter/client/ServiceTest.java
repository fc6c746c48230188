package dev.lossmeter.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lossmeter.client.state.State;
import java.nio.FloatBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** Every call, against a real service. */
@Timeout(120)
@EnabledIfEnvironmentVariable(
    named = "LOSSMETER_GRPC",
    matches = ".+",
    disabledReason = "LOSSMETER_GRPC names no service")
class ServiceTest {
  private static final Evaluation<Answer> HUBER =
      Evaluation.of("huber").predictions(1.5, 5).targets(1, 2);

  private static LossmeterClient client;

  @BeforeAll
  static void connect() {
    client = LossmeterClient.connect(System.getenv("LOSSMETER_GRPC"));
  }

  @AfterAll
  static void close() {
    client.close();
  }

  @Test
  void aSmallBatch() {
    Answer answer = client.evaluate(HUBER);
    assertEquals(1.3125, answer.value());
    assertEquals(2, answer.count());
    assertEquals(2.0, answer.denominator().orElseThrow());
    assertEquals("float64", answer.dtype());
  }

  @Test
  void aLargeBatchHasTheSameBitsWholeAndInPieces() {
    Evaluation<Answer> evaluation =
        Evaluation.of("binary_cross_entropy_with_logits")
            .reduction("weighted_mean")
            .predictions(random(200_000, 10))
            .targets(random(200_000, 10))
            .sampleWeight(random(200_000));
    Answer pieces = client.evaluate(evaluation);
    try (LossmeterClient whole =
        LossmeterClient.builder(System.getenv("LOSSMETER_GRPC"))
            .unaryBytes(Long.MAX_VALUE)
            .build()) {
      assertEquals(whole.evaluate(evaluation).value(), pieces.value());
    }
    assertEquals(pieces.value(), client.evaluateAsync(evaluation).join().value());
    assertEquals(2_000_000, pieces.count());
  }

  private static Tensor random(long... shape) {
    Random random = new Random(7);
    float[] numbers = new float[(int) LongStream.of(shape).reduce(1, Math::multiplyExact)];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = random.nextFloat();
    }
    return Tensor.of(FloatBuffer.wrap(numbers), shape);
  }

  @Test
  void aLargeBatchThatTheServiceCannotStreamIsStillAnswered() {
    double[] numbers = new double[300_000];
    Answer answer =
        client.evaluate(
            Evaluation.of("sklearn.metrics.median_absolute_error")
                .predictions(numbers)
                .targets(numbers));
    assertTrue(answer.isExact());
    assertEquals(0.0, answer.value());
  }

  @Test
  void batchesAsTheyCome() {
    Evaluation<Answer> evaluation = Evaluation.of("squared_error").reduction("max");
    Stream<Map<String, Tensor>> batches =
        IntStream.range(0, 10)
            .mapToObj(x -> Map.of("predictions", Tensor.of(x, 1), "targets", Tensor.of(0, 0)));
    Answer answer = client.evaluateStream(evaluation, batches);
    assertEquals(81.0, answer.value());
    assertEquals(OptionalLong.of(18), answer.index());
    List<Map<String, Tensor>> list =
        List.of(Map.of("predictions", Tensor.of(3), "targets", Tensor.of(1)));
    assertEquals(4.0, client.evaluateStream(evaluation, list).value());
    assertEquals(4.0, client.evaluateStreamAsync(evaluation, list).join().value());
  }

  @Test
  void aWrongChunkIsNamed() {
    Stream<Map<String, Tensor>> batches =
        Stream.of(1.0, 2.0)
            .map(x -> Map.of("predictions", Tensor.of(x), "targets", Tensor.of(new double[2])));
    LossmeterException error =
        assertThrows(
            InvalidRequestException.class,
            () -> client.evaluateStream(Evaluation.of("huber"), batches));
    assertEquals("SHAPE_MISMATCH", error.reason());
    assertEquals(0L, error.facts().get("chunk"));
  }

  @Test
  void anEndlessStreamEndsWhenAChunkIsRefused() {
    Map<String, Tensor> wrong =
        Map.of("predictions", Tensor.of(new double[100_000]), "targets", Tensor.of(1));
    assertThrows(
        InvalidRequestException.class,
        () -> client.evaluateStream(Evaluation.of("huber"), Stream.generate(() -> wrong)));
  }

  @Test
  void anEndlessStreamEndsAtItsDeadline() {
    Tensor zeros = Tensor.of(new double[100_000]);
    Map<String, Tensor> batch = Map.of("predictions", zeros, "targets", zeros);
    assertThrows(
        DeadlineExceededException.class,
        () ->
            client
                .withTimeout(Duration.ofSeconds(1))
                .evaluateStream(Evaluation.of("huber"), Stream.generate(() -> batch)));
  }

  @Test
  void groupsAndSeveralLosses() {
    Reduction byCountry = Reduction.of("mean").by("country");
    Answer groups =
        client.evaluate(HUBER.input("country", Tensor.of("fr", "de")).reduction(byCountry));
    assertEquals(List.of("de", "fr"), List.copyOf(groups.groups().keySet()));
    assertEquals(2.5, groups.groups().get("de").value());
    assertThrows(IllegalStateException.class, groups::value);
    Answers both =
        client.evaluate(
            Evaluation.ofSeveral()
                .loss("l1", Loss.of("absolute_error"))
                .loss("l2", Loss.of("squared_error").weight(0.5))
                .predictions(1, 4)
                .targets(0, 2));
    assertEquals(2.5, both.get("l2").value());
    assertEquals(2.75, both.total().orElseThrow());
  }

  @Test
  void whatLiesUnderAMaskDoesNotCount() {
    Answer answer =
        client.evaluate(
            Evaluation.of("huber")
                .predictions(1.5, Double.NaN)
                .targets(1, 2)
                .mask(true, false)
                .reduction("none"));
    assertArrayEquals(new boolean[] {true, false}, answer.kept().orElseThrow().toBooleans());
    assertEquals(0.125, answer.tensor().orElseThrow().toDoubles()[0]);
  }

  @Test
  void anExpressionWithParameters() {
    Answer answer =
        client.evaluate(
            Evaluation.ofExpression("abs(predictions - targets) * scale")
                .param("scale", 3)
                .predictions(1)
                .targets(3));
    assertEquals(6.0, answer.value());
  }

  @Test
  void statesMergeHereAsThere() {
    List<byte[]> states =
        Stream.of(1e8, 3.0, 1e-8)
            .map(x -> Evaluation.of("squared_error").predictions(x).targets(0).withState("max"))
            .map(evaluation -> client.evaluate(evaluation).state().orElseThrow())
            .toList();
    Answer there = client.mergeStates(Merge.of(states).reduction("rms").withState());
    State here = State.merge(states);
    assertArrayEquals(there.state().orElseThrow(), here.toByteArray());
    assertEquals(there.stateHash(), here.hash());
    assertEquals(there.value(), here.cell().rms());
    assertEquals(client.mergeStates(Merge.of(states)).value(), here.cell().mean());
    assertEquals(1e16, here.cell().max().value());
  }

  @Test
  void aMergeRefused() {
    LossmeterException error =
        assertThrows(
            InvalidRequestException.class,
            () -> client.mergeStates(Merge.of(List.of(new byte[] {1, 2}))));
    assertEquals("MALFORMED_REQUEST", error.reason());
    assertEquals(Optional.of("states.0"), error.field());
  }

  @Test
  void lossesAreListedAndFound() {
    assertTrue(client.listLosses().size() > 70);
    List<LossDescriptor> found = client.listLosses("torch", "huber");
    assertTrue(found.stream().anyMatch(loss -> loss.name().equals("huber")));
    LossDescriptor huber = client.getLoss("torch.nn.HuberLoss");
    assertEquals("huber", huber.name());
    assertEquals("predictions", huber.inputs().get(0).name());
    Map<?, ?> properties = (Map<?, ?>) huber.params().get("properties");
    assertEquals(1.0, ((Map<?, ?>) properties.get("delta")).get("default"));
    LossmeterException error = assertThrows(NotFoundException.class, () -> client.getLoss("hubr"));
    assertEquals("LOSS_NOT_FOUND", error.reason());
  }

  @Test
  void anExplanationSaysWhatWasDone() {
    Explanation told =
        client.explain(Evaluation.of("torch.nn.SmoothL1Loss").predictions(3).targets(1));
    assertTrue(told.steps().get(0).says().contains("smooth_l1"));
    assertEquals(1.5, told.answer().value());
    assertTrue(told.dialects().stream().anyMatch(Explanation.DialectAnswer::agrees));
  }

  @Test
  void anExportIsAGraph() {
    byte[] graph = client.export(Export.of("huber").param("delta", 0.5).reduction("sum").opset(18));
    assertTrue(graph.length > 100);
    LossmeterException error =
        assertThrows(
            InvalidRequestException.class,
            () -> client.export(Export.of("huber").type(DataType.INT8)));
    assertEquals(Optional.of("dtype"), error.field());
  }

  @Test
  void manyCallsAtOnce() {
    List<CompletableFuture<Answer>> coming =
        IntStream.range(0, 50)
            .mapToObj(
                x ->
                    client.evaluateAsync(
                        Evaluation.of("absolute_error").predictions((double) x).targets(0)))
            .toList();
    for (int x = 0; x < coming.size(); x++) {
      assertEquals(x, coming.get(x).join().value());
    }
  }
}
