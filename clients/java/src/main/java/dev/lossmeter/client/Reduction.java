package dev.lossmeter.client;

import com.google.protobuf.Value;
import java.util.Arrays;
import java.util.Map;

/**
 * How kept, weighted loss values become the answer: a name, and settings if it has any. Immutable.
 */
public final class Reduction {
  private final Value message;

  private Reduction(Value message) {
    this.message = message;
  }

  /**
   * A reduction by its name.
   *
   * @param name such as {@code mean} or {@code weighted_mean}, or the framework's own word
   * @return the reduction
   */
  public static Reduction of(String name) {
    return new Reduction(Json.value(name));
  }

  /**
   * A reduction as JSON has it.
   *
   * @param settings its {@code name}, and settings such as {@code q} or {@code by}
   * @return the reduction
   */
  public static Reduction of(Map<String, ?> settings) {
    return new Reduction(Json.value(settings));
  }

  /**
   * The same for each group, with a mapping for an answer.
   *
   * @param input the input whose entries name the groups
   * @return the reduction
   */
  public Reduction by(String input) {
    return with("by", input);
  }

  /**
   * The same over some axes, with an array for an answer.
   *
   * @param axes the axes that are used up
   * @return the reduction
   */
  public Reduction axis(int... axes) {
    return with("axis", Arrays.stream(axes).boxed().toList());
  }

  /**
   * The same with a setting: {@code q} of a quantile, {@code alpha} of cvar, {@code ddof} of a
   * variance, {@code divisor} of a mean.
   *
   * @param setting its name
   * @param value its value
   * @return the reduction
   */
  public Reduction with(String setting, Object value) {
    Value.Builder made = Value.newBuilder();
    if (message.hasStructValue()) {
      made.setStructValue(message.getStructValue());
    } else {
      made.getStructValueBuilder().putFields("name", message);
    }
    made.getStructValueBuilder().putFields(setting, Json.value(value));
    return new Reduction(made.build());
  }

  Value message() {
    return message;
  }
}
