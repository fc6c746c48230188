"""How many inferences each loss answered and refused, and how long they took."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Counted:
    """The inferences of a loss, and the seconds they took."""

    answered: int = 0
    answered_seconds: float = 0.0
    refused: int = 0
    refused_seconds: float = 0.0


class Statistics(Protocol):
    """What knows of the inferences of every loss."""

    def by_loss(self) -> Mapping[str, Counted]:
        """The inferences by the name that was asked for."""


class Tally:
    """Counts the inferences of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[str, Counted] = {}

    def by_loss(self) -> Mapping[str, Counted]:
        """The inferences by the name that was asked for."""
        with self._lock:
            return dict(self._counted)

    @contextmanager
    def counting(self, name: str) -> Iterator[None]:
        """Count what is done as answered, or as refused if it raises."""
        start = time.perf_counter()
        try:
            yield
        except BaseException:
            self._add(name, time.perf_counter() - start, answered=False)
            raise
        self._add(name, time.perf_counter() - start, answered=True)

    def _add(self, name: str, seconds: float, *, answered: bool) -> None:
        with self._lock:
            so_far = self._counted.get(name, Counted())
            self._counted[name] = (
                replace(
                    so_far,
                    answered=so_far.answered + 1,
                    answered_seconds=so_far.answered_seconds + seconds,
                )
                if answered
                else replace(
                    so_far,
                    refused=so_far.refused + 1,
                    refused_seconds=so_far.refused_seconds + seconds,
                )
            )
