"""Every loss from its definition at 50 digits, and how many ulp a kernel may be off.

A formula takes the inputs in declared order: numbers, lists where an axis is used up, class
indices as int. It gives the value, or the value and the size that the rounding errors of a kernel
have where terms of that size cancel.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from typing import TypeAlias, TypeVar

import numpy as np
from mpmath import MPContext, mpf

mp = MPContext()
mp.dps = 50

Vector: TypeAlias = list[mpf]
Result: TypeAlias = tuple[mpf, mpf]
Matrix: TypeAlias = list[Vector]
Formula: TypeAlias = Callable[..., "mpf | Result | Naive | list[mpf] | list[Result]"]
F = TypeVar("F", bound=Formula)


@dataclass(frozen=True, slots=True)
class Naive:
    """A value by way of a number that a framework lets overflow.

    Attributes:
        value: The value, infinite where that number is.
        size: The size of its terms.
        through: That number.
    """

    value: mpf
    size: mpf
    through: mpf


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
        actual: float | list[float],
        inputs: Iterable[object],
        params: Mapping[str, object],
        dtype: type[np.floating],
    ) -> float:
        """How far a kernel's value is off, in ulp; infinite where one of the two is NaN."""
        result = self.formula(*map(exact, inputs), **{k: exact(x) for k, x in params.items()})
        return _off(actual, result, dtype)


def _off(
    actual: float | list[float], result: mpf | Result | Naive, dtype: type[np.floating]
) -> float:
    if isinstance(actual, list):
        assert isinstance(result, list)
        return max((_off(*pair, dtype) for pair in zip(actual, result, strict=True)), default=0)
    if isinstance(result, Naive):
        result = (mp.inf if result.through >= _top(dtype) else result.value, result.size)
    value, size = result if isinstance(result, tuple) else (result, abs(result))
    if mp.isnan(value) or np.isnan(actual):
        # Of terms that overflow nothing is left to compare.
        lost = mp.isnan(value) and np.isnan(actual)
        return 0.0 if lost or _overflows(result, dtype) else float("inf")
    info, top = np.finfo(dtype), _top(dtype)
    # Infinity stands where the next float would, so that a value may round to it.
    near, far = (max(-top, min(top, mp.mpf(x))) for x in (actual, value))
    exponent = max(mp.frexp(min(size, top))[1] - 1, int(info.minexp))
    return float(abs(near - far) / mp.ldexp(1, exponent - int(info.nmant)))


def _overflows(result: object, dtype: type[np.floating]) -> bool:
    return isinstance(result, tuple) and result[1] >= _top(dtype)


def _top(dtype: type[np.floating]) -> mpf:
    """Where the next float after the greatest would be."""
    return mp.ldexp(1, int(np.finfo(dtype).maxexp))


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
def log_cosh(p: mpf, y: mpf, *, ln2: mpf | None = None, naive: bool = False) -> Result | Naive:
    error = abs(p - y)
    # cosh² = 1 + sinh², as 50 digits of cosh e hold nothing of an e below 1e-25.
    value = mp.log1p(mp.sinh(error) ** 2) / 2
    if naive:
        # Near 0 the cosh is rounded to 1.
        return Naive(value, value + 1, 2 * mp.cosh(error))
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
    p: mpf,
    y: mpf,
    *,
    label_smoothing: mpf = 0,
    log_clamp: mpf = -mp.inf,
    log_add: mpf = 0,
) -> Result:
    y1, y0 = smoothed([y, 1 - y], label_smoothing)
    if log_add:
        # The arguments themselves are rounded.
        return cancelling([-y1 * mp.log(p + log_add), -y0 * mp.log(1 - p + log_add)], y1 + y0)
    ln_p, ln_q = max(ln(p), log_clamp), max(mp.log1p(-p), log_clamp)
    return cancelling([-times_ln(y1, ln_p), -times_ln(y0, ln_q)])


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
    power_add: mpf = 0,
    signed_powers: bool = False,
) -> Result:
    def distance(a: Vector, b: Vector) -> Result:
        apart = [u - v + epsilon for u, v in zip(a, b, strict=True)]
        powers = [(x if signed_powers else abs(x)) ** p for x in apart]
        total, size = cancelling([*powers, mp.mpf(power_add)])
        if total < 0:
            return mp.nan, mp.one
        root = total ** (1 / mp.mpf(p))
        return root, ratio(root * size, total) if total else mp.zero

    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = min(far, distance(positive, negative))
    return max(margin + near[0] - far[0], mp.zero), margin + near[1] + far[1]


