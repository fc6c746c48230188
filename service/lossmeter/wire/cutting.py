"""Messages read without copying the long bytes in them.

A generated message copies its bytes when it is parsed and once more whenever a field is read. So
the fields at one path are cut out first, a number standing in the place of each, and what is left,
a few hundred bytes, is parsed as always: protobuf alone decides what is a message and what its
fields are. What is not sure to be read as protobuf reads it is parsed whole.
"""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

# Below it a copy costs less than the cut.
LEAST = 2**17
# A message of tensors has some dozens; of more, protobuf makes less work.
MOST_FIELDS = 1024
# Tags and lengths are numbers of 32 bits.
MOST_DIGITS = 5
REFERENCE = 4
VARINT, EIGHT, LENGTH, FOUR = 0, 1, 2, 5
FIXED = {EIGHT: 8, FOUR: 4}


class Cut(NamedTuple, Generic[M]):
    """A message and the bytes cut out of it.

    Attributes:
        message: The message; where there are views, each field at the path holds the number of its
            view.
        views: The bytes that were cut out; None if none were.
    """

    message: M
    views: Sequence[memoryview] | None = None

    def bytes_of(self, field: bytes) -> bytes | memoryview:
        """The bytes that a field at the path holds or stands for."""
        if self.views is None or not field:
            return field
        return self.views[int.from_bytes(field, "little")]


def parsed(kind: type[M], path: Sequence[int], data: bytes) -> Cut[M]:
    """Parse a message.

    Args:
        kind: Its class.
        path: Numbers of the fields that lead to the bytes that are not to be copied.
        data: The message.

    Raises:
        DecodeError: It is none.
    """
    if len(data) < LEAST:
        return Cut(kind.FromString(data))
    scissors = _Scissors()
    try:
        left = scissors.cut(memoryview(data), path)
    except (_Unusual, IndexError):
        return Cut(kind.FromString(data))
    return Cut(kind.FromString(left), scissors.views)


class _Unusual(Exception):
    """What only protobuf shall read."""


class _Scissors:
    """What is cut out, and how many fields were passed on the way."""

    def __init__(self) -> None:
        self.views: list[memoryview] = []
        self._fields = 0

    def cut(self, data: memoryview, path: Sequence[int]) -> bytes:
        """What is left of a message."""
        left: list[bytes | memoryview] = []
        at = kept = 0
        while at < len(data):
            tag, at = _number(data, at)
            inside = at
            if tag & 7 == LENGTH:
                size, inside = _number(data, at)
                end = inside + size
            else:
                end = _end(data, at, tag & 7)
            self._fields += 1
            if end > len(data) or self._fields > MOST_FIELDS:
                raise _Unusual
            if tag == path[0] << 3 | LENGTH:
                content = self._content(data[inside:end], path[1:])
                left += (data[kept:at], _digits(len(content)), content)
                kept = end
            at = end
        return b"".join((*left, data[kept:]))

    def _content(self, data: memoryview, path: Sequence[int]) -> bytes:
        """What stays of a field on the path."""
        if path:
            return self.cut(data, path)
        self.views.append(data)
        return (len(self.views) - 1).to_bytes(REFERENCE, "little")


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """A tag or a length, and where it ends."""
    number = 0
    for digit in range(MOST_DIGITS):
        byte = data[at + digit]
        number |= (byte & 127) << 7 * digit
        if byte < 128:
            return number, at + digit + 1
    raise _Unusual


def _end(data: memoryview, at: int, kind: int) -> int:
    """Where a field that has no length ends."""
    if kind == VARINT:
        while data[at] > 127:
            at += 1
        return at + 1
    if kind not in FIXED:
        raise _Unusual
    return at + FIXED[kind]


def _digits(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes((*found, number))
