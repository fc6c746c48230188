package dev.lossmeter.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;

/** A service that is killed in the middle of a stream, and comes back. */
@Timeout(300)
@EnabledIfEnvironmentVariable(
    named = "LOSSMETER_COMMAND",
    matches = ".+",
    disabledReason = "LOSSMETER_COMMAND names no service to start")
class KilledServiceTest {
  private static final Duration STARTING = Duration.ofSeconds(120);
  private static final Duration DEADLINE = Duration.ofSeconds(60);

  @TempDir Path folder;
  private int httpPort;
  private int grpcPort;
  private Process service;

  @BeforeEach
  void start() throws IOException, InterruptedException {
    httpPort = freePort();
    grpcPort = freePort();
    serve();
  }

  @AfterEach
  void stop() {
    kill();
  }

  @Test
  void aStreamEndsInAnErrorAndTheNextCallIsAnswered() throws IOException, InterruptedException {
    Map<String, Tensor> batch =
        Map.of(
            "predictions", Tensor.of(new double[50_000]), "targets", Tensor.of(new double[50_000]));
    try (LossmeterClient client = LossmeterClient.connect("127.0.0.1:" + grpcPort)) {
      Stream<Map<String, Tensor>> batches =
          IntStream.range(0, 1_000_000)
              .mapToObj(
                  at -> {
                    if (at == 20) {
                      kill();
                    }
                    return batch;
                  });
      long start = System.nanoTime();
      assertThrows(
          UnavailableException.class,
          () ->
              client.withTimeout(DEADLINE).evaluateStream(Evaluation.of("squared_error"), batches));
      assertTrue(System.nanoTime() - start < DEADLINE.toNanos());
      serve();
      Evaluation<Answer> small = Evaluation.of("huber").predictions(5).targets(0);
      assertEquals(4.5, client.evaluate(small).value());
    }
  }

  private void serve() throws IOException, InterruptedException {
    service =
        new ProcessBuilder(
                System.getenv("LOSSMETER_COMMAND"),
                "serve",
                "--http-port",
                String.valueOf(httpPort),
                "--grpc-port",
                String.valueOf(grpcPort))
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("log").toFile())
            .start();
    long end = System.nanoTime() + STARTING.toNanos();
    while (!isReady()) {
      assertTrue(service.isAlive() && System.nanoTime() < end, "the service does not start");
      Thread.sleep(100);
    }
  }

  private boolean isReady() throws InterruptedException {
    URI ready = URI.create("http://127.0.0.1:" + httpPort + "/readyz");
    try {
      HttpRequest request = HttpRequest.newBuilder(ready).timeout(Duration.ofSeconds(5)).build();
      return HttpClient.newHttpClient()
              .send(request, HttpResponse.BodyHandlers.discarding())
              .statusCode()
          == 200;
    } catch (IOException notYet) {
      return false;
    }
  }

  private void kill() {
    service.descendants().forEach(ProcessHandle::destroyForcibly);
    service.destroyForcibly();
    service.onExit().orTimeout(30, TimeUnit.SECONDS).join();
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }
}
