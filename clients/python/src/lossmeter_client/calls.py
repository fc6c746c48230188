"""A call before it is made, and how often it is tried."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from random import uniform
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

from lossmeter_client.answers import Answer, Answers, Explanation, LossDescriptor
from lossmeter_client.chunks import may_be_cut, size_of
from lossmeter_client.errors import LossmeterError, Overloaded, Unavailable
from lossmeter_client.requests import Evaluation

T = TypeVar("T")
FilePath: TypeAlias = str | PathLike[str]
# A client's certificate with those up to its authority, and its key: two PEM files.
Certificate: TypeAlias = tuple[FilePath, FilePath]
# What may be otherwise soon, and all calls only compute. gRPC's own retries know no reasons, and of
# a large message or stream they hold too little to send it again.
PASSING = (Overloaded, Unavailable)
MOST_ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.1
PAUSE_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What is sent where, and how its answer is read.

    Attributes:
        name: Method of the service, or verb and path.
        request: What is sent.
        read: What makes the result of the answer.
    """

    name: str
    request: Any
    read: Callable[[Any], T]


class Wire(Protocol):
    """How a wire spells each call; a module is one."""

    def evaluate(self, evaluation: Evaluation) -> Call[Answer | Answers]: ...

    def explain(self, evaluation: Evaluation) -> Call[Explanation]: ...

    def merge_states(
        self, states: Sequence[bytes], settings: Mapping[str, Any]
    ) -> Call[Answer]: ...

    def list_losses(self, framework: str, search: str) -> Call[list[LossDescriptor]]: ...

    def get_loss(self, name: str) -> Call[LossDescriptor]: ...

    def export(self, loss: str | Mapping[str, Any], form: Mapping[str, Any]) -> Call[bytes]: ...


class Attempts:
    """The attempts at one call: how many more, after what pause, with how much time left.

    Args:
        timeout: Seconds for all of them; None for no end.
    """

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout
        self._made = 0

    def left(self) -> float | None:
        """Seconds left; None for no end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def pause(self, error: LossmeterError) -> float:
        """Seconds to wait before the next attempt: what the service asks, or ever longer.

        Raises:
            LossmeterError: The same error, where there is no next attempt.
        """
        self._made += 1
        seconds = error.retry_after
        if seconds is None:
            # Not all callers at once.
            seconds = FIRST_PAUSE_SECONDS * PAUSE_FACTOR ** (self._made - 1) * uniform(0.8, 1.2)
        left = self.left()
        in_time = left is None or seconds < left
        if self._made < MOST_ATTEMPTS and in_time and isinstance(error, PASSING):
            return seconds
        raise error


class Settings:
    """How calls are made, whatever their wire.

    Args:
        timeout: Seconds that a call may take where it does not say; None for no end.
        unary_bytes: The largest batch that is sent as one message.
    """

    # How the wire spells calls.
    _wire: ClassVar[Wire]

    def __init__(self, timeout: float | None, unary_bytes: int) -> None:
        self._timeout = timeout
        self._unary_bytes = unary_bytes

    def _attempts(self, timeout: float | None) -> Attempts:
        return Attempts(self._timeout if timeout is None else timeout)

    def _goes_in_pieces(self, evaluation: Evaluation) -> bool:
        """Whether a batch is sent as a stream."""
        large = size_of(evaluation.arrays) > self._unary_bytes
        return large and may_be_cut(evaluation.settings, evaluation.arrays)


def needs_whole(error: LossmeterError) -> bool:
    """Whether a batch refused in pieces may be right as a whole.

    A layout whose samples do not lie along axis 0 shows as shapes that do not match.
    """
    return error.reason in ("NOT_STREAMABLE", "SHAPE_MISMATCH", "UNSUPPORTED_MEDIA")