@oracle(ulp=2)
def squared_hinge(x: mpf, y: mpf) -> mpf:
    return max(0, 1 - (2 * y - 1) * x) ** 2


@oracle(ulp=1)
def perceptron(x: mpf, y: mpf) -> mpf:
    return max(0, (1 - 2 * y) * x)


@oracle(ulp=4)
def soft_margin(x: mpf, y: mpf, *, naive: bool = False) -> mpf | Naive:
    power = mp.exp((1 - 2 * y) * x)
    value = mp.log1p(power)
    # 1 + e^x is rounded, and e^x may be infinite.
    return Naive(value, value + 1, power) if naive else value


@oracle(ulp=4)
def multilabel_soft_margin(x: Vector, y: Vector, *, output_weight: Vector | None = None) -> mpf:
    terms = map(soft_margin, x, y)
    factor = output_weight or [mp.one] * len(x)
    return mp.fsum(w * term for w, term in zip(factor, terms, strict=True)) / len(x)


@oracle(ulp=3)
def exponential_loss(x: mpf, y: mpf) -> mpf:
    return y * mp.exp(-x) + (1 - y) * mp.exp(x)


@oracle(ulp=4)
def sparsemax_binary(x: mpf, y: mpf) -> mpf:
    u = -x if y else x
    if abs(u) >= 1:
        return max(u, mp.zero)
    return (u + 1) ** 2 / 4


def focal(shares: Result, wanted: Result, gamma: mpf, alpha: mpf | None) -> mpf:
    """The focal factor of a probability and its complement, wanted to be others."""
    (p, q), (y1, y0) = shares, wanted
    balance = 1 if alpha is None else alpha * y1 + (1 - alpha) * y0
    missed = y1 * q + y0 * p
    return balance * (missed**gamma if gamma else mp.one)


@oracle(ulp=12)
def binary_focal_cross_entropy(
    p: mpf,
    y: mpf,
    *,
    gamma: mpf = 2,
    alpha: mpf | None = None,
    label_smoothing: mpf = 0,
    log_clip: mpf = 0,
) -> mpf:
    y1, y0 = smoothed([y, 1 - y], label_smoothing)
    factor = focal((p, 1 - p), (y1, y0), gamma, alpha)
    kept = min(max(p, log_clip), 1 - log_clip)
    entropy = binary_cross_entropy(kept, y, label_smoothing=label_smoothing)[0]
    return factor * entropy if factor else mp.zero


@oracle(ulp=12)
def sigmoid_focal(
    x: mpf, y: mpf, *, gamma: mpf = 2, alpha: mpf | None = None, label_smoothing: mpf = 0
) -> Result:
    y1, y0 = smoothed([y, 1 - y], label_smoothing)
    p, q = (1 / (1 + mp.exp(-z)) for z in (x, -x))
    value = focal((p, q), (y1, y0), gamma, alpha) * binary_cross_entropy_with_logits(
        x, y, label_smoothing=label_smoothing
    )
    # The exponent γ·ln(1 − p_t) is rounded where neither label nor γ is whole.
    return value, value * (
        1 + gamma * min(abs(x), 800) if label_smoothing or y % 1 or gamma % 1 else 1
    )


@oracle(ulp=4)
def brier_score(p: mpf | Vector, y: int, *, scale_by_half: bool | None = None) -> mpf:
    if not isinstance(p, list):
        return (p - y) ** 2 * (2 if scale_by_half is False else 1)
    halved = len(p) < 3 if scale_by_half is None else scale_by_half
    total = mp.fsum((a - b) ** 2 for a, b in zip(p, one_hot(y, len(p)), strict=True))
    return total / 2 if halved else total


@oracle(ulp=0)
def zero_one(p: int | list[int], y: int | list[int]) -> mpf:
    return mp.mpf(p != y)


@oracle(ulp=0)
def hamming(p: int | list[int], y: int | list[int]) -> mpf | list[mpf]:
    if isinstance(p, list) and isinstance(y, list):
        return [mp.mpf(a != b) for a, b in zip(p, y, strict=True)]
    return mp.mpf(p != y)


@oracle(ulp=8)
def safe_softmax_cross_entropy(x: Vector, y: Vector, *, label_smoothing: mpf = 0) -> Result:
    return softmax_cross_entropy(x, y, label_smoothing=label_smoothing)


@oracle(ulp=1)
def negative_log_likelihood(x: Vector, y: int, *, class_factor: Vector | None = None) -> mpf:
    return -x[y] * (class_factor[y] if class_factor else 1)


