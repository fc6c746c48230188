"""Losses that are not of the catalogue: those a service is given by its settings or a folder."""

import threading
from collections.abc import Iterator, Mapping

from lossmeter.core.declare import Loss


class OwnLosses(Mapping[str, Loss]):
    """Losses by name, those of one source replaced together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: dict[str, Mapping[str, Loss]] = {}
        self._all: Mapping[str, Loss] = {}

    def replace(self, source: str, losses: Mapping[str, Loss]) -> None:
        """Take these losses for all that a source has.

        Whoever looks a loss up meanwhile finds the former or the new one.

        Args:
            source: Who declares them: the settings, a folder.
            losses: The losses by name; the names are not those of the catalogue.
        """
        with self._lock:
            self._sources[source] = dict(losses)
            self._all = {k: v for each in self._sources.values() for k, v in each.items()}

    def taken(self, name: str, source: str) -> bool:
        """Whether another source than this one has a loss of the name."""
        return any(name in losses for other, losses in self._sources.items() if other != source)

    def __getitem__(self, name: str) -> Loss:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


OWN = OwnLosses()
