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
import java.util.stream.Stream;

/**
 * A client of a Lossmeter service over gRPC; threads may share one.
 *
 * <p>Every method throws a {@link LossmeterException}, whose {@code reason} and {@code field} say
 * what is wrong and where, where the request is wrong or cannot be served. The futures of the
 * methods that end in {@code Async} complete with the same; cancelling one cancels its call.
 *
 * <p>Where nobody answers, or the service is overloaded, a call is tried up to five times, after
 * the pause that the service asks for.
 */
public final class LossmeterClient implements AutoCloseable {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  // Where a batch in pieces is refused so, it may be right as a whole. A layout whose samples do
  // not lie along axis 0 shows as shapes that do not match.
  private static final Set<String> NEEDS_WHOLE = Set.of("NOT_STREAMABLE", "SHAPE_MISMATCH");
  // So much waits for gRPC to send it while the next message is made.
  private static final CallOptions OPTIONS =
      CallOptions.DEFAULT.withOnReadyThreshold(2 * Chunks.MIB);
  private static final int MOST_ATTEMPTS = 5;
  private static final Duration FIRST_PAUSE = Duration.ofMillis(100);
  private static final int PAUSE_FACTOR = 3;
  private static final Duration CLOSING = Duration.ofSeconds(5);

  private final ManagedChannel connection;
  private final Channel channel;
  private final Duration timeout;
  private final Duration streamTimeout;
  private final long unaryBytes;

