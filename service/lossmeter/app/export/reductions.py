"""The reductions of an exported graph, in float64.

They are the sums of ``core.reductions`` and the extremes. A graph cannot raise: what is an error
there is NaN here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op

from lossmeter.app.export.losses import Block
from lossmeter.backends.tracing import PORTABLE
from lossmeter.core.arrays import Array
from lossmeter.core.reductions import Reduction

Outputs = dict[str, Array]
LOSS, INDEX, KEPT = "loss", "index", "kept"


@dataclass(frozen=True, slots=True)
class Reducing:
    """A block on its way to one number, or to one a column.

    Attributes:
        block: The loss values.
        reduction: How they are reduced.
        columns: How several outputs are joined, where they are reduced apart.
    """

    block: Block
    reduction: Reduction
    columns: str | list[float] | None

    def sum(self, x: Array) -> Array:
        """Sum of what is kept."""
        return self.sum_all(ndx.where(self.block.kept, x, 0.0))

    def sum_all(self, x: Array) -> Array:
        """Sum of all entries."""
        return PORTABLE.sum(x, axis=None if self.columns is None else 0)

    def count(self, true: Array) -> Array:
        """How many of the kept are such."""
        return self.sum(ndx.astype(true, ndx.float64))

    @property
    def kept(self) -> Array:
        """How many are kept."""
        return self.count(self.block.kept)


def unreduced(block: Block, masked: float, dtype: np.dtype[np.generic]) -> Outputs:
    """The weighted loss values and which of them are kept."""
    values = ndx.where(block.kept, block.weights * block.losses, masked)
    return {LOSS: ndx.astype(values, ndx.from_numpy_dtype(dtype)), KEPT: block.kept}


def reduced(to: Reducing, empty: float) -> Outputs:
    """The answer.

    Args:
        to: What is reduced, and how.
        empty: What a mean of nothing is.
    """
    name = to.reduction.name
    if name in EXTREMES:
        return _extreme(to, EXTREMES[name])
    value = _sum(to) if name == "sum" else OTHERS.get(name, _mean)(to, empty)
    return {LOSS: _joined(value, to.columns)}


def _sum(to: Reducing) -> Array:
    return to.sum(to.block.weights * to.block.losses)


def _mean(to: Reducing, empty: float) -> Array:
    """A sum over a divisor; the root of it where the loss is one."""
    reduction, block = to.reduction, to.block
    above = _sum(to)
    if reduction.own_numerator:
        assert block.own is not None
        above = to.sum(block.own)
    below = DIVISORS[reduction.name](to)
    if reduction.own_divisor:
        assert block.own is not None
        below = to.sum(block.own)
        below = ndx.maximum(below, reduction.floor) if reduction.floor else below
    value = above / below
    value = ndx.sqrt(value) if reduction.root else value
    return ndx.where((to.kept == 0.0) | (below == 0.0), empty, value)


def _divisor(to: Reducing) -> Array:
    given = to.reduction.divisor
    return to.kept if given is None else ndx.asarray(np.float64(given))


def _weight(to: Reducing) -> Array:
    """Σw; Keras counts the weights before they are broadcast."""
    block, weight = to.block, to.sum(to.block.weights)
    if not (to.reduction.own_weights and block.losses.ndim):
        return weight
    own = ndx.astype(ndx.prod(block.weight_shape), ndx.float64)
    entries = to.sum_all(ndx.ones_like(block.losses))
    # One weight for all, or none, is as many as there are entries.
    return ndx.where(own > 1.0, weight * (own / entries), weight)


def _keras2(to: Reducing, empty: float) -> Array:
    block = to.block
    dropped = ndx.astype(block.dropped, ndx.float64)
    entries = to.sum_all(ndx.ones_like(block.losses)) + dropped
    nonzero = to.sum_all(ndx.astype(block.weights != 0.0, ndx.float64)) + dropped
    below = to.kept * nonzero
    return ndx.where(below == 0.0, empty, _sum(to) / (below / entries))


def _rms(to: Reducing, empty: float) -> Array:
    weights, losses = to.block.weights, to.block.losses
    below = to.sum(weights)
    value = ndx.sqrt(to.sum(weights * losses * losses) / below)
    return ndx.where(below == 0.0, empty, value)


DIVISORS: Mapping[str, Callable[[Reducing], Array]] = {
    "mean": _divisor,
    "weighted_mean": _weight,
    "nonzero_mean": lambda to: to.count(to.block.weights != 0.0),
    "batch_mean": lambda to: ndx.astype(to.block.rows, ndx.float64),
}
OTHERS: Mapping[str, Callable[[Reducing, float], Array]] = {"keras2": _keras2, "rms": _rms}
EXTREMES: Mapping[str, float] = {"min": -1.0, "max": 1.0}
EXPORTED = ("none", "sum", *DIVISORS, *OTHERS, *EXTREMES)


def _extreme(to: Reducing, sign: float) -> Outputs:
    """The greatest or the least, NaN if any is, and the first sample that has it."""
    block = to.block
    kept, losses = block.kept, block.losses
    if to.columns is None:
        kept, losses = (ndx.reshape(x, (-1,)) for x in (kept, losses))
    # One more at the end, which nothing is below, so that there is a first and a greatest.
    nothing = ndx.zeros_like(PORTABLE.sum(losses, axis=0, keepdims=True))
    kept = ndx.concat([kept, nothing != 0.0])
    ended = ndx.concat([losses, nothing]) * sign
    odd = kept & ndx.isnan(ended)
    top = PORTABLE.max(ndx.where(kept & ~odd, ended, -math.inf), axis=0)
    lost = PORTABLE.any(odd, axis=0)
    empty = ~PORTABLE.any(kept, axis=0)
    value = ndx.where(empty | lost, math.nan, top * sign + 0.0)
    if to.columns is not None:
        return {LOSS: _joined(value, to.columns)}
    found = ndx.where(lost, odd, kept & (ended == top))
    place = ndx.argmax(ndx.astype(found, ndx.int32))
    if block.losses.ndim > 1:
        in_row = ndx.maximum(ndx.prod(block.losses.dynamic_shape[1:]), 1)
        # ndonnx rounds a quotient down by an operator that is newer than some runtimes.
        place = ndx.asarray(op.div(place.unwrap_spox(), in_row.unwrap_spox()))
    return {LOSS: value, INDEX: ndx.where(empty, -1, place)}


def _joined(values: Array, columns: str | list[float] | None) -> Array:
    """Several outputs as the dialect joins them."""
    if columns is None or columns == "raw_values":
        return values
    if isinstance(columns, list):
        weights = np.asarray(columns, np.float64)
        return PORTABLE.sum(values * ndx.asarray(weights)) / float(weights.sum())
    return PORTABLE.sum(values) / ndx.astype(values.dynamic_shape[0], ndx.float64)