@oracle(ulp=2)
def multiclass_log_loss(p: Vector, y: int) -> mpf:
    return -ln(p[y])


@oracle(ulp=12)
def linear_cross_entropy(
    x: Vector,
    matrix: Matrix,
    y: int,
    *,
    label_smoothing: mpf = 0,
    class_factor: Vector | None = None,
) -> Result:
    value, size = sparse_softmax_cross_entropy(
        [dot(row, x) for row in matrix],
        y,
        label_smoothing=label_smoothing,
        class_factor=class_factor,
    )
    # The products themselves are rounded.
    return value, size + max(dot([abs(a) for a in row], [abs(b) for b in x]) for row in matrix)


@oracle(ulp=12)
def categorical_focal_cross_entropy(
    p: Vector,
    y: Vector,
    *,
    alpha: mpf | Vector = 0.25,
    gamma: mpf = 2,
    label_smoothing: mpf = 0,
) -> mpf:
    factors = alpha if isinstance(alpha, list) else [mp.mpf(alpha)] * len(p)
    shares = smoothed(y, label_smoothing)
    missed = [(1 - a) ** gamma if gamma else mp.one for a in p]
    return -mp.fsum(
        f * m * times_ln(b, ln(a)) if m else mp.zero
        for f, m, a, b in zip(factors, missed, p, shares, strict=True)
    )


@oracle(ulp=8)
def poly_cross_entropy(
    x: Vector, y: Vector, *, epsilon: mpf = 2, label_smoothing: mpf = 0
) -> Result:
    shares = smoothed(y, label_smoothing)
    total = mp.fsum(map(mp.exp, x))
    missed = mp.fsum(b * (1 - mp.exp(a) / total) for a, b in zip(x, shares, strict=True))
    value, size = softmax_cross_entropy(x, y, label_smoothing=label_smoothing)
    return value + epsilon * missed, size + abs(epsilon) * (missed + mp.fsum(shares))


@oracle(ulp=6)
def generalized_cross_entropy(p: Vector, y: int, *, q: mpf = 0.5) -> mpf:
    return (1 - p[y] ** q) / q


@oracle(ulp=4)
def categorical_hinge(x: Vector, y: Vector) -> Result:
    others = max((1 - b) * a for a, b in zip(x, y, strict=True))
    return max(others - dot(x, y) + 1, mp.zero), 1 + 2 * max(map(abs, x))


@oracle(ulp=2)
def crammer_singer_hinge(x: Vector, y: int, *, squared: bool = False) -> Result:
    others = max((a for c, a in enumerate(x) if c != y), default=-mp.inf)
    value = max(mp.zero, 1 + others - x[y])
    size = 1 + abs(others - x[y]) if len(x) > 1 else mp.one
    return (value**2, 2 * value * size) if squared else (value, size)


@oracle(ulp=6)
def multi_margin(x: Vector, y: int, *, p: int = 1, margin: mpf = 1) -> Result:
    leads = [a - x[y] for c, a in enumerate(x) if c != y]
    value = mp.fsum(max(0, margin + a) ** p for a in leads) / len(x)
    return value, value + mp.fsum((margin + abs(a)) ** p for a in leads if margin + a > 0)


@oracle(ulp=6)
def multilabel_margin(x: Vector, y: list[int]) -> Result:
    right = y[: y.index(-1)] if -1 in y else y
    wrong = [a for c, a in enumerate(x) if c not in right]
    pairs = [(x[t], a) for t in right for a in wrong]
    value = mp.fsum(max(0, 1 - t + a) for t, a in pairs) / len(x)
    return value, value + mp.fsum(1 + abs(t) + abs(a) for t, a in pairs)


@oracle(ulp=1)
def multiclass_perceptron(x: Vector, y: int) -> mpf:
    return max(x) - x[y]


def simplex(x: Vector) -> Vector:
    """The distribution nearest to x, by trying how many of its entries are above 0."""
    ordered = sorted(x, reverse=True)
    thresholds = ((mp.fsum(ordered[:k]) - 1) / k for k in range(1, len(x) + 1))
    threshold = next(
        t for k, t in enumerate(thresholds, 1) if k == len(x) or ordered[k] <= t < ordered[k - 1]
    )
    return [max(a - threshold, mp.zero) for a in x]


