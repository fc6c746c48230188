package dev.lossmeter.client;

import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

/**
 * A client of a Lossmeter service over gRPC; threads may share one.
 *
 * <p>Every method throws a {@link LossmeterException}, whose {@code reason} and {@code field} say
 * what is wrong and where, where the request is wrong or cannot be served. The futures of the
 * methods that end in {@code Async} complete with the same; cancelling one cancels its call.
 *
 * <p>Where nobody answers, or the service is overloaded, a call is tried up to five times, after
 * ever longer pauses or the one that an overloaded service asks for.
 */
public final class LossmeterClient implements AutoCloseable {
  private final Calls calls;

  LossmeterClient(Calls calls) {
    this.calls = calls;
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

  /**
   * The same client with another timeout, over the same connection.
   *
   * @param time how long each call may take, with all attempts; streams too, which else take as
   *     long as their batches do
   * @return the client; closing either closes both
   */
  public LossmeterClient withTimeout(Duration time) {
    return new LossmeterClient(calls.withTimeout(time));
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
    return Calls.waiting(options -> calls.evaluate(evaluation, options));
  }

  /**
   * As {@link #evaluate}, without waiting.
   *
   * @param evaluation what is asked
   * @param <A> {@link Answer} for one loss, {@link Answers} for several
   * @return the answer to come
   */
  public <A extends Result> CompletableFuture<A> evaluateAsync(Evaluation<A> evaluation) {
    return calls.evaluate(evaluation, Calls.OPTIONS);
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
    return Calls.waiting(options -> calls.stream(evaluation, batches, options));
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
    return calls.stream(evaluation, batches, Calls.OPTIONS);
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
    return Calls.waiting(options -> calls.explain(evaluation, options));
  }

  /**
   * As {@link #explain}, without waiting.
   *
   * @param evaluation what is asked
   * @return the explanation to come
   */
  public CompletableFuture<Explanation> explainAsync(Evaluation<?> evaluation) {
    return calls.explain(evaluation, Calls.OPTIONS);
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
    return Calls.waiting(options -> calls.mergeStates(merge, options));
  }

  /**
   * As {@link #mergeStates}, without waiting.
   *
   * @param merge the states and how to finish them
   * @return the answer to come
   */
  public CompletableFuture<Answer> mergeStatesAsync(Merge merge) {
    return calls.mergeStates(merge, Calls.OPTIONS);
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
    return Calls.waiting(options -> calls.listLosses(framework, search, options));
  }

  /**
   * As {@link #listLosses(String, String)}, without waiting.
   *
   * @param framework only losses that a symbol of it stands for; all if empty
   * @param search only losses with all of these words; all if empty
   * @return the losses to come
   */
  public CompletableFuture<List<LossDescriptor>> listLossesAsync(String framework, String search) {
    return calls.listLosses(framework, search, Calls.OPTIONS);
  }

  /**
   * What is known of a loss.
   *
   * @param name canonical name, alias or symbol
   * @return the loss
   */
  public LossDescriptor getLoss(String name) {
    return Calls.waiting(options -> calls.getLoss(name, options));
  }

  /**
   * As {@link #getLoss}, without waiting.
   *
   * @param name canonical name, alias or symbol
   * @return the loss to come
   */
  public CompletableFuture<LossDescriptor> getLossAsync(String name) {
    return calls.getLoss(name, Calls.OPTIONS);
  }

  /**
   * A loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.
   *
   * @param export the loss and the graph's form
   * @return the serialised model
   */
  public byte[] export(Export export) {
    return Calls.waiting(options -> calls.export(export, options));
  }

  /**
   * As {@link #export}, without waiting.
   *
   * @param export the loss and the graph's form
   * @return the serialised model to come
   */
  public CompletableFuture<byte[]> exportAsync(Export export) {
    return calls.export(export, Calls.OPTIONS);
  }

  /** Ends the connection; calls in flight fail as {@link UnavailableException}. */
  @Override
  public void close() {
    calls.close();
  }
}
