package dev.lossmeter.client.state;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.lossmeter.v1.Batch;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * What is kept of batches so that they can be finished together, exactly. Immutable.
 *
 * <p>Adding and finishing needs no service: the bytes and the numbers are those that the service
 * gives, whatever the order of the batches.
 */
public final class State {
  // As UTF-8 is ordered, and not as UTF-16.
  static final Comparator<String> BY_CODE_POINT =
      Comparator.comparing(text -> text.getBytes(StandardCharsets.UTF_8), Arrays::compareUnsigned);

  private static final int FORMAT = 1;
  private static final int MOST_AXES = 32;
  private static final BigInteger MOST_GROUPS = BigInteger.ONE.shiftLeft(24);

  private final Specification specification;
  private final SortedMap<String, BigInteger> batches;
  private final Map<Key, Cell> cells;
  private final List<Long> shape;

  private State(
      Specification specification,
      SortedMap<String, BigInteger> batches,
      Map<Key, Cell> cells,
      List<Long> shape) {
    this.specification = specification;
    this.batches = Collections.unmodifiableSortedMap(batches);
    this.cells = Collections.unmodifiableMap(cells);
    this.shape = shape;
  }

  /**
   * The state in these bytes.
   *
   * @param bytes what an answer had as its state
   * @return the state
   * @throws dev.lossmeter.client.InvalidRequestException MALFORMED_REQUEST: they are no state, not
   *     in canonical form, or contradict themselves
   */
  public static State read(byte[] bytes) {
    return read(bytes, "states");
  }

  /**
   * States made apart as one, exactly.
   *
   * @param states their bytes
   * @return the state of all their batches
   * @throws dev.lossmeter.client.InvalidRequestException MALFORMED_REQUEST: one is no state, or
   *     there is none, or they count more than there can be
   * @throws dev.lossmeter.client.FailedPreconditionException STATE_MISMATCH: they were made by
   *     different specifications, or keep different parts; DUPLICATE_BATCH: a batch is in two
   */
  public static State merge(Collection<byte[]> states) {
    return merge(states, false);
  }

  /**
   * States that different versions or machines computed as one, exactly; as {@link #merge} else.
   *
   * @param states their bytes
   * @return the state of all their batches, with the profile of the first
   */
  public static State mergeAnyProfile(Collection<byte[]> states) {
    return merge(states, true);
  }

  private static State merge(Collection<byte[]> states, boolean anyProfile) {
    List<State> read = new ArrayList<>();
    for (byte[] bytes : states) {
      read.add(read(bytes, "states." + read.size()));
    }
    return read.stream()
        .reduce((one, other) -> one.plus(other, anyProfile))
        .orElseThrow(Refused::noStates);
  }

  /**
   * Both states as one, exactly; neither is changed.
   *
   * @param other the other state
   * @return the state of the batches of both
   * @throws dev.lossmeter.client.LossmeterException as {@link #merge}
   */
  public State plus(State other) {
    return plus(other, false);
  }

  private State plus(State other, boolean anyProfile) {
    checkSame(other, anyProfile);
    if (!Collections.disjoint(batches.keySet(), other.batches.keySet())) {
      throw Refused.duplicate();
    }
    checkParts(other);
    SortedMap<String, BigInteger> all = new TreeMap<>(batches);
    all.putAll(other.batches);
    Map<Key, Cell> sums = new LinkedHashMap<>(cells);
    other.cells.forEach((key, cell) -> sums.merge(key, cell, Cell::plus));
    State merged = new State(specification, all, sums, shape);
    merged.checkCounts();
    return merged;
  }

  private void checkSame(State other, boolean anyProfile) {
    Specification theirs = other.specification;
    List<String> different =
        specification.differences(
            anyProfile ? theirs.withProfile(specification.profile()) : theirs);
    if (!different.isEmpty()) {
      throw Refused.mismatch("the states differ in " + String.join(", ", different));
    }
    if (!shape.equals(other.shape)) {
      throw Refused.mismatch("the states keep axes of different sizes");
    }
  }

  /** Refuse what would be finished from the parts of some of its batches. */
  private void checkParts(State other) {
    List<Set<Kind>> held =
        Stream.of(this, other)
            .flatMap(state -> state.cells.values().stream())
            .map(cell -> cell.parts().keySet())
            .distinct()
            .toList();
    if (held.size() > 1) {
      List<String> all =
          held.stream().flatMap(Set::stream).map(Kind::word).distinct().sorted().toList();
      throw Refused.mismatch(
          "the states hold different parts; all must hold " + String.join(", ", all));
    }
  }

  private void checkCounts() {
    Stream<BigInteger> counts =
        cells.values().stream().map(Cell::linear).reduce(Linear::plus).stream()
            .flatMap(Linear::counts);
    if (!Stream.concat(counts, Stream.of(rows())).allMatch(Counts::isCountable)) {
      throw Refused.tooMany();
    }
  }

  private BigInteger rows() {
    return batches.values().stream().reduce(BigInteger.ZERO, BigInteger::add);
  }

  /**
   * What was computed.
   *
   * @return the specification
   */
  public Specification specification() {
    return specification;
  }

  /**
   * The batches that it holds.
   *
   * @return the number of rows of each, by its id
   */
  public SortedMap<String, BigInteger> batches() {
    return batches;
  }

  /**
   * The groups.
   *
   * @return their sums, by label or position; one where there are no groups
   */
  public List<Cell> cells() {
    return cells.values().stream().sorted(Comparator.comparing(Cell::key)).toList();
  }