@oracle(ulp=8)
def multiclass_sparsemax(x: Vector, y: int) -> Result:
    p = simplex(x)
    value = dot(p, [a - x[y] for a in x]) + (1 - dot(p, p)) / 2
    # 1 − P_y has the rounding of scores that are at most 1 apart.
    return value, value + mp.sqrt(abs(value))


@oracle(ulp=8)
def fenchel_young(x: Vector, y: Vector, *, max_fun: str = "logsumexp") -> Result:
    p = simplex(x)
    above = {
        "logsumexp": lambda: mp.log(mp.fsum(map(mp.exp, x))),
        "max": lambda: max(x),
        "sparsemax": lambda: dot(p, x) - dot(p, p) / 2,
    }[max_fun]()
    sizes = dot([abs(a - max(x)) for a in x], list(map(abs, y)))
    left = (1 + mp.fsum(map(abs, y))) * abs(max(x))
    return above - dot(x, y), 1 + abs(above - max(x)) + sizes + left


@oracle(ulp=4)
def kl_divergence_log_input(
    x: Vector, y: Vector, *, log_target: bool = False, zero_products: bool = False
) -> list[Result]:
    # A share that no float holds counts as none, also where the prediction has none either.
    shares = [(mp.exp(b) if b > -745 else mp.zero) if log_target else b for b in y]
    logs = y if log_target else [ln(b) for b in y]
    return [
        (mp.nan, mp.one)
        if zero_products and not s and infinite_beside_nothing(a, b, log_target)
        else (times_ln(s, b - a), s * (abs(a) + abs(b)) if s else mp.zero)
        for a, b, s in zip(x, logs, shares, strict=True)
    ]


def infinite_beside_nothing(a: mpf, b: mpf, log_target: bool) -> bool:
    """Whether a share of 0 is multiplied by an infinite gain; ln 0 itself counts as 0."""
    return bool(mp.isinf(a) or (log_target and mp.isinf(b)))


@oracle(ulp=4)
def generalized_kl_divergence(x: Vector, y: Vector, *, zero_products: bool = False) -> Result:
    if zero_products and any(mp.isinf(a) and not b for a, b in zip(x, y, strict=True)):
        return mp.nan, mp.one
    logs = [times_ln(b, ln(b) - a) for a, b in zip(x, y, strict=True)]
    sizes = [b * (abs(ln(b)) + abs(a)) if b else mp.zero for a, b in zip(x, y, strict=True)]
    return cancelling([*logs, *map(mp.exp, x), *(-b for b in y)], mp.fsum(sizes))


@oracle(ulp=2)
def l2_penalty(t: mpf) -> mpf:
    return t**2 / 2


@oracle(ulp=4)
def symmetric_mean_absolute_percentage_error(p: mpf, y: mpf, *, epsilon: mpf = 2.0**-52) -> mpf:
    return 2 * abs(p - y) / max(abs(y) + abs(p), epsilon)


@oracle(ulp=1)
def weighted_mean_absolute_percentage_error(p: mpf, y: mpf, *, epsilon: mpf = 0) -> mpf:
    return abs(p - y)


@oracle(ulp=1)
def median_absolute_error(p: mpf, y: mpf) -> mpf:
    return abs(p - y)


@oracle(ulp=1)
def max_error(p: mpf, y: mpf) -> mpf:
    return abs(p - y)


@oracle(ulp=12)
def root_mean_squared_log_error(p: mpf, y: mpf) -> mpf:
    return (mp.log1p(p) - mp.log1p(y)) ** 2


@oracle(ulp=8)
def mean_pairwise_squared_error(p: Vector, y: Vector, *, elements: int | None = None) -> Result:
    errors = [a - b for a, b in zip(p, y, strict=True)]
    squares = mp.fsum(e**2 for e in errors)
    # An error is rounded before it is squared.
    if elements is not None:
        n = mp.mpf(elements)
        return 2 * squares / (n - 1) - 2 * mp.fsum(errors) ** 2 / (n * (n - 1)), squares
    n = len(errors)
    pairs = [(a - b) ** 2 for i, a in enumerate(errors) for b in errors[:i]]
    return ratio(2 * mp.fsum(pairs), mp.mpf(n * (n - 1))), squares


@oracle(ulp=6)
def poisson_deviance(p: mpf, y: mpf) -> Result:
    size = abs(y - p) + (abs(times_ln(y, ln(y / p))) if y else mp.zero)
    return 2 * (times_ln(y, ln(y / p)) - y + p), 2 * size


@oracle(ulp=6)
def gamma_deviance(p: mpf, y: mpf) -> Result:
    return 2 * (mp.log(p / y) + y / p - 1), 2 * (abs(y - p) / p + abs(mp.log(p / y)))


