package dev.lossmeter.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.rpc.Code;
import dev.lossmeter.v1.EvaluateResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Tokens, attempts, deadlines and cancellation, against a service made for it. */
@Timeout(60)
class CallsTest {
  private static final Evaluation<Answer> SMALL =
      Evaluation.of("huber").predictions(1.5, 5).targets(1, 2);
  private static final Evaluation<Answer> LARGE =
      Evaluation.of("huber").predictions(new double[400_000]).targets(new double[400_000]);
  private static final StatusRuntimeException UNAVAILABLE =
      Status.UNAVAILABLE.withDescription("nobody is here").asRuntimeException();

  private FakeService service;
  private LossmeterClient client;

  @BeforeEach
  void start() throws IOException {
    service = new FakeService();
    client = LossmeterClient.builder(service.target()).token("secret").build();
  }

  @AfterEach
  void stop() {
    client.close();
    service.close();
  }

  private static StatusRuntimeException overloaded(Duration pause) {
    return FakeService.refusal(
        Code.RESOURCE_EXHAUSTED, "OVERLOADED", Map.of(), FakeService.retryAfter(pause));
  }

  @Test
  void theTokenIsSentWithEveryCall() {
    client.evaluate(SMALL);
    client.evaluate(LARGE);
    assertEquals(List.of("Evaluate", "EvaluateStream"), service.calls);
    assertEquals(Collections.nCopies(2, "Bearer secret"), service.tokens);
  }

  @Test
  void whereNobodyAnswersACallIsMadeAgain() {
    service.refuse(2, UNAVAILABLE);
    assertEquals(3, client.evaluate(SMALL).count());
  }

  @Test
  void aBatchInPiecesIsSentAgain() {
    service.refuse(1, UNAVAILABLE);
    assertEquals(2, client.evaluate(LARGE).count());
    assertEquals(List.of("EvaluateStream", "EvaluateStream"), service.calls);
  }

  @Test
  void fiveAttemptsAreEnough() {
    service.refuse(9, UNAVAILABLE);
    LossmeterException error =
        assertThrows(UnavailableException.class, () -> client.evaluate(SMALL));
    assertEquals("UNAVAILABLE: nobody is here", error.getMessage());
    assertEquals(5, service.calls.size());
  }

  @Test
  void anOverloadedServiceIsAskedAgainAfterThePauseItAsksFor() {
    service.refuse(1, overloaded(Duration.ofMillis(300)));
    long start = System.nanoTime();
    assertEquals(2, client.evaluate(SMALL).count());
    assertTrue(System.nanoTime() - start >= 300_000_000L);
  }

  @Test
  void anOverloadedServiceIsAskedFiveTimes() {
    service.refuse(9, overloaded(Duration.ofMillis(1)));
    LossmeterException error =
        assertThrows(OverloadedException.class, () -> client.evaluate(LARGE));
    assertEquals(Optional.of(Duration.ofMillis(1)), error.retryAfter());
    assertEquals(5, service.calls.size());
  }

  @Test
  void aPauseBeyondTheDeadlineIsNotWaitedFor() {
    service.refuse(1, overloaded(Duration.ofHours(1)));
    assertThrows(OverloadedException.class, () -> client.evaluate(SMALL));
  }

  @Test
  void whatIsTooLargeIsNotSentAgain() {
    Map<String, String> facts = Map.of("limit", "10", "actual", "11", "field", "inputs");
    service.refuse(1, FakeService.refusal(Code.RESOURCE_EXHAUSTED, "TOO_LARGE", facts));
    LossmeterException error = assertThrows(TooLargeException.class, () -> client.evaluate(SMALL));
    assertEquals(Map.of("limit", 10L, "actual", 11L), error.facts());
    assertEquals(Optional.of("inputs"), error.field());
    assertEquals(1, service.calls.size());
  }

  @Test
  void anErrorHasItsReasonItsPlaceAndTheChunk() {
    service.refuse(
        1,
        FakeService.refusal(
            Code.INVALID_ARGUMENT,
            "OUT_OF_DOMAIN",
            Map.of("chunk", "3"),
            FakeService.at("inputs.targets")));
    LossmeterException error =
        assertThrows(InvalidRequestException.class, () -> client.evaluate(SMALL));
    assertEquals("OUT_OF_DOMAIN at inputs.targets: no, for a reason", error.getMessage());
    assertEquals(Status.Code.INVALID_ARGUMENT, error.code());
    assertEquals(Map.of("chunk", 3L), error.facts());
  }

  @Test
  void whatAnotherServiceSaysIsNoReason() {
    service.refusals.add(Status.UNAUTHENTICATED.asRuntimeException());
    LossmeterException error =
        assertThrows(UnauthenticatedException.class, () -> client.evaluate(SMALL));
    assertEquals("", error.reason());
  }

  @Test
  void aDeadlineIsKept() {
    service.isSilent = true;
    LossmeterClient hasty = client.withTimeout(Duration.ofMillis(200));
    assertThrows(DeadlineExceededException.class, () -> hasty.evaluate(SMALL));
    assertThrows(DeadlineExceededException.class, () -> hasty.evaluate(LARGE));
    assertThrows(
        DeadlineExceededException.class,
        () -> hasty.evaluateStream(Evaluation.of("huber"), Stream.of(SMALL.inputs())));
  }

