"""Weighted quantiles and the mean of the worst, exact wherever the values themselves are kept."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

import numpy as np

from lossmeter.core.exact import UNIT_BITS, ExactSum, Floats, exact_sum
from lossmeter.core.parts import Histogram, Values
from lossmeter.errors import OutOfDomain


def quantile_of(values: Values, q: float) -> float | None:
    """The quantile of the values; None if nothing has weight.

    Raises:
        OutOfDomain: A weight is negative or not finite.
    """
    losses, weights = _sorted(values)
    return _weighted_quantile(losses, _accumulated(weights), q)


def quantile_within(histogram: Histogram, q: float) -> float | None:
    """The middle of the bin that holds the quantile; None if nothing has weight.

    Raises:
        OutOfDomain: A bin's weight is negative.
    """
    if histogram.nan:
        return math.nan
    numbers = sorted(histogram.bins)
    if any(histogram.bins[n] < 0 for n in numbers):
        raise _unweighable()
    middles = np.asarray([Histogram.middle(n) for n in numbers])
    return _weighted_quantile(middles, list(accumulate(histogram.bins[n] for n in numbers)), q)


def worst_share(values: Values, alpha: float) -> tuple[float, float | None] | None:
    """The mean of the worst share of the values and its weight; None if nothing has weight.

    Raises:
        OutOfDomain: A weight is negative or not finite.
    """
    losses, weights = _sorted(values)
    losses, weights = losses[::-1], weights[::-1]
    reached = _accumulated(weights)
    total = int(reached[-1]) if len(reached) else 0
    if not total:
        return None
    # A power of two off every weight changes no share, and no product overflows.
    size = int(np.frexp(weights.max())[1])
    weights = np.ldexp(weights, -size)
    if math.isnan(losses[0]):
        return math.nan, None
    mass = Fraction(repr(alpha)) * total
    whole = bisect_right(reached, int(mass))
    left = mass - (int(reached[whole - 1]) if whole else 0)
    # The grid of the integers against the weights themselves: Σw is both.
    scale = Fraction(exact_sum(weights).units, total)
    worst = exact_sum(weights[:whole] * losses[:whole])
    if left:
        part = ExactSum.of_float(float(losses[whole]))
        units = round(part.units * left * scale / (1 << UNIT_BITS))
        worst += ExactSum(units, part.nan, part.positive_infinity, part.negative_infinity)
    below = ExactSum(round(mass * scale))
    units = below.units << size if size >= 0 else below.units >> -size
    return worst / below, float(ExactSum(units))


def _sorted(values: Values) -> tuple[Floats, Floats]:
    losses = np.concatenate([np.zeros(0), *values.losses])
    weights = np.concatenate([np.zeros(0), *values.weights])
    order = np.argsort(losses, kind="stable")
    return losses[order], weights[order]


def _unweighable() -> OutOfDomain:
    return OutOfDomain(
        "a quantile needs weights that are finite and not negative", field="inputs.sample_weight"
    )


def _accumulated(weights: Floats) -> Sequence[int]:
    """Running sums of the weights, exact, as integers on one grid."""
    if weights.size and not (weights.min() >= 0.0 and np.isfinite(weights).all()):
        raise _unweighable()
    small = not weights.size or weights.max() < 2.0**62 / weights.size
    if small and np.array_equal(weights, np.floor(weights)):
        return np.cumsum(weights.astype(np.int64))  # type: ignore[return-value]  # indexes alike
    mantissa, exponent = np.frexp(weights)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    shifts = exponent - exponent.min()
    return list(accumulate(m << e for m, e in zip(whole.tolist(), shifts.tolist(), strict=True)))


def _weighted_quantile(losses: Floats, reached: Sequence[int], q: float) -> float | None:
    """The averaged inverted CDF: where the CDF meets q exactly, the mean of the two neighbours."""
    total = int(reached[-1]) if len(reached) else 0
    if not total:
        return None
    if math.isnan(losses[-1]):
        return math.nan
    # q as it is written, 9/10, not as float64 holds it.
    target = Fraction(repr(q)) * total
    whole = int(target)
    if target == total:
        return float(losses[bisect_left(reached, total)])
    after = bisect_right(reached, whole)
    if not target or target != whole:
        return float(losses[after])
    low, high = float(losses[bisect_left(reached, whole)]), float(losses[after])
    return low if low == high else low + (high - low) / 2