@oracle(ulp=8)
def tweedie_deviance(p: mpf, y: mpf, *, power: mpf = 0) -> mpf | Result:
    special = {0: squared_error, 1: poisson_deviance, 2: gamma_deviance}
    if power in special:
        return special[int(power)](p, y)
    if y == p:
        return mp.zero, mp.zero
    a, b = 1 - mp.mpf(power), 2 - mp.mpf(power)
    above, of_mean = max(y, mp.zero) ** b / (a * b) if y > 0 else mp.zero, p**b / (a * b)
    value, size = cancelling([above, -y * p**a / a, a * of_mean])
    if abs(y - p) < p / 2:
        # Here the terms that do not shrink with the error are taken out.
        size = abs(above - of_mean) + abs((y - p) * p**a / a)
    return 2 * value, 2 * size


@oracle(ulp=4)
def half_gamma_nll_log(x: mpf, y: mpf) -> Result:
    return cancelling([x, y * mp.exp(-x)])


@oracle(ulp=6)
def half_tweedie_nll_log(x: mpf, y: mpf, *, power: mpf = 1.5) -> Result:
    if power == 1:
        return cancelling([mp.exp(x), -y * x])
    if power == 2:
        return half_gamma_nll_log(x, y)
    a, b = 1 - mp.mpf(power), 2 - mp.mpf(power)
    terms = [mp.exp(b * x) / b, -y * mp.exp(a * x) / a]
    value, size = cancelling(terms)
    # The exponent is rounded unless its factor is a power of two.
    return value, size * (1 if {abs(a), abs(b)} <= {0.5, 1, 2} else 1 + abs(x))


@oracle(ulp=4)
def cosine_similarity_loss(p: Vector, y: Vector, *, epsilon: mpf = 0, sign: mpf = -1) -> Result:
    distance, size = cosine_distance(p, y, epsilon=epsilon)
    return sign * (1 - distance), size


@oracle(ulp=5)
def cosine_embedding(a: Vector, b: Vector, y: mpf, *, margin: mpf = 0, epsilon: mpf = 0) -> Result:
    cosine = ratio(dot(a, b), mp.sqrt((dot(a, a) + epsilon) * (dot(b, b) + epsilon)))
    if mp.isnan(cosine):
        return cosine, mp.one
    return 1 - cosine if y > 0 else max(mp.zero, cosine - margin), mp.mpf(2)


@oracle(ulp=3)
def margin_ranking(a: mpf, b: mpf, y: mpf, *, margin: mpf = 0) -> Result:
    return max(mp.zero, -y * (a - b) + margin), abs(a - b) + margin


@oracle(ulp=1)
def hinge_embedding(x: mpf, y: mpf, *, margin: mpf = 1) -> mpf:
    return x if y > 0 else max(mp.zero, margin - x)


@oracle(ulp=14)
def triplet_margin_with_distance(
    anchor: Vector,
    positive: Vector,
    negative: Vector,
    *,
    distance_function: str = "euclidean",
    margin: mpf = 1,
    swap: bool = False,
    difference_add: mpf = 0,
) -> Result:
    def distance(a: Vector, b: Vector) -> mpf:
        apart = [abs(u - v + difference_add) for u, v in zip(a, b, strict=True)]
        return {
            "euclidean": lambda: mp.sqrt(dot(apart, apart)),
            "squared_euclidean": lambda: dot(apart, apart),
            "manhattan": lambda: mp.fsum(apart),
            "cosine": lambda: cosine_distance(a, b)[0],
        }[distance_function]()

    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        between = distance(positive, negative)
        far = mp.nan if mp.isnan(between) else min(far, between)
    if mp.isnan(near) or mp.isnan(far):
        return mp.nan, mp.one
    return max(margin + near - far, mp.zero), 2 + margin + near + far


def log_sum_exp(terms: Vector) -> mpf:
    """ln Σ e^x, −∞ of nothing."""
    return ln(mp.fsum(map(mp.exp, terms)))


