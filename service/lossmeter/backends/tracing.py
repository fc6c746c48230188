"""Kernels as ONNX graphs: the array namespace that appends nodes where NumPy computes.

ndonnx is the namespace, but for the few functions that it or ONNX Runtime gets wrong, or whose
bits depend on where in a block a row lies.
"""

import warnings
from collections.abc import Mapping
from math import prod
from typing import Any, cast

import ndonnx as ndx
import numpy as np
import onnx

from lossmeter.core.arrays import PRIMITIVES, Array, Namespace
from lossmeter.core.program import Program

Signature = Mapping[str, tuple[np.dtype[Any], tuple[int | str, ...]]]
VALUES = "values"
FLOATS = (ndx.float32, ndx.float64)


class _Onnx:
    """The primitives of a kernel, traced."""

    def __getattr__(self, name: str) -> Any:
        if name not in PRIMITIVES:
            raise AttributeError(f"{name} is no primitive of a kernel")
        return getattr(ndx, name)

    def sum(
        self, x: Array, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
    ) -> Array:
        """Sums over axes of known sizes are products with ones.

        ONNX Runtime's ReduceSum peels a row up to the next aligned address, so that its bits
        change with the row's place in the block; those of a matrix product do not.
        """
        axes = _from_first(axis, x.ndim)
        sizes = [x.shape[a] for a in axes]
        if x.dtype not in FLOATS or 0 in axes or not all(isinstance(n, int) for n in sizes):
            return ndx.sum(x, axis=axis, keepdims=keepdims)
        kept = [a for a in range(x.ndim) if a not in axes]
        last = ndx.permute_dims(x, (*kept, *axes)) if [*kept, *axes] != [*range(x.ndim)] else x
        flat = last if len(axes) == 1 else _joined(last, len(axes), prod(sizes))
        ones = ndx.asarray(np.ones((prod(sizes), 1)), dtype=x.dtype)
        total = ndx.squeeze(ndx.matmul(flat, ones), axis=-1)
        return _unsqueezed(total, axes) if keepdims else total

    def sort(self, x: Array, /, *, axis: int = -1, descending: bool = False) -> Array:
        """A row with NaN has no order here: all of it is NaN, as what NumPy makes of it is."""
        hidden = ndx.any(ndx.isnan(x), axis=axis, keepdims=True)
        ordered = ndx.sort(x, axis=axis, descending=descending)
        return ndx.where(hidden, ndx.asarray(np.nan, dtype=x.dtype), ordered)

    def expm1(self, x: Array, /) -> Array:
        """ndonnx multiplies before it divides, which overflows a float32 at 88."""
        u = ndx.exp(x)
        grown = u - 1.0
        far = (grown == -1.0) | ndx.isinf(u)
        return ndx.where(u == 1.0, x, ndx.where(far, grown, grown * (x / ndx.log(u))))


ONNX = cast(Namespace, _Onnx())


def _from_first(axis: int | tuple[int, ...] | None, rank: int) -> tuple[int, ...]:
    named = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(a % rank for a in named))


def _joined(x: Array, axes: int, size: int) -> Array:
    """The last axes as one; the others keep what sizes they have."""
    lead = x.dynamic_shape[: x.ndim - axes]
    return ndx.reshape(x, ndx.concat([lead, ndx.asarray([size], dtype=ndx.int64)]))


def _unsqueezed(x: Array, axes: tuple[int, ...]) -> Array:
    for axis in axes:
        x = ndx.expand_dims(x, axis=axis)
    return x


def trace(program: Program, operands: Signature, extras: Signature) -> onnx.ModelProto:
    """The graph of a program: its arrays in, named as they are, and ``values`` out.

    Args:
        program: The program.
        operands: Dtype and shape of each input of the loss, a name where a size is free.
        extras: The same of the parameters that are arrays.
    """
    arguments = {
        name: ndx.argument(shape=shape, dtype=ndx.from_numpy_dtype(dtype))
        for name, (dtype, shape) in {**operands, **extras}.items()
    }
    with warnings.catch_warnings():
        # That atan is computed in float32 is what the Newton step of stable.angle is for.
        warnings.simplefilter("ignore")
        values = program(
            ONNX,
            {name: arguments[name] for name in operands},
            {name: arguments[name] for name in extras},
        )
    return ndx.build(arguments, {VALUES: values}, drop_unused=True)
