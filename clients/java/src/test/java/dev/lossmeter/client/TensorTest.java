package dev.lossmeter.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Arrays and buffers as little-endian, row-major bytes. */
class TensorTest {
  static Stream<Tensor> tensors() {
    return Stream.of(
        Tensor.of(1.0, 0.0, 2.0),
        Tensor.of(1, 0, 2), // numbers without a type are float64
        Tensor.of(new float[] {1, 0, 2}),
        Tensor.of(new long[] {1, 0, 2}),
        Tensor.of(new int[] {1, 0, 2}),
        Tensor.of(new short[] {1, 0, 2}),
        Tensor.of(new byte[] {1, 0, 2}),
        Tensor.of(DataType.UINT8, ByteBuffer.wrap(new byte[] {1, 0, 2})),
        Tensor.of(DoubleBuffer.wrap(new double[] {9, 1, 0, 2}, 1, 3)),
        Tensor.of(FloatBuffer.wrap(new float[] {1, 0, 2}), 3),
        Tensor.of(new double[][] {{1}, {0}, {2}}).reshape(3),
        Tensor.of(new float[][] {{1, 0, 2}}).reshape(3));
  }

  @ParameterizedTest
  @MethodSource("tensors")
  void numbersOfEveryTypeComeBack(Tensor tensor) {
    assertArrayEquals(new double[] {1, 0, 2}, tensor.toDoubles());
    assertArrayEquals(new boolean[] {true, false, true}, tensor.toBooleans());
    assertArrayEquals(new long[] {3}, tensor.shape());
    assertEquals(3L * tensor.type().bytes(), tensor.buffer().remaining());
    assertArrayEquals(new double[] {0, 2}, tensor.rows(1, 3).toDoubles());
  }

  @Test
  void bytesAreLittleEndian() {
    assertEquals(
        ByteBuffer.wrap(new byte[] {4, 3, 2, 1}), Tensor.of(new int[] {0x01020304}).buffer());
  }

  @Test
  void rowsHaveTwoAxes() {
    Tensor tensor = Tensor.of(new double[][] {{1, 2, 3}, {4, 5, 6}});
    assertArrayEquals(new long[] {2, 3}, tensor.shape());
    assertArrayEquals(new double[] {4, 5, 6}, tensor.rows(1, 2).toDoubles());
    assertArrayEquals(new long[] {0, 0}, Tensor.of(new float[0][]).shape());
  }

  @Test
  void whatIsNotANumberComesBack() {
    double[] odd = {Double.NaN, Double.POSITIVE_INFINITY, -0.0, Double.MIN_VALUE};
    assertArrayEquals(odd, Tensor.of(odd).toDoubles());
  }

  @Test
  void booleansAreBytes() {
    Tensor tensor = Tensor.of(true, false);
    assertEquals(ByteBuffer.wrap(new byte[] {1, 0}), tensor.buffer());
    assertEquals(DataType.BOOL, tensor.type());
  }

  @Test
  void eachTextFollowsItsLength() {
    byte[] text = "København".getBytes(StandardCharsets.UTF_8);
    ByteBuffer expected = ByteBuffer.allocate(8 + text.length).order(ByteOrder.LITTLE_ENDIAN);
    expected.putInt(0).putInt(text.length).put(text).flip();
    Tensor tensor = Tensor.of("", "København");
    assertEquals(expected, tensor.buffer());
    assertEquals(Tensor.of("København").buffer(), tensor.rows(1, 2).buffer());
    assertThrows(IllegalStateException.class, tensor::toDoubles);
  }

  @Test
  void aSingleNumberHasNoAxes() {
    assertArrayEquals(new long[0], Tensor.scalar(3).shape());
    assertArrayEquals(new double[] {3}, Tensor.scalar(3).toDoubles());
  }

  @Test
  void anArrayThatChangesDoesNotChangeItsTensor() {
    double[] values = {1};
    Tensor tensor = Tensor.of(values);
    values[0] = 2;
    assertArrayEquals(new double[] {1}, tensor.toDoubles());
  }

  @Test
  void shapesMustFit() {
    Tensor six = Tensor.of(new double[6]);
    assertThrows(IllegalArgumentException.class, () -> six.reshape(2, 2));
    assertThrows(IllegalArgumentException.class, () -> six.reshape(-2, -3));
    assertThrows(IllegalArgumentException.class, () -> Tensor.of(new double[][] {{1}, {1, 2}}));
    assertThrows(
        IllegalArgumentException.class,
        () -> Tensor.of(DataType.INT32, ByteBuffer.wrap(new byte[3])));
    assertThrows(
        IllegalArgumentException.class,
        () -> Tensor.of(DataType.STRING, ByteBuffer.wrap(new byte[4])));
  }

  @Test
  void unsignedAndShortNumbersAreRead() {
    ByteBuffer bytes = ByteBuffer.wrap(new byte[] {-128, 63, -1, -1});
    assertArrayEquals(
        new double[] {1, Double.NaN}, Tensor.of(DataType.BFLOAT16, bytes).toDoubles());
    assertArrayEquals(new double[] {0x3F80, 0xFFFF}, Tensor.of(DataType.UINT16, bytes).toDoubles());
    assertArrayEquals(new double[] {0xFFFF3F80L}, Tensor.of(DataType.UINT32, bytes).toDoubles());
  }
}
