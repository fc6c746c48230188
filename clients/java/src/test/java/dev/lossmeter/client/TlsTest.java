package dev.lossmeter.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.TlsServerCredentials;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** TLS with a certificate that is its own authority, and shown by both ends. */
class TlsTest {
  private static final Evaluation<Answer> SMALL =
      Evaluation.of("huber").predictions(1.5, 5).targets(1, 2);
  private static final char[] PASSWORD = "password".toCharArray();

  @TempDir static Path folder;
  private static Path certificate;
  private static Path key;

  @BeforeAll
  static void makeCertificate() throws IOException, InterruptedException, GeneralSecurityException {
    Path store = folder.resolve("store");
    List<String> command =
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
            "-genkeypair",
            "-keyalg",
            "EC",
            "-alias",
            "test",
            "-dname",
            "CN=localhost",
            "-ext",
            "SAN=dns:localhost",
            "-ext",
            "BC=ca:true",
            "-keystore",
            store.toString(),
            "-storetype",
            "PKCS12",
            "-storepass",
            new String(PASSWORD));
    assertEquals(
        0,
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("log").toFile())
            .start()
            .waitFor());
    KeyStore made = KeyStore.getInstance("PKCS12");
    try (InputStream opened = Files.newInputStream(store)) {
      made.load(opened, PASSWORD);
    }
    certificate = pem("CERTIFICATE", made.getCertificate("test").getEncoded());
    key = pem("PRIVATE KEY", made.getKey("test", PASSWORD).getEncoded());
  }

  private static Path pem(String kind, byte[] bytes) throws IOException {
    String text = Base64.getMimeEncoder(64, "\n".getBytes()).encodeToString(bytes);
    String whole = "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n";
    return Files.writeString(folder.resolve(kind), whole);
  }

  private static TlsServerCredentials.Builder credentials() throws IOException {
    return TlsServerCredentials.newBuilder().keyManager(certificate.toFile(), key.toFile());
  }

  @Test
  void theAuthorityOfAFileIsTrusted() throws IOException {
    try (FakeService service = new FakeService(credentials().build());
        LossmeterClient client =
            LossmeterClient.builder(service.target()).trusting(certificate).token("x").build()) {
      assertEquals(1, client.evaluate(SMALL).count());
      assertEquals(List.of("Bearer x"), service.tokens);
    }
  }

  @Test
  void anUnknownAuthorityIsNotTrusted() throws IOException {
    try (FakeService service = new FakeService(credentials().build());
        LossmeterClient client =
            LossmeterClient.builder(service.target())
                .tls()
                .timeout(Duration.ofSeconds(20))
                .build()) {
      assertThrows(UnavailableException.class, () -> client.evaluate(SMALL));
      assertEquals(List.of(), service.calls);
    }
  }

  @Test
  void aCertificateIsShown() throws IOException {
    TlsServerCredentials asking =
        (TlsServerCredentials)
            credentials()
                .trustManager(certificate.toFile())
                .clientAuth(TlsServerCredentials.ClientAuth.REQUIRE)
                .build();
    try (FakeService service = new FakeService(asking);
        LossmeterClient shown =
            LossmeterClient.builder(service.target())
                .trusting(certificate)
                .clientCertificate(certificate, key)
                .build();
        LossmeterClient hidden =
            LossmeterClient.builder(service.target()).trusting(certificate).build()) {
      assertEquals(1, shown.evaluate(SMALL).count());
      assertThrows(UnavailableException.class, () -> hidden.evaluate(SMALL));
    }
  }

  @Test
  void aFileThatIsNotThereIsSaidAtOnce() {
    ClientBuilder builder = LossmeterClient.builder("localhost:1");
    Path missing = folder.resolve("missing");
    assertThrows(UncheckedIOException.class, () -> builder.trusting(missing));
    assertThrows(UncheckedIOException.class, () -> builder.clientCertificate(missing, missing));
  }
}
