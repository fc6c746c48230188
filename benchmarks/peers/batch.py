"""The arrays that every server is asked about, and their loss in float64."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np

from benchmarks.peers.servers.loss import Floats, weighted_bce

COLUMNS = 10
TOLERANCE = 1e-5
ROW_BYTES = 4 * (2 * COLUMNS + 1)
Arrays: TypeAlias = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays by the names of the service's inputs.

    Attributes:
        arrays: Logits and targets of shape (rows, 10) and weights of shape (rows,), float32.
        rows: How many.
        value: Their loss, computed in float64.
    """

    arrays: Arrays
    rows: int
    value: float

    @classmethod
    def of(cls, rows: int) -> "Batch":
        """So many rows, always the same."""
        rng = np.random.default_rng(rows)
        logits = rng.standard_normal((rows, COLUMNS), np.float32)
        targets = (rng.random((rows, COLUMNS), np.float32) < 0.5).astype(np.float32)
        weights = rng.random(rows, np.float32) + np.float32(0.5)
        wide = (cast(Floats, x.astype(np.float64)) for x in (logits, targets, weights))
        arrays = {"predictions": logits, "targets": targets, "sample_weight": weights}
        return cls(arrays, rows, weighted_bce(*wide))

    def check(self, value: float) -> None:
        """Refuse an answer that is not the loss.

        Raises:
            ValueError: It is off by more than float32 explains.
        """
        if not math.isclose(value, self.value, rel_tol=TOLERANCE):
            raise ValueError(f"the answer is {value:.8g}, the loss {self.value:.8g}")

    def parts(self, rows: int) -> list[Arrays]:
        """The arrays in slices of so many rows."""
        starts = range(0, self.rows, rows)
        return [{n: x[at : at + rows] for n, x in self.arrays.items()} for at in starts]
