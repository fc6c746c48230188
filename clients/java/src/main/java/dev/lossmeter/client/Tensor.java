package dev.lossmeter.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * A dense array with a type and a shape; immutable.
 *
 * <p>Arrays and buffers are copied once, as a whole, into the little-endian, row-major bytes that
 * are sent. A tensor holds at most 2 GiB; more is for {@link LossmeterClient#evaluateStream}.
 */
public final class Tensor {
  private final DataType type;
  private final long[] shape;
  private final ByteString data;
  // Only of text, whose elements have no fixed size.
  private final String[] texts;

  private Tensor(DataType type, ByteString data, String[] texts, long... shape) {
    this.type = type;
    this.data = data;
    this.texts = texts;
    this.shape = shape;
  }

  /**
   * Numbers in float64, along one axis.
   *
   * @param values the numbers
   * @return their tensor
   */
  public static Tensor of(double... values) {
    return of(DoubleBuffer.wrap(values));
  }

  /**
   * Numbers in float32, along one axis.
   *
   * @param values the numbers
   * @return their tensor
   */
  public static Tensor of(float[] values) {
    return of(FloatBuffer.wrap(values));
  }

  /**
   * Whole numbers in int64, along one axis.
   *
   * @param values the numbers
   * @return their tensor
   */
  public static Tensor of(long[] values) {
    return of(LongBuffer.wrap(values));
  }

  /**
   * Whole numbers in int32, along one axis.
   *
   * @param values the numbers
   * @return their tensor
   */
  public static Tensor of(int[] values) {
    return of(IntBuffer.wrap(values));
  }

  /**
   * Whole numbers in int16, along one axis.
   *
   * @param values the numbers
   * @return their tensor
   */
  public static Tensor of(short[] values) {
    return of(ShortBuffer.wrap(values));
  }

  /**
   * Whole numbers in int8, along one axis.
   *
   * @param values the numbers
   * @return their tensor
   */
  public static Tensor of(byte[] values) {
    return of(DataType.INT8, ByteBuffer.wrap(values));
  }

  /**
   * Booleans along one axis, such as a mask: true keeps.
   *
   * @param values the booleans
   * @return their tensor
   */
  public static Tensor of(boolean... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) (values[i] ? 1 : 0);
    }
    return owned(DataType.BOOL, bytes, values.length);
  }

  /**
   * Texts along one axis, such as the labels of groups.
   *
   * @param values the texts
   * @return their tensor
   */
  public static Tensor of(String... values) {
    return ofTexts(values.clone(), values.length);
  }

  /**
   * Rows of numbers in float64.
   *
   * @param rows the rows, all of one length
   * @return their tensor, with two axes
   * @throws IllegalArgumentException the lengths differ
   */
  public static Tensor of(double[][] rows) {
    int columns = columns(Arrays.stream(rows).mapToInt(row -> row.length));
    ByteBuffer bytes = bytes(DataType.FLOAT64, (long) rows.length * columns);
    DoubleBuffer numbers = bytes.asDoubleBuffer();
    for (double[] row : rows) {
      numbers.put(row);
    }
    return owned(DataType.FLOAT64, bytes.array(), rows.length, columns);
  }

  /**
   * Rows of numbers in float32.
   *
   * @param rows the rows, all of one length
   * @return their tensor, with two axes
   * @throws IllegalArgumentException the lengths differ
   */
  public static Tensor of(float[][] rows) {
    int columns = columns(Arrays.stream(rows).mapToInt(row -> row.length));
    ByteBuffer bytes = bytes(DataType.FLOAT32, (long) rows.length * columns);
    FloatBuffer numbers = bytes.asFloatBuffer();
    for (float[] row : rows) {
      numbers.put(row);
    }
    return owned(DataType.FLOAT32, bytes.array(), rows.length, columns);
  }

  /**
   * What is left of a buffer, in float64.
   *
   * @param values the numbers, row-major; the buffer's position stays
   * @param shape size of each axis; none for one axis of all
   * @return their tensor
   * @throws IllegalArgumentException the shape is that of another number of elements
   */
  public static Tensor of(DoubleBuffer values, long... shape) {
    ByteBuffer bytes = bytes(DataType.FLOAT64, values.remaining());
    bytes.asDoubleBuffer().put(values.duplicate());
    return owned(DataType.FLOAT64, bytes.array(), shapeOr(values.remaining(), shape));
  }

  /**
   * What is left of a buffer, in float32.
   *
   * @param values the numbers, row-major; the buffer's position stays
   * @param shape size of each axis; none for one axis of all
   * @return their tensor
   * @throws IllegalArgumentException the shape is that of another number of elements
   */
  public static Tensor of(FloatBuffer values, long... shape) {
    ByteBuffer bytes = bytes(DataType.FLOAT32, values.remaining());
    bytes.asFloatBuffer().put(values.duplicate());
    return owned(DataType.FLOAT32, bytes.array(), shapeOr(values.remaining(), shape));
  }

  /**
   * What is left of a buffer, in int64.
   *
   * @param values the numbers, row-major; the buffer's position stays
   * @param shape size of each axis; none for one axis of all
   * @return their tensor
   * @throws IllegalArgumentException the shape is that of another number of elements
   */
  public static Tensor of(LongBuffer values, long... shape) {
    ByteBuffer bytes = bytes(DataType.INT64, values.remaining());
    bytes.asLongBuffer().put(values.duplicate());
    return owned(DataType.INT64, bytes.array(), shapeOr(values.remaining(), shape));
  }

  /**
   * What is left of a buffer, in int32.
   *
   * @param values the numbers, row-major; the buffer's position stays
   * @param shape size of each axis; none for one axis of all
   * @return their tensor
   * @throws IllegalArgumentException the shape is that of another number of elements
   */
  public static Tensor of(IntBuffer values, long... shape) {
    ByteBuffer bytes = bytes(DataType.INT32, values.remaining());
    bytes.asIntBuffer().put(values.duplicate());
    return owned(DataType.INT32, bytes.array(), shapeOr(values.remaining(), shape));
  }

  /**
   * What is left of a buffer, in int16.
   *
   * @param values the numbers, row-major; the buffer's position stays
   * @param shape size of each axis; none for one axis of all
   * @return their tensor
   * @throws IllegalArgumentException the shape is that of another number of elements
   */
  public static Tensor of(ShortBuffer values, long... shape) {
    ByteBuffer bytes = bytes(DataType.INT16, values.remaining());
    bytes.asShortBuffer().put(values.duplicate());
    return owned(DataType.INT16, bytes.array(), shapeOr(values.remaining(), shape));
  }

  /**
   * What is left of a buffer that holds a tensor's bytes already, of any type but text.
   *
   * @param type type of the elements
   * @param bytes the elements, little-endian and row-major; the buffer's position stays
   * @param shape size of each axis; none for one axis of all
   * @return their tensor
   * @throws IllegalArgumentException the bytes are no whole number of elements, or the shape is
   *     that of another
   */
  public static Tensor of(DataType type, ByteBuffer bytes, long... shape) {
    if (type == DataType.STRING || bytes.remaining() % type.bytes() != 0) {
      throw new IllegalArgumentException(bytes.remaining() + " bytes are no array of " + type);
    }
    long[] sizes = shapeOr(bytes.remaining() / type.bytes(), shape);
    return new Tensor(type, ByteString.copyFrom(bytes.duplicate()), null, sizes);
  }

  /**
   * A single number, without axes, in float64.
   *
   * @param value the number
   * @return its tensor
   */
  public static Tensor scalar(double value) {
    return of(value).reshape();
  }

  /**
   * The same elements in another shape.
   *
   * @param sizes size of each axis; none for a single element
   * @return their tensor
   * @throws IllegalArgumentException the shape is that of another number of elements
   */
  public Tensor reshape(long... sizes) {
    checkSize(size(), sizes);
    return new Tensor(type, data, texts, sizes.clone());
  }

  /**
   * The type of the elements.
   *
   * @return the type
   */
  public DataType type() {
    return type;
  }

  /**
   * The size of each axis.
   *
   * @return the sizes; empty for a single element
   */
  public long[] shape() {
    return shape.clone();
  }

  /**
   * The number of elements.
   *
   * @return the product of the sizes of all axes
   */
  public long size() {
    return product(shape);
  }

  /**
   * The elements as they are sent.
   *
   * @return a read-only view, little-endian and row-major
   */
  public ByteBuffer buffer() {
    return data.asReadOnlyByteBuffer().slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * The elements as float64, row-major; booleans as 0 and 1.
   *
   * @return a new array
   * @throws IllegalStateException they are text, or of a type that Java has no numbers for
   */
  public double[] toDoubles() {
    ByteBuffer bytes = buffer();
    int step = type.bytes();
    return IntStream.range(0, Math.toIntExact(size()))
        .mapToDouble(at -> number(bytes, at * step))
        .toArray();
  }

  /**
   * The elements as booleans, row-major: whether they are not 0.
   *
   * @return a new array
   * @throws IllegalStateException as {@link #toDoubles}
   */
  public boolean[] toBooleans() {
    double[] numbers = toDoubles();
    boolean[] found = new boolean[numbers.length];
    for (int i = 0; i < numbers.length; i++) {
      found[i] = numbers[i] != 0.0;
    }
    return found;
  }

  /**
   * The type and the shape; no data.
   *
   * @return such as {@code Tensor[FLOAT64, [2, 3]]}
   */
  @Override
  public String toString() {
    return "Tensor[" + type + ", " + Arrays.toString(shape) + "]";
  }

  int bytes() {
    return data.size();
  }

  boolean hasAxes() {
    return shape.length > 0;
  }

  /** Size of axis 0. */
  long rows() {
    return shape[0];
  }

  /** Some of the rows, as far as there are so many, as a view of the same bytes. */
  Tensor rows(long first, long last) {
    long start = Math.min(first, rows());
    long end = Math.min(last, rows());
    if (rows() == 0) {
      return this;
    }
    long[] sizes = shape.clone();
    sizes[0] = end - start;
    int from = Math.toIntExact(start * (size() / rows()));
    int to = Math.toIntExact(end * (size() / rows()));
    if (texts != null) {
      return ofTexts(Arrays.copyOfRange(texts, from, to), sizes);
    }
    int step = type.bytes();
    return new Tensor(type, data.substring(from * step, to * step), null, sizes);
  }

  dev.lossmeter.v1.Tensor message() {
    dev.lossmeter.v1.Tensor.Builder message =
        dev.lossmeter.v1.Tensor.newBuilder().setDtype(type.message()).setData(data);
    for (long size : shape) {
      message.addShape(size);
    }
    return message.build();
  }

  static Tensor of(dev.lossmeter.v1.Tensor message) {
    long[] sizes = message.getShapeList().stream().mapToLong(Long::longValue).toArray();
    return new Tensor(DataType.of(message.getDtype()), message.getData(), null, sizes);
  }

  private double number(ByteBuffer bytes, int at) {
    return switch (type) {
      case BOOL, INT8 -> bytes.get(at);
      case UINT8 -> Byte.toUnsignedInt(bytes.get(at));
      case INT16 -> bytes.getShort(at);
      case UINT16 -> Short.toUnsignedInt(bytes.getShort(at));
      case INT32 -> bytes.getInt(at);
      case UINT32 -> Integer.toUnsignedLong(bytes.getInt(at));
      case INT64 -> bytes.getLong(at);
      case BFLOAT16 -> Float.intBitsToFloat(bytes.getShort(at) << Short.SIZE);
      case FLOAT32 -> bytes.getFloat(at);
      case FLOAT64 -> bytes.getDouble(at);
      case UINT64, FLOAT16, STRING ->
          throw new IllegalStateException("Java has no numbers for " + type + "; read the buffer");
    };
  }

  private static Tensor ofTexts(String[] texts, long... shape) {
    byte[][] encoded =
        Arrays.stream(texts)
            .map(text -> text.getBytes(StandardCharsets.UTF_8))
            .toArray(byte[][]::new);
    int size = Arrays.stream(encoded).mapToInt(one -> Integer.BYTES + one.length).sum();
    ByteBuffer bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    for (byte[] one : encoded) {
      bytes.putInt(one.length).put(one);
    }
    return new Tensor(
        DataType.STRING, UnsafeByteOperations.unsafeWrap(bytes.array()), texts, shape);
  }

  /** A tensor of bytes that nobody else holds. */
  private static Tensor owned(DataType type, byte[] bytes, long... shape) {
    return new Tensor(type, UnsafeByteOperations.unsafeWrap(bytes), null, shape);
  }

  private static ByteBuffer bytes(DataType type, long elements) {
    try {
      int size = Math.toIntExact(Math.multiplyExact(elements, type.bytes()));
      return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    } catch (ArithmeticException tooLarge) {
      throw new IllegalArgumentException("a tensor holds at most 2 GiB; send it as a stream");
    }
  }

  private static int columns(IntStream lengths) {
    int[] different = lengths.distinct().toArray();
    if (different.length > 1) {
      throw new IllegalArgumentException("rows must be of equal length");
    }
    return different.length == 0 ? 0 : different[0];
  }

  private static long[] shapeOr(long elements, long... shape) {
    if (shape.length == 0) {
      return new long[] {elements};
    }
    checkSize(elements, shape);
    return shape.clone();
  }

  private static void checkSize(long elements, long... shape) {
    boolean negative = Arrays.stream(shape).anyMatch(size -> size < 0);
    if (negative || product(shape) != elements) {
      throw new IllegalArgumentException(
          "the shape " + Arrays.toString(shape) + " is not that of " + elements + " elements");
    }
  }

  private static long product(long... shape) {
    return Arrays.stream(shape).reduce(1, Math::multiplyExact);
  }
}
