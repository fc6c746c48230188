"""Every loss from its definition at 50 digits, and how many ulp a kernel may be off.

A formula takes the inputs in declared order: numbers, lists where an axis is used up, class
indices as int. It gives the value, or the value and the size that the rounding errors of a kernel
have where terms of that size cancel.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from mpmath import MPContext, mpf

mp = MPContext()
mp.dps = 50

Vector: TypeAlias = list[mpf]
Result: TypeAlias = tuple[mpf, mpf]
Formula: TypeAlias = Callable[..., mpf | Result]
F = TypeVar("F", bound=Formula)


@dataclass(frozen=True, slots=True)
class Oracle:
    """A formula and the tolerance of its kernel.

    Attributes:
        formula: Inputs and parameters to the value, or to the value and the size of its terms.
        ulp: How far the kernel may be off, in units in the last place of the value or that size.
    """

    formula: Formula
    ulp: int

    def off(
        self,
        actual: float,
        inputs: Iterable[object],
        params: Mapping[str, object],
        dtype: type[np.floating],
    ) -> float:
        """How far a kernel's value is off, in ulp; infinite where one of the two is NaN."""
        result = self.formula(*map(exact, inputs), **{k: exact(x) for k, x in params.items()})
        value, size = result if isinstance(result, tuple) else (result, abs(result))
        if mp.isnan(value) or np.isnan(actual):
            return 0.0 if mp.isnan(value) and np.isnan(actual) else float("inf")
        info = np.finfo(dtype)
        top = mp.ldexp(1, int(info.maxexp))
        # Infinity stands where the next float would, so that a value may round to it.
        near, far = (max(-top, min(top, mp.mpf(x))) for x in (actual, value))
        exponent = max(mp.frexp(min(size, top))[1] - 1, int(info.minexp))
        return float(abs(near - far) / mp.ldexp(1, exponent - int(info.nmant)))


def exact(x: object) -> object:
    """A float or a list of them as mpf, without rounding; class indices and switches stay."""
    if isinstance(x, list):
        return [exact(entry) for entry in x]
    return mp.mpf(x) if isinstance(x, float) else x


ORACLES: dict[str, Oracle] = {}


def oracle(*, ulp: int) -> Callable[[F], F]:
    """Register the formula of the loss of the same name."""

    def register(formula: F) -> F:
        ORACLES[formula.__name__] = Oracle(formula, ulp)
        return formula

    return register


def cancelling(terms: Vector, more: mpf = 0) -> Result:
    """A sum whose terms may cancel, or their arguments be rounded by ``more``."""
    return mp.fsum(terms), mp.fsum(terms, absolute=True) + more


def ln(x: mpf) -> mpf:
    """The natural logarithm, −∞ at 0."""
    return mp.log(x) if x else -mp.inf


def times_ln(y: mpf, ln_p: mpf) -> mpf:
    """y·ln p, where 0·ln 0 = 0."""
    return y * ln_p if y else mp.zero


def ratio(a: mpf, b: mpf) -> mpf:
    """a/b as floats divide."""
    if b:
        return a / b
    return a * mp.inf if a else mp.nan


def smoothed(y: Vector, s: mpf) -> Vector:
    """Label smoothing."""
    return [c * (1 - s) + s / mp.mpf(len(y)) for c in y]


def one_hot(index: int, classes: int) -> Vector:
    """The distribution of a class index."""
    return [mp.mpf(c == index) for c in range(classes)]


def dot(x: Vector, y: Vector) -> mpf:
    """The inner product."""
    return mp.fsum(a * b for a, b in zip(x, y, strict=True))


@oracle(ulp=3)
def squared_error(p: mpf, y: mpf) -> mpf:
    return (p - y) ** 2


@oracle(ulp=3)
def half_squared_error(p: mpf, y: mpf) -> mpf:
    return (p - y) ** 2 / 2


@oracle(ulp=3)
def root_mean_squared_error(p: mpf, y: mpf) -> mpf:
    return (p - y) ** 2


@oracle(ulp=1)
def absolute_error(p: mpf, y: mpf) -> mpf:
    return abs(p - y)


@oracle(ulp=5)
def mean_absolute_percentage_error(
    p: mpf, y: mpf, *, scale: mpf = 1, epsilon: mpf = 2.0**-52
) -> mpf:
    return scale * abs(p - y) / max(abs(y), epsilon)


@oracle(ulp=12)
def squared_log_error(p: mpf, y: mpf) -> mpf:
    return (mp.log1p(p) - mp.log1p(y)) ** 2


@oracle(ulp=6)
def huber(p: mpf, y: mpf, *, delta: mpf = 1) -> mpf:
    error = abs(p - y)
    return error**2 / 2 if error <= delta else delta * (error - delta / mp.mpf(2))


@oracle(ulp=6)
def smooth_l1(p: mpf, y: mpf, *, beta: mpf = 1) -> mpf:
    error = abs(p - y)
    return error**2 / (2 * beta) if error < beta else error - beta / mp.mpf(2)


@oracle(ulp=10)
def log_cosh(p: mpf, y: mpf, *, ln2: mpf | None = None) -> Result:
    error = abs(p - y)
    # cosh² = 1 + sinh², as 50 digits of cosh e hold nothing of an e below 1e-25.
    value = mp.log1p(mp.sinh(error) ** 2) / 2
    if ln2 is None:
        return value, value
    return cancelling([error, mp.log1p(mp.exp(-2 * error)), -ln2])


