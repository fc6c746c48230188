package dev.lossmeter.client.state;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.Strictness;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * What was computed; states of different specifications never mix.
 *
 * @param loss canonical name or symbol, as asked for
 * @param params parameters in force, as JSON with sorted keys
 * @param dtype type of the loss values, {@code float32} or {@code float64}
 * @param nonfinite what was done with entries that are not finite
 * @param by input that named the groups; empty if none did
 * @param axis axes that were reduced and their number, as JSON, or that the columns are outputs;
 *     empty where none were named
 * @param profile what computed the loss values: library versions, instruction set, device
 */
public record Specification(
    String loss,
    String params,
    String dtype,
    String nonfinite,
    String by,
    String axis,
    String profile) {
  private static final Set<String> DTYPES = Set.of("float32", "float64");
  private static final Set<String> RULES = Set.of("propagate", "omit", "error");
  // In place of the axes where outputs are joined.
  private static final String OUTPUTS = "[\"outputs\"";
  private static final Gson JSON = new GsonBuilder().setStrictness(Strictness.STRICT).create();
  private static final List<String> NAMES =
      List.of("loss", "params", "dtype", "nonfinite", "by", "axis", "profile");

  static Specification of(dev.lossmeter.v1.Specification message) {
    return new Specification(
        message.getLoss(),
        message.getParams(),
        message.getDtype(),
        message.getNonfinite(),
        message.getBy(),
        message.getAxis(),
        message.getProfile());
  }

  dev.lossmeter.v1.Specification message() {
    return dev.lossmeter.v1.Specification.newBuilder()
        .setLoss(loss)
        .setParams(params)
        .setDtype(dtype)
        .setNonfinite(nonfinite)
        .setBy(by)
        .setAxis(axis)
        .setProfile(profile)
        .build();
  }

  /** SHA-256 over the fields, each preceded by its length. */
  byte[] hash() {
    MessageDigest digest = State.sha256();
    for (String field : fields()) {
      byte[] text = field.getBytes(StandardCharsets.UTF_8);
      digest.update(
          ByteBuffer.allocate(Integer.BYTES)
              .order(ByteOrder.LITTLE_ENDIAN)
              .putInt(text.length)
              .array());
      digest.update(text);
    }
    return digest.digest();
  }

  /** Names of the fields that differ. */
  List<String> differences(Specification other) {
    List<String> different = new ArrayList<>();
    for (int i = 0; i < NAMES.size(); i++) {
      if (!fields().get(i).equals(other.fields().get(i))) {
        different.add(NAMES.get(i));
      }
    }
    return different;
  }

  Specification withProfile(String other) {
    return new Specification(loss, params, dtype, nonfinite, by, axis, other);
  }

  private List<String> fields() {
    return List.of(loss, params, dtype, nonfinite, by, axis, profile);
  }

  /** Check that a service has such a specification, with this hash. */
  void check(byte[] told) {
    JsonElement named = json(params);
    State.check(named.isJsonObject() && isText(named.getAsJsonObject().get("loss")));
    State.check(Arrays.equals(hash(), told) && DTYPES.contains(dtype) && RULES.contains(nonfinite));
    if (!axis.isEmpty()) {
      checkAxes(json(axis));
    }
  }

  private void checkAxes(JsonElement found) {
    State.check(found.isJsonArray() && found.getAsJsonArray().size() == 2);
    JsonElement axes = found.getAsJsonArray().get(0);
    double rank = number(found.getAsJsonArray().get(1));
    if (axis.startsWith(OUTPUTS)) {
      State.check(rank > 0);
      return;
    }
    State.check(axes.isJsonArray());
    double before = -1;
    for (JsonElement one : (JsonArray) axes) {
      double place = number(one);
      State.check(before < place && 0 <= place && place < rank);
      before = place;
    }
  }

  private static double number(JsonElement found) {
    State.check(found.isJsonPrimitive() && found.getAsJsonPrimitive().isNumber());
    return found.getAsDouble();
  }

  private static boolean isText(JsonElement found) {
    return found != null && found.isJsonPrimitive() && found.getAsJsonPrimitive().isString();
  }

  private static JsonElement json(String text) {
    try {
      JsonElement found = JSON.fromJson(text, JsonElement.class);
      State.check(found != null);
      return found;
    } catch (JsonParseException malformed) {
      throw new IllegalArgumentException(malformed);
    }
  }
}