@oracle(ulp=12)
def circle(
    x: Matrix,
    labels: list[int],
    *,
    gamma: mpf = 80,
    margin: mpf = 0.4,
    remove_diagonal: bool = True,
) -> list[Result]:
    m = mp.mpf(margin)
    results = []
    for i, anchor in enumerate(x):
        away = [max(mp.zero, 1 - dot(anchor, other)) for other in x]
        like = [
            -gamma * (m + d) * (m - d)
            for j, d in enumerate(away)
            if labels[j] == labels[i] and not (remove_diagonal and i == j)
        ]
        others = [
            gamma * max(mp.zero, 1 + m - d) * (1 - m - d)
            for j, d in enumerate(away)
            if labels[j] != labels[i]
        ]
        total = log_sum_exp(like) + log_sum_exp(others) if like and others else -mp.inf
        value = mp.log1p(mp.exp(total))
        reach = max(map(abs, [*like, *others]), default=mp.zero)
        # What is summed is rounded at its own size, that of γ times a few.
        results.append((value, value + min(value, 1) * (reach + 4 * gamma * (2 + max(away)))))
    return results


@oracle(ulp=12)
def ntxent(x: Matrix, labels: list[int], *, temperature: mpf = 0.07) -> Result:
    tau = mp.mpf(temperature)
    lengths = [mp.sqrt(dot(a, a)) for a in x]
    if not all(lengths):
        return mp.nan, mp.one
    scores = [
        [dot(a, b) / (m * n * tau) for b, n in zip(x, lengths, strict=True)]
        for a, m in zip(x, lengths, strict=True)
    ]
    terms = [
        log_sum_exp([s for k, s in enumerate(row) if k == j or labels[k] != labels[i]]) - row[j]
        for i, row in enumerate(scores)
        for j in range(len(x))
        if i != j and labels[i] == labels[j]
    ]
    return ratio(mp.fsum(terms), mp.mpf(len(terms))), 4 / tau


@oracle(ulp=8)
def dice(p: Vector, y: Vector, *, smooth: mpf = 0, epsilon: mpf = 1e-7) -> mpf:
    common, areas = 2 * dot(y, p) + 2 * smooth, mp.fsum([*p, *y]) + 2 * smooth
    return 1 - ratio(common, areas + epsilon)


@oracle(ulp=8)
def tversky(
    p: Vector,
    y: Vector,
    *,
    alpha: mpf = 0.5,
    beta: mpf = 0.5,
    smooth: mpf = 0,
    epsilon: mpf = 1e-7,
) -> mpf:
    common, found, there = dot(y, p), mp.fsum(p), mp.fsum(y)
    wrong = alpha * (found - common) + beta * (there - common)
    return 1 - ratio(common + smooth, common + wrong + smooth + epsilon)


