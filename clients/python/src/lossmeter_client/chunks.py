"""Batches in pieces of about a mebibyte, and which batches may go in pieces."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lossmeter_client.arrays import Array, Arrays

MIB = 2**20
# Measured with gRPC: smaller messages and larger ones are slower.
CHUNK_BYTES = MIB
# What is finished from sums, or is a minimum or maximum, has the same bits whole and in pieces.
# These do not: they need the samples, and a stream has a histogram at best.
OF_SAMPLES = frozenset({"none", "median", "quantile", "cvar"})
# Parameters by which a framework's samples may lie along another axis.
AXES = frozenset({"axis", "dim"})


def may_be_cut(settings: Mapping[str, Any], arrays: Arrays) -> bool:
    """Whether a batch may go in pieces along axis 0.

    What a framework's own word or a loss's default means is not known here: the service refuses a
    stream that needs all samples or has them along another axis, and says so of a number that
    comes from a histogram.

    Args:
        settings: The request without its inputs.
        arrays: The inputs.
    """
    sizes = {x.shape[:1] for x in arrays.values()}
    if len(sizes) != 1 or () in sizes or OF_SAMPLES & reductions(settings):
        return False
    (rows,) = sizes.pop()
    return not any(_is_of_rows(params, rows) for params in _params(settings))


def _params(settings: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for one in _asked(settings):
        if isinstance(params := one.get("params"), Mapping):
            yield params


def _is_of_rows(params: Mapping[str, Any], rows: int) -> bool:
    """Whether a parameter names an axis, or may hold something for each row."""
    lists = (x for x in params.values() if isinstance(x, list))
    return bool(AXES & params.keys()) or any(len(x) == rows for x in lists)


def _asked(settings: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Each loss of a request, with its settings."""
    asked = (settings.get("losses") or {"": settings}).values()
    return [one for one in asked if isinstance(one, Mapping)]


def reductions(settings: Mapping[str, Any]) -> frozenset[str]:
    """The reductions that a request names."""
    named = (one.get("reduction") for one in _asked(settings))
    words = (one.get("name") if isinstance(one, Mapping) else one for one in named)
    return frozenset(word for word in words if isinstance(word, str))


def size_of(arrays: Arrays) -> int:
    """Bytes of all arrays."""
    return sum(x.nbytes for x in arrays.values())


def cut(arrays: Arrays) -> Iterator[dict[str, Array]]:
    """Pieces along axis 0 of about a mebibyte, as views.

    Inputs that are single numbers are repeated in every piece.
    """
    rows = max((len(x) for x in arrays.values() if x.ndim), default=1)
    step = max(1, rows * CHUNK_BYTES // max(size_of(arrays), 1))
    if step >= rows:
        yield dict(arrays)
        return
    for start in range(0, rows, step):
        yield {name: x[start : start + step] if x.ndim else x for name, x in arrays.items()}


def joined(pieces: Iterator[Arrays]) -> dict[str, Array]:
    """All pieces as one."""
    every = list(pieces)
    names = every[0] if every else {}
    return {name: np.concatenate([piece[name] for piece in every]) for name in names}
