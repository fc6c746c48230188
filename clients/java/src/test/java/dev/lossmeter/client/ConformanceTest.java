package dev.lossmeter.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;

/** The golden cases of all languages, against a real service. */
class ConformanceTest {
  private static final Path KNOWN_FAILING = Path.of("../../tests/golden/known-failing/java.txt");

  @Test
  void everyCaseHasTheBitsAndReasonsOfTheService() throws IOException {
    String path = System.getenv("LOSSMETER_CONFORMANCE");
    assumeTrue(path != null, "LOSSMETER_CONFORMANCE is not set");
    JsonObject cases = JsonParser.parseString(Files.readString(Path.of(path))).getAsJsonObject();
    Map<String, String> failing = new TreeMap<>();
    try (LossmeterClient client = LossmeterClient.connect(System.getenv("LOSSMETER_GRPC"))) {
      note(failing, cases.getAsJsonArray("cases"), one -> answered(client, one));
      note(failing, cases.getAsJsonArray("errors"), one -> refused(client, one));
    }
    Set<String> known = known();
    failing.replaceAll((id, why) -> known.contains(id) ? "known" : why);
    Map<String, String> expected =
        known.stream().collect(Collectors.toMap(id -> id, id -> "known"));
    assertEquals(new TreeMap<>(expected), failing);
  }

  private static Set<String> known() throws IOException {
    try (Stream<String> lines = Files.lines(KNOWN_FAILING)) {
      return lines
          .filter(line -> !line.isBlank() && !line.startsWith("#"))
          .collect(Collectors.toCollection(TreeSet::new));
    }
  }

  /** Note each case that is wrong, by its id, with what is wrong. */
  private static void note(
      Map<String, String> failing, JsonArray cases, Function<JsonObject, String> check) {
    for (JsonElement one : cases) {
      String wrong;
      try {
        wrong = check.apply(one.getAsJsonObject());
      } catch (RuntimeException error) {
        wrong = error.toString();
      }
      if (!wrong.isEmpty()) {
        failing.put(one.getAsJsonObject().get("id").getAsString(), wrong);
      }
    }
  }

  private static String answered(LossmeterClient client, JsonObject one) {
    Result found = client.evaluate(evaluation(one.getAsJsonObject("request")));
    String near = one.has("expected") ? near(one, (Answer) found) : "";
    String same = same(one.getAsJsonObject("answer"), found);
    return near + same;
  }

  private static String refused(LossmeterClient client, JsonObject one) {
    String expected = text(one.get("reason")) + " at " + text(one.get("field"));
    try {
      client.evaluate(evaluation(one.getAsJsonObject("request")));
      return "it was answered";
    } catch (LossmeterException refusal) {
      String told = refusal.reason() + " at " + refusal.field().orElse("");
      return told.equals(expected) ? "" : told + ", not " + expected;
    }
  }

  private static String text(JsonElement told) {
    return told == null || told.isJsonNull() ? "" : told.getAsString();
  }

  private static String near(JsonObject one, Answer found) {
    JsonElement expected = one.get("expected");
    if (expected.isJsonNull()) {
      return "";
    }
    double[] numbers = numbers(expected.getAsJsonObject().getAsJsonArray("data"));
    double[] got = values(found);
    double rtol = one.get("rtol").getAsDouble();
    double floor = one.get("floor").getAsDouble();
    boolean good = numbers.length == got.length;
    for (int i = 0; good && i < numbers.length; i++) {
      good =
          Double.valueOf(numbers[i]).equals(got[i])
              || numbers[i] == got[i]
              || Math.abs(got[i] - numbers[i]) <= rtol * Math.max(Math.abs(numbers[i]), floor);
    }
    return good ? "" : "not near what was expected; ";
  }

  private static double[] values(Answer found) {
    return found
        .tensor()
        .map(Tensor::toDoubles)
        .orElseGet(() -> found.groups().values().stream().mapToDouble(Group::value).toArray());
  }

