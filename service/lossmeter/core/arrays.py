"""The array functions that a loss may use.

They are functions of the array API standard, so that one body runs on NumPy and CuPy and is
traced by ndonnx. What is not listed here is not available to a kernel on any backend.
"""

from collections.abc import Callable
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


# NumPy as a namespace, for what is read off arrays before or beside a backend.
NUMPY = cast(Namespace, np)
PRIMITIVES = frozenset(Namespace.__annotations__)
