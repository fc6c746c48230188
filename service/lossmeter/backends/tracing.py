"""Kernels as ONNX graphs: the array namespace that appends nodes where NumPy computes.

ndonnx is the namespace, but for the few functions that it or ONNX Runtime gets wrong, or whose
bits depend on where in a block a row lies.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from threading import Lock
from typing import Any, TypeAlias, cast

import ndonnx as ndx
import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v21 as op

from lossmeter.core.arrays import PRIMITIVES, Array, Namespace
from lossmeter.core.program import Program
from lossmeter.errors import BackendUnsupported

Signature = Mapping[str, tuple[np.dtype[Any], tuple[int | str, ...]]]
Axes: TypeAlias = int | tuple[int, ...] | None
VALUES = "values"
FALSE = "false"
FLOATS = (ndx.float32, ndx.float64)
# Of a kernel; the losses of the catalogue take 40 at most. A primitive is up to 20 nodes, and a
# node takes a millisecond to trace.
MOST_PRIMITIVES = 128


# The sum over the last axis, of a size that is known; the others as they are.
RowSum: TypeAlias = Callable[[Array], Array]


def by_product(x: Array) -> Array:
    """Rows summed as a product with ones, for the CPU.

    ONNX Runtime's ReduceSum peels a row up to the next aligned address, so that its bits change
    with the row's place in the block; those of a matrix product do not.
    """
    ones = ndx.asarray(np.ones((x.shape[-1], 1)), dtype=x.dtype)
    total = op.matmul(x.unwrap_spox(), ones.unwrap_spox())
    return _array(op.squeeze(total, op.const([-1])))


def by_halves(x: Array) -> Array:
    """Rows summed by adding their halves until one number is left, for GPUs.

    A GPU's reductions and products are other algorithms for other numbers of rows; additions of
    elements have the same bits anywhere.
    """
    size = 1 << (x.shape[-1] - 1).bit_length()
    if missing := size - x.shape[-1]:
        ends = op.const([0] * (2 * x.ndim - 1) + [missing])
        x = _array(op.pad(x.unwrap_spox(), ends))
    while size > 1:
        size //= 2
        x = x[..., :size] + x[..., size:]
    return ndx.squeeze(x, axis=-1)


class _Onnx:
    """The primitives of a kernel, traced."""

    def __init__(self, row_sum: RowSum | None) -> None:
        self._row_sum = row_sum

    def __getattr__(self, name: str) -> Any:
        if name not in PRIMITIVES:
            raise AttributeError(f"{name} is no primitive of a kernel")
        return getattr(ndx, name)

    def sum(self, x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
        """Sums whose bits do not depend on where their row lies, if they have their own way."""
        axes = _from_first(axis, x.ndim)
        sizes = [x.shape[a] for a in axes]
        if not self._row_sum or x.dtype not in FLOATS or 0 in axes or None in sizes:
            return ndx.sum(x, axis=axis, keepdims=keepdims)
        order = [*(a for a in range(x.ndim) if a not in axes), *axes]
        last = x if order == [*range(x.ndim)] else ndx.permute_dims(x, tuple(order))
        shape = op.const([0] * (x.ndim - len(axes)) + [prod(sizes)])
        total = self._row_sum(_array(op.reshape(last.unwrap_spox(), shape)))
        if not keepdims:
            return total
        return _array(op.unsqueeze(total.unwrap_spox(), op.const(list(axes))))

    def matmul(self, a: Array, b: Array, /) -> Array:
        """A row for each sample times one matrix is one product: several differ by their places."""
        if a.ndim == b.ndim == 3 and a.shape[1] == b.shape[0] == 1:
            rows = op.matmul(*(x.unwrap_spox() for x in (a[:, 0, :], b[0, ...])))
            return ndx.expand_dims(_array(rows), axis=1)
        return _array(op.matmul(a.unwrap_spox(), b.unwrap_spox()))

    def max(self, x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
        """The greatest entry; NaN where one is, of which ONNX says nothing."""
        top = _reduced(op.reduce_max, x, axis, keepdims)
        if x.dtype not in FLOATS:
            return top
        return ndx.where(self.any(ndx.isnan(x), axis=axis, keepdims=keepdims), math.nan, top)

    def any(self, x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
        """Whether one entry is true."""
        found = _reduced(op.reduce_max, ndx.astype(x, ndx.int32), axis, keepdims)
        return ndx.astype(found, ndx.bool)

    def fold(
        self,
        step: Callable[[Array, Array, tuple[Array, ...]], tuple[Array, ...]],
        state: tuple[Array, ...],
        x: Array,
    ) -> tuple[Array, ...]:
        """A loop whose body is traced once, however many entries there are."""

        def body(at: spox.Var, going: spox.Var, *before: spox.Var) -> list[spox.Var]:
            number = op.reshape(at, op.const(np.empty(0, np.int64)))
            entry = _array(op.gather(x.unwrap_spox(), number, axis=1))
            after = step(_array(number), entry, tuple(map(_array, before)))
            return [going, *(part.unwrap_spox() for part in after)]

        times, going = x.dynamic_shape[1:2].unwrap_spox(), op.const([True])
        first = [part.unwrap_spox() for part in state]
        last = zip(op.loop(times, going, first, body=body), state, strict=True)
        # A loop forgets the shapes, the numbers of their axes too.
        return tuple(_array(op.reshape(v, op.const([0] * s.ndim))) for v, s in last)

    def sort(self, x: Array, /, *, axis: int = -1, descending: bool = False) -> Array:
        """A row with NaN has no order here: all of it is NaN, as what NumPy makes of it is."""
        hidden = self.any(ndx.isnan(x), axis=axis, keepdims=True)
        ordered = ndx.sort(x, axis=axis, descending=descending)
        return ndx.where(hidden, ndx.asarray(np.nan, dtype=x.dtype), ordered)

    def expm1(self, x: Array, /) -> Array:
        """ndonnx multiplies before it divides, which overflows a float32 at 88."""
        u = ndx.exp(x)
        grown = u - 1.0
        far = (grown == -1.0) | ndx.isinf(u)
        return ndx.where(u == 1.0, x, ndx.where(far, grown, grown * (x / ndx.log(u))))


class _Portable(_Onnx):
    """The primitives for a graph that others run, under the options that they happen to have.

    ONNX Runtime by default joins a product of matrices with a transpose or a scale beside it into
    one operator that computes float64 as float32. It leaves an Einsum alone.
    """

    def __init__(self) -> None:
        super().__init__(None)

    def matmul(self, a: Array, b: Array, /) -> Array:
        """Products of matrices, or of as many pairs of them as lie in the axes before."""
        batch = "abc"[: a.ndim - 2]
        equation = f"{batch}ij,{batch}jk->{batch}ik"
        return _array(op.einsum([a.unwrap_spox(), b.unwrap_spox()], equation=equation))

    def matrix_transpose(self, x: Array, /) -> Array:
        """The last two axes exchanged."""
        return _array(op.einsum([x.unwrap_spox()], equation="...ij->...ji"))


PORTABLE = cast(Namespace, _Portable())


class _Counted:
    """A namespace that an expression cannot make a graph without end of."""

    def __init__(self, xp: Namespace) -> None:
        self._xp = xp
        self._left = MOST_PRIMITIVES

    def __getattr__(self, name: str) -> Any:
        self._left -= 1
        if self._left < 0:
            raise BackendUnsupported(
                "the graph of this loss would be too large; the numpy backend computes it",
                field="options.backend",
            )
        return getattr(self._xp, name)


def counted(xp: Namespace) -> Namespace:
    """The namespace for one kernel, which may use so many primitives of it and no more."""
    return cast(Namespace, _Counted(xp))


def _array(var: spox.Var) -> Array:
    return ndx.asarray(var)


def _from_first(axis: Axes, rank: int) -> tuple[int, ...]:
    named = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(a % rank for a in named))


def _reduced(reduce: Callable[..., spox.Var], x: Array, axis: Axes, keepdims: bool) -> Array:
    axes = op.const(list(_from_first(axis, x.ndim)))
    return _array(reduce(x.unwrap_spox(), axes, keepdims=keepdims))


def trace(
    program: Program, operands: Signature, extras: Signature, row_sum: RowSum | None
) -> onnx.ModelProto:
    """The graph of a program: its arrays in, named as they are, and ``values`` out.

    Args:
        program: The program.
        operands: Dtype and shape of each input of the loss, a name where a size is free.
        extras: The same of the parameters that are arrays.
        row_sum: How rows are summed; as ONNX does, if None.

    Raises:
        BackendUnsupported: The graph would be too large.
    """
    arguments = {
        name: ndx.argument(shape=shape, dtype=ndx.from_numpy_dtype(dtype))
        for name, (dtype, shape) in {**operands, **extras}.items()
    }
    with quiet():
        values = program(
            counted(cast(Namespace, _Onnx(row_sum))),
            {name: arguments[name] for name in operands},
            {name: arguments[name] for name in extras},
        )
    return built(arguments, {VALUES: values}, drop_unused=True)


def built(
    arguments: Mapping[str, Array], outputs: Mapping[str, Array], *, drop_unused: bool = False
) -> onnx.ModelProto:
    """The graph from arguments to outputs, for ONNX Runtime as it is.

    ONNX Runtime 1.31 drops a Not before a Where that another node needs too, and then refuses the
    graph: an Equal with false is left alone.
    """
    model = ndx.build(dict(arguments), dict(outputs), drop_unused=drop_unused)
    if _replace_not(model.graph):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(False), FALSE))
    return model


def _replace_not(graph: onnx.GraphProto) -> int:
    """How many nodes were replaced, those of nested graphs among them."""
    count = 0
    for node in graph.node:
        count += sum(_replace_not(attribute.g) for attribute in node.attribute)
        if node.op_type == "Not":
            node.op_type = "Equal"
            node.input.append(FALSE)
            count += 1
    return count


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings: that atan is computed in float32 is what stable.angle's Newton step is for."""
    # One at a time: the filter of warnings is the whole process's, and tracing is all Python.
    with _tracing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_tracing = Lock()
