"""One loss, one number: however the rows are ordered, split, sent and merged."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pytest

from tests.integration.columns import LOSSES, Columns, batches, columns, shuffled
from tests.integration.commands import over_cli
from tests.integration.replies import Reply
from tests.integration.servers import Service
from tests.integration.wires import (
    MERGES,
    UNARY,
    Ask,
    Merge,
    in_process,
    merged_in_process,
    over_grpc,
    over_rest,
    over_stream,
)

Arrange: TypeAlias = Callable[[Merge, Service, Sequence[bytes]], Reply]
ROWS = 1004
ALL = {"state": True}
REDUCTIONS: Mapping[str, Any] = {
    "sum": "sum",
    "mean": "mean",
    "mean over a divisor": {"name": "mean", "divisor": 7.0},
    "mean over axis 0": {"name": "mean", "axis": [0]},
    "weighted_mean": "weighted_mean",
    "nonzero_mean": "nonzero_mean",
    "batch_mean": "batch_mean",
    "keras2": "keras2",
    "rms": "rms",
    "variance": "variance",
    "variance of a population": {"name": "variance", "ddof": 0},
    "std": "std",
    "logsumexp": "logsumexp",
    "geometric_mean": "geometric_mean",
    "harmonic_mean": "harmonic_mean",
    "exp_mean": "exp_mean",
    "min": "min",
    "max": "max",
}
GROUPED: Mapping[str, Any] = {
    "mean by country": {"name": "mean", "by": "country"},
    "max by country": {"name": "max", "by": "country"},
    "macro_mean": {"name": "macro_mean", "by": "country"},
}
WIRES: Mapping[str, Ask] = {
    **UNARY,
    **{f"streamed by {rows}": over_stream(rows) for rows in (1, 7, 997, ROWS)},
    "on the command line": over_cli,
}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
EVERY_DTYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])


def every(name: str, given: Mapping[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(name, given.values(), ids=given)


def request_of(loss: str, rows: Columns, reduction: Any, **options: Any) -> dict[str, Any]:
    grouped = isinstance(reduction, dict) and "by" in reduction
    return {
        "loss": loss,
        "params": LOSSES[loss][1],
        "reduction": reduction,
        "inputs": {name: x for name, x in rows.items() if grouped or name != "country"},
        "options": options,
    }


@lru_cache
def expected(loss: str, dtype: str) -> Mapping[str, object]:
    """What the whole gives in process, in the order in which it was drawn."""
    rows = columns(loss, dtype, ROWS)
    return {name: bits(in_process, None, loss, rows, x) for name, x in REDUCTIONS.items()}


