"""Arrow IPC streams, and files that are streams within, read message by message."""

import struct
from collections import deque
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from flatbuffers import number_types
from flatbuffers.table import Table

from lossmeter.errors import MalformedRequest, TooLarge
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.tables import Columns, check_present, nothing_of, tensors_of

MAGIC = b"ARROW1"
CONTINUATION = 0xFFFFFFFF
MOST_METADATA = 16 * 2**20
# Places of fields in the tables of Arrow's Message.fbs: Message, DictionaryBatch, RecordBatch.
KIND, HEADER, BODY_LENGTH = 6, 8, 10
DATA = 6
BUFFERS, COMPRESSION = 8, 10
DICTIONARY_BATCH, RECORD_BATCH = 2, 3
# In front of a compressed buffer: what it unfolds to, -1 where it is not compressed.
LENGTH_BYTES = 8


class Readable(Protocol):
    """A file, or what is like one; it gives less than asked for at its end alone."""

    def read(self, size: int, /) -> bytes | memoryview: ...


class ArrowRows:
    """An Arrow stream, or a file of one.

    Args:
        file: Where it is read from.
        limit: How many bytes a batch may unfold to, and all of them beyond their own.
    """

    def __init__(self, file: Readable, limit: int) -> None:
        self._messages = _Messages(file, limit)
        schema = self._messages.first()
        self.names: list[str] = list(pa.ipc.read_schema(pa.py_buffer(schema)).names)

    def blocks(self, columns: Columns) -> Iterator[Tensors]:
        wanted = check_present(columns, self.names)
        options = pa.ipc.IpcReadOptions(
            included_fields=[self.names.index(name) for name in wanted], use_threads=False
        )
        source = pa.PythonFile(self._messages, mode="r")
        with pa.ipc.open_stream(source, options=options) as stream:
            some = False
            for batch in stream:
                some = True
                yield tensors_of(batch, columns)
            if not some:
                yield nothing_of(stream.schema, columns)
        self._messages.check_ended()


class _Messages:
    """A file that Arrow reads, of whose messages each is looked at first.

    Arrow believes what a buffer says that it unfolds to.
    """

    closed = False

    def __init__(self, file: Readable, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._unfolded = 0
        self._parts: deque[memoryview] = deque()
        self._is_file = False
        self._ended = False

    def first(self) -> bytes:
        """The message that holds the schema; it is read again after."""
        start = self._exactly(LENGTH_BYTES)
        self._is_file = bytes(start[: len(MAGIC)]) == MAGIC
        self._load(self._exactly(LENGTH_BYTES) if self._is_file else start)
        return b"".join(self._parts)

    def read(self, size: int) -> bytes | memoryview:
        """The next bytes; Arrow asks for a message part by part."""
        if not self._parts and not self._ended:
            self._load(self._upto(LENGTH_BYTES))
        if not self._parts:
            return b""
        part = self._parts.popleft()
        if len(part) > size:
            self._parts.appendleft(part[size:])
        return part[:size]

    def check_ended(self) -> None:
        """Refuse what follows the end; of a file, what tells again where the batches are."""
        if not self._is_file and len(self._upto(1)):
            raise MalformedRequest("bytes follow the end of the stream")

    def _load(self, start: memoryview) -> None:
        if len(start) < LENGTH_BYTES:
            self._ended = True
            if len(start):
                raise MalformedRequest("the stream ends within a message")
            return
        mark, size = struct.unpack("<Ii", start)
        if mark != CONTINUATION:
            raise MalformedRequest("this is no Arrow stream")
        self._parts.append(start)
        if not size:
            self._ended = True
            return
        if not 0 < size <= MOST_METADATA:
            raise TooLarge("a message is too large", limit=MOST_METADATA, actual=size)
        metadata = self._exactly(size)
        message = Table(metadata, struct.unpack_from("<I", metadata)[0])
        length = _number(message, BODY_LENGTH, number_types.Int64Flags)
        if not 0 <= length <= self._limit:
            raise TooLarge("a batch is too large", limit=self._limit, actual=length)
        body = self._exactly(length)
        self._count(message, body)
        self._parts.extend(part for part in (metadata, body) if len(part))

    def _count(self, message: Table, body: memoryview) -> None:
        """Add what a batch unfolds to beyond its own bytes; dictionaries stay, and count whole."""
        batch = _batch(message)
        unfolds = len(body) if batch is None else _unfolded(batch, body)
        kept = _number(message, KIND, number_types.Uint8Flags) == DICTIONARY_BATCH
        self._unfolded += unfolds if kept else max(0, unfolds - len(body))
        if max(unfolds, self._unfolded) > self._limit:
            raise TooLarge(
                "the batches unfold to too much",
                limit=self._limit,
                actual=max(unfolds, self._unfolded),
            )

    def _exactly(self, size: int) -> memoryview:
        found = self._upto(size)
        if len(found) < size:
            raise MalformedRequest("the stream ends too early")
        return found

    def _upto(self, size: int) -> memoryview:
        return memoryview(self._file.read(size)).cast("B")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held."""


def _batch(message: Table) -> Table | None:
    """The record batch in a message, or in its dictionary."""
    kind = _number(message, KIND, number_types.Uint8Flags)
    if kind not in (DICTIONARY_BATCH, RECORD_BATCH):
        return None
    found = Table(message.Bytes, message.Indirect(message.Pos + message.Offset(HEADER)))
    if kind == DICTIONARY_BATCH:
        found = Table(message.Bytes, found.Indirect(found.Pos + found.Offset(DATA)))
    return found


def _unfolded(batch: Table, body: memoryview) -> int:
    """What the buffers of a batch say that they unfold to."""
    if not batch.Offset(COMPRESSION):
        return len(body)
    place, many = batch.Offset(BUFFERS), 0
    if not place:
        return 0
    start, many = batch.Vector(place), batch.VectorLen(place)
    buffers = np.frombuffer(batch.Bytes, "<i8", 2 * many, start).reshape(many, 2).tolist()
    return sum(_told(body, offset, length) for offset, length in buffers if length)


def _told(body: memoryview, offset: int, length: int) -> int:
    told: int = struct.unpack_from("<q", body, offset)[0] if offset >= 0 else -2
    if told < -1:
        raise MalformedRequest("a buffer of a batch lies outside it")
    return length if told == -1 else told


def _number(table: Table, place: int, flags: object) -> int:
    offset = table.Offset(place)
    return int(table.Get(flags, table.Pos + offset)) if offset else 0
