"""A graph tried on random data before anyone may ask for it."""

import numpy as np

from lossmeter.backends.graphs.graph import SPREAD, Graph
from lossmeter.backends.graphs.sandbox import Failed
from lossmeter.core.arrays import Array
from lossmeter.errors import LossmeterError

SEED = 20_060_102
ROWS = 33
# Odd sizes of the axes that have none: rows of them begin at every boundary.
FREE = (5, 33)


def settle(graph: Graph) -> None:
    """Find how the graph must be run so that a row's value does not depend on its place.

    ONNX Runtime sums an axis of odd size in an order that depends on where in memory it begins.

    Raises:
        Failed: It does not run, or a value depends on the other rows however it is run.
    """
    for spread in (1, SPREAD):
        graph.spread = spread
        if all(_by_row(graph, _drawn(graph, free)) for free in FREE):
            return
    raise Failed("gives a sample another value among other samples")


def _by_row(graph: Graph, inputs: dict[str, Array]) -> bool:
    """Whether every row has the same bits alone, among fewer, and at another place."""
    whole = _run(graph, inputs)
    turned = _run(graph, {name: np.roll(x, 5, axis=0) for name, x in inputs.items()})
    some = _run(graph, {name: x[:16] for name, x in inputs.items()})
    alone = [_run(graph, {name: x[i : i + 1] for name, x in inputs.items()}) for i in range(ROWS)]
    others = (np.roll(turned, -5), np.concatenate([some, whole[16:]]), np.concatenate(alone))
    return all(np.array_equal(whole, other, equal_nan=True) for other in others)


def _run(graph: Graph, inputs: dict[str, Array]) -> Array:
    try:
        return graph(None, **inputs)
    except LossmeterError as error:
        raise Failed(error.detail.removeprefix("the graph of this loss ")) from None


def _drawn(graph: Graph, free: int) -> dict[str, Array]:
    """Numbers in (0, 1) and whole numbers 0 and 1, which most losses take."""
    draw = np.random.default_rng(SEED)
    drawn: dict[str, Array] = {}
    for name, port in graph.ports.items():
        shape = (ROWS, *(axis if isinstance(axis, int) else free for axis in port.axes))
        floats = port.dtype.startswith("float")
        drawn[name] = draw.random(shape) if floats else draw.integers(0, 2, shape)
    return drawn