  @Test
  void cancellingAFutureCancelsItsCall() throws InterruptedException {
    service.isSilent = true;
    CompletableFuture<Answer> coming = client.evaluateAsync(SMALL);
    assertTrue(service.begun.await(30, TimeUnit.SECONDS));
    assertTrue(coming.cancel(true));
    assertTrue(service.cancelled.await(30, TimeUnit.SECONDS));
  }

  @Test
  void cancellingAStreamCancelsItsCall() throws InterruptedException {
    CompletableFuture<Answer> coming =
        client.evaluateStreamAsync(
            Evaluation.of("huber"), Stream.generate(SMALL::inputs).limit(100_000_000));
    assertTrue(service.begun.await(30, TimeUnit.SECONDS));
    assertTrue(coming.cancel(true));
    assertTrue(service.cancelled.await(30, TimeUnit.SECONDS));
  }

  @Test
  void interruptingAThreadCancelsItsCall() throws InterruptedException {
    service.isSilent = true;
    AtomicReference<Throwable> raised = new AtomicReference<>();
    Thread waiting = new Thread(() -> client.evaluate(SMALL));
    waiting.setUncaughtExceptionHandler((thread, error) -> raised.set(error));
    waiting.start();
    assertTrue(service.begun.await(30, TimeUnit.SECONDS));
    waiting.interrupt();
    waiting.join();
    assertInstanceOf(CancelledException.class, raised.get());
    assertTrue(service.cancelled.await(30, TimeUnit.SECONDS));
  }

  @Test
  void whatTheBatchesRaiseComesThroughAndCancelsTheCall() throws InterruptedException {
    Stream<Map<String, Tensor>> batches =
        Stream.of(1, 0).map(x -> Map.of("predictions", Tensor.of(1 / x)));
    assertThrows(
        ArithmeticException.class, () -> client.evaluateStream(Evaluation.of("huber"), batches));
    assertTrue(service.cancelled.await(30, TimeUnit.SECONDS));
  }

  @Test
  void batchesAreReadInTheCallersThread() {
    AtomicReference<Thread> reader = new AtomicReference<>();
    Stream<Map<String, Tensor>> batches =
        Stream.of(SMALL.inputs()).peek(batch -> reader.set(Thread.currentThread()));
    client.evaluateStream(Evaluation.of("huber"), batches);
    assertEquals(Thread.currentThread(), reader.get());
  }

  @Test
  void aLargeBatchGoesInPiecesOfAMebibyte() {
    client.evaluate(LARGE);
    assertEquals(1 + 7, service.messages.size());
    assertTrue(service.messages.get(0).hasSpec());
    long rows =
        service.messages.stream()
            .skip(1)
            .mapToLong(message -> message.getChunk().getInputsOrThrow("targets").getShape(0))
            .sum();
    assertEquals(400_000, rows);
  }

  @Test
  void aLargeBatchThatCannotGoInPiecesIsSentWhole() {
    client.evaluate(LARGE.reduction("median"));
    client.evaluate(LARGE.param("axis", 0));
    assertEquals(List.of("Evaluate", "Evaluate"), service.calls);
  }

  @Test
  void aLargeBatchThatIsRefusedInPiecesIsSentWhole() {
    service.refuse(1, FakeService.refusal(Code.FAILED_PRECONDITION, "NOT_STREAMABLE", Map.of()));
    client.evaluate(LARGE);
    service.refuse(1, FakeService.refusal(Code.INVALID_ARGUMENT, "SHAPE_MISMATCH", Map.of()));
    client.evaluate(LARGE);
    assertEquals(
        List.of("EvaluateStream", "Evaluate", "EvaluateStream", "Evaluate"), service.calls);
  }

  @Test
  void aLargeBatchThatIsWrongIsNotSentWhole() {
    service.refuse(1, FakeService.refusal(Code.INVALID_ARGUMENT, "OUT_OF_DOMAIN", Map.of()));
    assertThrows(InvalidRequestException.class, () -> client.evaluate(LARGE));
    assertEquals(List.of("EvaluateStream"), service.calls);
  }

  @Test
  void aLargeBatchWhoseAnswerIsNotExactIsSentWhole() {
    service.streamed = EvaluateResponse.newBuilder().setRelativeError(0.01).build();
    assertTrue(client.evaluate(LARGE).isExact());
    assertEquals(List.of("EvaluateStream", "Evaluate"), service.calls);
  }

  @Test
  void aFutureFailsWithTheSameException() {
    service.refuse(1, FakeService.refusal(Code.NOT_FOUND, "LOSS_NOT_FOUND", Map.of()));
    CompletableFuture<Answer> coming = client.evaluateAsync(SMALL);
    CompletionException wrapped = assertThrows(CompletionException.class, coming::join);
    assertInstanceOf(NotFoundException.class, wrapped.getCause());
  }

  @Test
  void aClosedClientSaysSo() {
    client.close();
    assertThrows(UnavailableException.class, () -> client.evaluate(SMALL));
  }

  @Test
  void aStreamHasNoInputsOfItsOwn() {
    assertThrows(
        IllegalArgumentException.class, () -> client.evaluateStream(SMALL, Stream.empty()));
  }
}
