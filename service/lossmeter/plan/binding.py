"""Batches of a shape that was seen before: what shapes decide is decided once.

Where a plan reads nothing of tensors but their shapes and dtypes, a batch is its arrays seen
through the same strides as those of the last batch like it. Measured: a third of a small request.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.plan.batch import Batch, bind
from lossmeter.plan.plan import Plan
from lossmeter.plan.tensors import Tensors

MOST_KNOWN = 1024
# Of a batch, what is seen through strides.
ARRAYS = ("inputs", "shared", "weights", "mask")


@dataclass(frozen=True, slots=True)
class _Seen:
    """How an array of a batch lies in a tensor of its request."""

    name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    def of(self, arrays: Mapping[str, Array]) -> Array:
        x = arrays[self.name]
        if self.shape == x.shape and self.strides == x.strides:
            return x
        return np.ndarray(self.shape, x.dtype, x, self.offset, self.strides)


@dataclass(frozen=True, slots=True)
class _Mould:
    """A batch without its arrays: what is the same of all like it, and how theirs lie."""

    same: Mapping[str, Any]
    inputs: Mapping[str, _Seen]
    shared: Mapping[str, _Seen]
    weights: _Seen | None
    mask: _Seen | None

    def filled(self, arrays: Mapping[str, Array]) -> Batch:
        return Batch(
            **self.same,
            inputs={name: seen.of(arrays) for name, seen in self.inputs.items()},
            shared={name: seen.of(arrays) for name, seen in self.shared.items()},
            weights=None if self.weights is None else self.weights.of(arrays),
            mask=None if self.mask is None else self.mask.of(arrays),
        )


_known: OrderedDict[Hashable, _Mould] = OrderedDict()
_lock = threading.Lock()


def bound(plan: Plan, tensors: Tensors) -> Batch:
    """The tensors as a batch, as ``bind`` makes it.

    Raises:
        InvalidRequest: As ``bind``.
    """
    if not _by_shape(plan, tensors):
        return bind(plan, tensors)
    tensors = _typed(plan, tensors)
    arrays = tensors.arrays
    key = plan, *((name, x.shape, x.dtype) for name, x in arrays.items())
    with _lock:
        mould = _known.get(key)
        if mould is not None:
            _known.move_to_end(key)
    if mould is not None:
        return mould.filled(arrays)
    batch = bind(plan, tensors)
    mould = _mould(batch, arrays)
    if mould is not None:
        with _lock:
            _known[key] = mould
            while len(_known) > MOST_KNOWN:
                _known.popitem(last=False)
    return batch


def _by_shape(plan: Plan, tensors: Tensors) -> bool:
    """Whether shapes and dtypes alone decide what becomes of the tensors."""
    mask = tensors.arrays.get("mask")
    return (
        plan.reduction.by is None
        and not tensors.laid_out
        and (mask is None or mask.dtype == np.bool_)
        and all(c.variant.fits is None and c.variant.arrange is None for c in plan.candidates)
        and all(x.size and x.flags.c_contiguous for x in tensors.arrays.values())
    )


def _typed(plan: Plan, tensors: Tensors) -> Tensors:
    """Whole numbers that came without a dtype made float64 where values are meant."""
    if not tensors.plain:
        return tensors
    candidate, arrays = plan.candidates[0], dict(tensors.arrays)
    for name in tensors.plain:
        domain = candidate.domains.get(candidate.variant.aliases.get(name, name))
        if arrays[name].dtype.kind in "iu" and domain and not domain.integers:
            arrays[name] = arrays[name].astype(np.float64)
    return Tensors(arrays)


def _mould(batch: Batch, arrays: Mapping[str, Array]) -> _Mould | None:
    """What is to be known of a batch; None if its arrays are not those of the request, seen so."""
    if batch.groups.codes is not None or _overlap(arrays):
        return None
    inputs = {name: _seen(x, arrays) for name, x in batch.inputs.items()}
    shared = {name: _seen(x, arrays) for name, x in batch.shared.items()}
    weights, mask = (None if x is None else _seen(x, arrays) for x in (batch.weights, batch.mask))
    found = {name: x for name, x in inputs.items() if x is not None}
    ours = {name: x for name, x in shared.items() if x is not None}
    complete = len(found) == len(inputs) and len(ours) == len(shared)
    if not complete or (weights is None) != (batch.weights is None):
        return None
    if (mask is None) != (batch.mask is None):
        return None
    same = {f.name: getattr(batch, f.name) for f in fields(batch) if f.name not in ARRAYS}
    return _Mould(same, found, ours, weights, mask)


def _overlap(arrays: Mapping[str, Array]) -> bool:
    """Whether two tensors share memory, so that none could be told from the other."""
    spans = sorted((_start(x), _start(x) + x.nbytes) for x in arrays.values())
    return any(after[0] < before[1] for before, after in pairwise(spans))


def _start(x: Array) -> int:
    return int(x.__array_interface__["data"][0])


def _seen(x: Array, arrays: Mapping[str, Array]) -> _Seen | None:
    for name, given in arrays.items():
        offset = _start(x) - _start(given)
        if 0 <= offset < given.nbytes and x.dtype == given.dtype:
            return _Seen(name, x.shape, x.strides, offset)
    return None
