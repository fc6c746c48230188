"""Streams of requests: read ahead while earlier messages are worked on, counted, never idle."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Any

from lossmeter.errors import DeadlineExceeded, LossmeterError, Overloaded

# Of messages that wait; those that are larger wait one at a time.
AHEAD_BYTES = 2 * 2**20


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


class _Ahead:
    """Messages received by a thread of their own, a few ahead of those that are taken."""

    def __init__(self, messages: Iterator[Any]) -> None:
        self._messages = messages
        self._waiting: deque[Any] = deque()
        self._bytes = 0
        self._closed = False
        self._ended = False
        self._failed: Exception | None = None
        self._changed = threading.Condition()

    def run(self) -> None:
        """Receive until the stream ends, or nobody takes any more.

        Where it waits for a message of a call that is over, gRPC ends the wait.
        """
        try:
            for message in self._messages:
                if not self._put(message):
                    break
        except Exception as error:  # the caller left; whoever waits for a message is to know
            self._failed = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, message: Any) -> bool:
        """Let a message wait; whether another is wanted, once there is room for it."""
        with self._changed:
            self._waiting.append(message)
            self._bytes += _size(message)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._bytes < AHEAD_BYTES)
            return not self._closed

    def taken(self, idle_seconds: float) -> Iterator[Any]:
        """The messages in their order."""
        while True:
            with self._changed:
                if not self._changed.wait_for(self._has_news, idle_seconds):
                    raise DeadlineExceeded(f"the stream brought nothing for {idle_seconds:g} s")
                if not self._waiting:
                    break
                message = self._waiting.popleft()
                self._bytes -= _size(message)
                self._changed.notify_all()
            yield message
        if self._failed is not None:
            raise self._failed

    def _has_news(self) -> bool:
        return bool(self._waiting) or self._ended

    def close(self) -> None:
        """Take no more."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()


def _size(message: bytes | LossmeterError) -> int:
    return len(message) if isinstance(message, bytes) else 0
