package dev.lossmeter.client;

import dev.lossmeter.v1.EvaluateRequest;
import dev.lossmeter.v1.EvaluateStreamRequest;
import dev.lossmeter.v1.GetLossRequest;
import dev.lossmeter.v1.ListLossesRequest;
import dev.lossmeter.v1.LossServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;

/** How calls are made, and how often. */
final class Calls {
  // So much waits for gRPC to send it while the next message is made.
  static final CallOptions OPTIONS = CallOptions.DEFAULT.withOnReadyThreshold(2 * Chunks.MIB);

  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  // Where a batch in pieces is refused so, it may be right as a whole. A layout whose samples do
  // not lie along axis 0 shows as shapes that do not match.
  private static final Set<String> NEEDS_WHOLE = Set.of("NOT_STREAMABLE", "SHAPE_MISMATCH");
  private static final int MOST_ATTEMPTS = 5;
  private static final Duration FIRST_PAUSE = Duration.ofMillis(100);
  private static final int PAUSE_FACTOR = 3;
  private static final long CLOSING_SECONDS = 5;

  private final ManagedChannel connection;
  private final Channel channel;
  private final Duration timeout;
  private final Duration streamTimeout;
  private final long unaryBytes;

  private Calls(
      ManagedChannel connection,
      Channel channel,
      Duration timeout,
      Duration streamTimeout,
      long unaryBytes) {
    this.connection = connection;
    this.channel = channel;
    this.timeout = timeout;
    this.streamTimeout = streamTimeout;
    this.unaryBytes = unaryBytes;
  }

  static Calls of(ManagedChannel connection, ClientBuilder settings) {
    Channel channel = settings.token().map(token -> with(connection, token)).orElse(connection);
    return new Calls(connection, channel, settings.timeout(), null, settings.unaryBytes());
  }

  private static Channel with(Channel connection, String token) {
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + token);
    return ClientInterceptors.intercept(
        connection, MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  Calls withTimeout(Duration time) {
    return new Calls(connection, channel, time, time, unaryBytes);
  }

  void close() {
    connection.shutdownNow();
    try {
      connection.awaitTermination(CLOSING_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Send a batch in the way that suits its size. */
  <A extends Result> CompletableFuture<A> evaluate(Evaluation<A> evaluation, CallOptions options) {
    CallOptions timed = until(timeout, options);
    Map<String, Tensor> inputs = evaluation.inputs();
    Supplier<CompletableFuture<A>> whole =
        () ->
            unary(
                LossServiceGrpc.getEvaluateMethod(), evaluation.message(), evaluation::read, timed);
    if (Chunks.bytes(inputs) <= unaryBytes || !Chunks.mayBeCut(evaluation.settings(), inputs)) {
      return whole.get();
    }
    return Chain.of(
        () -> retried(() -> sent(evaluation, List.of(inputs).iterator(), timed), timed),
        (made, answer, error) ->
            made == 1 && (error == null ? !answer.isExact() : needsWhole(error))
                ? Optional.of(new Chain.Next<>(Duration.ZERO, whole))
                : Optional.empty());
  }

  private static boolean needsWhole(Throwable error) {
    return error instanceof LossmeterException refusal && NEEDS_WHOLE.contains(refusal.reason());
  }

  <A extends Result> CompletableFuture<A> stream(
      Evaluation<A> evaluation,
      Iterator<? extends Map<String, Tensor>> batches,
      CallOptions options) {
    if (!evaluation.inputs().isEmpty()) {
      throw new IllegalArgumentException("the inputs of a stream are in its batches");
    }
    return sent(evaluation, batches, until(streamTimeout, options));
  }

  /** Send batches as they come, once. */
  private <A extends Result> CompletableFuture<A> sent(
      Evaluation<A> evaluation,
      Iterator<? extends Map<String, Tensor>> batches,
      CallOptions options) {
    Iterator<EvaluateStreamRequest> messages = Chunks.messages(evaluation.settings(), batches);
    return CallFuture.streaming(
        connected().newCall(LossServiceGrpc.getEvaluateStreamMethod(), options),
        messages,
        evaluation::read);
  }

  CompletableFuture<Explanation> explain(Evaluation<?> evaluation, CallOptions options) {
    EvaluateRequest request = evaluation.message();
    return unary(
        LossServiceGrpc.getExplainMethod(), request, Replies::explanation, until(timeout, options));
  }

  CompletableFuture<Answer> mergeStates(Merge merge, CallOptions options) {
    return unary(
        LossServiceGrpc.getMergeStatesMethod(),
        merge.message(),
        Replies::answer,
        until(timeout, options));
  }

  CompletableFuture<List<LossDescriptor>> listLosses(
      String framework, String search, CallOptions options) {
    ListLossesRequest request =
        ListLossesRequest.newBuilder().setFramework(framework).setSearch(search).build();
    return unary(
        LossServiceGrpc.getListLossesMethod(),
        request,
        found -> found.getLossesList().stream().map(Replies::descriptor).toList(),
        until(timeout, options));
  }

  CompletableFuture<LossDescriptor> getLoss(String name, CallOptions options) {
    return unary(
        LossServiceGrpc.getGetLossMethod(),
        GetLossRequest.newBuilder().setName(name).build(),
        found -> Replies.descriptor(found.getLoss()),
        until(timeout, options));
  }

  CompletableFuture<byte[]> export(Export export, CallOptions options) {
    return unary(
        LossServiceGrpc.getExportLossMethod(),
        export.message(),
        found -> found.getModel().toByteArray(),
        until(timeout, options));
  }

  private <Q, R, T> CompletableFuture<T> unary(
      MethodDescriptor<Q, R> method, Q request, Function<R, T> reader, CallOptions options) {
    return retried(
        () -> CallFuture.unary(connected().newCall(method, options), request, reader), options);
  }

  /**
   * A call that is made again where the service is overloaded. gRPC itself tries again where nobody
   * answers; of RESOURCE_EXHAUSTED only the reason tells whether it will pass.
   */
  private static <T> CompletableFuture<T> retried(
      Supplier<CompletableFuture<T>> call, CallOptions options) {
    return Chain.of(
        call,
        (made, value, error) ->
            error instanceof OverloadedException refusal && made < MOST_ATTEMPTS
                ? Optional.of(new Chain.Next<>(pause(refusal, made), call))
                    .filter(next -> isInTime(next.pause(), options))
                : Optional.empty());
  }

  /** What the service asks, or ever longer. */
  private static Duration pause(OverloadedException refusal, int made) {
    return refusal
        .retryAfter()
        .orElseGet(() -> FIRST_PAUSE.multipliedBy((long) Math.pow(PAUSE_FACTOR, made - 1)));
  }

  private static boolean isInTime(Duration pause, CallOptions options) {
    Deadline deadline = options.getDeadline();
    return deadline == null || pause.toNanos() < deadline.timeRemaining(TimeUnit.NANOSECONDS);
  }

  private static CallOptions until(Duration timeout, CallOptions options) {
    return timeout == null
        ? options
        : options.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
  }

  /** The channel; after a failure it connects at once, and not after a pause of its own. */
  private Channel connected() {
    if (connection.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
      connection.resetConnectBackoff();
    }
    return channel;
  }

  /** What a call answers, made in this thread. */
  static <T> T waiting(Function<CallOptions, CompletableFuture<T>> start) {
    CallerThread thread = new CallerThread();
    return thread.await(start.apply(OPTIONS.withExecutor(thread)));
  }
}
