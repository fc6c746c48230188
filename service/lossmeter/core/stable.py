"""Compounds of the primitives that stay accurate at the ends of the number line.

Composed once, because backends disagree: ONNX Runtime's Softplus and ndonnx's logaddexp are
infinite at 1000, and a naive ``log(1 + exp(x))`` is everywhere.
"""

import math
from collections.abc import Callable

from lossmeter.core.arrays import Array, Namespace
from lossmeter.errors import BackendUnsupported


def softplus(xp: Namespace, x: Array) -> Array:
    """ln(1 + e^x), for any x."""
    return xp.maximum(x, 0.0) + log1p_exp_minus_abs(xp, x)


def log1p_exp_minus_abs(xp: Namespace, x: Array) -> Array:
    """ln(1 + e^−|x|), the part of softplus that both signs share."""
    return xp.log1p(xp.exp(-xp.abs(x)))


def xlogy(xp: Namespace, x: Array, log_y: Array) -> Array:
    """x · ln y given ln y, and 0 where x is 0 whatever ln y is."""
    return xp.where(x == 0.0, xp.zeros_like(x), x * log_y)


def log_softmax(xp: Namespace, x: Array) -> Array:
    """Logarithm of the softmax over the last axis."""
    # The maximum is subtracted even when infinite: a row with +inf has no softmax and gives NaN,
    # as it does in every framework.
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def softmax(xp: Namespace, x: Array) -> Array:
    """Softmax over the last axis."""
    powers = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return powers / xp.sum(powers, axis=-1, keepdims=True)


def sigmoid(xp: Namespace, x: Array) -> Array:
    """1/(1 + e^−x), accurate where it is near 0."""
    return xp.exp(-softplus(xp, -x))


def log_sum_exp(xp: Namespace, x: Array) -> Array:
    """ln Σ e^x over the last axis, −∞ where every entry is −∞."""
    top = xp.max(x, axis=-1, keepdims=True)
    top = xp.where(top == -math.inf, xp.zeros_like(top), top)
    total = xp.sum(xp.exp(x - top), axis=-1)
    return xp.log(total) + xp.squeeze(top, axis=-1)


def pick(xp: Namespace, x: Array, index: Array) -> Array:
    """The entry ``index`` of the last axis; the domain check has kept every index inside."""
    return xp.squeeze(xp.take_along_axis(x, xp.expand_dims(index, axis=-1), axis=-1), axis=-1)


def smooth(xp: Namespace, targets: Array, amount: float, classes: Array) -> Array:
    """Label smoothing: y(1 − s) + s/C. Source: Szegedy et al. (2016), doi:10.1109/CVPR.2016.308."""
    if amount == 0.0:
        return targets
    return targets * (1.0 - amount) + amount / classes


def sign_of(label: Array) -> Array:
    """−1 of a label 0, +1 of a label 1."""
    return 2.0 * label - 1.0


def log_ratio(xp: Namespace, a: Array, b: Array) -> Array:
    """ln(a/b) of numbers above 0, for any size of either and where they are near."""
    error = a - b
    # A quotient of the roots, as that of the numbers overflows where one of them is subnormal.
    far = 2.0 * xp.log(xp.sqrt(a) / xp.sqrt(b))
    return xp.where(xp.abs(error) < 0.5 * b, xp.log1p(error / b), far)


def log_add_exp(xp: Namespace, a: Array, b: Array) -> Array:
    """ln(e^a + e^b), also where one or both are −∞."""
    top = xp.maximum(a, b)
    return xp.where(top == -math.inf, top, top + log1p_exp_minus_abs(xp, a - b))


def angle(xp: Namespace, rise: Array, run: Array) -> Array:
    """Angle of a slope in the right half plane, −π/2 to π/2."""
    first = xp.atan(rise / run)
    # ndonnx computes atan and cos in float32: a Newton step with the sine restores the digits.
    sine, cosine = xp.sin(first), xp.sin(first + 0.5 * math.pi)
    return first + (rise * cosine - run * sine) / (run * cosine + rise * sine)


def count(xp: Namespace, x: Array) -> Array:
    """Size of the last axis: a number, or what a traced array has where that is free."""
    known = x.shape[-1]
    return xp.astype(x.dynamic_shape[-1], x.dtype) if known is None else known


def fixed_size(x: Array, axis: int) -> int:
    """Size of an axis on which the formula itself depends.

    Raises:
        BackendUnsupported: A traced array leaves it free.
    """
    known = x.shape[axis]
    if known is None:
        raise BackendUnsupported("the graph of this loss is another for each size of its axes")
    return int(known)


def fold(
    xp: Namespace,
    step: Callable[[Array, Array, tuple[Array, ...]], tuple[Array, ...]],
    state: tuple[Array, ...],
    x: Array,
) -> tuple[Array, ...]:
    """A state after each entry of axis 1 was taken into it.

    Args:
        xp: The namespace; one that traces has a loop of its own, whose body it traces once.
        step: From the number of the entry, the entry and the state to the next state.
        state: The first state.
        x: What is taken.
    """
    if traced := getattr(xp, "fold", None):
        folded: tuple[Array, ...] = traced(step, state, x)
        return folded
    for at in range(x.shape[1]):
        state = step(at, x[:, at, ...], state)
    return state


def places(xp: Namespace, x: Array) -> Array:
    """0, 1, 2 and so on along the last axis."""
    known = x.shape[-1]
    return xp.arange(x.dynamic_shape[-1] if known is None else known)


def is_class(xp: Namespace, x: Array, index: Array) -> Array:
    """Which entries of the last axis stand at ``index``."""
    return places(xp, x) == xp.expand_dims(index, axis=-1)


def powered(xp: Namespace, x: Array, power: float) -> Array:
    """x to a power, without the general one for the square that is mostly asked for."""
    return xp.square(x) if power == 2.0 else xp.pow(x, power)


def sign(xp: Namespace, x: Array) -> Array:
    """−1 of a number below 0, 1 of one above; 0 and NaN as they are."""
    one = xp.ones_like(x)
    return xp.where(x > 0.0, one, xp.where(x < 0.0, -one, x))


def tanh(xp: Namespace, x: Array) -> Array:
    """Hyperbolic tangent, accurate where it is near 0."""
    # Never e to a positive power, which overflows and which ndonnx gets wrong in float32.
    less = xp.expm1(-2.0 * xp.abs(x))
    return xp.where(x < 0.0, less, -less) / (2.0 + less)
