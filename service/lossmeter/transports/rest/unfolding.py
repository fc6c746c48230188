"""Content-Encoding: bodies unfolded piece by piece, within a bound."""

import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from lossmeter.errors import MalformedRequest, TooLarge, UnsupportedMedia

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Buffer: TypeAlias = bytes | bytearray | memoryview
PIECE_BYTES = 2**20
# So little is given at a time, as zlib copies what it leaves of it.
SLICE_BYTES = 64 * 1024
ZLIB, GZIP = 15, 31
# RFC 9659: what a window of zstd may take over HTTP.
WINDOW_BITS = 23


def _zstd() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_BITS})


ENCODINGS: dict[str, Callable[[], Any]] = {
    "gzip": partial(zlib.decompressobj, GZIP),
    "x-gzip": partial(zlib.decompressobj, GZIP),
    "deflate": partial(zlib.decompressobj, ZLIB),
    "zstd": _zstd,
}


class Unfolding:
    """A body in an encoding, unfolded as it comes.

    Args:
        encoding: One of ``ENCODINGS``.
        limit: How many bytes may come out.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        self._encoding = encoding
        self._limit = limit
        self._size = 0
        self._frame: Any = None

    def feed(self, data: Buffer) -> Iterator[bytes]:
        """What the next bytes unfold to, in pieces.

        Raises:
            MalformedRequest: They are not in this encoding.
            TooLarge: More comes out than may.
        """
        data = memoryview(data)
        for at in range(0, len(data), SLICE_BYTES):
            yield from self._unfolded(data[at : at + SLICE_BYTES])

    def _unfolded(self, data: Buffer) -> Iterator[bytes]:
        piece = b""
        while data or piece:
            # Frames may follow one another, as of files joined.
            self._frame = self._frame or ENCODINGS[self._encoding]()
            try:
                piece = self._frame.decompress(data, PIECE_BYTES)
            except (zlib.error, zstd.ZstdError):
                raise MalformedRequest(
                    f"the body is no {self._encoding} that can be unfolded"
                ) from None
            self._count(len(piece))
            if piece:
                yield piece
            data = getattr(self._frame, "unconsumed_tail", b"")
            if self._frame.eof:
                data, piece, self._frame = self._frame.unused_data, b"", None

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise TooLarge("the body unfolds to too much", limit=self._limit, actual=self._size)

    def end(self) -> None:
        """Nothing more comes.

        Raises:
            MalformedRequest: The body ends too early.
        """
        if self._frame is not None:
            raise MalformedRequest(f"the {self._encoding} of the body ends too early")


def unfolded(data: Buffer, encoding: str, limit: int) -> bytearray:
    """A whole body, unfolded.

    Raises:
        MalformedRequest: It is not in this encoding, or ends too early.
        TooLarge: It unfolds to more than the limit.
    """
    unfolding, found = Unfolding(encoding, limit), bytearray()
    for piece in unfolding.feed(data):
        found += piece
    unfolding.end()
    return found


def encoding_of(header: str) -> str:
    """The encoding that a header names; empty where the body is as it is.

    Raises:
        UnsupportedMedia: It is not known, or there are several.
    """
    name = header.strip().lower()
    if name in ("", "identity"):
        return ""
    if name not in ENCODINGS:
        raise UnsupportedMedia("content-encoding is one of gzip, deflate and zstd, or absent")
    return name
