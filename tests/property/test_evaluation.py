"""What holds of every loss and any data: drawn from the declared domains, asked of the engine."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from lossmeter import merge
from lossmeter.api import engine
from lossmeter.app.answer import Answer
from lossmeter.core.arrays import Array
from lossmeter.core.declare import CLASS_WEIGHT, REGISTRY, Loss
from lossmeter.core.state import State
from lossmeter.errors import EmptyReduction, NotMergeable, NotStreamable
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import Tensors
from tests.property.batches import Batch, batches

LINEAR = ("sum", "mean", "weighted_mean", "nonzero_mean", "batch_mean", "rms", "keras2")
ORDERED = ("min", "max")
# Losses that no minimum at 0 is declared of: likelihoods without their constants, terms of a sum,
# similarities, scores, and roundings of something as small.
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
    "d2_score",
}
FEW = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def losses(which: Callable[[Loss], bool]) -> pytest.MarkDecorator:
    """A test for each of these losses."""
    return pytest.mark.parametrize("name", [loss.name for loss in REGISTRY.values() if which(loss)])


EVERY_LOSS = losses(lambda loss: True)
OF_SAMPLES = losses(lambda loss: loss.output != "batch")
OF_THE_BATCH = losses(lambda loss: loss.output == "batch")
OF_WEIGHTS = losses(lambda loss: loss.weighs_samples is not None)
WEIGHED = losses(lambda loss: loss.weighs_samples is None)
NEVER_NEGATIVE = losses(lambda loss: loss.name not in SIGNED)


def same(a: float, b: float) -> bool:
    """Whether two numbers have the same bits, a NaN those of another."""
    return float(a).hex() == float(b).hex()


def state(batch: Batch) -> State:
    """What the batch leaves behind."""
    found = batch.answer(options={"state": [*ORDERED]}).state
    assert found is not None
    return found


def weights_for(batch: Batch, numbers: Array) -> Array:
    """Weights of the samples; of the batch, where it has one value."""
    return numbers[0] if batch.loss.collapses else numbers


def scaled(loss: Loss, reduction: str, weight: float) -> float:
    """What one weight on everything multiplies an answer by."""
    if reduction == "sum":
        return weight
    if reduction == "weighted_mean" or loss.reduces_as == "ratio":
        return 1.0
    return math.sqrt(weight) if loss.reduces_as == "root" else weight


@WEIGHED
@FEW
@given(data=st.data(), weight=st.sampled_from([1.0, 4.0, 16.0]))
def test_one_weight_on_everything_scales_the_answer(
    name: str, data: st.DataObject, weight: float
) -> None:
    batch = data.draw(batches(name))
    # Below its floor the divisor of a ratio is no sum of weights.
    assume(batch.loss.reduces_as != "ratio" or np.abs(batch.inputs["targets"]).max() > 1.0)
    weighed = batch.with_inputs(sample_weight=np.asarray(weight))
    for reduction in ("sum", "mean", "weighted_mean"):
        expected = batch.number(reduction) * scaled(batch.loss, reduction, weight)
        assert same(weighed.number(reduction), expected)


@WEIGHED
@FEW
@given(st.data())
def test_a_weight_multiplies_the_values_of_its_sample(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    weights = np.asarray(data.draw(st.lists(WEIGHT, min_size=batch.rows, max_size=batch.rows)))
    weights = weights_for(batch, weights)
    found, plain = batch.with_inputs(sample_weight=weights).values(), batch.values()
    with np.errstate(all="ignore"):
        expected = plain.astype(np.float64).T * weights
    assert np.array_equal(found, expected.T.astype(plain.dtype), equal_nan=True)


WEIGHT = st.sampled_from([0.0, 0.3, 1.0, -2.0, 1e6])


@OF_SAMPLES
@FEW
@given(st.data())
def test_a_whole_weight_is_its_sample_as_often(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    many = data.draw(st.lists(st.sampled_from([1, 2, 4]), min_size=batch.rows, max_size=batch.rows))
    repeated = batch.taken(np.repeat(np.arange(batch.rows), many))
    weighed = batch.with_inputs(sample_weight=np.asarray(many, np.float64))
    for reduction in ("sum", "weighted_mean", "rms"):
        assert same(weighed.number(reduction), repeated.number(reduction))


@OF_WEIGHTS
@FEW
@given(st.data())
def test_weights_in_the_formula_count_samples(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    many = data.draw(st.lists(st.integers(2, 3), min_size=batch.rows, max_size=batch.rows))
    repeated = batch.taken(np.repeat(np.arange(batch.rows), many))
    weighed = batch.with_inputs(sample_weight=np.asarray(many, np.float64))
    # One sample has no score, and more of the same have.
    if batch.rows > 1:
        assert np.allclose(weighed.number(), repeated.number(), rtol=1e-9, equal_nan=True)


@losses(lambda loss: CLASS_WEIGHT in loss.params)
@FEW
@given(st.data())
def test_a_class_weight_is_that_of_its_samples(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    classes = class_of(batch)
    assume(classes is not None)
    assert classes is not None
    weights = {str(number): 0.5 + number for number in range(classes.max() + 1)}
    weighed = batch.with_inputs(sample_weight=np.where(classes < 0, 1.0, 0.5 + classes))
    chosen = replace(batch, params={**batch.params, "class_weight": weights})
    for reduction in ("sum", "weighted_mean"):
        assert same(chosen.number(reduction), weighed.number(reduction))
    balanced = replace(batch, params={**batch.params, "class_weight": "balanced"})
    assert math.isclose(balanced.answer().weight, classes.size, rel_tol=1e-12)


def class_of(batch: Batch) -> Array | None:
    """The class of each target; none where there are rows of labels."""
    targets = batch.inputs["targets"]
    (spec,) = (spec for spec in batch.loss.inputs if spec.name == "targets")
    if spec.kind.domain.integers:
        return targets if targets.ndim == 1 or not spec.kind.optional else None
    return targets.argmax(axis=-1) if spec.kind.core else (targets > 0.5).astype(np.int64)


@OF_SAMPLES
@FEW
@given(st.data())
def test_the_order_of_rows_changes_no_bit(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    other = batch.taken(data.draw(st.permutations(range(batch.rows))))
    for reduction in (*LINEAR, *ORDERED):
        assert same(other.number(reduction), batch.number(reduction))


@OF_THE_BATCH
@FEW
@given(st.data())
def test_the_order_of_rows_changes_a_batch_by_roundings(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    other = batch.taken(data.draw(st.permutations(range(batch.rows))))
    assert np.allclose(other.number(), batch.number(), rtol=1e-9, atol=1e-12, equal_nan=True)


@OF_SAMPLES
@FEW
@given(st.data())
def test_batches_merged_are_the_whole(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    cut = data.draw(st.integers(0, batch.rows))
    parts = [batch.taken(slice(None, cut)), batch.taken(slice(cut, None))]
    states = [state(part) for part in parts if part.rows]
    for reduction in (*LINEAR, *ORDERED):
        merged = merge(states[::-1], reduction=reduction)
        assert same(float(merged), batch.number(reduction))


@OF_SAMPLES
@FEW
@given(st.data())
def test_a_stream_is_the_whole(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    cut = data.draw(st.integers(0, batch.rows))
    for reduction in ("mean", *ORDERED):
        stream = engine().open(_spec(batch, reduction), streaming=True)
        for part in (slice(None, cut), slice(cut, None)):
            stream.add(Tensors(batch.taken(part).inputs))
        found = stream.finish()
        assert isinstance(found, Answer)
        assert same(float(found), batch.number(reduction))


def _spec(batch: Batch, reduction: str) -> EvaluateSpec:
    return EvaluateSpec(loss=batch.loss.name, params=dict(batch.params), reduction=reduction)


@OF_THE_BATCH
@FEW
@given(st.data())
def test_a_batch_is_neither_streamed_nor_merged(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    with pytest.raises(NotMergeable):
        batch.answer(options={"state": True})
    with pytest.raises(NotStreamable):
        engine().open(_spec(batch, "mean"), streaming=True)


@EVERY_LOSS
@FEW
@given(st.data())
def test_what_is_masked_might_as_well_be_absent(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    mask = np.asarray(data.draw(st.lists(st.booleans(), min_size=batch.rows, max_size=batch.rows)))
    alone, spoilt = batch.taken(mask), batch.spoilt(~mask).with_inputs(mask=mask)
    if not batch.loss.collapses:
        weights = np.where(mask, 3.0, np.nan)
        spoilt = spoilt.with_inputs(sample_weight=weights)
        alone = alone.with_inputs(sample_weight=weights[mask])
    for reduction in ("sum", "rms", "mean") if mask.any() else ("sum",):
        assert same(spoilt.number(reduction), alone.number(reduction))


@EVERY_LOSS
@FEW
@given(st.data())
def test_a_mask_that_keeps_nothing_leaves_nothing_to_average(
    name: str, data: st.DataObject
) -> None:
    batch = data.draw(batches(name))
    nothing = batch.with_inputs(mask=np.zeros(batch.rows, dtype=bool))
    own = [] if batch.loss.reduces_as == "sum" else [None]
    for reduction in ("mean", "weighted_mean", "median", *ORDERED, *own):
        with pytest.raises(EmptyReduction):
            nothing.answer(reduction=reduction)
    assert same(nothing.number("sum"), 0.0)


@NEVER_NEGATIVE
@FEW
@given(st.data())
def test_a_loss_of_its_domain_is_not_negative(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    # An inner product has any sign.
    assume(batch.params.get("normalize", True))
    # A sum of rounded shares can miss 1 by an ulp or two, and a divergence 0 by as much.
    assert not (batch.values() < -1e-14).any()


@EVERY_LOSS
@FEW
@given(st.data())
def test_float32_is_near_float64(name: str, data: st.DataObject) -> None:
    narrow = data.draw(batches(name, np.float32))
    wide = narrow.widened()
    near, exact = narrow.values(), wide.values()
    # Whole numbers are no values: they do not decide.
    counted = all(spec.kind.domain.integers for spec in narrow.loss.inputs)
    assert (near.dtype, exact.dtype) == (np.float32, np.float32 if counted else np.float64)
    finite = np.isfinite(near)
    assert np.allclose(near[finite], exact[finite], rtol=1e-3, atol=scale(wide) * 2.0**-18)


def scale(batch: Batch) -> float:
    """The size of the products that cancel."""
    return math.prod(max(1.0, float(np.abs(x).max(initial=0.0))) for x in batch.inputs.values())


def mean(found: Array, _: Batch) -> float:
    """The mean, whatever is in it."""
    return math.fsum(found) / len(found) if np.isfinite(found).all() else float(found.mean())


def ratio(found: Array, batch: Batch) -> float:
    """The sum over that of the targets' sizes."""
    floor = batch.params.get("epsilon", *(param.default for param in batch.loss.params))
    assert isinstance(floor, float)
    return math.fsum(found) / max(math.fsum(np.abs(batch.inputs["targets"]).flat), floor)


# What a loss makes of its values where no reduction is asked for.
REDUCED: Mapping[str | None, Callable[[Array, Batch], float]] = {
    None: mean,
    "root": lambda found, batch: math.sqrt(mean(found, batch)),
    "sum": lambda found, _: math.fsum(found),
    "max": lambda found, _: float(found.max()),
    "median": lambda found, _: float(np.median(found)),
    "ratio": ratio,
}


@EVERY_LOSS
@FEW
@given(st.data())
def test_the_default_reduction_is_that_of_the_values(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    expected = REDUCED[batch.loss.reduces_as](batch.values().astype(np.float64).reshape(-1), batch)
    assert math.isclose(batch.number(), expected, rel_tol=1e-15) or math.isnan(expected)
