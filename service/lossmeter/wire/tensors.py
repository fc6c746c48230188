"""Dtypes by name, and arrays from bytes: what every wire shares."""

import math
import struct
from collections.abc import Sequence

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.errors import DtypeUnsupported, MalformedRequest, ShapeMismatch, TooLarge

BFLOAT16 = "bfloat16"
STRING = "string"
NUMPY = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
}
LITTLE = {name: dtype.newbyteorder("<") for name, dtype in NUMPY.items()}
NAMES = (*NUMPY, BFLOAT16, STRING)
MOST_AXES = 32
MOST_ELEMENTS = 2**62
MOST_CHARACTERS = 1024
# Positions of a shape with a 0 in it: no bytes stand behind them.
MOST_EMPTY = 2**24


def from_bytes(dtype: str, shape: Sequence[int], data: bytes | memoryview, field: str) -> Array:
    """A view of little-endian, row-major bytes as an array; nothing is copied where none need be.

    Raises:
        DtypeUnsupported: No such dtype.
        ShapeMismatch: A dimension is negative, or the shape does not hold these elements.
        MalformedRequest: The bytes end within an element.
    """
    count = elements(shape, field)
    if dtype == STRING:
        return _strings(bytes(data), count, field).reshape(shape)
    if dtype == BFLOAT16:
        halves = _numbers(np.dtype("<u2"), count, data, field)
        return (halves.astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if dtype not in NUMPY:
        raise DtypeUnsupported(f"dtype must be one of {', '.join(NAMES)}", field=field)
    numbers = _numbers(LITTLE[dtype], count, data, field)
    if dtype == "bool" and numbers.size and numbers.view(np.uint8).max() > 1:
        raise MalformedRequest("a boolean is the byte 0 or 1", field=field)
    return numbers.reshape(shape)


def elements(shape: Sequence[int], field: str) -> int:
    """How many elements a shape has.

    Raises:
        ShapeMismatch: A dimension is negative, or the product overflows.
        TooLarge: It has too many axes, or is a large one of nothing.
    """
    if len(shape) <= MOST_AXES and min(shape, default=1) > 0:
        count = math.prod(shape)
        if count <= MOST_ELEMENTS:
            return count
    if len(shape) > MOST_AXES:
        raise TooLarge(
            "the shape has too many axes", field=field, limit=MOST_AXES, actual=len(shape)
        )
    if any(n < 0 for n in shape):
        raise ShapeMismatch("a dimension is negative", field=field)
    # Without its zeros: a size beyond what memory addresses is none even of nothing.
    places = math.prod(max(n, 1) for n in shape)
    if places > MOST_ELEMENTS:
        raise ShapeMismatch("the product of the shape overflows", field=field)
    if 0 in shape and places > MOST_EMPTY:
        raise TooLarge("the shape is too large", field=field, limit=MOST_EMPTY, actual=places)
    return math.prod(shape)


def _numbers(
    dtype: np.dtype[np.generic], count: int, data: bytes | memoryview, field: str
) -> Array:
    size = len(data)
    if size % dtype.itemsize:
        raise MalformedRequest(
            f"{size} bytes end within an element of {dtype.itemsize}", field=field
        )
    if size // dtype.itemsize != count:
        raise ShapeMismatch(
            f"the shape has {count} elements, the data {size // dtype.itemsize}", field=field
        )
    return np.frombuffer(data, dtype)


def _strings(data: bytes, count: int, field: str) -> Array:
    if 4 * count > len(data):
        raise ShapeMismatch(
            f"the shape has {count} elements, more than the data can hold", field=field
        )
    found, at = [], 0
    try:
        while at < len(data):
            (size,) = struct.unpack_from("<I", data, at)
            if at + 4 + size > len(data):
                raise MalformedRequest("a string is longer than the data", field=field)
            found.append(data[at + 4 : at + 4 + size].decode())
            at += 4 + size
    except (struct.error, UnicodeDecodeError):
        raise MalformedRequest(
            "strings are UTF-8, each after its length as a little-endian uint32", field=field
        ) from None
    check_labels(found, field)
    if len(found) != count:
        raise ShapeMismatch(f"the shape has {count} elements, the data {len(found)}", field=field)
    return np.asarray(found, dtype=str) if found else np.zeros(0, dtype="U1")


def check_labels(labels: Sequence[str], field: str) -> None:
    """Refuse labels so long that an array of them would be far larger than they are.

    Raises:
        TooLarge: A label is too long.
    """
    longest = max(map(len, labels), default=0)
    if longest > MOST_CHARACTERS:
        raise TooLarge("a label is too long", field=field, limit=MOST_CHARACTERS, actual=longest)
    if any("\0" in label for label in labels):
        raise MalformedRequest("a label holds a NUL character", field=field)


def dtype_name(x: Array) -> str:
    """The name of an array's dtype on the wires."""
    return STRING if x.dtype.kind == "U" else x.dtype.name


def to_bytes(x: Array) -> bytes:
    """An array as little-endian, row-major bytes."""
    if x.dtype.kind == "U":
        texts = [text.encode() for text in x.reshape(-1).tolist()]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.ascontiguousarray(x, x.dtype.newbyteorder("<")).tobytes()