  /**
   * The sums of everything, where there are no groups.
   *
   * @return the sums
   * @throws NoSuchElementException there are groups
   */
  public Cell cell() {
    return found(new Key(null, null));
  }

  /**
   * The sums of one group.
   *
   * @param label its label
   * @return the sums
   * @throws NoSuchElementException there is no such group
   */
  public Cell cell(String label) {
    return found(new Key(label, null));
  }

  private Cell found(Key key) {
    Cell found = cells.get(key);
    if (found == null) {
      throw new NoSuchElementException("no such group");
    }
    return found;
  }

  /**
   * The shape of the answer where axes are kept, of which the groups are the positions.
   *
   * @return size of each axis; empty where none is kept
   */
  public List<Long> shape() {
    return shape;
  }

  /**
   * The canonical bytes: equal states have equal bytes.
   *
   * @return the bytes
   */
  public byte[] toByteArray() {
    dev.lossmeter.v1.State message = message();
    ByteString checksum = ByteString.copyFrom(sha256().digest(message.toByteArray()));
    return message.toBuilder().setChecksum(checksum).build().toByteArray();
  }

  /**
   * What was computed and its sums, whatever the names of the batches.
   *
   * @return SHA-256 in hexadecimal
   */
  public String hash() {
    Map<Key, Cell> nameless = new LinkedHashMap<>();
    cells.forEach((key, cell) -> nameless.put(key, cell.anonymous()));
    State anonymous = new State(specification, new TreeMap<>(), nameless, shape);
    return HexFormat.of().formatHex(sha256().digest(anonymous.toByteArray()));
  }

  private dev.lossmeter.v1.State message() {
    List<Batch> held =
        batches.entrySet().stream()
            .sorted(Map.Entry.comparingByKey(BY_CODE_POINT))
            .map(one -> batch(one.getKey(), one.getValue()))
            .toList();
    return dev.lossmeter.v1.State.newBuilder()
        .setFormat(FORMAT)
        .setSpecification(specification.message())
        .setSpecificationHash(ByteString.copyFrom(specification.hash()))
        .addAllBatches(held)
        .addAllCells(cells().stream().map(Cell::message).toList())
        .addAllShape(shape)
        .build();
  }

  private static Batch batch(String id, BigInteger rows) {
    return Batch.newBuilder().setId(id).setRows(Counts.message(rows)).build();
  }

  private static State read(byte[] bytes, String field) {
    try {
      dev.lossmeter.v1.State message = dev.lossmeter.v1.State.parseFrom(bytes);
      check(message.getFormat() == FORMAT);
      State state = of(message);
      state.checkGroups();
      state.checkParts();
      check(Arrays.equals(state.toByteArray(), bytes));
      return state;
    } catch (InvalidProtocolBufferException | IllegalArgumentException malformed) {
      throw Refused.malformed(field);
    }
  }

  private static State of(dev.lossmeter.v1.State message) {
    Specification specification = Specification.of(message.getSpecification());
    specification.check(message.getSpecificationHash().toByteArray());
    SortedMap<String, BigInteger> batches = new TreeMap<>();
    message.getBatchesList().forEach(one -> batches.put(one.getId(), Counts.of(one.getRows())));
    Map<Key, Cell> cells = new LinkedHashMap<>();
    message.getCellsList().forEach(one -> cells.put(Key.of(one), Cell.of(one)));
    check(cells.size() == message.getCellsCount());
    return new State(specification, batches, cells, List.copyOf(message.getShapeList()));
  }

  private void checkGroups() {
    boolean grouped = !specification.by().isEmpty() || !shape.isEmpty();
    check(!batches.isEmpty() && grouped != cells.containsKey(new Key(null, null)));
    check(cells.values().stream().map(cell -> cell.parts().keySet()).distinct().count() <= 1);
    if (!shape.isEmpty()) {
      checkPositions();
    }
  }

  private void checkPositions() {
    BigInteger groups = product(shape.stream().map(Counts::of));
    BigInteger places = product(shape.stream().map(Counts::of).map(BigInteger.ONE::max));
    check(shape.size() <= MOST_AXES && places.compareTo(MOST_GROUPS) <= 0);
    check(BigInteger.valueOf(cells.size()).equals(groups));
    check(cells.keySet().stream().allMatch(key -> key.isBelow(groups)));
  }

  private static BigInteger product(Stream<BigInteger> sizes) {
    return sizes.reduce(BigInteger.ONE, BigInteger::multiply);
  }

  private void checkParts() {
    BigInteger rows = rows();
    boolean grouped = !cells.containsKey(new Key(null, null));
    for (Cell cell : cells.values()) {
      check(cell.parts().containsKey(Kind.LINEAR) && cell.linear().isOrdered());
      int beyond = cell.linear().rows().compareTo(rows);
      check(grouped ? beyond <= 0 : beyond == 0);
      cell.parts().values().forEach(this::checkPlace);
    }
  }

  private void checkPlace(Part part) {
    if (part instanceof Extremes extremes && extremes.found()) {
      Extreme one = extremes.extreme();
      BigInteger held = batches.getOrDefault(one.batchId(), BigInteger.ZERO);
      check(one.row().compareTo(held) < 0);
    }
  }

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException missing) {
      throw new IllegalStateException(missing); // every Java has it
    }
  }

  /**
   * Refuse bytes of a state.
   *
   * @throws IllegalArgumentException they are not good
   */
  static void check(boolean good) {
    if (!good) {
      throw new IllegalArgumentException("no service writes such a state");
    }
  }
}
