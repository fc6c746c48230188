"""What a Parquet file says of itself: its footer, and the headers of its pages.

Arrow believes what a page says that it unfolds to, and its own classes for the footer end the
process where one of a column is not as it should be.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from lossmeter.errors import MalformedRequest, TooLarge
from lossmeter.wire.thrift import Reader, Struct

MAGIC = b"PAR1"
LENGTH_BYTES = 4
MOST_FOOTER = 16 * 2**20
# Ids of fields in parquet.thrift: FileMetaData, RowGroup, ColumnChunk, ColumnMetaData.
ROWS, ROW_GROUPS = 3, 4
COLUMNS = 1
METADATA, ENCRYPTED = 3, 8
TYPE, PATH, VALUES, FOLDED_SIZE, DATA_OFFSET, DICTIONARY_OFFSET = 1, 3, 5, 7, 9, 11
# PageHeader, and the structs for each kind of page in it.
UNFOLDED, FOLDED = 2, 3
KINDS, PAGE_VALUES = (5, 7, 8), 1
# Bytes of a value in memory by its type: BOOLEAN, INT32, INT96, FLOAT; else what its place takes.
VALUE_BYTES = {0: 1, 1: 4, 3: 12, 4: 4}
PLACE_BYTES = 8


class Chunk(NamedTuple):
    """The values of a column in a row group.

    Attributes:
        path: The column, and what of it where it is nested.
        start: Where its pages begin.
        size: How many bytes they are.
        values: How many values it has.
        width: Bytes of one in memory.
    """

    path: str
    start: int
    size: int
    values: int
    width: int


def chunks(data: memoryview) -> tuple[int, list[Chunk]]:
    """The rows and the column chunks of a Parquet file, as its footer tells them.

    Raises:
        MalformedRequest: It is none, or is encrypted.
        TooLarge: Its footer is too large.
    """
    ends = 2 * len(MAGIC) + LENGTH_BYTES
    if len(data) < ends or data[: len(MAGIC)] != MAGIC or data[-len(MAGIC) :] != MAGIC:
        raise MalformedRequest("this is no Parquet")
    end = len(data) - len(MAGIC) - LENGTH_BYTES
    size = int.from_bytes(data[end : end + LENGTH_BYTES], "little")
    if size > end:
        raise MalformedRequest("the footer ends too early")
    if size > MOST_FOOTER:
        raise TooLarge("the footer is too large", limit=MOST_FOOTER, actual=size)
    try:
        footer = Reader(data[end - size : end]).struct()
        return footer[ROWS], [
            _chunk(column) for group in footer[ROW_GROUPS] for column in group[COLUMNS]
        ]
    except (LookupError, TypeError, AttributeError):
        raise MalformedRequest("the footer is not as it should be") from None


def _chunk(column: Struct) -> Chunk:
    if ENCRYPTED in column:
        raise MalformedRequest("a column is encrypted")
    told: Struct = column[METADATA]
    start, size, values = (_whole(told[field]) for field in (DATA_OFFSET, FOLDED_SIZE, VALUES))
    # As Arrow reads them.
    if 0 < _whole(told.get(DICTIONARY_OFFSET, 0)) < start:
        start = told[DICTIONARY_OFFSET]
    path = ".".join(bytes(part).decode() for part in told[PATH])
    return Chunk(path, start, size, values, VALUE_BYTES.get(told[TYPE], PLACE_BYTES))


def _whole(number: Any) -> int:
    if not isinstance(number, int) or number < 0:
        raise MalformedRequest("a column says nothing sensible of its size")
    return number


def sizes(chunk: Chunk, data: memoryview) -> Iterator[int]:
    """Of each page its bytes, or those of the values in it where these are more.

    Raises:
        MalformedRequest: There is no page where one must be.
    """
    pages, at = data[chunk.start : chunk.start + chunk.size], 0
    while at < len(pages):
        reader = Reader(pages, at)
        header = reader.struct()
        values = [header[kind].get(PAGE_VALUES, 0) for kind in KINDS if _is_struct(header, kind)]
        values = [_whole(number) for number in values]
        yield max(_whole(header.get(UNFOLDED)), sum(values) * chunk.width)
        at = reader.at + _whole(header.get(FOLDED))


def _is_struct(header: Struct, kind: int) -> bool:
    return isinstance(header.get(kind), dict)
