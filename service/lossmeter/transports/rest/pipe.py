"""A body on its way from the event loop to the thread that reads it."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator

from lossmeter.transports.rest.unfolding import Unfolding

HELD_BYTES = 4 * 2**20


class Pipe:
    """Chunks that the event loop puts in, and a thread takes out; few are held between them.

    Args:
        unfolding: What unfolds them on the thread's side; None where they are as they are.
    """

    def __init__(self, unfolding: Unfolding | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._unfolding = unfolding
        self._changed = threading.Condition()
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._fault: Exception | None = None
        self._room = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        """Hand over a chunk, and wait while too much is held."""
        with self._changed:
            self._chunks.append(chunk)
            self._held += len(chunk)
            full = self._held > HELD_BYTES
            if full:
                self._room.clear()
            self._changed.notify()
        if full:
            await self._room.wait()

    def end(self, fault: Exception | None = None) -> None:
        """Nothing more comes; with a fault, what is held is not read either."""
        with self._changed:
            self._ended = True
            self._fault = self._fault or fault
            self._changed.notify()

    def check(self) -> None:
        """Raise what ended the body, if something did."""
        if self._fault is not None:
            raise self._fault

    def pieces(self) -> Iterator[bytes]:
        """What the body holds, unfolded; for the thread."""
        if self._unfolding is None:
            yield from self._taken()
            return
        for chunk in self._taken():
            yield from self._unfolding.feed(chunk)
        self._unfolding.end()

    def _taken(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._chunks or self._ended)
                self.check()
                if not self._chunks:
                    return
                chunk = self._chunks.popleft()
                before, self._held = self._held, self._held - len(chunk)
            if self._held <= HELD_BYTES < before:
                self._loop.call_soon_threadsafe(self._room.set)
            yield chunk
