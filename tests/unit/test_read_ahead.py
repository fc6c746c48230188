"""Streams read ahead: in order, not too far, not for ever, not too many."""

import threading
from collections.abc import Iterator

import pytest

from lossmeter.errors import DeadlineExceeded, Overloaded, TooLarge
from lossmeter.transports.grpc.streams import LARGE, Streams

SOON = 0.05
LATE = 20.0


class Source:
    """Messages as gRPC gives them: a wait for one ends when the call does."""

    def __init__(self, *sizes: int, then: Exception | None = None, hangs: bool = False) -> None:
        self.taken = 0
        self._counted = threading.Condition()
        self.over = threading.Event()
        self.left = threading.Event()
        self._sizes, self._then, self._hangs = sizes, then, hangs

    def __iter__(self) -> Iterator[bytes]:
        try:
            for size in self._sizes:
                with self._counted:
                    self.taken += 1
                    self._counted.notify_all()
                yield bytes([self.taken % 256]) * size
            if self._hangs:
                self.over.wait(LATE)
            if self._then is not None:
                raise self._then
        finally:
            self.left.set()

    def brings(self, messages: int) -> bool:
        """Whether so many are taken, sooner or later."""
        with self._counted:
            return self._counted.wait_for(lambda: self.taken >= messages, LATE)


def test_messages_keep_their_order() -> None:
    taken = list(Streams(1, LATE).read(iter(Source(*[1] * 1000))))
    assert taken == [bytes([at % 256]) for at in range(1, 1001)]


@pytest.mark.parametrize(("size", "ahead"), [(1, 0), (LARGE, 1)], ids=["small", "large"])
def test_the_next_message_comes_while_a_large_one_is_worked_on(size: int, ahead: int) -> None:
    source = Source(*[size] * 20)
    messages = Streams(1, LATE).read(iter(source))
    next(messages)
    assert source.brings(ahead + 1)
    assert not source.left.wait(SOON)
    assert source.taken == ahead + 1
    messages.close()
    assert source.left.wait(LATE)


def test_what_ends_a_stream_comes_after_its_messages() -> None:
    messages = Streams(1, LATE).read(iter(Source(1, 1, then=TooLarge("", limit=1, actual=2))))
    assert len([next(messages), next(messages)]) == 2
    with pytest.raises(TooLarge):
        next(messages)


def test_a_stream_that_brings_nothing_is_given_up() -> None:
    source = Source(1, hangs=True)
    messages = Streams(1, SOON).read(iter(source))
    next(messages)
    with pytest.raises(DeadlineExceeded):
        next(messages)
    source.over.set()


def test_a_stream_that_is_not_asked_is_not_idle() -> None:
    messages = Streams(1, SOON).read(iter(Source(1, 1)))
    next(messages)
    threading.Event().wait(3 * SOON)
    assert len(list(messages)) == 1


def test_streams_are_counted_while_they_are_read() -> None:
    streams = Streams(2, LATE)
    sources = [Source(1, hangs=True) for _ in range(3)]
    first, second, third = [streams.read(iter(source)) for source in sources]
    assert len([next(first), next(second)]) == 2
    with pytest.raises(Overloaded):
        next(third)
    first.close()
    fourth = streams.read(iter(sources[2]))
    assert next(fourth) == b"\1"
    for source in sources:
        source.over.set()
