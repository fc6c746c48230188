"""Blocked evaluation beside whole-array NumPy.

    make bench            20 million rows
    make bench ARGS=2e6   fewer

Every figure is the median of interleaved rounds; the ratios are what carries to other machines.
"""

import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lossmeter.api import evaluate
from lossmeter.app.evaluation import Evaluation
from lossmeter.backends.numpy import NumpyBackend
from lossmeter.core.block import Block
from lossmeter.plan.plan import prepare
from lossmeter.plan.request import Options
from lossmeter.plan.tensors import Tensors

Floats = NDArray[np.float64]
ROUNDS = 5
MILLISECONDS = 1000.0
BLOCK = NumpyBackend.block


@dataclass(frozen=True, slots=True)
class Rounded:
    """Ordinary float64 sums in place of exact ones, to show what exactness costs."""

    key: ClassVar[str] = "rounded"

    total: float = 0.0
    weight: float = 0.0

    @classmethod
    def of(cls, block: Block) -> Self:
        if block.weights is None:
            return cls(float(block.losses.sum()), float(block.losses.size))
        # Not a dot product: BLAS would start threads for it.
        total = (block.weights * block.losses).sum()
        return cls(float(total), float(block.weights.sum()))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.total + other.total, self.weight + other.weight)


def blocked(loss: str, reduction: str, arrays: dict[str, Floats]) -> None:
    """The service's own path, exact sums off."""
    evaluation = Evaluation(prepare(loss, {}, reduction), Options(), NumpyBackend(), (Rounded,))
    evaluation.add(Tensors(arrays))


def weighted_squared_error(predictions: Floats, targets: Floats, sample_weight: Floats) -> float:
    """Whole-array NumPy as one writes it."""
    return float((sample_weight * (predictions - targets) ** 2).sum() / sample_weight.sum())


def cross_entropy_with_logits(predictions: Floats, targets: Floats) -> float:
    """Whole-array NumPy in its stable form."""
    curve = np.log1p(np.exp(-np.abs(predictions)))
    return float((np.maximum(predictions, 0) - predictions * targets + curve).mean())


def timed(*ways: Callable[[], object]) -> list[float]:
    """Median seconds of each way, in interleaved rounds."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, taken in zip(ways, seconds, strict=True):
            start = time.perf_counter()
            way()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def read_once(arrays: dict[str, Floats]) -> None:
    """What memory alone takes: the arrays read once, in blocks, and nothing computed."""
    for x in arrays.values():
        for start in range(0, x.size, BLOCK):
            x[start : start + BLOCK].sum()


def measure_blocks(rows: int) -> Table:
    """Whole-array NumPy, blocked with ordinary sums, blocked with exact sums."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, rows))
    weighed = {"predictions": x, "targets": y, "sample_weight": rng.random(rows)}
    labelled = {"predictions": x, "targets": (y > 0).astype(np.float64)}
    headings = ("reading once", "whole-array NumPy", "blocked", "×", "blocked, exact", "×")
    table = Table("float64, ms", *headings, "exactness", title=f"{rows:,} rows")
    jobs = (
        (
            "weighted squared error",
            "squared_error",
            "weighted_mean",
            weighed,
            partial(weighted_squared_error, **weighed),
        ),
        (
            "BCE with logits",
            "binary_cross_entropy_with_logits",
            "mean",
            labelled,
            partial(cross_entropy_with_logits, **labelled),
        ),
    )
    for title, loss, reduction, arrays, whole in jobs:
        read, naive, plain, exact = timed(
            partial(read_once, arrays),
            whole,
            partial(blocked, loss, reduction, arrays),
            partial(evaluate, loss, arrays, reduction=reduction),
        )
        table.add_row(
            title,
            f"{read * MILLISECONDS:.0f}",
            f"{naive * MILLISECONDS:.0f}",
            f"{plain * MILLISECONDS:.0f}",
            f"{naive / plain:.1f}",
            f"{exact * MILLISECONDS:.0f}",
            f"{naive / exact:.1f}",
            f"{(exact - plain) * MILLISECONDS:+.0f} ms",
        )
    return table


def main() -> None:
    """Print the tables."""
    rows = int(float(sys.argv[1])) if sys.argv[1:] else 20_000_000
    console = Console(width=110)
    console.print(
        f"{platform.processor() or platform.machine()}, NumPy {np.__version__}, "
        f"one thread, medians of {ROUNDS} interleaved rounds"
    )
    console.print(measure_blocks(rows))


if __name__ == "__main__":
    main()
