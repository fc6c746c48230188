package dev.lossmeter.client;

import com.google.protobuf.ByteString;
import dev.lossmeter.v1.MergeStatesRequest;
import java.util.Collection;
import java.util.function.Consumer;

/**
 * States made apart that are to be finished by the service. Immutable: each method answers with a
 * changed copy.
 */
public final class Merge {
  private final MergeStatesRequest message;

  private Merge(MergeStatesRequest message) {
    this.message = message;
  }

  /**
   * A merge with the loss's default reduction.
   *
   * @param states what answers had as {@link Answer#state}
   * @return the merge
   */
  public static Merge of(Collection<byte[]> states) {
    MergeStatesRequest.Builder made = MergeStatesRequest.newBuilder();
    states.forEach(state -> made.addStates(ByteString.copyFrom(state)));
    return new Merge(made.build());
  }

  /**
   * The same with a reduction.
   *
   * @param name its name
   * @return the merge
   */
  public Merge reduction(String name) {
    return reduction(Reduction.of(name));
  }

  /**
   * The same with a reduction.
   *
   * @param reduction the reduction
   * @return the merge
   */
  public Merge reduction(Reduction reduction) {
    return set(made -> made.setReduction(reduction.message()));
  }

  /**
   * The same with the merged state in the answer.
   *
   * @return the merge
   */
  public Merge withState() {
    return set(made -> made.getOptionsBuilder().setState(Json.value(true)));
  }

  /**
   * The same of states that different versions or machines computed.
   *
   * @return the merge
   */
  public Merge anyProfile() {
    return set(made -> made.getOptionsBuilder().setProfiles("any"));
  }

  MergeStatesRequest message() {
    return message;
  }

  private Merge set(Consumer<MergeStatesRequest.Builder> change) {
    MergeStatesRequest.Builder made = message.toBuilder();
    change.accept(made);
    return new Merge(made.build());
  }
}
