package dev.lossmeter.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lossmeter.examples.Digits;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** The example prints its table. */
@Timeout(60)
@EnabledIfEnvironmentVariable(
    named = "LOSSMETER_GRPC",
    matches = ".+",
    disabledReason = "LOSSMETER_GRPC names no service")
class ExampleTest {
  @Test
  void theTableOfTheDigits() throws IOException {
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    PrintStream usual = System.out;
    System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
    try {
      Digits.main(new String[] {"../../demo/digits.csv", System.getenv("LOSSMETER_GRPC")});
    } finally {
      System.setOut(usual);
    }
    String table = printed.toString(StandardCharsets.UTF_8);
    assertEquals(5, table.lines().count());
    assertTrue(table.startsWith("log loss                 0.20331424901"), table);
  }
}
