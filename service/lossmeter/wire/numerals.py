"""Arrays out of the text of JSON, with no object for a number.

simdjson reads the text, a piece of some rows at a time: a piece and what is made of it stay in
cache, other threads come between two pieces, and nothing but the array grows with the body.
If ``[a]`` and ``[b]`` are JSON arrays with something in them, so is ``[a,b]``: wherever a piece is
cut, what was cut amiss is no JSON.

simdjson flattens lists without regard to their lengths, so the brackets and commas of every piece
are compared with those of a list of its shape. What is none, and numbers beyond int64, are left to
orjson. Without simdjson (an optional accelerator) all is.
"""

import math
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import orjson

from lossmeter.core.arrays import Array
from lossmeter.core.spelling import NON_FINITE
from lossmeter.wire.tensors import MOST_AXES

try:
    import simdjson
except ImportError:
    simdjson: Any = None  # type: ignore[no-redef]

Text: TypeAlias = bytes | bytearray
PIECE_BYTES = 64 * 1024
LONG_PIECES = 4
# Rows longer than this, in text longer than that, are asked for their lengths one by one; of others
# the brackets and commas are gathered: what is quicker, measured.
LONG_ROW_BYTES, SHORT_BYTES = 64, 16 * 1024
OF_SCALARS = b"0123456789+-.eEtruefals \t\n\r"
BLANK = rb"[ \t\n\r]*"
OPENING = re.compile(rb"(?:\[%b)+" % BLANK)
OPEN, CLOSE, COMMA, QUOTE = b'[],"'
TRUE, FALSE, NAN, INFINITY = b"tfNI"


class _Own(threading.local):
    """A thread's parser: it keeps its buffers, and is busy while a value of it lives."""

    def __init__(self) -> None:
        self.parser = simdjson.Parser()


def available() -> bool:
    """Whether arrays are read here at all."""
    return simdjson is not None


_own = _Own() if available() else None


def read_array(body: Text, start: int, stop: int) -> Array | None:
    """The array whose text is a part of a body.

    Args:
        body: A body.
        start: Where the text begins, with a bracket.
        stop: Where it ends.

    Returns:
        int64, float64 or bool as NumPy makes of the parsed lists; None where orjson is to say what
        the text is, which may be no JSON.
    """
    opening = OPENING.match(body, start, stop)
    axes = opening[0].count(b"[") if opening else 0
    if not 0 < axes <= MOST_AXES or body[stop - 1] != CLOSE:
        return None
    comma = _comma(axes).search(body, start + 1, stop - 1)
    first = body[start + 1 : comma.end() - 1 if comma else stop - 1]
    if axes > 1 and len(first) > PIECE_BYTES:
        return _stacked(body, _rows(body, start, stop, axes, 0))
    row = _shape(first, axes - 1)
    if row is None:
        return None
    if stop - start <= PIECE_BYTES:
        flat = _piece(bytes(body[start:stop]), row)
    else:
        view = memoryview(body)
        pieces = _rows(body, start, stop, axes, PIECE_BYTES)
        flat = _joined(
            (_piece(b"".join((b"[", view[at:end], b"]")), row) for at, end in pieces),
            (stop - start) // 2,
        )
    return None if flat is None else flat.reshape(-1, *row)


def _rows(body: Text, start: int, stop: int, axes: int, least: int) -> Iterator[tuple[int, int]]:
    """Where the elements of an array stand, as many together as have a number of bytes."""
    comma = _comma(axes)
    at, stop = start + 1, stop - 1
    while True:
        found = comma.search(body, min(at + least, stop), stop)
        if not found:
            break
        yield at, found.end() - 1
        at = found.end()
    yield at, stop


@lru_cache(MOST_AXES)
def _comma(axes: int) -> re.Pattern[bytes]:
    """What parts the elements of an array of so many axes."""
    return re.compile((rb"\]" + BLANK) * (axes - 1) + b",")


def _shape(text: Text, axes: int) -> tuple[int, ...] | None:
    """The shape of an array; of what is none, a shape that it will be found not to have."""
    if axes < 2:
        return (text.count(b",") + 1,) * axes
    try:
        return tuple(np.shape(orjson.loads(text)))
    except ValueError:  # ragged, or no JSON
        return None


def _stacked(body: Text, rows: Iterator[tuple[int, int]]) -> Array | None:
    """Few rows, each longer than a piece."""
    arrays: list[Array] = []
    for start, stop in rows:
        row = body[start:stop].strip(b" \t\n\r")
        array = read_array(row, 0, len(row))
        if array is None or array.shape != (arrays or [array])[0].shape:
            return None
        arrays.append(array)
    return np.stack(arrays)


