"""Files that are read again when they change."""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
# How often files are looked at, at most.
LOOK_SECONDS = 1.0


class Watched(Generic[T]):
    """What is made of files, made anew when one changes; what cannot be read changes nothing.

    Args:
        paths: The files.
        make: Reads them.

    Raises:
        Exception: They cannot be read the first time: whatever ``make`` raises.
    """

    def __init__(self, paths: Sequence[str], make: Callable[[], T]) -> None:
        self._paths = paths
        self._make = make
        self._marks = self._look()
        self._value = make()
        self._next = monotonic() + LOOK_SECONDS
        self._lock = threading.Lock()

    def current(self) -> T:
        """What the files hold, as of the last second."""
        if monotonic() >= self._next and self._lock.acquire(blocking=False):
            try:
                self._next = monotonic() + LOOK_SECONDS
                self._renew()
            finally:
                self._lock.release()
        return self._value

    def _renew(self) -> None:
        marks = self._look()  # before they are read: a change while they are is seen next time
        if marks == self._marks:
            return
        self._marks = marks
        try:
            self._value = self._make()
        except Exception as error:  # half written, or wrong: what was there before stays
            logger.error("%s changed and cannot be used: %s", self._paths[0], error)
        else:
            logger.info("%s is read anew", self._paths[0])

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_mark(path) for path in self._paths]


def _mark(path: str) -> tuple[int, int, int] | None:
    """What tells a file from the one that was there before, also through links."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
