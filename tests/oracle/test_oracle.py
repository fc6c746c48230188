"""Every kernel against the definition of its loss, in ulp."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmeter.core.declare import REGISTRY, Loss
from tests.oracle import draws
from tests.oracle.cases import LOSSES, Params, hard_rows, kernel_params, params_of, words
from tests.oracle.formulas import ORACLES
from tests.oracle.measure import misses
from tests.oracle.namespaces import BACKENDS, Backend

CASES = [
    pytest.param(loss, params, id=words(loss, params))
    for loss in LOSSES
    for params in params_of(loss)
]
EVERY_BACKEND = [pytest.param(backend, id=f"on {name}") for name, backend in BACKENDS.items()]
FAST = [param for param in EVERY_BACKEND if "strict" not in str(param.id)]


def test_every_loss_has_a_formula() -> None:
    assert ORACLES.keys() == REGISTRY.keys()


@pytest.mark.parametrize("loss", LOSSES, ids=(loss.name for loss in LOSSES))
def test_every_parameter_is_tried(loss: Loss) -> None:
    tried = {name for params in params_of(loss) for name in params}
    assert tried == {param.name for param in kernel_params(loss)}


@pytest.mark.parametrize("backend", EVERY_BACKEND)
@pytest.mark.parametrize(("loss", "params"), CASES)
def test_hard_numbers_agree_with_the_formula(loss: Loss, params: Params, backend: Backend) -> None:
    assert misses(loss, hard_rows(loss, params, backend.dtype), params, backend) == []


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize(("loss", "params"), CASES)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
def test_draws_from_the_domain_agree_with_the_formula(
    loss: Loss, params: Params, backend: Backend, data: st.DataObject
) -> None:
    rows = data.draw(draws.rows(loss, params, backend.dtype))
    assert misses(loss, rows, params, backend) == []


@pytest.mark.parametrize(
    ("name", "inputs", "naive"),
    [
        pytest.param(
            "log_cosh",
            (1e-4, 0.0),
            math.log(math.cosh(1e-4)),
            id="log_cosh as it is written, near 0",
        ),
        pytest.param(
            "binary_cross_entropy_with_logits",
            (40.0, 1.0),
            -math.log(1.0 / (1.0 + math.exp(-40.0))),
            id="cross-entropy by way of the probability",
        ),
        pytest.param("squared_error", (1.0, 0.0), 1.0 + 4 * 2.0**-52, id="an ulp too many"),
        pytest.param("squared_error", (1e154, -1e154), 1e308, id="finite where it overflows"),
        pytest.param("absolute_error", (1.0, 0.0), math.nan, id="NaN for a number"),
        pytest.param("cosine_distance", ([0.0], [1.0]), 1.0, id="a number for NaN"),
    ],
)
def test_a_wrong_value_is_noticed(name: str, inputs: tuple[object, ...], naive: float) -> None:
    assert ORACLES[name].off(naive, inputs, {}, np.float64) > ORACLES[name].ulp
