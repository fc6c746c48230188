"""Streams of requests: read ahead while earlier messages are worked on, counted, never idle."""

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from lossmeter.errors import DeadlineExceeded, Overloaded

# Work on less holds the interpreter, and a thread beside it would only be in its way.
LARGE = 2**16


class Streams:
    """The streams that are open.

    Args:
        most: How many may be.
        idle_seconds: How long one may bring nothing while it is waited for.
    """

    def __init__(self, most: int, idle_seconds: float) -> None:
        self._most = most
        self._idle = idle_seconds
        self._free = threading.BoundedSemaphore(most)

    def read(self, messages: Iterator[Any]) -> Generator[Any]:
        """The messages of a stream, those to come received while one is worked on.

        Raises:
            Overloaded: Too many streams are open.
            DeadlineExceeded: It brought nothing for too long.
        """
        if not self._free.acquire(blocking=False):
            raise Overloaded(f"{self._most} streams are open, and no more are taken; try again")
        ahead = _Ahead(messages)
        threading.Thread(target=ahead.run, name="grpc-stream", daemon=True).start()
        try:
            yield from ahead.taken(self._idle)
        finally:
            ahead.close()
            self._free.release()


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a stream, and what ended it before its time."""

    error: Exception | None = None


class _Ahead:
    """Messages received by a thread of their own: the next one while a large one is worked on."""

    def __init__(self, messages: Iterator[Any]) -> None:
        self._messages = messages
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._received: SimpleQueue[Any] = SimpleQueue()

    def run(self) -> None:
        """Receive what is wanted, until the stream ends.

        Where it waits for a message of a call that is over, gRPC ends the wait.
        """
        try:
            while self._wanted.get():
                self._received.put(next(self._messages))
        except StopIteration:
            self._received.put(_End())
        except Exception as error:  # the caller left; whoever waits for a message is to know
            self._received.put(_End(error))

    def taken(self, idle_seconds: float) -> Iterator[Any]:
        """The messages in their order."""
        self._wanted.put(True)
        while True:
            try:
                message = self._received.get(timeout=idle_seconds)
            except Empty:
                raise DeadlineExceeded(
                    f"the stream brought nothing for {idle_seconds:g} s"
                ) from None
            if isinstance(message, _End):
                break
            ahead = isinstance(message, bytes) and len(message) >= LARGE
            if ahead:
                self._wanted.put(True)
            yield message
            if not ahead:
                self._wanted.put(True)
        if message.error is not None:
            raise message.error

    def close(self) -> None:
        """Take no more."""
        self._wanted.put(False)