@oracle(ulp=10)
def generalized_dice(
    p: list[Matrix], y: list[Matrix], *, smooth: mpf = 1, drops_first: bool = False
) -> mpf:
    classes = range(len(p[0][0]))
    counts = [mp.fsum(pixel[c] for image in y for pixel in image) for c in classes]
    shares = [1 / (n**2 + mp.mpf(1e-7)) for n in counts]

    def one(image: Matrix, seen: Matrix, c: int) -> mpf:
        a, b = [pixel[c] for pixel in image], [pixel[c] for pixel in seen]
        return 1 - ratio(2 * dot(a, b) + 2 * smooth, mp.fsum(a) + mp.fsum(b) + 2 * smooth)

    # As many weights as classes sum to their number, also where the mean leaves one out.
    terms = [
        len(classes) * shares[c] / mp.fsum(shares) * one(image, seen, c)
        for image, seen in zip(p, y, strict=True)
        for c in classes[drops_first:]
    ]
    return ratio(mp.fsum(terms), mp.mpf(len(terms)))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two boxes, as far as the losses look at them."""

    iou: mpf
    union: mpf
    around: tuple[mpf, mpf]
    turned: mpf
    size: mpf

    @staticmethod
    def of(a: Vector, b: Vector, epsilon: mpf) -> "Overlap":
        """From corners."""
        sides = [(box[2] - box[0], box[3] - box[1]) for box in (a, b)]
        inner = [max(mp.zero, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1)]
        outer = [max(a[k + 2], b[k + 2]) - min(a[k], b[k]) for k in (0, 1)]
        common = inner[0] * inner[1]
        union = mp.fsum(w * h for w, h in sides) - common
        angles = [mp.atan2(w, h) if w or h else mp.nan for w, h in sides]
        iou = ratio(common, union + epsilon)
        return Overlap(iou, union, (outer[0], outer[1]), angles[1] - angles[0], 4 + abs(iou))


def displacement(a: Vector, b: Vector, around: tuple[mpf, mpf], epsilon: mpf) -> mpf:
    """Squared distance of the centres over the squared diagonal."""
    moved = [(a[k] + a[k + 2] - b[k] - b[k + 2]) / 2 for k in (0, 1)]
    return ratio(moved[0] ** 2 + moved[1] ** 2, around[0] ** 2 + around[1] ** 2 + epsilon)


@oracle(ulp=8)
def generalized_box_iou(a: Vector, b: Vector, *, epsilon: mpf = 1e-7) -> Result:
    pair = Overlap.of(a, b, epsilon)
    around = pair.around[0] * pair.around[1]
    return 1 - pair.iou + ratio(around - pair.union, around + epsilon), pair.size


@oracle(ulp=8)
def distance_box_iou(a: Vector, b: Vector, *, epsilon: mpf = 1e-7) -> Result:
    pair = Overlap.of(a, b, epsilon)
    # Corners far from 0 are rounded when they are added up to centres.
    far = max(map(abs, [*a, *b])) / (max(pair.around) or 1)
    return 1 - pair.iou + displacement(a, b, pair.around, epsilon), pair.size + far


@oracle(ulp=8)
def complete_box_iou(
    a: Vector, b: Vector, *, epsilon: mpf = 1e-7, aspect_epsilon: mpf | None = None
) -> Result:
    pair = Overlap.of(a, b, epsilon)
    value, size = distance_box_iou(a, b, epsilon=epsilon)
    v = 4 / mp.pi**2 * pair.turned**2
    last = epsilon if aspect_epsilon is None else aspect_epsilon
    return value + ratio(v**2, 1 - pair.iou + v + last), size + 8


@oracle(ulp=8)
def ranking_softmax(x: Vector, y: Vector) -> Result:
    return softmax_cross_entropy(x, y)


@oracle(ulp=12)
def ctc(
    steps: Matrix,
    labels: list[int],
    heard: int,
    said: int,
    *,
    blank: int = 0,
    zero_infinity: bool = False,
    log_zero: mpf | None = None,
    log_elsewhere: mpf | None = None,
) -> Result:
    if log_zero is not None:
        value = -ln(unlikely(steps[:heard], labels, blank, mp.exp(log_zero))[said])
    elif log_elsewhere is not None:
        chances = by_end(steps[:heard], labels, blank)
        others = mp.fsum(chances) - chances[said]
        value = -ln(chances[said] + mp.exp(log_elsewhere) * others)
    else:
        value = -ln(aligned(steps[:heard], labels[:said], blank))
    size = mp.fsum(max(map(abs, row)) for row in steps[:heard]) + 1
    if log_zero is not None or log_elsewhere is not None:
        size += abs(value)
    return mp.zero if zero_infinity and value == mp.inf else value, size


def aligned(steps: Matrix, labels: list[int], blank: int) -> mpf:
    """Probability of labels, by every path there is: the definition."""

    def collapsed(path: tuple[int, ...]) -> list[int]:
        merged = [c for k, c in enumerate(path) if k == 0 or path[k - 1] != c]
        return [c for c in merged if c != blank]

    classes = range(len(steps[0])) if steps else ()
    return mp.fsum(
        mp.exp(mp.fsum(row[c] for row, c in zip(steps, path, strict=True)))
        for path in product(classes, repeat=len(steps))
        if collapsed(path) == labels
    )


def by_end(steps: Matrix, labels: list[int], blank: int) -> Vector:
    """Probability of ending after each number of the labels, by their row with blanks between."""
    row = [blank, *(c for label in labels for c in (label, blank))]
    chances = [mp.one, *([mp.zero] * (len(row) - 1))]
    for step in steps:
        chances = [
            mp.exp(step[row[s]])
            * mp.fsum(
                chances[k]
                for k in range(max(s - 2, 0), s + 1)
                if k > s - 2 or (s % 2 and row[s] != row[k])
            )
            for s in range(len(row))
        ]
    return [chances[0], *(chances[s] + chances[s + 1] for s in range(1, len(row), 2))]


def unlikely(steps: Matrix, labels: list[int], blank: int, never: mpf) -> Vector:
    """What ``by_end`` gives where what cannot be has the probability ``never``: Optax's rule."""
    # A label ends as if in a blank for nothing, unless the next one repeats it.
    repeats = [never if a == b else mp.one for a, b in pairwise(labels)] + [mp.one]
    apart = [mp.one if a == b else never for a, b in pairwise(labels)] + [never]
    blanks, ends = [mp.one] + [never] * len(labels), [never] * len(labels)
    for step in steps:
        passed = [a + e * r for a, e, r in zip(blanks[1:], ends, repeats, strict=True)]
        silence = mp.exp(step[blank])
        told = zip([blanks[0], *passed], ends, labels, strict=False)
        later = zip(passed, ends, apart, strict=True)
        blanks = [silence * blanks[0], *(silence * (a + e * r) for a, e, r in later)]
        ends = [mp.exp(step[c]) * (a + e) for a, e, c in told]
    return [blanks[0], *(a + e for a, e in zip(blanks[1:], ends, strict=True))]


