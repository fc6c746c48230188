"""What holds of every loss and any data: drawn from the declared domains, asked of the engine."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmeter import evaluate, merge
from lossmeter.app.answer import Answer
from lossmeter.core.arrays import Array
from lossmeter.core.declare import REGISTRY, Loss
from lossmeter.core.state import State
from lossmeter.errors import EmptyReduction
from tests.oracle.draws import rows
from tests.oracle.formulas import ORACLES

EVERY_LOSS = pytest.mark.parametrize("loss", REGISTRY.values(), ids=lambda loss: str(loss.name))
FEW = settings(max_examples=20, deadline=None)
LINEAR = ("sum", "mean", "weighted_mean", "nonzero_mean", "batch_mean", "rms", "keras2")
ORDERED = ("min", "max")
# Losses that no minimum at 0 is declared of: likelihoods without their constants, terms of a sum,
# similarities, and roundings of something as small.
SIGNED = {
    "poisson_nll",
    "gaussian_nll",
    "log_cosh",
    "kl_divergence_log_input",
    "generalized_kl_divergence",
    "cosine_similarity_loss",
    "fenchel_young",
    "half_gamma_nll_log",
    "half_tweedie_nll_log",
    "hinge_embedding",
}
NEVER_NEGATIVE = [loss for loss in REGISTRY.values() if loss.name not in SIGNED]
Inputs = dict[str, Array]


def arrays(loss: Loss, drawn: list[tuple[object, ...]], dtype: type = np.float64) -> Inputs:
    columns = zip(*drawn, strict=True)
    return {
        spec.name: np.asarray(list(column), np.int64 if spec.kind.domain.index else dtype)
        for spec, column in zip(loss.inputs, columns, strict=True)
    }


def draw(data: st.DataObject, loss: Loss, dtype: Any = np.float64) -> Inputs:
    params = {p.name: p.default for p in loss.params}
    return arrays(loss, data.draw(rows(loss, params, dtype)), dtype)


def number(loss: Loss, inputs: Inputs, **asked: Any) -> float:
    answer = evaluate(loss.name, inputs, **asked)
    assert isinstance(answer, Answer)
    return float(answer)


def values(loss: Loss, inputs: Inputs, **asked: Any) -> Array:
    answer = evaluate(loss.name, inputs, reduction="none", **asked)
    assert isinstance(answer, Answer)
    return np.asarray(answer.value)


def same(a: float, b: float) -> bool:
    return float(a).hex() == float(b).hex()


def take(inputs: Inputs, which: Any) -> Inputs:
    return {name: x[which] for name, x in inputs.items()}


def state(loss: Loss, inputs: Inputs) -> State:
    answer = evaluate(loss.name, inputs, options={"state": ["max", "min"]})
    assert isinstance(answer, Answer) and answer.state is not None
    return answer.state


@EVERY_LOSS
@FEW
@given(st.data())
def test_a_power_of_two_in_the_weights_scales_the_sum(loss: Loss, data: st.DataObject) -> None:
    inputs = draw(data, loss)
    weights = np.full(len(inputs[loss.inputs[0].name]), 0.25)
    plain = number(loss, inputs, reduction="sum")
    assert same(number(loss, {**inputs, "sample_weight": weights}, reduction="sum"), plain / 4)


@EVERY_LOSS
@FEW
@given(st.data())
def test_the_order_of_rows_changes_no_bit(loss: Loss, data: st.DataObject) -> None:
    inputs = draw(data, loss)
    order = data.draw(st.permutations(range(len(inputs[loss.inputs[0].name]))))
    for reduction in (*LINEAR, *ORDERED):
        asked = number(loss, inputs, reduction=reduction)
        assert same(number(loss, take(inputs, list(order)), reduction=reduction), asked)


@EVERY_LOSS
@FEW
@given(st.data())
def test_batches_merged_are_the_whole(loss: Loss, data: st.DataObject) -> None:
    inputs = draw(data, loss)
    cut = data.draw(st.integers(0, len(inputs[loss.inputs[0].name])))
    parts = [take(inputs, slice(None, cut)), take(inputs, slice(cut, None))]
    states = [state(loss, p) for p in parts if len(p[loss.inputs[0].name])]
    for reduction in (*LINEAR, *ORDERED):
        merged = float(merge(states[::-1], reduction=reduction))
        assert same(merged, number(loss, inputs, reduction=reduction))


@EVERY_LOSS
@FEW
@given(st.data())
def test_what_is_masked_might_as_well_be_absent(loss: Loss, data: st.DataObject) -> None:
    inputs = draw(data, loss)
    n = len(inputs[loss.inputs[0].name])
    mask = np.asarray(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    spoilt = {name: spoil(x, ~mask) for name, x in inputs.items()}
    for reduction in ("sum", "rms" if mask.any() else "sum"):
        alone = number(loss, take(inputs, mask), reduction=reduction)
        assert same(number(loss, {**spoilt, "mask": mask}, reduction=reduction), alone)


def spoil(x: Array, where: Array) -> Array:
    """Values that no loss takes, where they must not be looked at."""
    spoilt = x.copy()
    spoilt[where] = np.nan if x.dtype.kind == "f" else -9
    return spoilt


@EVERY_LOSS
@FEW
@given(st.data())
def test_a_mask_that_keeps_nothing_leaves_nothing_to_average(
    loss: Loss, data: st.DataObject
) -> None:
    inputs = draw(data, loss)
    nothing = np.zeros(len(inputs[loss.inputs[0].name]), dtype=bool)
    with pytest.raises(EmptyReduction):
        evaluate(loss.name, {**inputs, "mask": nothing}, reduction="mean")


@pytest.mark.parametrize("loss", NEVER_NEGATIVE, ids=lambda loss: str(loss.name))
@FEW
@given(st.data())
def test_a_loss_of_its_domain_is_not_negative(loss: Loss, data: st.DataObject) -> None:
    # A sum of rounded shares can miss 1 by an ulp or two, and a divergence 0 by as much.
    assert not (values(loss, draw(data, loss)) < -1e-14).any()


@EVERY_LOSS
@FEW
@given(st.data())
def test_float32_is_near_float64(loss: Loss, data: st.DataObject) -> None:
    narrow = draw(data, loss, np.float32)
    wide = {n: x.astype(np.float64) if x.dtype.kind == "f" else x for n, x in narrow.items()}
    near, exact = values(loss, narrow), values(loss, wide)
    assert near.dtype == np.float32 and exact.dtype == np.float64
    finite = np.isfinite(near)
    assert np.allclose(near[finite], exact[finite], rtol=1e-3, atol=scale(wide) * 2.0**-18)


def scale(inputs: Inputs) -> float:
    """The size of the products that cancel."""
    return math.prod(max(1.0, float(np.abs(x).max(initial=0.0))) for x in inputs.values())


def mean(found: Array) -> float:
    """The mean, whatever is in it."""
    return math.fsum(found) / len(found) if np.isfinite(found).all() else float(found.mean())


# What a loss makes of its values where no reduction is asked for.
REDUCED: dict[str | None, Callable[[Array], float]] = {
    None: mean,
    "root": lambda found: math.sqrt(mean(found)),
    "sum": math.fsum,
    "max": lambda found: float(found.max()),
    "median": lambda found: float(np.median(found)),
}


@EVERY_LOSS
@FEW
@given(st.data())
def test_the_default_reduction_is_that_of_the_values(loss: Loss, data: st.DataObject) -> None:
    inputs = draw(data, loss)
    expected = REDUCED[loss.reduces_as](values(loss, inputs).reshape(-1))
    assert math.isclose(number(loss, inputs), expected, rel_tol=1e-15) or math.isnan(expected)


def test_every_loss_has_an_oracle() -> None:
    assert ORACLES.keys() == REGISTRY.keys()