def _joined(parts: Iterator[Array | None], most: int) -> Array | None:
    """Parts one after another, in the dtype that holds them all, as NumPy has it for lists.

    Args:
        parts: Flat arrays.
        most: No more elements than this; memory that is not reached costs nothing.
    """
    whole, size = np.empty(0, np.bool_), 0
    for part in parts:
        if part is None:
            return None
        dtype = np.promote_types(whole.dtype, part.dtype) if size else part.dtype
        if not size or dtype != whole.dtype:
            before, whole = whole, np.empty(most, dtype)
            whole[:size] = before[:size]
        whole[size : size + part.size] = part
        size += part.size
    whole.resize(size, refcheck=False)
    return whole


def _piece(text: bytes, row: tuple[int, ...]) -> Array | None:
    """The elements of an array, flat.

    Args:
        text: The array.
        row: Shape of its elements.
    """
    plain = _without_names(text) if b'"' in text else text
    # A parser keeps room for its longest text: a long one has one of its own.
    parser = _own.parser if _own and len(text) <= LONG_PIECES * PIECE_BYTES else simdjson.Parser()
    try:
        parsed: Any = parser.parse(plain)
    except (ValueError, RuntimeError):  # no JSON, UTF-8 among it; numbers of no type; too deep
        return None
    flat = _numbers(parsed, b"." in plain)
    if flat is None:
        flat = _booleans(plain)
    fits = flat is not None and flat.size and _regular(parsed, plain, flat.size, row)
    if flat is None or not fits:
        return None
    return flat if plain is text else _with_names(flat, text)


def _without_names(text: bytes) -> bytes:
    """A number in the place of each name of one; blanks keep it from growing together."""
    for name in NON_FINITE:
        text = text.replace(b'"%b"' % name.encode(), b" 0 ")
    return text


def _with_names(flat: Array, text: bytes) -> Array:
    """Elements, with those that the text has by name."""
    marks = np.frombuffer(text, np.uint8)
    names = np.flatnonzero(marks == QUOTE)[::2]
    # As many commas stand before an element as elements.
    places = np.searchsorted(np.flatnonzero(marks == COMMA), names)
    first = marks[names + 1]
    named = flat.astype(np.float64)
    named[places] = np.where(first == NAN, np.nan, np.where(first == INFINITY, np.inf, -np.inf))
    return named


def _numbers(parsed: Any, fractions: bool) -> Array | None:
    """All numbers of an array; None where others than numbers are in it, or beyond int64."""
    try:
        if not fractions:
            return np.frombuffer(parsed.as_buffer(of_type="i"), np.int64)
    except ValueError:  # beyond int64
        return None
    except TypeError:
        pass
    try:
        return np.frombuffer(parsed.as_buffer(of_type="d"), np.float64)
    except (TypeError, ValueError):
        return None


def _booleans(text: bytes) -> Array | None:
    """One for each boolean of an array: each has one of two letters, a number neither."""
    if b'"' in text:
        return None
    marks = np.frombuffer(text, np.uint8)
    letters: Array = marks[(marks == TRUE) | (marks == FALSE)] == TRUE
    return letters


def _regular(parsed: Any, text: bytes, size: int, row: tuple[int, ...]) -> bool:
    """Whether nested lists hold their elements in one shape, and nothing else.

    Args:
        parsed: The lists.
        text: Their text, with no string in it.
        size: The number of their elements that are known to be what they should.
        row: Shape of what the outermost holds.
    """
    rows, beyond = divmod(size, math.prod(row) or size + 1)
    if beyond:
        return False
    if len(row) > 1 or len(text) < SHORT_BYTES or len(text) < LONG_ROW_BYTES * rows * len(row):
        return text.translate(None, OF_SCALARS) == _skeleton((rows, *row))
    marks = np.frombuffer(text, np.uint8)
    opened = np.count_nonzero(marks == OPEN)
    if not row:
        return bool(opened == 1 and np.count_nonzero(marks == COMMA) == size - 1)
    # As many brackets as rows, so there are none in the rows. A scalar has no length.
    with suppress(TypeError):
        return bool(opened == rows + 1 and list(map(len, parsed)) == [*row] * rows)
    return False


@lru_cache(64)
def _skeleton(shape: tuple[int, ...]) -> bytes:
    """Brackets and commas of nested lists."""
    text = b""
    for size in reversed(shape):
        text = b"[" + ((text + b",") * size)[:-1] + b"]"
    return text
