"""safetensors: named tensors behind a header of JSON, read where they lie.

The library of that name copies each of them twice.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lossmeter.core.arrays import Array
from lossmeter.errors import DtypeUnsupported, MalformedRequest, TooLarge
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.tables import Columns, check_present, joined
from lossmeter.wire.tensors import BFLOAT16, from_bytes
from lossmeter.wire.text import parse

LENGTH_BYTES = 8
# As the library has it.
MOST_HEADER = 100_000_000
ABOUT = "__metadata__"
DTYPES = {
    "BOOL": "bool",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BF16": BFLOAT16,
}


class SafetensorsRows:
    """Named tensors.

    Args:
        data: Header and tensors.
    """

    def __init__(self, data: memoryview) -> None:
        size = int.from_bytes(data[:LENGTH_BYTES], "little")
        end = LENGTH_BYTES + size
        if not size or end > len(data):
            raise MalformedRequest("the header ends too early")
        if size > MOST_HEADER:
            raise TooLarge("the header is too large", limit=MOST_HEADER, actual=size)
        self._told: dict[str, Any] = dict(parse(data[LENGTH_BYTES:end]))
        self._told.pop(ABOUT, None)
        self._data = data[end:]
        self.names = list(self._told)
        _check_places([_place(told, name) for name, told in self._told.items()], len(self._data))

    def blocks(self, columns: Columns) -> Iterator[Tensors]:
        arrays = {name: self._array(name) for name in check_present(columns, self.names)}
        yield Tensors(
            {
                given: joined([arrays[n] for n in names if n], given, axis="" in names)
                for given, names in columns.items()
            }
        )

    def _array(self, name: str) -> Array:
        told = self._told[name]
        dtype, shape = told.get("dtype"), told.get("shape")
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise DtypeUnsupported(f"dtype must be one of {', '.join(DTYPES)}", field=name)
        if not isinstance(shape, list) or not all(type(n) is int for n in shape):
            raise MalformedRequest("shape must be a list of whole numbers", field=name)
        start, end = _place(told, name)
        return from_bytes(DTYPES[dtype], shape, self._data[start:end], name)


def _place(told: Any, name: str) -> tuple[int, int]:
    place = told.get("data_offsets") if isinstance(told, Mapping) else None
    if not isinstance(place, list) or not all(type(n) is int for n in place) or len(place) != 2:
        raise MalformedRequest("a tensor has dtype, shape and data_offsets", field=name)
    return place[0], place[1]


def _check_places(places: list[tuple[int, int]], size: int) -> None:
    """Refuse tensors that share bytes, or leave some out, as the format does."""
    at = 0
    for start, end in sorted(places):
        if start != at or end < start:
            raise MalformedRequest("the tensors do not follow one another")
        at = end
    if at != size:
        raise MalformedRequest("the tensors end too early, or too late")