@oracle(ulp=6)
def d2_score(
    p: Vector | Matrix,
    y: Vector | Matrix,
    *,
    family: str = "tweedie",
    power: mpf = 0,
    quantile: mpf = 0.5,
    columns: str | Vector = "uniform_average",
    least: mpf = 0,
    sample_weight: Vector | None = None,
) -> Result | list[Result]:
    weights = sample_weight or [mp.one] * len(p)
    raw = columns == "raw_values"
    if len(p) == 1:
        return [(mp.nan, mp.one)] if raw else (mp.nan, mp.one)
    if family == "tweedie":
        save = partial(saved_deviance, weights, power)
    elif family in ("pinball", "absolute_error"):
        save = partial(saved_pinball, weights, 0.5 if family == "absolute_error" else quantile)
    else:
        return saved_by_class(weights, family, p, y, least)
    if not isinstance(y[0], list):
        return [save(p, y)] if raw else save(p, y)
    scores = [save(a, b) for a, b in zip(transposed(p), transposed(y), strict=True)]
    if raw:
        return scores
    factors = columns if isinstance(columns, list) else [mp.one] * len(scores)
    value, size = (dot(factors, [*part]) / mp.fsum(factors) for part in zip(*scores, strict=True))
    return value, size


def saved(missed: Result, best: Result) -> Result:
    """One minus a quotient of sums."""
    share = ratio(missed[0], best[0])
    return 1 - share, 1 + ratio(missed[1] + share * best[1], best[0]) if best[0] else mp.one


def weighed(weights: Vector, rates: Iterable[mpf | Result]) -> Result:
    """Weighted sum of values that have a size."""
    sized = [rate if isinstance(rate, tuple) else (rate, abs(rate)) for rate in rates]
    value, size = (dot(weights, [*part]) for part in zip(*sized, strict=True))
    return value, size


def saved_deviance(weights: Vector, power: mpf, p: Vector, y: Vector) -> Result:
    """The score of one output; the mean is the best constant."""

    def total(predictions: Vector) -> Result:
        pairs = zip(predictions, y, strict=True)
        return weighed(weights, (tweedie_deviance(*pair, power=power) for pair in pairs))

    # From a target that counts, so that the mean of equal ones is exact.
    start = max(zip(weights, y, strict=True))[1]
    mean = start + dot(weights, [a - start for a in y]) / mp.fsum(weights)
    return saved(total(p), total([mean] * len(y)))


def saved_pinball(weights: Vector, quantile: mpf, p: Vector, y: Vector) -> Result:
    """The score of one output; one of the targets is the best constant."""

    def total(predictions: Vector) -> Result:
        pairs = zip(predictions, y, strict=True)
        return weighed(weights, (pinball(*pair, quantile=quantile) for pair in pairs))

    missed, best = total(p), min(total([c] * len(y)) for c in y)
    return saved(missed, best) if best[0] else (mp.mpf(missed[0] == 0), mp.one)


def saved_by_class(
    weights: Vector, family: str, p: Vector | Matrix, y: Vector, least: mpf
) -> Result:
    """The score of class probabilities; the share of each class is the best constant."""
    rows = [row if isinstance(row, list) else [1 - row, row] for row in p]
    whole = mp.fsum(weights)
    shares = [
        mp.fsum(w for w, label in zip(weights, y, strict=True) if label == c) / whole
        for c in range(len(rows[0]))
    ]
    shares = [min(max(share, least), 1 - least) for share in shares]
    rate = multiclass_log_loss if family == "log_loss" else brier_score
    # 1 − p of a small p has no digits of it, and its logarithm needs them.
    alone = family == "log_loss" and not isinstance(p[0], list)
    missed = weighed(weights, map(binary_cross_entropy, p, y) if alone else map(rate, rows, y))
    value, size = weighed(weights, (max(rate(shares, label), least) for label in y))
    # The rounding of a share near 1 is all that its logarithm has.
    return saved(missed, (value, size + whole if family == "log_loss" else size))


def transposed(rows: Matrix) -> Matrix:
    """Columns as rows."""
    return [[*column] for column in zip(*rows, strict=True)]
