"""Whether an answer is still wanted: what computes asks before each block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from lossmeter.errors import DeadlineExceeded

_is_wanted: ContextVar[Callable[[], bool] | None] = ContextVar("is_wanted", default=None)


@contextmanager
def while_wanted(is_wanted: Callable[[], bool]) -> Iterator[None]:
    """Compute in this context as long as the answer is wanted."""
    before = _is_wanted.set(is_wanted)
    try:
        yield
    finally:
        _is_wanted.reset(before)


def stop_unless_wanted() -> None:
    """Go on.

    Raises:
        DeadlineExceeded: The caller left, or its deadline passed.
    """
    is_wanted = _is_wanted.get()
    if is_wanted is not None and not is_wanted():
        raise DeadlineExceeded("the deadline passed, or the caller left")