  private static String same(JsonObject expected, Result found) {
    if (found instanceof Answers answers) {
      JsonObject results = expected.getAsJsonObject("results");
      String total = expected.has("total") ? expected.get("total").getAsString() : "none";
      String got = answers.total().isPresent() ? bits(answers.total().getAsDouble()) : "none";
      String wrong = results.keySet().equals(answers.results().keySet()) ? "" : "other results; ";
      wrong += total.equals(got) ? "" : "another total; ";
      return wrong
          + answers.results().entrySet().stream()
              .map(one -> same(results.getAsJsonObject(one.getKey()), one.getValue()))
              .collect(Collectors.joining());
    }
    Answer answer = (Answer) found;
    String counted = expected.get("count").getAsLong() == answer.count() ? "" : "another count; ";
    String weighed =
        text(expected.get("weight")).equals(bits(answer.weight())) ? "" : "another weight; ";
    return counted + weighed + sameValue(expected, answer);
  }

  private static String sameValue(JsonObject expected, Answer answer) {
    if (expected.has("groups")) {
      Map<String, String> groups = new LinkedHashMap<>();
      answer.groups().forEach((label, group) -> groups.put(label, bits(group.value())));
      Map<String, String> wanted = new LinkedHashMap<>();
      expected
          .getAsJsonObject("groups")
          .asMap()
          .forEach((label, told) -> wanted.put(label, told.getAsString()));
      return wanted.equals(groups) && answer.tensor().isEmpty() ? "" : "other groups";
    }
    JsonObject value = expected.getAsJsonObject("value");
    Tensor tensor = answer.tensor().orElseThrow();
    List<String> wanted = all(value.getAsJsonArray("bits")).map(JsonElement::getAsString).toList();
    List<String> got = DoubleStream.of(tensor.toDoubles()).mapToObj(ConformanceTest::bits).toList();
    boolean shaped = Arrays.equals(shape(value), tensor.shape());
    return shaped && wanted.equals(got) ? "" : "other bits: " + got + ", not " + wanted;
  }

  private static String bits(double x) {
    return HexFormat.of().toHexDigits(Double.doubleToLongBits(x));
  }

  private static Evaluation<?> evaluation(JsonObject request) {
    Evaluation<?> made = Evaluation.of("");
    if (request.has("loss")) {
      made =
          request.get("loss").isJsonObject()
              ? Evaluation.ofExpression(text(request.getAsJsonObject("loss").get("expression")))
              : Evaluation.of(text(request.get("loss")));
    }
    made = made.params(map(request, "params"));
    if (request.has("reduction")) {
      made = made.reduction(reduction(request.get("reduction")));
    }
    for (Map.Entry<String, JsonElement> one : entries(request, "losses")) {
      made = made.loss(one.getKey(), loss(one.getValue().getAsJsonObject()));
    }
    for (Map.Entry<String, JsonElement> one : entries(request, "inputs")) {
      made = made.input(one.getKey(), tensor(one.getValue().getAsJsonObject()));
    }
    return withOptions(made, request);
  }

  private static Evaluation<?> withOptions(Evaluation<?> evaluation, JsonObject request) {
    Evaluation<?> made = evaluation;
    for (Map.Entry<String, JsonElement> one : entries(request, "options")) {
      JsonElement x = one.getValue();
      made =
          switch (one.getKey()) {
            case "backend" -> made.backend(x.getAsString());
            case "device" -> made.device(x.getAsString());
            case "nonfinite" -> made.nonfinite(x.getAsString());
            case "batch_id" -> made.batchId(x.getAsString());
            default ->
                x.isJsonArray()
                    ? made.withState(
                        all(x.getAsJsonArray())
                            .map(JsonElement::getAsString)
                            .toArray(String[]::new))
                    : x.getAsBoolean() ? made.withState() : made;
          };
    }
    return made;
  }

