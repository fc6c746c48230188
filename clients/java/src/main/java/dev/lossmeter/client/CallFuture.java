package dev.lossmeter.client;

import io.grpc.ClientCall;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ClientResponseObserver;
import java.util.Collections;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/**
 * A call under way; completing it in any other way than by its answer cancels the call.
 *
 * @param <Q> what is sent
 * @param <R> what is answered
 * @param <T> what is made of it
 */
final class CallFuture<Q, R, T> extends CompletableFuture<T>
    implements ClientResponseObserver<Q, R> {
  private final Function<R, T> reader;
  private final Iterator<Q> messages;
  private ClientCallStreamObserver<Q> requests;
  private R response;
  private boolean sent;

  private CallFuture(Iterator<Q> messages, Function<R, T> reader) {
    this.messages = messages;
    this.reader = reader;
  }

  /** A call of one message. */
  static <Q, R, T> CompletableFuture<T> unary(
      ClientCall<Q, R> call, Q request, Function<R, T> reader) {
    CallFuture<Q, R, T> future = new CallFuture<>(Collections.emptyIterator(), reader);
    ClientCalls.asyncUnaryCall(call, request, future);
    return future.cancelling();
  }

  /** A call of many messages, each made when there is room for it, where the callbacks run. */
  static <Q, R, T> CompletableFuture<T> streaming(
      ClientCall<Q, R> call, Iterator<Q> messages, Function<R, T> reader) {
    CallFuture<Q, R, T> future = new CallFuture<>(messages, reader);
    ClientCalls.asyncClientStreamingCall(call, future);
    return future.cancelling();
  }

  private CompletableFuture<T> cancelling() {
    whenComplete(
        (value, error) -> {
          if (error != null) {
            requests.cancel("nobody waits for the answer", error);
          }
        });
    return this;
  }

  @Override
  public void beforeStart(ClientCallStreamObserver<Q> observer) {
    requests = observer;
    if (messages.hasNext()) {
      observer.setOnReadyHandler(this::send);
    }
  }

  private void send() {
    try {
      while (!sent && !isDone() && requests.isReady()) {
        if (messages.hasNext()) {
          requests.onNext(messages.next());
        } else {
          sent = true;
          requests.onCompleted();
        }
      }
    } catch (RuntimeException | Error error) { // what the caller's batches raise
      sent = true;
      completeExceptionally(error);
    }
  }

  @Override
  public void onNext(R message) {
    response = message;
  }

  @Override
  public void onError(Throwable failure) {
    completeExceptionally(Refusals.of(failure));
  }

  @Override
  public void onCompleted() {
    try {
      complete(reader.apply(response));
    } catch (RuntimeException error) {
      completeExceptionally(error);
    }
  }
}
