"""A batch like one before is the batch that it would have been alone."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from lossmeter.errors import LossmeterError
from lossmeter.plan import binding
from lossmeter.plan.batch import Batch, bind
from lossmeter.plan.binding import bound
from lossmeter.plan.plan import Plan, prepare
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.json import read_request
from tests.golden.cases import Case, by_hand, of_frameworks
from tests.integration.forms import body

CASES = [
    *(pytest.param(cases, id=symbol) for symbol, cases in of_frameworks().items()),
    *(pytest.param([case], id=f"{loss}: {case.id}") for loss, case in by_hand()),
]


@pytest.mark.parametrize("cases", CASES)
def test_a_batch_is_the_same_the_second_time(cases: list[Case]) -> None:
    for case in cases:
        for plan, tensors in asked(case):
            bound(plan, tensors)
            again = Tensors({n: x.copy() for n, x in tensors.arrays.items()}, tensors.plain)
            assert told(bound(plan, again)) == told(bind(plan, again)), case.id


def asked(case: Case) -> list[tuple[Plan, Tensors]]:
    """What a case asks of one loss that takes its tensors."""
    try:
        spec, tensors = read_request(body(case.request))
        plan = prepare(spec.loss or "", spec.params, spec.reduction)
        bind(plan, tensors)
    except LossmeterError:
        return []
    return [(plan, tensors)]


def told(x: Any) -> Any:
    """Something with arrays in it, as what can be compared."""
    if isinstance(x, Batch):
        return {field.name: told(getattr(x, field.name)) for field in fields(x)}
    if isinstance(x, np.ndarray):
        return x.dtype, x.shape, x.strides, x.tobytes()
    if isinstance(x, dict):
        return {name: told(value) for name, value in x.items()}
    return repr(x)


def test_other_numbers_of_the_same_shape_are_taken() -> None:
    plan = prepare("huber", {}, None)
    for number in (1.0, 2.0):
        x = np.full((3, 2), number)
        batch = bound(plan, Tensors({"predictions": x, "targets": x + 1.0, "mask": x > 0}))
        assert batch.inputs["predictions"] is x
        assert batch.inputs["targets"].tolist() == (x + 1.0).tolist()


def test_tensors_that_share_memory_are_not_mistaken() -> None:
    plan, x = prepare("huber", {}, "sum"), np.arange(4.0)
    bound(plan, Tensors({"predictions": x, "targets": x}))
    batch = bound(plan, Tensors({"predictions": x, "targets": x + 1.0}))
    assert batch.inputs["targets"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_no_more_shapes_are_known_than_may_be() -> None:
    plan = prepare("huber", {}, "min")
    for rows in range(1, binding.MOST_KNOWN + 10):
        bound(plan, Tensors({"predictions": np.zeros(rows), "targets": np.ones(rows)}))
    assert len(binding._known) == binding.MOST_KNOWN
