package dev.lossmeter.client;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * Attempts one after the other as one future; cancelling it cancels the attempt under way.
 *
 * @param <T> what an attempt answers
 */
final class Chain<T> extends CompletableFuture<T> {
  private final Rule<T> rule;
  private volatile CompletableFuture<T> attempt;
  private int made;

  private Chain(Rule<T> rule) {
    this.rule = rule;
  }

  /**
   * An attempt that follows another.
   *
   * @param pause how long to wait before it
   * @param start what begins it
   */
  record Next<T>(Duration pause, Supplier<CompletableFuture<T>> start) {}

  /** What follows an attempt. */
  interface Rule<T> {
    /**
     * The next attempt; nothing where the outcome stands.
     *
     * @param made how many attempts were made
     * @param value what the last one answered
     * @param error what it failed with; null if it did not
     */
    Optional<Next<T>> after(int made, T value, Throwable error);
  }

  static <T> CompletableFuture<T> of(Supplier<CompletableFuture<T>> first, Rule<T> rule) {
    Chain<T> chain = new Chain<>(rule);
    chain.begin(first);
    chain.whenComplete((value, error) -> chain.stop());
    return chain;
  }

  private void begin(Supplier<CompletableFuture<T>> start) {
    if (isDone()) {
      return;
    }
    try {
      attempt = start.get();
    } catch (RuntimeException error) {
      completeExceptionally(error);
      return;
    }
    if (isDone()) { // cancelled while it began
      attempt.cancel(true);
    }
    attempt.whenComplete(this::end);
  }

  private void stop() {
    if (attempt != null) {
      attempt.cancel(true);
    }
  }

  private void end(T value, Throwable error) {
    made++;
    Optional<Next<T>> next = rule.after(made, value, error);
    if (next.isPresent()) {
      long nanos = next.get().pause().toNanos();
      Executor later = CompletableFuture.delayedExecutor(nanos, TimeUnit.NANOSECONDS);
      later.execute(() -> begin(next.get().start()));
    } else if (error != null) {
      completeExceptionally(error);
    } else {
      complete(value);
    }
  }
}
