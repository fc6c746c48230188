package dev.lossmeter.client;

import com.google.protobuf.ListValue;
import com.google.protobuf.NullValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import java.lang.reflect.Array;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** Settings as JSON has them: maps, lists, texts, numbers, booleans and null. */
final class Json {
  private Json() {}

  static Struct struct(Map<String, ?> settings) {
    Struct.Builder made = Struct.newBuilder();
    settings.forEach((name, x) -> made.putFields(name, value(x)));
    return made.build();
  }

  static Value value(Object x) {
    Value.Builder made = Value.newBuilder();
    if (x == null) {
      return made.setNullValue(NullValue.NULL_VALUE).build();
    } else if (x instanceof Boolean truth) {
      return made.setBoolValue(truth).build();
    } else if (x instanceof Number number) {
      return made.setNumberValue(number.doubleValue()).build();
    } else if (x instanceof CharSequence text) {
      return made.setStringValue(text.toString()).build();
    } else if (x instanceof Map<?, ?> map) {
      return made.setStructValue(struct(named(map))).build();
    } else if (x instanceof Collection<?> list) {
      List<Value> values = list.stream().map(Json::value).toList();
      return made.setListValue(ListValue.newBuilder().addAllValues(values)).build();
    } else if (x.getClass().isArray()) {
      int length = Array.getLength(x);
      return value(IntStream.range(0, length).mapToObj(at -> Array.get(x, at)).toList());
    }
    throw new IllegalArgumentException("JSON has nothing for " + x.getClass().getName());
  }

  private static Map<String, Object> named(Map<?, ?> map) {
    Map<String, Object> made = new LinkedHashMap<>();
    map.forEach((name, x) -> made.put(String.valueOf(name), x));
    return made;
  }

  static Map<String, Object> map(Struct message) {
    Map<String, Object> made = new LinkedHashMap<>();
    message.getFieldsMap().forEach((name, x) -> made.put(name, plain(x)));
    return Collections.unmodifiableMap(made);
  }

  private static Object plain(Value message) {
    return switch (message.getKindCase()) {
      case BOOL_VALUE -> message.getBoolValue();
      case NUMBER_VALUE -> message.getNumberValue();
      case STRING_VALUE -> message.getStringValue();
      case STRUCT_VALUE -> map(message.getStructValue());
      case LIST_VALUE -> list(message.getListValue());
      case NULL_VALUE, KIND_NOT_SET -> null;
    };
  }

  private static List<Object> list(ListValue message) {
    List<Object> made = new ArrayList<>();
    message.getValuesList().forEach(x -> made.add(plain(x)));
    return Collections.unmodifiableList(made);
  }
}
