package dev.lossmeter.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import jdk.jshell.JShell;
import jdk.jshell.Snippet;
import jdk.jshell.SnippetEvent;
import jdk.jshell.SourceCodeAnalysis.CompletionInfo;
import jdk.jshell.execution.DirectExecutionControl;
import jdk.jshell.spi.ExecutionControl;
import jdk.jshell.spi.ExecutionControlProvider;
import jdk.jshell.spi.ExecutionEnv;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** The README's code gives what its comments say. */
@Timeout(120)
@EnabledIfEnvironmentVariable(
    named = "LOSSMETER_GRPC",
    matches = ".+",
    disabledReason = "LOSSMETER_GRPC names no service")
class ReadmeTest {
  private static final Pattern BLOCK = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);
  private static final Pattern COMMENT = Pattern.compile("; // (.*)$", Pattern.MULTILINE);
  private static final List<String> PACKAGES =
      List.of(
          "dev.lossmeter.client",
          "dev.lossmeter.client.state",
          "java.nio",
          "java.time",
          "java.util",
          "java.util.concurrent",
          "java.util.stream");

  @Test
  void theCodeGivesWhatItSays() throws IOException {
    String text = Files.readString(Path.of("README.md"));
    String code =
        BLOCK.matcher(text).results().map(found -> found.group(1)).collect(Collectors.joining());
    List<String> expected = COMMENT.matcher(code).results().map(found -> found.group(1)).toList();
    try (JShell shell = JShell.builder().executionEngine(new Here(), Map.of()).build()) {
      shell.addToClasspath(System.getProperty("java.class.path"));
      PACKAGES.forEach(name -> shell.eval("import " + name + ".*;"));
      String here = code.replace("localhost:8081", System.getenv("LOSSMETER_GRPC"));
      assertEquals(expected, values(shell, here));
    }
  }

  /** What the snippets that are followed by a comment give. */
  private static List<String> values(JShell shell, String code) {
    List<String> values = new ArrayList<>();
    String rest = code;
    while (!rest.isBlank()) {
      CompletionInfo next = shell.sourceCodeAnalysis().analyzeCompletion(rest);
      String value = value(shell, next.source());
      rest = next.remaining();
      Matcher comment = COMMENT.matcher(";" + rest);
      if (comment.lookingAt()) {
        values.add(value);
      }
    }
    return values;
  }

  private static String value(JShell shell, String source) {
    String last = "";
    for (SnippetEvent event : shell.eval(source)) {
      assertEquals(Snippet.Status.VALID, event.status(), () -> told(shell, event));
      assertEquals(null, event.exception(), source);
      last = event.value();
    }
    return last;
  }

  private static String told(JShell shell, SnippetEvent event) {
    return shell
        .diagnostics(event.snippet())
        .map(found -> found.getMessage(null))
        .collect(Collectors.joining("\n", event.snippet().source(), ""));
  }

  /** Runs snippets in this thread; JShell's own engines wait for all threads that they begin. */
  private static final class Here implements ExecutionControlProvider {
    @Override
    public String name() {
      return "here";
    }

    @Override
    public ExecutionControl generate(ExecutionEnv environment, Map<String, String> parameters) {
      return new DirectExecutionControl();
    }
  }
}
