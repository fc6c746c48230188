"""Engines of one backend, to look at what it is given."""

from lossmeter.app.backend import Backend, Backends
from lossmeter.app.engine import Engine


class _Only(Backends):
    """One backend, whatever is asked for."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self._only = backend

    def of(self, name: str | None, device: str | None, needed: str = "") -> Backend:
        return self._only


def engine_on(backend: Backend) -> Engine:
    """An engine that has this backend and no other."""
    return Engine(_Only(backend))
