"""A graph tried on random data before anyone may ask for it."""

import time
from math import prod

import numpy as np

from lossmeter.backends.graphs.graph import BLOCK, OF_CALLERS, SPREAD, Graph
from lossmeter.backends.graphs.sandbox import Failed
from lossmeter.core.arrays import Array
from lossmeter.errors import BackendUnsupported

SEED = 20_060_102
ROWS = 33
FEWER = 16
TURN = 5
# Odd sizes of the axes that have none: rows of them begin at every boundary.
FREE = (5, 33)
# Of a sample of one input.
MOST_NUMBERS = 2**18


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
            Overloaded: It could not be tried now.
        """
        shapes = [self._shapes(free) for free in FREE]
        small = [found for found in shapes if _widest(found) <= MOST_NUMBERS]
        if not small:
            raise Failed(f"takes samples of more than {MOST_NUMBERS} numbers")
        for spread in (1, SPREAD):
            self._graph.spread = spread
            if all(self._by_row(self._drawn(found)) for found in small):
                return
        raise Failed("gives a sample another value among other samples")

    def _shapes(self, free: int) -> dict[str, tuple[int, ...]]:
        """Shapes of a sample of each input, its axes of no fixed size of this one."""
        return {
            name: tuple(axis if isinstance(axis, int) else free for axis in port.axes)
            for name, port in self._graph.ports.items()
        }

    def _drawn(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
        """Numbers in (0, 1) and whole numbers 0 and 1, which most losses take."""
        draw = np.random.default_rng(SEED)
        drawn: dict[str, Array] = {}
        for name, shape in shapes.items():
            floats = self._graph.ports[name].dtype.startswith("float")
            size = (ROWS, *shape)
            drawn[name] = draw.random(size) if floats else draw.integers(0, 2, size)
        return drawn

    def _by_row(self, inputs: dict[str, Array]) -> bool:
        """Whether every row has the same bits alone, among few, among many and elsewhere."""
        widest = _widest({name: x.shape[1:] for name, x in inputs.items()})
        times = BLOCK // (ROWS * widest) + 1
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
        except BackendUnsupported as error:
            why = error.detail.removeprefix(OF_CALLERS)
            raise Failed(f"fails its trial on random data: it {why}") from None


def _widest(shapes: dict[str, tuple[int, ...]]) -> int:
    return max(map(prod, shapes.values()))
