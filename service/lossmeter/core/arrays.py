"""The array functions that a loss may use.

They are functions of the array API standard, so that one body runs on NumPy and CuPy and is
traced by ndonnx. What is not listed here is not available to a kernel on any backend.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

# An array of whichever library runs the kernel. The only `Any` of the package.
Array: TypeAlias = Any


class Namespace(Protocol):
    """The primitives; compounds such as ``softplus`` are composed once, in ``core.stable``."""

    abs: Callable[..., Array]
    any: Callable[..., Array]
    arange: Callable[..., Array]
    argsort: Callable[..., Array]
    astype: Callable[..., Array]
    atan: Callable[..., Array]
    clip: Callable[..., Array]
    concat: Callable[..., Array]
    cumulative_sum: Callable[..., Array]
    exp: Callable[..., Array]
    expm1: Callable[..., Array]
    expand_dims: Callable[..., Array]
    finfo: Callable[..., Any]
    full_like: Callable[..., Array]
    log: Callable[..., Array]
    log1p: Callable[..., Array]
    matmul: Callable[..., Array]
    matrix_transpose: Callable[..., Array]
    max: Callable[..., Array]
    maximum: Callable[..., Array]
    minimum: Callable[..., Array]
    ones_like: Callable[..., Array]
    pow: Callable[..., Array]
    reshape: Callable[..., Array]
    sin: Callable[..., Array]
    sort: Callable[..., Array]
    sqrt: Callable[..., Array]
    square: Callable[..., Array]
    squeeze: Callable[..., Array]
    stack: Callable[..., Array]
    sum: Callable[..., Array]
    take_along_axis: Callable[..., Array]
    where: Callable[..., Array]
    zeros_like: Callable[..., Array]
    float32: Any
    int64: Any


PRIMITIVES = frozenset(Namespace.__annotations__)
# Below this, NumPy's own way of choosing is the shorter one.
_FEW = 4096
_WORDS = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}


def _where(condition: Array, x: Array, y: Array) -> Array:
    """As ``numpy.where``, bit for bit, without its branch for every entry.

    Measured on 32,768 random float32: 20 microseconds, where NumPy 2.4 takes 150.
    """
    chosen = np.asarray(condition)
    word = _WORDS.get(np.result_type(x, y))
    if chosen.dtype != np.bool_ or chosen.size < _FEW or word is None:
        return np.where(condition, x, y)
    dtype = np.result_type(x, y)
    mask = chosen.astype(word)
    np.negative(mask, out=mask)
    first, second = np.asarray(x, dtype).view(word), np.asarray(y, dtype).view(word)
    bits = (first ^ second) & mask
    bits ^= second
    return bits.view(dtype)


# NumPy as a namespace, for what is read off arrays before or beside a backend.
NUMPY = cast(
    Namespace,
    SimpleNamespace(**{name: getattr(np, name) for name in PRIMITIVES} | {"where": _where}),
)
