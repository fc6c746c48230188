package dev.lossmeter.client;

import java.util.Locale;

/** The type of a tensor's elements. */
public enum DataType {
  /** One byte an element, 0 or 1. */
  BOOL(1),
  /** Signed, 8 bits. */
  INT8(1),
  /** Signed, 16 bits. */
  INT16(2),
  /** Signed, 32 bits. */
  INT32(4),
  /** Signed, 64 bits. */
  INT64(8),
  /** Unsigned, 8 bits. */
  UINT8(1),
  /** Unsigned, 16 bits. */
  UINT16(2),
  /** Unsigned, 32 bits. */
  UINT32(4),
  /** Unsigned, 64 bits. */
  UINT64(8),
  /** IEEE 754 binary16; the service widens it to float32 before anything is computed. */
  FLOAT16(2),
  /** The upper half of a float32; the service widens it before anything is computed. */
  BFLOAT16(2),
  /** IEEE 754 binary32. */
  FLOAT32(4),
  /** IEEE 754 binary64. */
  FLOAT64(8),
  /** UTF-8 text. */
  STRING(0);

  private final int bytes;

  DataType(int bytes) {
    this.bytes = bytes;
  }

  /**
   * Size of an element.
   *
   * @return bytes; 0 for text, which has no fixed size
   */
  public int bytes() {
    return bytes;
  }

  String wireName() {
    return name().toLowerCase(Locale.ROOT);
  }

  dev.lossmeter.v1.DataType message() {
    return dev.lossmeter.v1.DataType.valueOf("DATA_TYPE_" + name());
  }

  static DataType of(dev.lossmeter.v1.DataType message) {
    return valueOf(message.name().substring("DATA_TYPE_".length()));
  }
}
