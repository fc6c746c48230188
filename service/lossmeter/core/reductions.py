"""Every reduction: which parts it needs, and how they become a number.

ℓ are the kept loss values, w their weights (1 if none), n their number.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from lossmeter.core.exact import UNIT_BITS, ZERO, ExactSum, divide, exact_sum
from lossmeter.core.parts import (
    Exponentials,
    Extreme,
    Greatest,
    Histogram,
    Least,
    Linear,
    Logarithms,
    Moments,
    Part,
    Reciprocals,
    Values,
)
from lossmeter.core.quantiles import quantile_of, quantile_within, worst_share
from lossmeter.errors import EmptyReduction, NotMergeable

Parts = Mapping[str, Part]
P = TypeVar("P", bound=Part)


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction as asked for.

    Attributes:
        name: Its canonical name.
        q: Level of a quantile, in [0, 1].
        alpha: Share of the worst losses, in (0, 1].
        ddof: Delta degrees of freedom of a variance.
        divisor: What a mean divides by, in place of n.
        axis: Axes of the loss values to reduce over; empty for all.
        by: Input that names the group of each sample.
        root: Whether the square root of the mean is taken, as a loss declares.
        own_divisor: Whether the mean divides by the dialect's own divisor.
        own_numerator: Whether it sums the dialect's own terms, in place of the loss values.
        floor: The least that the dialect's own divisor counts.
        nothing: What this mean is of nothing, where that is not the dialect's rule.
        own_weights: Whether Σw counts the weights before they were broadcast, as Keras does.
    """

    name: str
    q: float = 0.5
    alpha: float = 1.0
    ddof: float = 1.0
    divisor: float | None = None
    axis: tuple[int, ...] = ()
    by: str | None = None
    root: bool = False
    own_divisor: bool = False
    own_numerator: bool = False
    floor: float = 0.0
    nothing: float | None = None
    own_weights: bool = False

    @property
    def rule(self) -> "Rule":
        """How it is computed."""
        return RULES[self.name]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reduction of one group gives.

    Attributes:
        value: The number.
        denominator: What was divided by, if anything was.
        at: The extreme found, for min and max.
        relative_error: Bound of the error, where a histogram answers; else 0.
    """

    value: float
    denominator: float | None = None
    at: Extreme | None = None
    relative_error: float = 0.0


Finish = Callable[[Parts, Reduction], Outcome]


@dataclass(frozen=True, slots=True)
class Rule:
    """A reduction's needs and its finish.

    Attributes:
        finish: Parts to outcome.
        parts: Keys of the parts it reads besides the linear one.
        options: Names of the settings it takes, each required where the value is True.
        meaning: Its formula in words, for the catalogue.
        merges: Whether states made apart can be finished together.
        mean: Whether it is a mean, of which a framework says what it is of nothing.
    """

    finish: Finish
    parts: tuple[type[Part], ...]
    meaning: str
    options: Mapping[str, bool] = field(default_factory=dict)
    merges: bool = True
    mean: bool = False


def _part(parts: Parts, kind: type[P]) -> P:
    """The part a finish needs.

    Raises:
        NotMergeable: A state was made without it.
    """
    found = parts.get(kind.key)
    if not isinstance(found, kind):
        raise NotMergeable(
            f"the state holds no {kind.key}; ask for the reduction by name when the state is "
            'made, as in "state": ["quantile", "max"]',
            field="reduction",
        )
    return found


def _ratio(above: ExactSum, below: ExactSum) -> float:
    try:
        return above / below
    except ZeroDivisionError:
        raise _nothing() from None


def _nothing() -> EmptyReduction:
    return EmptyReduction(
        "a mean of nothing: no entry is kept, or the divisor is 0; keep an entry, or take the sum",
        field="reduction",
    )


def _sum(parts: Parts, _: Reduction) -> Outcome:
    return Outcome(float(_part(parts, Linear).total), 1.0)


def _mean_over(divisor: Callable[[Linear, Reduction], ExactSum]) -> Finish:
    """A mean: the exact sum over an exact divisor, rounded once; the root of it where asked."""

    def finish(parts: Parts, reduction: Reduction) -> Outcome:
        linear = _part(parts, Linear)
        if not linear.count:
            raise _nothing()
        below = _own_divisor(linear, reduction)
        below = divisor(linear, reduction) if below is None else below
        value = _ratio(linear.divisor if reduction.own_numerator else linear.total, below)
        return Outcome(_root(value) if reduction.root else value, float(below))

    return finish


def _root(value: float) -> float:
    return math.sqrt(value) if value >= 0.0 else math.nan


def _own_divisor(linear: Linear, reduction: Reduction) -> ExactSum | None:
    if not reduction.own_divisor:
        return None
    return linear.divisor.at_least(reduction.floor) if reduction.floor else linear.divisor


def _mean_divisor(linear: Linear, reduction: Reduction) -> ExactSum:
    if reduction.divisor is not None:
        return ExactSum.of_float(reduction.divisor)
    return ExactSum.of_int(linear.count)


def _weight_divisor(linear: Linear, reduction: Reduction) -> ExactSum:
    if not reduction.own_weights or linear.weight_entries in (0, linear.entries):
        return linear.weight
    # Each weight was broadcast to the same number of entries, so the division is exact.
    weight = linear.weight
    units = weight.units * linear.weight_entries // linear.entries
    return ExactSum(units, weight.nan, weight.positive_infinity, weight.negative_infinity)


def _keras2(parts: Parts, _: Reduction) -> Outcome:
    # mean(m)·mean(w ≠ 0) over all entries: K·Σwℓ / (n · #{w ≠ 0}), the two means being n/K and
    # #{w ≠ 0}/K.
    linear = _part(parts, Linear)
    below = Fraction(linear.count * linear.nonzero_entries, linear.entries or 1)
    if not below:
        raise _nothing()
    total = ExactSum(
        linear.total.units * below.denominator,
        linear.total.nan,
        linear.total.positive_infinity,
        linear.total.negative_infinity,
    )
    return Outcome(total / ExactSum.of_int(below.numerator), float(below))


def _rms(parts: Parts, _: Reduction) -> Outcome:
    weight = _part(parts, Linear).weight
    return Outcome(_root(_ratio(_part(parts, Moments).second, weight)), float(weight))


def _variance(parts: Parts, reduction: Reduction) -> Outcome:
    weight, moments = _part(parts, Linear).weight, _part(parts, Moments)
    sums = (weight, moments.first, moments.second, moments.squared_weight)
    if any(total.special is not None for total in sums):
        return Outcome(math.nan, math.nan)
    w, wl, wl2, w2 = (Fraction(total.units, 1 << UNIT_BITS) for total in sums)
    if not w:
        raise _nothing()
    below = w - Fraction(reduction.ddof) * w2 / w
    if not below:
        raise EmptyReduction(
            f"a variance with ddof {reduction.ddof:g} needs more than one kept entry",
            field="reduction",
        )
    value = (wl2 - wl * wl / w) / below
    return Outcome(divide(*value.as_integer_ratio()), divide(*below.as_integer_ratio()))


def _std(parts: Parts, reduction: Reduction) -> Outcome:
    variance = _variance(parts, reduction)
    return Outcome(_root(variance.value), variance.denominator)


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _exp_mean(parts: Parts, _: Reduction) -> Outcome:
    linear = _part(parts, Linear)
    return Outcome(_exp(_ratio(linear.total, linear.weight)), float(linear.weight))


def _geometric_mean(parts: Parts, _: Reduction) -> Outcome:
    weight = _part(parts, Linear).weight
    return Outcome(_exp(_ratio(_part(parts, Logarithms).total, weight)), float(weight))


def _harmonic_mean(parts: Parts, _: Reduction) -> Outcome:
    weight, below = _part(parts, Linear).weight, _part(parts, Reciprocals).total
    if weight == ZERO:
        raise _nothing()
    try:
        return Outcome(weight / below, float(below))
    except ZeroDivisionError:
        return Outcome(math.copysign(math.inf, float(weight)), 0.0)


def _logsumexp(parts: Parts, _: Reduction) -> Outcome:
    exponentials, bits = _part(parts, Exponentials), Exponentials.BAND_BITS
    bands, special = exponentials.bands, exponentials.special.special
    if special is not None or not bands:
        return Outcome(-math.inf if special is None else _log(special))
    top = max(bands)
    units = sum(
        (total.units << bits * Exponentials.KEPT) >> bits * min(top - band, Exponentials.KEPT)
        for band, total in bands.items()
    )
    if units <= 0:
        return Outcome(-math.inf if units == 0 else math.nan)
    binades = units.bit_length() - 1
    mantissa = units / (1 << binades)
    binades -= UNIT_BITS + bits * Exponentials.KEPT
    return Outcome(top * Exponentials.BAND + (binades * math.log(2.0) + math.log(mantissa)))


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else math.nan


def _extreme(kind: type[Least] | type[Greatest]) -> Finish:
    def finish(parts: Parts, _: Reduction) -> Outcome:
        found = _part(parts, kind)
        if found.value is None:
            raise _nothing()
        return Outcome(found.value, at=found)

    return finish


def _quantile(parts: Parts, reduction: Reduction) -> Outcome:
    exact = parts.get(Values.key)
    if isinstance(exact, Values):
        value, error = quantile_of(exact, reduction.q), 0.0
    else:
        histogram, error = _part(parts, Histogram), Histogram.RELATIVE_ERROR
        value = quantile_within(histogram, reduction.q)
    if value is None:
        raise _nothing()
    return Outcome(value, relative_error=error)


def _cvar(parts: Parts, reduction: Reduction) -> Outcome:
    worst = worst_share(_part(parts, Values), reduction.alpha)
    if worst is None:
        raise _nothing()
    return Outcome(*worst)


def _macro_mean(parts: Parts, reduction: Reduction) -> Outcome:
    return _mean(parts, reduction)


def _none(parts: Parts, _: Reduction) -> Outcome:
    raise NotMergeable(
        "the reduction none has no state; take the loss values as they are evaluated",
        field="reduction",
    )


_mean = _mean_over(_mean_divisor)

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "none": Rule(_none, (), "wℓ, the shape kept; null where masked", merges=False),
        "sum": Rule(_sum, (), "Σwℓ"),
        "mean": Rule(_mean, (), "Σwℓ / n, or Σwℓ / divisor", {"divisor": False}, mean=True),
        "weighted_mean": Rule(_mean_over(_weight_divisor), (), "Σwℓ / Σw", mean=True),
        "nonzero_mean": Rule(
            _mean_over(lambda linear, _: ExactSum.of_int(linear.nonzero)),
            (),
            "Σwℓ / #{w ≠ 0}",
            mean=True,
        ),
        "batch_mean": Rule(
            _mean_over(lambda linear, _: ExactSum.of_int(linear.rows)),
            (),
            "Σwℓ / N, the size of axis 0",
            mean=True,
        ),
        "keras2": Rule(_keras2, (), "the masked objective of Keras 0.3 to 2.2", mean=True),
        "rms": Rule(_rms, (Moments,), "√(Σwℓ² / Σw)", mean=True),
        "min": Rule(_extreme(Least), (Least,), "the least loss value, and its sample's index"),
        "max": Rule(_extreme(Greatest), (Greatest,), "the greatest, and its sample's index"),
        "median": Rule(_quantile, (Values,), "the weighted quantile at 0.5"),
        "quantile": Rule(
            _quantile, (Values,), "the weighted quantile, averaged inverted CDF", {"q": True}
        ),
        "variance": Rule(
            _variance,
            (Moments,),
            "Σw(ℓ − μ)² / (Σw − ddof·Σw²/Σw)",
            {"ddof": False},
        ),
        "std": Rule(_std, (Moments,), "the square root of variance", {"ddof": False}),
        "logsumexp": Rule(_logsumexp, (Exponentials,), "ln Σw·e^ℓ"),
        "geometric_mean": Rule(_geometric_mean, (Logarithms,), "exp(Σw·ln ℓ / Σw)"),
        "harmonic_mean": Rule(_harmonic_mean, (Reciprocals,), "Σw / Σ(w/ℓ)"),
        "exp_mean": Rule(_exp_mean, (), "exp(Σwℓ / Σw), perplexity"),
        "cvar": Rule(
            _cvar, (Values,), "mean of the worst alpha share", {"alpha": True}, merges=False
        ),
        "macro_mean": Rule(
            _macro_mean, (), "mean over the groups of `by` of their means", {"by": True}, mean=True
        ),
    }
)

# What a state holds when it is asked for without names: every sum, so that each reduction that
# is finished from sums can be asked of it later.
SUMS: tuple[type[Part], ...] = (Linear, Moments, Logarithms, Reciprocals, Exponentials)


def finish(parts: Parts, reduction: Reduction) -> Outcome:
    """Reduce one group to one number.

    Raises:
        EmptyReduction: Nothing is kept, or the divisor is 0.
        NotMergeable: The parts lack what the reduction reads.
    """
    return reduction.rule.finish(parts, reduction)


def finish_macro(outcomes: list[Outcome]) -> Outcome:
    """The mean of the groups' means."""
    values = np.asarray([outcome.value for outcome in outcomes])
    groups = ExactSum.of_int(len(outcomes))
    return Outcome(_ratio(exact_sum(values), groups), float(len(outcomes)))


def mergeable_parts(reduction: Reduction) -> tuple[type[Part], ...]:
    """The parts that a stream or a state keeps for a reduction: sums in place of values."""
    return tuple(Histogram if part is Values else part for part in reduction.rule.parts)