  private LossmeterClient(
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

  /**
   * A client of a service without TLS.
   *
   * @param target host and port, such as {@code localhost:8081}
   * @return the client; it connects when it is first used
   */
  public static LossmeterClient connect(String target) {
    return builder(target).build();
  }

  /**
   * A client with settings.
   *
   * @param target host and port, such as {@code localhost:8081}, or any target that gRPC takes
   * @return its builder
   */
  public static ClientBuilder builder(String target) {
    return new ClientBuilder(target);
  }

  static LossmeterClient of(ManagedChannel connection, ClientBuilder settings) {
    Channel channel = settings.token().map(token -> with(connection, token)).orElse(connection);
    return new LossmeterClient(
        connection, channel, settings.timeout(), null, settings.unaryBytes());
  }

  private static Channel with(Channel connection, String token) {
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + token);
    return ClientInterceptors.intercept(
        connection, MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  /**
   * The same client with another timeout, over the same connection.
   *
   * @param time how long each call may take, with all attempts; streams too, which else take as
   *     long as their batches do
   * @return the client; closing either closes both
   */
  public LossmeterClient withTimeout(Duration time) {
    return new LossmeterClient(connection, channel, time, time, unaryBytes);
  }

  /**
   * Evaluate a loss, or several, on one batch of any size.
   *
   * <p>A batch above 4 MiB is sent as a stream of 1 MiB messages, where that gives the same bits.
   *
   * @param evaluation what is asked
   * @param <A> {@link Answer} for one loss, {@link Answers} for several
   * @return the answer
   */
  public <A extends Result> A evaluate(Evaluation<A> evaluation) {
    return waiting(options -> evaluate(evaluation, options));
  }

  /**
   * As {@link #evaluate}, without waiting.
   *
   * @param evaluation what is asked
   * @param <A> {@link Answer} for one loss, {@link Answers} for several
   * @return the answer to come
   */
  public <A extends Result> CompletableFuture<A> evaluateAsync(Evaluation<A> evaluation) {
    return evaluate(evaluation, OPTIONS);
  }

  /**
   * Evaluate batches as they come, as if they were one; none is kept.
   *
   * <p>A median or quantile comes from a histogram: {@link Answer#relativeError} bounds its error.
   *
   * @param evaluation what is asked, without inputs
   * @param batches tensors by name, the next rows of each; read in the caller's thread, and what
   *     they raise comes through
   * @param <A> {@link Answer} for one loss, {@link Answers} for several
   * @return the answer
   */
  public <A extends Result> A evaluateStream(
      Evaluation<A> evaluation, Iterator<? extends Map<String, Tensor>> batches) {
    return waiting(options -> stream(evaluation, batches, options));
  }

  /**
   * As {@link #evaluateStream(Evaluation, Iterator)}.
   *
   * @param evaluation what is asked, without inputs
   * @param batches tensors by name, the next rows of each
   * @param <A> {@link Answer} for one loss, {@link Answers} for several
   * @return the answer
   */
  public <A extends Result> A evaluateStream(
      Evaluation<A> evaluation, Iterable<? extends Map<String, Tensor>> batches) {
    return evaluateStream(evaluation, batches.iterator());
  }

  /**
   * As {@link #evaluateStream(Evaluation, Iterator)}.
   *
   * @param evaluation what is asked, without inputs
   * @param batches tensors by name, the next rows of each; the stream is left open
   * @param <A> {@link Answer} for one loss, {@link Answers} for several
   * @return the answer
   */
  public <A extends Result> A evaluateStream(
      Evaluation<A> evaluation, Stream<? extends Map<String, Tensor>> batches) {
    return evaluateStream(evaluation, batches.iterator());
  }

  /**
   * As {@link #evaluateStream(Evaluation, Iterator)}, without waiting: the batches are read in
   * threads of gRPC, one after the other.
   *
   * @param evaluation what is asked, without inputs
   * @param batches tensors by name, the next rows of each
   * @param <A> {@link Answer} for one loss, {@link Answers} for several
   * @return the answer to come
   */
  public <A extends Result> CompletableFuture<A> evaluateStreamAsync(
      Evaluation<A> evaluation, Iterator<? extends Map<String, Tensor>> batches) {
    return stream(evaluation, batches, OPTIONS);
  }

  /**
   * As {@link #evaluateStreamAsync(Evaluation, Iterator)}.
   *
   * @param evaluation what is asked, without inputs
   * @param batches tensors by name, the next rows of each
   * @param <A> {@link Answer} for one loss, {@link Answers} for several
   * @return the answer to come
   */
  public <A extends Result> CompletableFuture<A> evaluateStreamAsync(
      Evaluation<A> evaluation, Iterable<? extends Map<String, Tensor>> batches) {
    return evaluateStreamAsync(evaluation, batches.iterator());
  }

  /**
   * As {@link #evaluateStreamAsync(Evaluation, Iterator)}.
   *
   * @param evaluation what is asked, without inputs
   * @param batches tensors by name, the next rows of each; the stream is left open
   * @param <A> {@link Answer} for one loss, {@link Answers} for several
   * @return the answer to come
   */
  public <A extends Result> CompletableFuture<A> evaluateStreamAsync(
      Evaluation<A> evaluation, Stream<? extends Map<String, Tensor>> batches) {
    return evaluateStreamAsync(evaluation, batches.iterator());
  }

  /**
   * Evaluate, say how the answer comes about, and what every other framework says.
   *
   * @param evaluation what is asked
   * @return the answer and its explanation
   */
  public Explanation explain(Evaluation<?> evaluation) {
    return waiting(options -> explain(evaluation, options));
  }

  /**
   * As {@link #explain}, without waiting.
   *
   * @param evaluation what is asked
   * @return the explanation to come
   */
  public CompletableFuture<Explanation> explainAsync(Evaluation<?> evaluation) {
    return explain(evaluation, OPTIONS);
  }

  /**
   * Finish states made apart, as if their batches had been one. {@link
   * dev.lossmeter.client.state.State#merge} does it without a service, for reductions without
   * exponentials and logarithms.
   *
   * @param merge the states and how to finish them
   * @return the answer
   */
  public Answer mergeStates(Merge merge) {
    return waiting(options -> mergeStates(merge, options));
  }

  /**
   * As {@link #mergeStates}, without waiting.
   *
   * @param merge the states and how to finish them
   * @return the answer to come
   */
  public CompletableFuture<Answer> mergeStatesAsync(Merge merge) {
    return mergeStates(merge, OPTIONS);
  }

  /**
   * All losses.
   *
   * @return the losses, by name
   */
  public List<LossDescriptor> listLosses() {
    return listLosses("", "");
  }

  /**
   * The losses that a framework or words ask for.
   *
   * @param framework only losses that a symbol of it stands for, such as {@code torch}; all if
   *     empty
   * @param search only losses with all of these words; all if empty
   * @return the losses, by name, or best match first where words are searched
   */
  public List<LossDescriptor> listLosses(String framework, String search) {
    return waiting(options -> listLosses(framework, search, options));
  }

  /**
   * As {@link #listLosses(String, String)}, without waiting.
   *
   * @param framework only losses that a symbol of it stands for; all if empty
   * @param search only losses with all of these words; all if empty
   * @return the losses to come
   */
  public CompletableFuture<List<LossDescriptor>> listLossesAsync(String framework, String search) {
    return listLosses(framework, search, OPTIONS);
  }

  /**
   * What is known of a loss.
   *
   * @param name canonical name, alias or symbol
   * @return the loss
   */
  public LossDescriptor getLoss(String name) {
    return waiting(options -> getLoss(name, options));
  }

  /**
   * As {@link #getLoss}, without waiting.
   *
   * @param name canonical name, alias or symbol
   * @return the loss to come
   */
  public CompletableFuture<LossDescriptor> getLossAsync(String name) {
    return getLoss(name, OPTIONS);
  }

  /**
   * A loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.
   *
   * @param export the loss and the graph's form
   * @return the serialised model
   */
  public byte[] export(Export export) {
    return waiting(options -> export(export, options));
  }

  /**
   * As {@link #export}, without waiting.
   *
   * @param export the loss and the graph's form
   * @return the serialised model to come
   */
  public CompletableFuture<byte[]> exportAsync(Export export) {
    return export(export, OPTIONS);
  }

  /** Ends the connection; calls in flight fail as {@link UnavailableException}. */
  @Override
  public void close() {
    connection.shutdownNow();
    try {
      connection.awaitTermination(CLOSING.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Send a batch in the way that suits its size. */
  private <A extends Result> CompletableFuture<A> evaluate(
      Evaluation<A> evaluation, CallOptions options) {
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

  private <A extends Result> CompletableFuture<A> stream(
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

  private CompletableFuture<Explanation> explain(Evaluation<?> evaluation, CallOptions options) {
    EvaluateRequest request = evaluation.message();
    return unary(
        LossServiceGrpc.getExplainMethod(), request, Replies::explanation, until(timeout, options));
  }

  private CompletableFuture<Answer> mergeStates(Merge merge, CallOptions options) {
    return unary(
        LossServiceGrpc.getMergeStatesMethod(),
        merge.message(),
        Replies::answer,
        until(timeout, options));
  }

  private CompletableFuture<List<LossDescriptor>> listLosses(
      String framework, String search, CallOptions options) {
    ListLossesRequest request =
        ListLossesRequest.newBuilder().setFramework(framework).setSearch(search).build();
    return unary(
        LossServiceGrpc.getListLossesMethod(),
        request,
        found -> found.getLossesList().stream().map(Replies::descriptor).toList(),
        until(timeout, options));
  }

  private CompletableFuture<LossDescriptor> getLoss(String name, CallOptions options) {
    return unary(
        LossServiceGrpc.getGetLossMethod(),
        GetLossRequest.newBuilder().setName(name).build(),
        found -> Replies.descriptor(found.getLoss()),
        until(timeout, options));
  }

  private CompletableFuture<byte[]> export(Export export, CallOptions options) {
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

  private static <T> T waiting(Function<CallOptions, CompletableFuture<T>> start) {
    CallerThread thread = new CallerThread();
    return thread.await(start.apply(OPTIONS.withExecutor(thread)));
  }
}
