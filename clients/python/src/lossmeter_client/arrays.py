"""Whatever holds numbers, as NumPy arrays, and these as the bytes of the wires."""

import struct
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossmeter_client.errors import invalid

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]

STRING = "string"
NUMBERS = frozenset(
    {
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "bfloat16", "float32", "float64"),
    }
)
# Of these, whole numbers without a dtype stay whole: a mask, and the labels of groups.
MASK = "mask"


def arrays_of(given: Mapping[str, Any], labels: Iterable[str] = ()) -> dict[str, Array]:
    """The inputs of a request as arrays; those that are None are left out.

    Args:
        given: NumPy arrays, lists, or what offers ``__array__`` or ``__dlpack__``. Numbers without
            a dtype are float64.
        labels: The inputs that name groups.

    Raises:
        InvalidRequest: One is no array of numbers, booleans or strings.
    """
    whole = {MASK, *labels}
    return {name: array_of(x, name, name in whole) for name, x in given.items() if x is not None}


def array_of(x: Any, name: str, whole: bool = False) -> Array:
    """One input as an array in a dtype that the wires know.

    Args:
        x: What holds the numbers.
        name: Its name.
        whole: Whether whole numbers without a dtype stay so.
    """
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: send its data, and ~mask as the input mask")
    found = _as_array(x, name)
    if found.dtype.kind in "iu" and not hasattr(x, "dtype") and not whole:
        return found.astype(np.float64)
    if found.dtype.kind in "OT":
        found = _texts(found, name)
    if found.dtype.kind != "U" and found.dtype.name not in NUMBERS:
        raise invalid("DTYPE_UNSUPPORTED", f"inputs.{name}", f"{found.dtype} is no dtype of a wire")
    return found


def _as_array(x: Any, name: str) -> Array:
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return np.from_dlpack(x)
    try:
        return np.asarray(x)
    except ValueError:
        raise invalid("SHAPE_MISMATCH", f"inputs.{name}", "lists must be of equal length") from None


def _texts(x: Array, name: str) -> Array:
    """Strings that came as objects, as pandas has them."""
    if not all(isinstance(text, str) for text in x.ravel().tolist()):
        raise invalid(
            "DTYPE_UNSUPPORTED", f"inputs.{name}", "it holds neither numbers nor strings alone"
        )
    return x.astype(str)


def dtype_name(x: Array) -> str:
    """The name of an array's dtype on the wires."""
    return STRING if x.dtype.kind == "U" else x.dtype.name


def to_bytes(x: Array) -> bytes:
    """An array as little-endian, row-major bytes; strings each after its length."""
    if x.dtype.kind == "U":
        texts = [text.encode() for text in x.ravel().tolist()]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return x.astype(x.dtype.newbyteorder("<"), copy=False).tobytes()


def from_bytes(dtype: str, shape: Iterable[int], data: bytes) -> Array:
    """The array in bytes of a wire, as a view of them."""
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(tuple(shape))
