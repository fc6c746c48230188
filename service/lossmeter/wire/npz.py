"""npz: arrays in a zip archive, where they lie if they are not compressed."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.errors import DtypeUnsupported, MalformedRequest, TooLarge
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.tables import Columns, check_present, joined
from lossmeter.wire.tensors import MOST_CHARACTERS, NUMPY, check_labels, from_bytes

MOST_DIRECTORY = 2**20
MOST_HEADER = 10_000
SUFFIX = ".npy"
ENCRYPTED = 1
CHARACTER_BYTES = 4
CHARACTERS, SURROGATES = 0x110000, (0xD800, 0xE000)
# Of the header in front of a member: its size, and where the sizes of name and extra stand in it.
LOCAL, SIZES = 30, 26
READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NpzRows:
    """The arrays of an npz.

    Args:
        data: The archive.
        limit: How many bytes the arrays that are read may unfold to.
    """

    def __init__(self, data: memoryview, limit: int) -> None:
        self._data = data
        self._limit = limit
        self._zip = zipfile.ZipFile(_Directory(data))
        self._members = self._zip.infolist()
        self.names = [m.filename.removesuffix(SUFFIX) for m in self._members]

    def blocks(self, columns: Columns) -> Iterator[Tensors]:
        members = {
            name: self._members[self.names.index(name)]
            for name in check_present(columns, self.names)
        }
        unfolds = sum(member.file_size for member in members.values())
        if unfolds > self._limit:
            raise TooLarge("the arrays unfold to too much", limit=self._limit, actual=unfolds)
        arrays = {name: read_npy(self._bytes(m), name) for name, m in members.items()}
        yield Tensors(
            {
                given: joined([arrays[n] for n in names if n], given, axis="" in names)
                for given, names in columns.items()
            }
        )

    def _bytes(self, member: zipfile.ZipInfo) -> memoryview:
        if member.flag_bits & ENCRYPTED:
            raise MalformedRequest("the archive is encrypted")
        if member.compress_type == zipfile.ZIP_STORED:
            found = self._stored(member)
        elif member.compress_type == zipfile.ZIP_DEFLATED:
            with self._zip.open(member) as opened:
                # Not more at once: what comes out is bounded by what is asked for alone.
                found = memoryview(opened.read(member.file_size))
            if len(found) < member.file_size:
                raise MalformedRequest("an array of the archive ends too early")
        else:
            raise MalformedRequest("arrays of the archive are stored or deflated")
        if zlib.crc32(found) != member.CRC:
            raise MalformedRequest("an array of the archive is damaged")
        return found

    def _stored(self, member: zipfile.ZipInfo) -> memoryview:
        start = member.header_offset
        sizes = self._data[start + SIZES : start + LOCAL]
        name, extra = (int.from_bytes(sizes[at : at + 2], "little") for at in (0, 2))
        start += LOCAL + name + extra
        found = self._data[start : start + member.file_size]
        if member.file_size != member.compress_size or len(found) < member.file_size:
            raise MalformedRequest("an array of the archive ends too early")
        return found


class _Directory(io.RawIOBase):
    """A file over memory, of which no large part is read at once: only a directory would be."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}
        self._at = starts[whence] + offset
        if self._at < 0:
            raise ValueError("before the start")
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = len(self._data) if size < 0 else size
        found = self._data[self._at : self._at + size]
        if len(found) > MOST_DIRECTORY:
            raise TooLarge(
                "the archive's directory is too large", limit=MOST_DIRECTORY, actual=len(found)
            )
        self._at += len(found)
        return bytes(found)


def read_npy(data: memoryview, name: str) -> Array:
    """The array in an npy, where it lies.

    Raises:
        DtypeUnsupported: It holds neither numbers nor strings.
        InvalidRequest: Its shape is not that of its bytes.
        ValueError: It is no npy.
    """
    head = io.BytesIO(data[: MOST_HEADER + 16])
    version = np.lib.format.read_magic(head)
    if version not in READERS:
        raise MalformedRequest("an npy is of version 1 or 2", field=name)
    shape, fortran, dtype = READERS[version](head, MOST_HEADER)
    if dtype.hasobject:
        raise MalformedRequest(f"the array {name} holds objects", field=name)
    rest, order = data[head.tell() :], shape[::-1] if fortran else shape
    if dtype.kind == "U" and 0 < dtype.itemsize <= CHARACTER_BYTES * MOST_CHARACTERS:
        codes = _native(rest, (*order, dtype.itemsize // CHARACTER_BYTES), "uint32", dtype, name)
        found = _labels(codes, order, name)
    elif dtype.name in NUMPY:
        found = _native(rest, order, dtype.name, dtype, name)
    else:
        raise DtypeUnsupported(f"the array {name} holds no numbers or short strings", field=name)
    return found.T if fortran else found


def _native(
    data: memoryview, shape: tuple[int, ...], kind: str, dtype: np.dtype[Any], name: str
) -> Array:
    """Numbers in the order of bytes that is this machine's."""
    found = from_bytes(kind, shape, data, name)
    return found if dtype.isnative else found.byteswap()


def _labels(codes: Array, shape: tuple[int, ...], name: str) -> Array:
    """Strings from the numbers of their characters."""
    if (((codes >= SURROGATES[0]) & (codes < SURROGATES[1])) | (codes >= CHARACTERS)).any():
        raise MalformedRequest(f"the array {name} holds what is no character", field=name)
    found = np.ascontiguousarray(codes).view(f"<U{codes.shape[-1]}").reshape(shape)
    check_labels(found.reshape(-1).tolist(), name)
    return found