  private static Loss loss(JsonObject told) {
    JsonElement named = told.get("loss");
    Loss made =
        named.isJsonObject()
            ? Loss.ofExpression(text(named.getAsJsonObject().get("expression")))
            : Loss.of(text(named));
    made = made.params(map(told, "params"));
    if (told.has("reduction")) {
      made = made.reduction(reduction(told.get("reduction")));
    }
    if (told.has("loss_weight")) {
      made = made.weight(told.get("loss_weight").getAsDouble());
    }
    for (Map.Entry<String, JsonElement> one : entries(told, "inputs")) {
      made = made.input(one.getKey(), one.getValue().getAsString());
    }
    return made;
  }

  private static Reduction reduction(JsonElement told) {
    return told.isJsonObject()
        ? Reduction.of(named(plain(told)))
        : Reduction.of(told.getAsString());
  }

  private static Set<Map.Entry<String, JsonElement>> entries(JsonObject told, String name) {
    return told.has(name) ? told.getAsJsonObject(name).entrySet() : Set.of();
  }

  private static Map<String, Object> map(JsonObject told, String name) {
    return told.has(name) ? named(plain(told.get(name))) : Map.of();
  }

  @SuppressWarnings("unchecked") // plain() makes no other maps
  private static Map<String, Object> named(Object map) {
    return (Map<String, Object>) map;
  }

  /** JSON as Java's own values. */
  private static Object plain(JsonElement told) {
    if (told.isJsonNull()) {
      return null;
    } else if (told.isJsonObject()) {
      Map<String, Object> made = new LinkedHashMap<>();
      told.getAsJsonObject().asMap().forEach((name, x) -> made.put(name, plain(x)));
      return made;
    } else if (told.isJsonArray()) {
      List<Object> made = new ArrayList<>();
      told.getAsJsonArray().forEach(x -> made.add(plain(x)));
      return made;
    }
    JsonPrimitive one = told.getAsJsonPrimitive();
    if (one.isBoolean()) {
      return one.getAsBoolean();
    }
    return one.isNumber() ? (Object) one.getAsDouble() : one.getAsString();
  }

  private static Tensor tensor(JsonObject told) {
    JsonArray data = told.getAsJsonArray("data");
    DataType type = DataType.valueOf(told.get("dtype").getAsString().toUpperCase());
    Tensor flat =
        type == DataType.STRING
            ? Tensor.of(all(data).map(JsonElement::getAsString).toArray(String[]::new))
            : Tensor.of(type, bytes(type, data));
    return flat.reshape(shape(told));
  }

  private static ByteBuffer bytes(DataType type, JsonArray data) {
    ByteBuffer made =
        ByteBuffer.allocate(data.size() * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (JsonElement one : data) {
      switch (type) {
        case BOOL -> made.put((byte) (one.getAsBoolean() ? 1 : 0));
        case FLOAT64 -> made.putDouble(one.getAsDouble());
        case FLOAT32 -> made.putFloat((float) one.getAsDouble());
        case FLOAT16 -> made.putShort(half((float) one.getAsDouble()));
        default -> putWhole(made, type, new BigInteger(one.getAsString()));
      }
    }
    return made.flip();
  }

  private static void putWhole(ByteBuffer made, DataType type, BigInteger x) {
    switch (type.bytes()) {
      case Byte.BYTES -> made.put(x.byteValue());
      case Short.BYTES -> made.putShort(x.shortValue());
      case Integer.BYTES -> made.putInt(x.intValue());
      default -> made.putLong(x.longValue());
    }
  }

  /** A number that is exact and normal in binary16. */
  private static short half(float x) {
    int bits = Float.floatToIntBits(x);
    int exponent = x == 0 ? 0 : Math.getExponent(x) + 15;
    return (short) (bits >>> 16 & 0x8000 | exponent << 10 | bits >>> 13 & 0x3FF);
  }

  private static long[] shape(JsonObject told) {
    return all(told.getAsJsonArray("shape")).mapToLong(JsonElement::getAsLong).toArray();
  }

  private static double[] numbers(JsonArray data) {
    return all(data).mapToDouble(JsonElement::getAsDouble).toArray();
  }

  private static Stream<JsonElement> all(JsonArray array) {
    return StreamSupport.stream(array.spliterator(), false);
  }
}
