"""A graph tried on random data before anyone may ask for it."""

import time
from math import prod

import numpy as np

from lossmeter.backends.graphs.graph import BLOCK, OF_CALLERS, SPREAD, Graph
from lossmeter.backends.graphs.sandbox import Failed
from lossmeter.core.arrays import Array
from lossmeter.errors import LossmeterError

SEED = 20_060_102
ROWS = 33
FEWER = 16
TURN = 5
# Odd sizes of the axes that have none: rows of them begin at every boundary.
FREE = (5, 33)


class Trial:
    """What a graph must stand.

    Args:
        graph: The graph.
        seconds: How long all of it may take.
    """

    def __init__(self, graph: Graph, seconds: float) -> None:
        self._graph = graph
        self._ends = time.monotonic() + seconds

    def settle(self) -> None:
        """Find how the graph must be run so that a row's value does not depend on its place.

        ONNX Runtime sums an axis of odd size in an order that depends on where in memory it begins.

        Raises:
            Failed: It does not run, or a value depends on the other rows however it is run.
        """
        axes = [axis for port in self._graph.ports.values() for axis in port.axes]
        sizes = FREE[:1] if all(isinstance(axis, int) for axis in axes) else FREE
        for spread in (1, SPREAD):
            self._graph.spread = spread
            if all(self._by_row(self._drawn(free)) for free in sizes):
                return
        raise Failed("gives a sample another value among other samples")

    def _drawn(self, free: int) -> dict[str, Array]:
        """Numbers in (0, 1) and whole numbers 0 and 1, which most losses take."""
        draw = np.random.default_rng(SEED)
        drawn: dict[str, Array] = {}
        for name, port in self._graph.ports.items():
            shape = (ROWS, *(axis if isinstance(axis, int) else free for axis in port.axes))
            floats = port.dtype.startswith("float")
            drawn[name] = draw.random(shape) if floats else draw.integers(0, 2, shape)
        return drawn

    def _by_row(self, inputs: dict[str, Array]) -> bool:
        """Whether every row has the same bits alone, among few, among many and elsewhere."""
        times = BLOCK // (ROWS * max(prod(x.shape[1:]) for x in inputs.values())) + 1
        rows = np.arange(ROWS)
        whole = self._run(inputs)
        picks = [*rows[:, None], rows[:FEWER], np.roll(rows, TURN), np.tile(rows, times)]
        return all(
            np.array_equal(whole[pick], self._run({n: x[pick] for n, x in inputs.items()}), True)
            for pick in picks
        )

    def _run(self, inputs: dict[str, Array]) -> Array:
        if time.monotonic() > self._ends:
            raise Failed("takes too long for so few rows")
        try:
            return self._graph(None, **inputs)
        except LossmeterError as error:
            why = error.detail.removeprefix(OF_CALLERS)
            raise Failed(f"fails its trial on random data: it {why}") from None
