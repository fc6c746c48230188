"""Thrift's compact protocol, as far as Parquet's footer and page headers need it."""

from typing import Any, TypeAlias

from lossmeter.errors import MalformedRequest

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
MOST_DEPTH = 16
MOST_BITS = 70
DOUBLE_BYTES = 8
# Of a list, the size that says that the size follows.
LONG = 15
Struct: TypeAlias = dict[int, Any]


class Reader:
    """Reads structs from bytes that nobody has looked at.

    Args:
        data: The bytes.
        at: Where the first struct begins.
    """

    def __init__(self, data: memoryview, at: int = 0) -> None:
        self._data = data
        self.at = at

    def struct(self, depth: int = 0) -> Struct:
        """The next struct: by field id whole numbers, bytes, lists and structs; None else.

        Raises:
            MalformedRequest: It ends too early, or is nested too deep.
        """
        if depth > MOST_DEPTH:
            raise MalformedRequest("metadata are nested too deep")
        found: Struct = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            found[field] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (TRUE, FALSE):
            return None
        if kind in (I16, I32, I64):
            return self._signed()
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            return self._list(depth + 1)
        return self._bytes(kind)

    def _bytes(self, kind: int) -> memoryview:
        sizes = {BYTE: lambda: 1, DOUBLE: lambda: DOUBLE_BYTES, BINARY: self._number}
        if kind not in sizes:
            raise MalformedRequest("metadata hold what is not theirs")
        size = sizes[kind]()
        start, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise MalformedRequest("metadata end too early")
        return self._data[start : self.at]

    def _list(self, depth: int) -> list[Any]:
        if depth > MOST_DEPTH:
            raise MalformedRequest("metadata are nested too deep")
        head = self._byte()
        kind, size = head & 15, head >> 4
        if size == LONG:
            size = self._number()
        # Each element takes a byte or more.
        if size > len(self._data) - self.at:
            raise MalformedRequest("metadata end too early")
        if kind in (TRUE, FALSE):
            kind = BYTE
        return [self._value(kind, depth) for _ in range(size)]

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
        raise MalformedRequest("a number in the metadata is too long")

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise MalformedRequest("metadata end too early")
        self.at += 1
        return self._data[self.at - 1]
