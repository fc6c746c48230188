package dev.lossmeter.client;

import io.grpc.Status;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * Runs a call's callbacks in the thread that waits for it: a caller's batches are read in the
 * caller's own thread, and a small call changes threads once less.
 */
final class CallerThread implements Executor {
  private final BlockingQueue<Runnable> tasks = new LinkedBlockingQueue<>();
  private boolean left;

  @Override
  public void execute(Runnable task) {
    synchronized (this) {
      if (!left) {
        tasks.add(task);
        return;
      }
    }
    task.run();
  }

  /** What the call answers; the thread's interruption cancels it. */
  <T> T await(CompletableFuture<T> call) {
    call.whenComplete((value, error) -> tasks.add(() -> {})); // so that the wait ends
    try {
      while (!call.isDone()) {
        tasks.take().run();
      }
      return call.join();
    } catch (InterruptedException interrupted) {
      call.cancel(true);
      Thread.currentThread().interrupt();
      throw new CancelledException(
          new Problem(Status.Code.CANCELLED, "the thread was interrupted", "", "", Map.of(), null));
    } catch (CompletionException wrapped) {
      throw unchecked(wrapped.getCause());
    } finally {
      leave();
    }
  }

  private void leave() {
    synchronized (this) {
      left = true;
    }
    tasks.forEach(Runnable::run);
  }

  private static RuntimeException unchecked(Throwable cause) {
    if (cause instanceof Error error) {
      throw error;
    }
    return (RuntimeException) cause; // batches can raise nothing else
  }
}
