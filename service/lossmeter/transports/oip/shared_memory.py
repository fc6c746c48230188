"""System shared memory: tensors of callers on the same host, without the way through a socket.

Bytes are read from and written to a region by the kernel, which copies them once. A view of mapped
memory would save that copy, but whoever holds the memory could cut it, which ends the process that
looks at it (SIGBUS), or change numbers between their check and their use.
"""

import os
import re
import stat
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import finalize

import numpy as np

from lossmeter.errors import MalformedRequest, NotFound, ParameterInvalid, ShapeMismatch, TooLarge
from lossmeter.wire.inference.request import MOST_BYTES, Memory, Place

FOLDER = "/dev/shm"
MOST_REGIONS = 1024
MOST_CHARACTERS = 256
FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
OFF = "this service takes no shared memory"
SHORTER = "the region's memory has become shorter"


class Registry(Memory, Protocol):
    """Regions of shared memory that can be registered."""

    def register(self, name: Any, key: Any, offset: Any, size: Any) -> None:
        """Take a region."""

    def unregister(self, name: str) -> None:
        """Forget a region, or all of them."""

    def status(self, name: str) -> Sequence[dict[str, Any]]:
        """What is registered."""


class NoSharedMemory:
    """What a service has that takes none."""

    limit = 0

    def read(self, place: Place) -> memoryview:
        """Refuse."""
        raise NotFound(OFF, field=place.field)

    def write(self, place: Place, data: bytes) -> None:
        """Refuse."""
        raise NotFound(OFF, field=place.field)

    def register(self, name: Any, key: Any, offset: Any, size: Any) -> None:
        """Refuse."""
        raise NotFound(OFF)

    def unregister(self, name: str) -> None:
        """Refuse."""
        raise NotFound(OFF)

    def status(self, name: str) -> Sequence[dict[str, Any]]:
        """Refuse."""
        raise NotFound(OFF)


@dataclass(frozen=True, eq=False)
class Region:
    """A part of a file of shared memory, which is closed when nobody uses it any more."""

    key: str
    offset: int
    size: int
    file: int

    def __post_init__(self) -> None:
        finalize(self, os.close, self.file)


class SharedMemory:
    """The regions that callers registered.

    Args:
        prefix: What every key begins with, so that no other program's memory is touched.
        limit: How many bytes a request may read.
    """

    def __init__(self, prefix: str, limit: int) -> None:
        self.limit = limit
        self._keys = re.compile(rf"/?({re.escape(prefix)}[A-Za-z0-9._-]*)")
        self._prefix = prefix
        self._lock = threading.Lock()
        self._regions: dict[str, Region] = {}

    def register(self, name: Any, key: Any, offset: Any, size: Any) -> None:
        """Take a region.

        Args:
            name: What requests will call it.
            key: Name of the file in which it is.
            offset: Where in it the region begins, in bytes.
            size: Size of the region in bytes.

        Raises:
            InvalidRequest: The region cannot be such a one, or its name is taken.
            NotFound: There is no such memory, or it is not the service's own user's.
            TooLarge: There are too many.
        """
        _check(name, offset, size)
        found = self._keys.fullmatch(key) if isinstance(key, str) else None
        if found is None or len(key) > MOST_CHARACTERS:
            raise ParameterInvalid(
                f"a key begins with {self._prefix} and goes on with letters, digits, '.', '_', '-'",
                field="key",
            )
        region = _opened(found[1], offset, size)
        with self._lock:
            if name in self._regions:
                raise ParameterInvalid(
                    "a region of this name is registered; unregister it first", field="name"
                )
            if len(self._regions) >= MOST_REGIONS:
                raise TooLarge(
                    "too many regions are registered", limit=MOST_REGIONS, actual=MOST_REGIONS + 1
                )
            self._regions[name] = region

    def unregister(self, name: str) -> None:
        """Forget a region, or all of them if the name is empty; one that is unknown is forgotten.

        Requests that use it are answered still.
        """
        with self._lock:
            if name:
                self._regions.pop(name, None)
            else:
                self._regions.clear()

    def status(self, name: str) -> Sequence[dict[str, Any]]:
        """What is registered: one region, or all of them if the name is empty.

        Raises:
            NotFound: There is no such region.
        """
        with self._lock:
            known = dict(self._regions)
        if name and name not in known:
            raise NotFound("no region of this name is registered", field="name")
        return [
            {"name": one, "key": found.key, "offset": found.offset, "byte_size": found.size}
            for one, found in known.items()
            if name in ("", one)
        ]

    def read(self, place: Place) -> memoryview:
        """A copy of the bytes at a place.

        Raises:
            NotFound: There is no such region.
            InvalidRequest: The place is not inside it, or no longer in the memory.
        """
        region = self._region(place)
        data = np.empty(place.size, np.uint8).data
        done = 0
        while done < place.size:
            at = region.offset + place.offset + done
            got = os.preadv(region.file, [data[done:]], at)
            if got == 0:
                raise MalformedRequest(SHORTER, field=place.field)
            done += got
        return data

    def write(self, place: Place, data: bytes) -> None:
        """Put bytes at a place.

        Raises:
            NotFound: There is no such region.
            InvalidRequest: The place is not inside it, or too small.
        """
        region = self._region(place)
        if len(data) > place.size:
            raise ShapeMismatch(
                f"the output has {len(data)} bytes, its place {place.size}", field=place.field
            )
        at = region.offset + place.offset
        # Writing beyond the end would make the file longer.
        if os.fstat(region.file).st_size < at + len(data):
            raise MalformedRequest(SHORTER, field=place.field)
        view = memoryview(data)
        while view:
            written = os.pwrite(region.file, view, at)
            view, at = view[written:], at + written

    def _region(self, place: Place) -> Region:
        with self._lock:
            region = self._regions.get(place.region)
        if region is None:
            raise NotFound("no region of this name is registered", field=place.field)
        if place.offset + place.size > region.size:
            raise MalformedRequest(
                f"the place ends after the {region.size} bytes of its region", field=place.field
            )
        return region


def _check(name: Any, offset: Any, size: Any) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= MOST_CHARACTERS:
        raise MalformedRequest(
            f"a region has a name of 1 to {MOST_CHARACTERS} characters", field="name"
        )
    for field, x, least in (("offset", offset, 0), ("byte_size", size, 1)):
        if type(x) is not int or not least <= x <= MOST_BYTES:
            raise MalformedRequest(f"{field} is a number of bytes, at least {least}", field=field)


def _opened(key: str, offset: int, size: int) -> Region:
    """The region, checked; one answer for all that is not ours, so that nothing is told of it.

    Raises:
        NotFound: There is no such file, it is none, or another user's.
        MalformedRequest: It ends before the region does.
    """
    missing = NotFound("no memory of the service's own user has this key", field="key")
    try:
        file = os.open(os.path.join(FOLDER, key), FLAGS)
    except OSError:
        raise missing from None
    region = Region(key, offset, size, file)
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise missing
    if offset + size > found.st_size:
        raise MalformedRequest(
            f"the region ends after the {found.st_size} bytes of its memory", field="byte_size"
        )
    return region
