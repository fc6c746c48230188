"""Every reduction against a naive formula."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import pytest

from lossmeter.core.arrays import Array
from lossmeter.core.block import Block
from lossmeter.core.exact import Floats
from lossmeter.core.parts import Histogram, Linear, Part
from lossmeter.core.reductions import (
    RULES,
    Outcome,
    Parts,
    Reduction,
    finish,
    finish_macro,
    mergeable_parts,
)
from lossmeter.errors import EmptyReduction, NotMergeable, OutOfDomain
from tests.unit.core.blocks import block

# What the 10 kept entries of a block do not tell: 5 more are masked, 2 of them with a weight, and
# the 15 are 3 rows of 5 that share 5 weights.
MASKED = Linear(entries=5, nonzero_entries=2, rows=3, weight_entries=5)
NAN, INF = math.nan, math.inf


def _parts(entries: Block, kinds: tuple[type[Part], ...], masked: Linear = MASKED) -> Parts:
    # A logarithm of 0 and the like are values here.
    with np.errstate(all="ignore"):
        return {
            "linear": Linear.of(entries) + masked,
            **{kind.key: kind.of(entries) for kind in kinds},
        }


def _reduce(
    reduction: Reduction, losses: list[float] | Floats, weights: list[float] | Floats | None = None
) -> Outcome:
    return finish(_parts(block(losses, weights), reduction.rule.parts), reduction)


@pytest.mark.parametrize(
    ("name", "value", "denominator"),
    [
        ("sum", 43.0, 1.0),
        ("mean", 10.75, 4.0),
        ("weighted_mean", 8.6, 5.0),
        ("nonzero_mean", 43.0 / 3.0, 3.0),
    ],
)
def test_the_worked_line(name: str, value: float, denominator: float) -> None:
    outcome = _reduce(Reduction(name), [1.0, 4.0, 9.0, 16.0], [2.0, 0.0, 1.0, 2.0])
    assert outcome == Outcome(value, denominator)


Formula: TypeAlias = Callable[[Floats, Floats], Array]


class Naive(NamedTuple):
    """A reduction and what it should give of losses and weights."""

    reduction: Reduction
    formula: Formula


def _copies(losses: Floats, weights: Floats) -> Floats:
    """Each loss as often as its weight counts eighths."""
    return np.repeat(losses, (weights * 8).astype(np.int64))


def _worst(losses: Floats, weights: Floats, alpha: float) -> float:
    descending = np.sort(_copies(losses, weights))[::-1]
    mass = alpha * descending.size
    whole = int(mass)
    return float((descending[:whole].sum() + (mass - whole) * descending[whole]) / mass)


def _keras2(losses: Floats, weights: Floats) -> float:
    # As Keras computed it, on all entries.
    score, mask, nonzero = np.zeros(15), np.zeros(15), np.zeros(15)
    score[:10], mask[:10] = losses * weights, 1.0
    nonzero[:10], nonzero[10:12] = weights != 0.0, 1.0
    return float(np.mean(score * mask / mask.mean() / nonzero.mean()))


def _variance(ddof: int) -> Formula:
    return lambda x, w: float(np.cov(x, aweights=w, ddof=ddof))


def _quantile(q: float) -> Formula:
    return lambda x, w: float(np.quantile(_copies(x, w), q, method="averaged_inverted_cdf"))


def _logsumexp(losses: Floats, weights: Floats) -> float:
    top = losses.max()
    return float(top + np.log(np.sum(weights * np.exp(losses - top))))


NAIVE = {
    "sum": Naive(Reduction("sum"), np.dot),
    "mean": Naive(Reduction("mean"), lambda x, w: np.mean(x * w)),
    "mean over a divisor": Naive(Reduction("mean", divisor=7.0), lambda x, w: x @ w / 7),
    "mean over a dialect's divisor": Naive(
        Reduction("mean", own_divisor=True), lambda x, w: x @ w / (0.5 * x.size)
    ),
    "mean with the root taken": Naive(
        Reduction("mean", root=True), lambda x, w: np.sqrt(np.mean(x * w))
    ),
    "weighted_mean": Naive(Reduction("weighted_mean"), lambda x, w: np.average(x, weights=w)),
    "weighted_mean over weights before their broadcast": Naive(
        Reduction("weighted_mean", own_weights=True), lambda x, w: x @ w / (w.sum() * 5 / 15)
    ),
    "nonzero_mean": Naive(Reduction("nonzero_mean"), lambda x, w: x @ w / np.count_nonzero(w)),
    "batch_mean": Naive(Reduction("batch_mean"), lambda x, w: x @ w / 3),
    "keras2": Naive(Reduction("keras2"), _keras2),
    "rms": Naive(Reduction("rms"), lambda x, w: np.sqrt(np.average(x**2, weights=w))),
    "min": Naive(Reduction("min"), lambda x, _: np.min(x)),
    "max": Naive(Reduction("max"), lambda x, _: np.max(x)),
    "median": Naive(Reduction("median"), _quantile(0.5)),
    **{
        f"quantile at {q}": Naive(Reduction("quantile", q=q), _quantile(q))
        for q in (0.0, 0.1, 0.25, 0.37, 0.75, 0.9, 1.0)
    },
    "variance": Naive(Reduction("variance"), _variance(1)),
    "variance with ddof 0": Naive(Reduction("variance", ddof=0.0), _variance(0)),
    "std": Naive(Reduction("std", ddof=0.0), lambda x, w: np.sqrt(_variance(0)(x, w))),
    "logsumexp": Naive(Reduction("logsumexp"), _logsumexp),
    "geometric_mean": Naive(
        Reduction("geometric_mean"), lambda x, w: np.exp(np.average(np.log(x), weights=w))
    ),
    "harmonic_mean": Naive(Reduction("harmonic_mean"), lambda x, w: w.sum() / np.sum(w / x)),
    "exp_mean": Naive(Reduction("exp_mean"), lambda x, w: np.exp(np.average(x, weights=w))),
    **{
        f"cvar of {alpha}": Naive(Reduction("cvar", alpha=alpha), partial(_worst, alpha=alpha))
        for alpha in (0.01, 0.3, 0.99)
    },
    "macro_mean": Naive(Reduction("macro_mean", by="group"), lambda x, w: np.mean(x * w)),
}
LOSSES = np.random.default_rng(0).exponential(size=10) + 0.1
WEIGHTS: Mapping[str, Floats] = {
    "weights 1": np.ones(10),
    "whole weights, some 0": np.array([2.0, 0.0, 1.0, 5.0, 0.0, 3.0, 1.0, 1.0, 0.0, 2.0]),
    "weights in eighths": np.array([0.125, 2.0, 0.0, 0.5, 0.75, 1.0, 3.125, 0.25, 1.0, 0.0]),
}


def test_every_reduction_has_a_naive_formula() -> None:
    assert {naive.reduction.name for naive in NAIVE.values()} | {"none"} == RULES.keys()


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("naive", NAIVE.values(), ids=NAIVE)
def test_a_reduction_is_its_naive_formula(naive: Naive, weights: Floats) -> None:
    expected = naive.formula(LOSSES, weights)
    assert _reduce(naive.reduction, LOSSES, weights).value == pytest.approx(
        expected, rel=1e-14, abs=0.0
    )


@pytest.mark.parametrize("naive", NAIVE.values(), ids=NAIVE)
def test_no_weights_are_weights_of_1(naive: Naive) -> None:
    assert _reduce(naive.reduction, LOSSES) == _reduce(naive.reduction, LOSSES, np.ones(10))


@pytest.mark.parametrize(
    ("reduction", "losses", "weights", "value"),
    [
        pytest.param("sum", [], None, 0.0, id="a sum of nothing is 0"),
        pytest.param("sum", [1e308, 1e308, -1e308], None, 1e308, id="a sum overflows and is back"),
        pytest.param("mean", [1e308] * 3, None, 1e308, id="a mean of sums beyond float64"),
        pytest.param("mean", [1.0, NAN], None, NAN, id="a mean of NaN is NaN"),
        pytest.param("mean", [1.0, INF], None, INF, id="a mean of infinity is infinite"),
        pytest.param("weighted_mean", [INF, -INF], None, NAN, id="infinities cancel to NaN"),
        pytest.param("weighted_mean", [1.0, 4.0], [-1.0, 2.0], 7.0, id="weights may be negative"),
        pytest.param("variance", [1e15, 1e15 + 1], None, 0.5, id="a variance does not cancel"),
        pytest.param("variance", [3.0, 3.0], None, 0.0, id="equal losses have no variance"),
        pytest.param("variance", [1.0, INF], None, NAN, id="a variance of infinity is NaN"),
        pytest.param("rms", [1.0, 4.0], [2.0, -1.0], NAN, id="a negative mean has no root"),
        pytest.param("rms", [1e200], None, INF, id="a square beyond float64 is infinite"),
        pytest.param("rms", [1e180, 4.1e180], [1.3, 0.7], INF, id="however it is weighted"),
        pytest.param("min", [0.0, -1.0], None, -1.0, id="the least"),
        pytest.param("max", [1.0, NAN, 2.0], None, NAN, id="NaN is greatest"),
        pytest.param("min", [1.0, NAN, 2.0], None, NAN, id="NaN is least too"),
        pytest.param("median", [1.0, 2.0, 3.0, 10.0], None, 2.5, id="a median between two"),
        pytest.param("median", [1, 2, 3, 10], [1, 1, 1, 5], 10.0, id="a weighted median"),
        pytest.param("median", [1, 9, 2], [1, 0, 1], 1.5, id="weight 0 is not between"),
        pytest.param("median", [1.0, NAN], None, NAN, id="a median with NaN is NaN"),
        pytest.param("median", [1, 2], [1e-300, 1e300], 2.0, id="weights of any size"),
        pytest.param("cvar", [1.0, NAN], None, NAN, id="the worst of NaN are NaN"),
        pytest.param("cvar", [1.0, 2.0, 6.0], None, 3.0, id="the worst of all are all"),
        pytest.param("exp_mean", [1e4], None, INF, id="a perplexity beyond float64"),
        pytest.param("geometric_mean", [0.0, 4.0], None, 0.0, id="a geometric mean with 0 is 0"),
        pytest.param("harmonic_mean", [0.0, 4.0], None, 0.0, id="a harmonic mean with 0 is 0"),
        pytest.param("harmonic_mean", [-2.0, 2.0], None, INF, id="reciprocals that cancel"),
        pytest.param("logsumexp", [], None, -INF, id="a logsumexp of nothing"),
        pytest.param("logsumexp", [1e6, 0.0], None, 1e6, id="a logsumexp of a million"),
        pytest.param("logsumexp", [-1e6] * 2, None, math.log(2) - 1e6, id="of minus a million"),
        pytest.param("logsumexp", [355.0, 354.5], None, 355.474076984180107, id="across bands"),
        pytest.param("logsumexp", [-INF, 1.0], None, 1.0, id="of minus infinity"),
        pytest.param("logsumexp", [INF, 1.0], None, INF, id="a logsumexp of infinity"),
        pytest.param("logsumexp", [NAN, 1.0], None, NAN, id="a logsumexp of NaN"),
        pytest.param("logsumexp", [1.0, 2.0], [1.0, -1.0], NAN, id="of a negative sum"),
        pytest.param("logsumexp", [1.0, 1.0], [1.0, -1.0], -INF, id="of a sum that cancels"),
        pytest.param("logsumexp", [3.0, 1.0], [0.0, 1.0], 1.0, id="weight 0 adds nothing"),
    ],
)
def test_a_hard_case(
    reduction: str, losses: list[float], weights: list[float] | None, value: float
) -> None:
    actual = _reduce(Reduction(reduction), losses, weights).value
    assert actual == pytest.approx(value, rel=1e-15, abs=0.0, nan_ok=True)


@pytest.mark.parametrize(
    ("reduction", "losses", "weights"),
    [
        *((Reduction(name), [], None) for name, rule in RULES.items() if rule.mean),
        *((Reduction(name), [], None) for name in ("min", "max", "median", "cvar", "variance")),
        *((Reduction(name), [], None) for name in ("exp_mean", "geometric_mean", "harmonic_mean")),
        *((Reduction(name), [1.0], [0.0]) for name in ("weighted_mean", "nonzero_mean", "rms")),
        *((Reduction(name), [1.0], [0.0]) for name in ("median", "cvar", "variance")),
        (Reduction("mean", divisor=0.0), [1.0], None),
        (Reduction("mean", divisor=0.0), [NAN], None),
        (Reduction("variance"), [1.0], None),
        (Reduction("std", ddof=2.0), [1.0, 2.0], None),
    ],
    ids=lambda x: x.name if isinstance(x, Reduction) else f"of {x}" if x is not None else "",
)
def test_a_mean_of_nothing_is_refused(
    reduction: Reduction, losses: list[float], weights: list[float] | None
) -> None:
    parts = _parts(block(losses, weights), reduction.rule.parts, Linear())
    with pytest.raises(EmptyReduction):
        finish(parts, reduction)


@pytest.mark.parametrize("bad", [-1.0, INF, NAN])
@pytest.mark.parametrize("name", ["median", "cvar"])
def test_a_rank_needs_weights_that_count(name: str, bad: float) -> None:
    with pytest.raises(OutOfDomain, match="not negative"):
        _reduce(Reduction(name), [1.0, 2.0], [1.0, bad])


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.parts] + ["none"])
def test_a_state_without_the_part_is_refused(name: str) -> None:
    with pytest.raises(NotMergeable):
        finish({"linear": Linear()}, Reduction(name))


def test_a_mean_over_groups_counts_each_group_once() -> None:
    assert finish_macro([Outcome(1.0, 9.0), Outcome(2.0, 1.0)]) == Outcome(1.5, 2.0)


def test_a_mean_over_no_groups_is_refused() -> None:
    with pytest.raises(EmptyReduction):
        finish_macro([])


SPREADS: Mapping[str, Floats] = {
    "over many binades": np.exp(np.random.default_rng(1).normal(0, 20, 2001)),
    "below 0": -np.exp(np.random.default_rng(2).normal(0, 3, 2001)),
    "of one value": np.full(5, 3.7),
    "at the ends of a bin": 1.0 + np.arange(5) / 128,
    "at the greatest float": np.full(3, np.finfo(np.float64).max),
}


@pytest.mark.parametrize("q", [0.0, 0.01, 0.5, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("losses", SPREADS.values(), ids=SPREADS)
def test_a_histogram_gives_a_quantile_within_its_bound(losses: Floats, q: float) -> None:
    reduction = Reduction("quantile", q=q)
    parts = _parts(block(losses), mergeable_parts(reduction))
    outcome = finish(parts, reduction)
    assert outcome.value == pytest.approx(_reduce(reduction, losses).value, rel=2.0**-8, abs=0.0)
    assert outcome.relative_error == 2.0**-8


@pytest.mark.parametrize(
    ("losses", "weights", "value"),
    [
        pytest.param([0.0, -0.0, 0.0], None, 0.0, id="zeros"),
        pytest.param([-INF, INF, INF], None, INF, id="infinities"),
        pytest.param([1.0, NAN], None, NAN, id="NaN"),
        pytest.param([-1.0, 5.0, 1.0], [1, 0, 3], 1.0 + 2.0**-8, id="weights, one 0"),
    ],
)
def test_the_median_of_a_histogram(
    losses: list[float], weights: list[float] | None, value: float
) -> None:
    parts = {"histogram": Histogram.of(block(losses, weights))}
    assert finish(parts, Reduction("median")).value == pytest.approx(value, abs=0, nan_ok=True)


def test_a_histogram_needs_weights_that_count() -> None:
    parts = {"histogram": Histogram.of(block([1.0, 2.0], [1.0, -1.0]))}
    with pytest.raises(OutOfDomain):
        finish(parts, Reduction("median"))
