package dev.lossmeter.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.StatusException;
import io.grpc.stub.ClientCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Locale;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.DoubleStream;

/** Large and small batches through the client, beside the same bytes through bare gRPC. */
final class Bench {
  private static final int LARGE_ROWS = 1_000_000;
  private static final int SMALL_ROWS = 32;
  private static final int LARGE_TIMES = 5;
  private static final int SMALL_TIMES = 300;
  private static final int CLASSES = 10;
  private static final MethodDescriptor<byte[], byte[]> UNARY =
      method("Unary", MethodDescriptor.MethodType.UNARY);
  private static final MethodDescriptor<byte[], byte[]> STREAM =
      method("Stream", MethodDescriptor.MethodType.CLIENT_STREAMING);
  private static final CallOptions OPTIONS =
      CallOptions.DEFAULT.withOnReadyThreshold(2 * Chunks.MIB);

  private Bench() {}

  public static void main(String[] arguments) {
    ManagedChannel echo =
        Grpc.newChannelBuilder(System.getenv("LOSSMETER_ECHO"), InsecureChannelCredentials.create())
            .build();
    try (LossmeterClient client = LossmeterClient.connect(System.getenv("LOSSMETER_GRPC"))) {
      Evaluation<Answer> large = evaluation(LARGE_ROWS);
      Evaluation<Answer> small = evaluation(SMALL_ROWS);
      byte[] smallBytes = new byte[small.message().getSerializedSize()];
      int largeBytes = (int) Chunks.bytes(large.inputs());
      System.out.printf(
          Locale.ROOT,
          "{\"client\": \"java\", \"large_seconds\": %.6f, \"small_ms\": %.6f, "
              + "\"echo_large_seconds\": %.6f, \"echo_small_ms\": %.6f}%n",
          seconds(LARGE_TIMES, () -> client.evaluate(large)),
          1e3 * seconds(SMALL_TIMES, () -> client.evaluate(small)),
          seconds(LARGE_TIMES, () -> stream(echo, largeBytes)),
          1e3
              * seconds(
                  SMALL_TIMES,
                  () -> ClientCalls.blockingUnaryCall(echo, UNARY, OPTIONS, smallBytes)));
    } finally {
      echo.shutdownNow();
    }
  }

  /** The median, after as many calls that do not count. */
  private static double seconds(int times, Runnable call) {
    double[] each =
        DoubleStream.generate(() -> time(call)).limit(2L * times).skip(times).sorted().toArray();
    return each[times / 2];
  }

  private static double time(Runnable call) {
    long start = System.nanoTime();
    call.run();
    return (System.nanoTime() - start) / 1e9;
  }

  private static Evaluation<Answer> evaluation(int rows) {
    float[] predictions = random(rows * CLASSES, Random::nextGaussian);
    float[] targets = random(rows * CLASSES, Random::nextDouble);
    return Evaluation.of("binary_cross_entropy_with_logits")
        .reduction("weighted_mean")
        .predictions(Tensor.of(predictions).reshape(rows, CLASSES))
        .targets(Tensor.of(targets).reshape(rows, CLASSES))
        .sampleWeight(Tensor.of(random(rows, Random::nextDouble)));
  }

  private static float[] random(int count, Function<Random, Double> draw) {
    Random random = new Random(count);
    float[] made = new float[count];
    for (int i = 0; i < count; i++) {
      made[i] = draw.apply(random).floatValue();
    }
    return made;
  }

  private static void stream(Channel echo, int bytes) {
    byte[] message = new byte[Chunks.MIB];
    var call = ClientCalls.blockingClientStreamingCall(echo, STREAM, OPTIONS);
    try {
      for (int left = bytes; left > 0; left -= Chunks.MIB) {
        call.write(left < Chunks.MIB ? new byte[left] : message);
      }
      call.halfClose();
      call.read();
    } catch (InterruptedException | StatusException error) {
      throw new IllegalStateException(error);
    }
  }

  private static MethodDescriptor<byte[], byte[]> method(
      String name, MethodDescriptor.MethodType type) {
    return MethodDescriptor.<byte[], byte[]>newBuilder(new Bytes(), new Bytes())
        .setFullMethodName("lossmeter.bench.Echo/" + name)
        .setType(type)
        .build();
  }

  /** Bytes as they are. */
  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }
}
