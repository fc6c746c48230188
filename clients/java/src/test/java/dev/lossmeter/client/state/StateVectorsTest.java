package dev.lossmeter.client.state;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.ByteString;
import dev.lossmeter.client.LossmeterException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The sums and states that all languages share. */
class StateVectorsTest {
  private static final Map<String, Function<Cell, Double>> FINISHES =
      Map.ofEntries(
          Map.entry("sum", Cell::sum),
          Map.entry("mean", Cell::mean),
          Map.entry("weighted_mean", Cell::weightedMean),
          Map.entry("nonzero_mean", Cell::nonzeroMean),
          Map.entry("batch_mean", Cell::batchMean),
          Map.entry("rms", Cell::rms),
          Map.entry("harmonic_mean", Cell::harmonicMean),
          Map.entry("variance", Cell::variance),
          Map.entry("std", Cell::std),
          Map.entry("min", cell -> cell.min().value()),
          Map.entry("max", cell -> cell.max().value()));
  private static final Map<String, Function<Cell, Extreme>> EXTREMES =
      Map.of("min", Cell::min, "max", Cell::max);

  private static JsonObject vectors;

  @BeforeAll
  static void read() throws IOException {
    String told = System.getenv("LOSSMETER_STATES");
    Path path = Path.of(told == null ? "../../tests/golden/states/vectors.json" : told);
    vectors = JsonParser.parseString(Files.readString(path)).getAsJsonObject();
  }

  @TestFactory
  Stream<DynamicTest> sumsAreExact() {
    return cases("sums", "terms", StateVectorsTest::checkSum);
  }

  private static void checkSum(JsonObject one) {
    double[] terms =
        all(one.getAsJsonArray("terms")).mapToDouble(x -> number(x.getAsString())).toArray();
    ExactSum expected = sum(one.getAsJsonObject("sum"));
    assertEquals(expected, ExactSum.of(terms));
    assertEquals(expected.message(), message(one.getAsJsonObject("sum")));
    assertEquals(one.get("value").getAsString(), bits(expected.doubleValue()));
  }

  @TestFactory
  Stream<DynamicTest> ratiosAreRoundedOnce() {
    return cases("ratios", "value", StateVectorsTest::checkRatio);
  }

  private static void checkRatio(JsonObject one) {
    ExactSum above = sum(one.getAsJsonObject("above"));
    ExactSum below = sum(one.getAsJsonObject("below"));
    if (one.get("value").isJsonNull()) {
      assertThrows(ArithmeticException.class, () -> above.dividedBy(below));
    } else {
      assertEquals(one.get("value").getAsString(), bits(above.dividedBy(below)));
    }
  }

  @TestFactory
  Stream<DynamicTest> mergesHaveTheBytesOfTheService() {
    return cases("merges", "name", StateVectorsTest::checkMerge);
  }

  private static void checkMerge(JsonObject one) {
    State merged = merge(one);
    assertArrayEquals(bytes(one.get("merged")), merged.toByteArray());
    assertEquals(one.get("state_hash").getAsString(), merged.hash());
    JsonArray cells = one.getAsJsonArray("cells");
    assertEquals(cells.size(), merged.cells().size());
    for (int i = 0; i < cells.size(); i++) {
      checkCell(cells.get(i).getAsJsonObject(), merged.cells().get(i));
    }
  }

  private static void checkCell(JsonObject expected, Cell cell) {
    assertEquals(key(expected.get("key")), new Key(cell.key().label(), cell.key().position()));
    JsonObject finished = expected.getAsJsonObject("finished");
    FINISHES.forEach((name, finish) -> checkFinish(name, finished.get(name), cell, finish));
    EXTREMES.forEach((name, find) -> checkPlace(name, finished, cell, find));
  }

  private static void checkFinish(
      String name, JsonElement expected, Cell cell, Function<Cell, Double> finish) {
    if (expected != null) {
      assertEquals(expected.getAsString(), bits(finish.apply(cell)), name);
      return;
    }
    LossmeterException refused =
        assertThrows(LossmeterException.class, () -> finish.apply(cell), name);
    assertTrue(List.of("EMPTY_REDUCTION", "NOT_MERGEABLE").contains(refused.reason()), name);
  }

  private static void checkPlace(
      String name, JsonObject finished, Cell cell, Function<Cell, Extreme> find) {
    if (finished.has(name)) {
      Extreme found = find.apply(cell);
      assertEquals(finished.get("index_of_" + name).getAsLong(), found.index());
      assertEquals(finished.get("batch_of_" + name).getAsString(), found.batchId());
    }
  }

  @TestFactory
  Stream<DynamicTest> whatTheServiceRefusesIsRefused() {
    return cases("refused", "name", StateVectorsTest::checkRefused);
  }

  private static void checkRefused(JsonObject one) {
    LossmeterException refused = assertThrows(LossmeterException.class, () -> merge(one));
    assertEquals(one.get("reason").getAsString(), refused.reason());
    assertEquals(Optional.of("states"), refused.field().map(at -> at.replaceAll("\\.\\d+$", "")));
  }

  private static State merge(JsonObject one) {
    List<byte[]> states = all(one.getAsJsonArray("states")).map(StateVectorsTest::bytes).toList();
    return one.get("any_profile").getAsBoolean()
        ? State.mergeAnyProfile(states)
        : State.merge(states);
  }

  private static Stream<DynamicTest> cases(String kind, String title, Consumer<JsonObject> check) {
    return all(vectors.getAsJsonArray(kind))
        .map(JsonElement::getAsJsonObject)
        .map(one -> DynamicTest.dynamicTest(one.get(title).toString(), () -> check.accept(one)));
  }

  private static Stream<JsonElement> all(JsonArray array) {
    return StreamSupport.stream(array.spliterator(), false);
  }

  private static Key key(JsonElement told) {
    if (told.isJsonNull()) {
      return new Key(null, null);
    }
    return told.getAsJsonPrimitive().isString()
        ? new Key(told.getAsString(), null)
        : new Key(null, told.getAsLong());
  }

  private static ExactSum sum(JsonObject told) {
    return ExactSum.of(message(told));
  }

  private static dev.lossmeter.v1.ExactSum message(JsonObject told) {
    return dev.lossmeter.v1.ExactSum.newBuilder()
        .setExponent(told.get("exponent").getAsInt())
        .setMantissa(ByteString.copyFrom(bytes(told.get("mantissa"))))
        .setNan(told.get("nan").getAsLong())
        .setPositiveInfinity(told.get("positive_infinity").getAsLong())
        .setNegativeInfinity(told.get("negative_infinity").getAsLong())
        .build();
  }

  private static byte[] bytes(JsonElement base64) {
    return Base64.getDecoder().decode(base64.getAsString());
  }

  private static double number(String bits) {
    return Double.longBitsToDouble(HexFormat.fromHexDigitsToLong(bits));
  }

  private static String bits(double x) {
    return HexFormat.of().toHexDigits(Double.doubleToLongBits(x));
  }
}