@oracle(ulp=4)
def pinball(p: mpf, y: mpf, *, quantile: mpf = 0.5) -> mpf:
    return max(quantile * (y - p), (quantile - 1) * (y - p))


@oracle(ulp=6)
def poisson_nll(
    p: mpf, y: mpf, *, log_input: bool = True, full: bool = False, epsilon: mpf = 0
) -> Result:
    rate, log_rate = (mp.exp(p), p) if log_input else (p, ln(p + epsilon))
    terms = [rate, -times_ln(y, log_rate)]
    if full and y > 1:
        terms += [y * mp.log(y), -y, mp.log(2 * mp.pi * y) / 2]
    # p + ε is rounded, which near 1 is all that its logarithm has.
    return cancelling(terms, y)


@oracle(ulp=6)
def gaussian_nll(p: mpf, y: mpf, variance: mpf, *, full: bool = False, epsilon: mpf = 0) -> Result:
    v = max(variance, epsilon)
    constant = mp.log(2 * mp.pi) / 2 if full else mp.zero
    return cancelling([mp.log(v) / 2, (p - y) ** 2 / (2 * v), constant])


@oracle(ulp=8)
def binary_cross_entropy(
    p: mpf, y: mpf, *, label_smoothing: mpf = 0, log_clamp: mpf = -mp.inf
) -> mpf:
    y1, y0 = smoothed([y, 1 - y], label_smoothing)
    ln_p, ln_q = max(ln(p), log_clamp), max(mp.log1p(-p), log_clamp)
    return -times_ln(y1, ln_p) - times_ln(y0, ln_q)


@oracle(ulp=8)
def binary_cross_entropy_with_logits(
    x: mpf, y: mpf, *, pos_weight: mpf = 1, label_smoothing: mpf = 0
) -> mpf:
    y1, y0 = smoothed([y, 1 - y], label_smoothing)
    return pos_weight * y1 * mp.log1p(mp.exp(-x)) + y0 * mp.log1p(mp.exp(x))


@oracle(ulp=1)
def hinge(x: mpf, y: mpf) -> mpf:
    return max(0, 1 - (2 * y - 1) * x)


@oracle(ulp=8)
def categorical_cross_entropy(p: Vector, y: Vector, *, label_smoothing: mpf = 0) -> mpf:
    smooth = smoothed(y, label_smoothing)
    return -mp.fsum(times_ln(b, ln(a)) for a, b in zip(p, smooth, strict=True))


@oracle(ulp=8)
def sparse_categorical_cross_entropy(p: Vector, y: int, *, label_smoothing: mpf = 0) -> mpf:
    return categorical_cross_entropy(p, one_hot(y, len(p)), label_smoothing=label_smoothing)


@oracle(ulp=8)
def softmax_cross_entropy(
    x: Vector, y: Vector, *, label_smoothing: mpf = 0, class_factor: Vector | None = None
) -> Result:
    factor = class_factor or [mp.one] * len(x)
    shares = [a * b for a, b in zip(smoothed(y, label_smoothing), factor, strict=True)]
    log_total = mp.log(mp.fsum(map(mp.exp, x)))
    value = mp.fsum(a * (log_total - b) for a, b in zip(shares, x, strict=True))
    # Of a sure prediction the kernel rounds 1 + Σe^(x − max), as every framework does.
    return value, value + mp.fsum(shares)


@oracle(ulp=8)
def sparse_softmax_cross_entropy(
    x: Vector, y: int, *, label_smoothing: mpf = 0, class_factor: Vector | None = None
) -> Result:
    return softmax_cross_entropy(
        x, one_hot(y, len(x)), label_smoothing=label_smoothing, class_factor=class_factor
    )


@oracle(ulp=6)
def kl_divergence(p: Vector, y: Vector) -> Result:
    terms = [times_ln(b, ln(ratio(b, a))) if b else mp.zero for a, b in zip(p, y, strict=True)]
    # Where y is near p, the rounding of y/p is all that its logarithm has.
    return cancelling(terms, mp.fsum(y))


@oracle(ulp=4)
def cosine_distance(p: Vector, y: Vector, *, epsilon: mpf = 0, normalize: bool = True) -> Result:
    if not normalize:
        return cancelling([mp.one, *(-a * b for a, b in zip(p, y, strict=True))])
    lengths = [mp.sqrt(max(dot(x, x), epsilon)) for x in (p, y)]
    return 1 - ratio(ratio(dot(p, y), lengths[0]), lengths[1]), mp.mpf(2)


@oracle(ulp=14)
def triplet_margin(
    anchor: Vector,
    positive: Vector,
    negative: Vector,
    *,
    margin: mpf = 1,
    p: mpf = 2,
    epsilon: mpf = 0,
    swap: bool = False,
) -> Result:
    def distance(a: Vector, b: Vector) -> mpf:
        powers = (abs(u - v + epsilon) ** p for u, v in zip(a, b, strict=True))
        return mp.fsum(powers) ** (1 / mp.mpf(p))

    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = min(far, distance(positive, negative))
    return max(margin + near - far, mp.zero), margin + near + far
