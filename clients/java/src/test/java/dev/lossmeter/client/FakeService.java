package dev.lossmeter.client;

import com.google.protobuf.Any;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.lossmeter.v1.EvaluateRequest;
import dev.lossmeter.v1.EvaluateResponse;
import dev.lossmeter.v1.EvaluateStreamRequest;
import dev.lossmeter.v1.LossServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerCredentials;
import io.grpc.ServerInterceptor;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;

/** A service that refuses as it is told to, answers the number of its calls, and remembers. */
final class FakeService extends LossServiceGrpc.LossServiceImplBase
    implements ServerInterceptor, AutoCloseable {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  final Queue<StatusRuntimeException> refusals = new ConcurrentLinkedQueue<>();
  final List<String> calls = new CopyOnWriteArrayList<>();
  final List<String> tokens = new CopyOnWriteArrayList<>();
  final List<EvaluateStreamRequest> messages = new CopyOnWriteArrayList<>();
  final CountDownLatch begun = new CountDownLatch(1);
  final CountDownLatch cancelled = new CountDownLatch(1);
  volatile boolean isSilent;
  volatile EvaluateResponse streamed = EvaluateResponse.getDefaultInstance();
  private final Server server;

  FakeService() throws IOException {
    this(InsecureServerCredentials.create());
  }

  FakeService(ServerCredentials credentials) throws IOException {
    server =
        Grpc.newServerBuilderForPort(0, credentials)
            .addService(this)
            .intercept(this)
            .maxInboundMessageSize(Integer.MAX_VALUE)
            .build()
            .start();
  }

  String target() {
    return "localhost:" + server.getPort();
  }

  static StatusRuntimeException refusal(
      Code code, String reason, Map<String, String> facts, Message... more) {
    List<Any> details = new ArrayList<>();
    details.add(
        Any.pack(
            ErrorInfo.newBuilder()
                .setDomain("lossmeter")
                .setReason(reason)
                .putAllMetadata(facts)
                .build()));
    Arrays.stream(more).map(Any::pack).forEach(details::add);
    return StatusProto.toStatusRuntimeException(
        com.google.rpc.Status.newBuilder()
            .setCode(code.getNumber())
            .setMessage("no, for a reason")
            .addAllDetails(details)
            .build());
  }

  static RetryInfo retryAfter(Duration pause) {
    return RetryInfo.newBuilder()
        .setRetryDelay(
            com.google.protobuf.Duration.newBuilder()
                .setSeconds(pause.getSeconds())
                .setNanos(pause.getNano()))
        .build();
  }

  static BadRequest at(String field) {
    return BadRequest.newBuilder()
        .addFieldViolations(BadRequest.FieldViolation.newBuilder().setField(field))
        .build();
  }

  void refuse(int times, StatusRuntimeException refusal) {
    for (int i = 0; i < times; i++) {
      refusals.add(refusal);
    }
  }

  @Override
  public <Q, R> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
    calls.add(call.getMethodDescriptor().getBareMethodName());
    tokens.add(String.valueOf(headers.get(AUTHORIZATION)));
    return next.startCall(call, headers);
  }

  @Override
  public void evaluate(EvaluateRequest request, StreamObserver<EvaluateResponse> answers) {
    if (isSilent) {
      ((ServerCallStreamObserver<EvaluateResponse>) answers)
          .setOnCancelHandler(cancelled::countDown);
    }
    answer(answers, EvaluateResponse.newBuilder().setCount(calls.size()).build());
  }

  @Override
  public StreamObserver<EvaluateStreamRequest> evaluateStream(
      StreamObserver<EvaluateResponse> answers) {
    StatusRuntimeException refusal = refusals.poll();
    if (refusal != null) {
      answers.onError(refusal);
    }
    boolean isRefused = refusal != null;
    return new StreamObserver<>() {
      @Override
      public void onNext(EvaluateStreamRequest message) {
        begun.countDown();
        messages.add(message);
      }

      @Override
      public void onError(Throwable failure) {
        cancelled.countDown();
      }

      @Override
      public void onCompleted() {
        if (isRefused) {
          return;
        }
        answer(answers, streamed.toBuilder().setCount(calls.size()).build());
      }
    };
  }

  private void answer(StreamObserver<EvaluateResponse> answers, EvaluateResponse response) {
    begun.countDown();
    StatusRuntimeException refusal = refusals.poll();
    if (refusal != null) {
      answers.onError(refusal);
    } else if (!isSilent) {
      answers.onNext(response);
      answers.onCompleted();
    }
  }

  @Override
  public void close() {
    server.shutdownNow();
  }
}
