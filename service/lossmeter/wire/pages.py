"""The headers of the pages of a Parquet column, in Thrift's compact protocol.

They say what a page unfolds to and how many values it holds; no reader of them is offered by Arrow.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lossmeter.errors import MalformedRequest

# Types of the compact protocol.
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
# Fields of parquet.thrift: PageHeader, and the structs for each kind of page in it.
UNFOLDED, FOLDED = 2, 3
DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 5, 7, 8
VALUES = 1
MOST_DEPTH = 8
MOST_BITS = 70


class Page(NamedTuple):
    """What a page says of itself."""

    unfolded_bytes: int
    values: int


def pages(chunk: memoryview) -> Iterator[Page]:
    """The pages of a column chunk.

    Raises:
        MalformedRequest: There is none where one must be.
    """
    at = 0
    while at < len(chunk):
        reader = _Reader(chunk, at)
        header = reader.struct()
        unfolded, folded = header.get((UNFOLDED,), -1), header.get((FOLDED,), -1)
        values = sum(
            header.get((kind, VALUES), 0) for kind in (DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2)
        )
        if min(unfolded, folded, values) < 0:
            raise MalformedRequest("a page of a column says nothing sensible of its size")
        yield Page(unfolded, values)
        at = reader.at + folded


class _Reader:
    """A reader of one struct: its whole numbers by their places, all else passed over."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data = data
        self.at = at

    def struct(self, place: tuple[int, ...] = ()) -> dict[tuple[int, ...], int]:
        """The whole numbers in a struct and in the structs within, by the path of field ids."""
        if len(place) > MOST_DEPTH:
            raise MalformedRequest("a page's header is nested too deep")
        found: dict[tuple[int, ...], int] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            here = (*place, field)
            kind = head & 15
            if kind in (I16, I32, I64):
                found[here] = self._signed()
            elif kind == STRUCT:
                found |= self.struct(here)
            elif kind not in (TRUE, FALSE):
                self._skip(kind)
        return found

    def _skip(self, kind: int) -> None:
        if kind == BINARY:
            size = self._number()
            self.at += size
        elif kind in (BYTE, DOUBLE):
            self.at += 1 if kind == BYTE else 8
        else:
            raise MalformedRequest("a page's header holds what none does")

    def _signed(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)

    def _number(self) -> int:
        number = 0
        for shift in range(0, MOST_BITS, 7):
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise MalformedRequest("a number in a page's header is too long")

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise MalformedRequest("a page's header ends too early")
        self.at += 1
        return self._data[self.at - 1]
