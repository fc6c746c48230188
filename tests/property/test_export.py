"""Every loss with all it is tried with: the graph gives the number that the service gives."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmeter.core.arrays import Array
from lossmeter.core.declare import REGISTRY
from lossmeter.errors import LossmeterError
from lossmeter.plan.request import read_evaluate
from lossmeter.plan.tensors import Tensors
from tests.integration.exported import Graph, asked_of, graph
from tests.property.batches import Batch, batches

REL = 1e-12
REDUCTIONS = (
    "none",
    "sum",
    "mean",
    "weighted_mean",
    "nonzero_mean",
    "batch_mean",
    "keras2",
    "rms",
    "min",
    "max",
)


def graph_of(batch: Batch, reduction: str) -> tuple[Graph, dict[str, Array]]:
    """The graph, and the arrays that it takes."""
    spec = read_evaluate({"loss": batch.name, "params": batch.params, "reduction": reduction})
    found = asked_of(spec, Tensors(batch.inputs))
    return graph(**found.form), dict(found.arrays)


def scale(batch: Batch) -> float:
    """Σ|wℓ|, against which a sum is rounded."""
    values = np.nan_to_num(batch.values(), nan=0.0, posinf=0.0, neginf=0.0)
    return float(np.abs(values).sum())


@st.composite
def weighed(draw: st.DrawFn, name: str) -> Batch:
    """A batch with weights, some of them 0 or below, or a mask, or both, or neither."""
    batch: Batch = draw(batches(name))
    shape: tuple[int, ...] = np.shape(batch.values())
    more: dict[str, Any] = {}
    if shape != () and draw(st.booleans()):
        numbers = st.sampled_from([0.0, 0.5, 1.0, 3.0, -1.25])
        weights = [draw(numbers) for _ in range(np.prod(shape))]
        more["sample_weight"] = np.reshape(weights, shape)
    if draw(st.booleans()):
        kept = np.asarray(draw(st.lists(st.booleans(), min_size=batch.rows, max_size=batch.rows)))
        batch = batch.spoilt(~kept)
        more["mask"] = kept
    return batch.with_inputs(**more)


@pytest.mark.parametrize("name", REGISTRY)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_graph_gives_what_the_service_gives(name: str, data: st.DataObject) -> None:
    batch = data.draw(weighed(name))
    reduction = data.draw(st.sampled_from(("none", "mean")))
    check(batch, reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "name", ["squared_error", "circle", "weighted_mean_absolute_percentage_error"]
)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_every_reduction_of_it(name: str, reduction: str, data: st.DataObject) -> None:
    batch = data.draw(weighed(name))
    check(batch, reduction)


def check(batch: Batch, reduction: str) -> None:
    exported, arrays = graph_of(batch, reduction)
    found = exported.run(arrays)
    try:
        answer = batch.answer(reduction=reduction)
    except LossmeterError as refusal:
        assert refusal.reason == "EMPTY_REDUCTION"
        assert np.isnan(found["loss"]).all()
        return
    room = REL * scale(batch)
    np.testing.assert_allclose(found["loss"], np.asarray(answer.value, float), REL, room)
    if answer.index is not None:
        assert found["index"] == answer.index
    if reduction == "none":
        assert np.array_equal(found["kept"], np.asarray(answer.kept))
