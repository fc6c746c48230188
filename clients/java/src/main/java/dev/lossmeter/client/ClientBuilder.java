package dev.lossmeter.client;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** Settings of a client that is to be. */
public final class ClientBuilder {
  private static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(60);
  // A single message above this is slower than a stream.
  private static final long UNARY_BYTES = 4L * Chunks.MIB;
  private static final Map<String, Object> RETRIES =
      Map.of(
          "methodConfig",
          List.of(
              Map.of(
                  "name",
                  List.of(Map.of("service", "lossmeter.v1.LossService")),
                  "retryPolicy",
                  Map.of(
                      "maxAttempts",
                      5.0,
                      "initialBackoff",
                      "0.1s",
                      "maxBackoff",
                      "2s",
                      "backoffMultiplier",
                      3.0,
                      "retryableStatusCodes",
                      List.of("UNAVAILABLE")))));

  private final String target;
  private TlsChannelCredentials.Builder tls;
  private String token;
  private Duration timeout = DEFAULT_TIMEOUT;
  private long unaryBytes = UNARY_BYTES;

  ClientBuilder(String target) {
    this.target = target;
  }

  /**
   * Speak TLS, and trust the system's authorities.
   *
   * @return this
   */
  public ClientBuilder tls() {
    tls = tls == null ? TlsChannelCredentials.newBuilder() : tls;
    return this;
  }

  /**
   * Speak TLS, and trust the authorities of a file alone.
   *
   * @param pem path of their certificates
   * @return this
   * @throws UncheckedIOException the file cannot be read
   */
  public ClientBuilder trusting(Path pem) {
    try (InputStream opened = Files.newInputStream(pem)) {
      return trusting(opened);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /**
   * Speak TLS, and trust these authorities alone.
   *
   * @param pem their certificates; the stream is left open
   * @return this
   * @throws UncheckedIOException they cannot be read
   */
  public ClientBuilder trusting(InputStream pem) {
    tls();
    try {
      tls.trustManager(pem);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return this;
  }

  /**
   * Speak TLS, and show a certificate to the service.
   *
   * @param chain path of the certificate and those between it and its authority, as PEM
   * @param key path of its private key, as PEM in PKCS#8
   * @return this
   * @throws UncheckedIOException a file cannot be read
   */
  public ClientBuilder clientCertificate(Path chain, Path key) {
    tls();
    try {
      tls.keyManager(chain.toFile(), key.toFile());
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return this;
  }

  /**
   * Send a bearer token with every call; over TLS, for it is a secret.
   *
   * @param secret the token
   * @return this
   */
  public ClientBuilder token(String secret) {
    token = secret;
    return this;
  }

  /**
   * Bound all calls but streams.
   *
   * @param time how long each may take, with all attempts; 60 seconds if not set
   * @return this
   */
  public ClientBuilder timeout(Duration time) {
    timeout = time;
    return this;
  }

  /**
   * Bound what is sent as one message.
   *
   * @param bytes size of the largest batch that is not sent as a stream; 4 MiB if not set
   * @return this
   */
  public ClientBuilder unaryBytes(long bytes) {
    unaryBytes = bytes;
    return this;
  }

  /**
   * The client.
   *
   * @return the client; it connects when it is first used
   */
  public LossmeterClient build() {
    return new LossmeterClient(Calls.of(channel(), this));
  }

  Optional<String> token() {
    return Optional.ofNullable(token);
  }

  Duration timeout() {
    return timeout;
  }

  long unaryBytes() {
    return unaryBytes;
  }

  private ManagedChannel channel() {
    var credentials = tls == null ? InsecureChannelCredentials.create() : tls.build();
    return Grpc.newChannelBuilder(target, credentials)
        .defaultServiceConfig(RETRIES)
        .enableRetry()
        // What is longer is sent once: gRPC's own bound is 1 MiB.
        .perRpcBufferLimit(2 * UNARY_BYTES)
        // The service says what is too large, with a reason.
        .maxInboundMessageSize(Integer.MAX_VALUE)
        // A service that is cut off is noticed within 40 seconds.
        .keepAliveTime(30, TimeUnit.SECONDS)
        .keepAliveTimeout(10, TimeUnit.SECONDS)
        .build();
  }
}
