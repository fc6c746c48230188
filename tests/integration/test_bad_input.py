"""Bad requests: each refused with its own code, reason and place, and nothing of the data."""

from typing import Any

import grpc
import pytest

from tests.golden.cases import Refusal, refusals
from tests.integration.forms import body, message
from tests.integration.refusals import (
    faults_of_error,
    faults_of_response,
    over_http,
    over_rpc,
    told_by_http,
    told_by_rpc,
)
from tests.integration.servers import Service
from tests.integration.wires import UNARY, Ask, over_stream, post

SPARSE = "sparse_softmax_cross_entropy"
KERAS = "keras.losses.SparseCategoricalCrossentropy"
EVERYWHERE = [pytest.param(bad, id=bad.id) for bad in refusals()]
NONSENSE = ["NaN", 9.0, -1.0, "Infinity", 1e300]
MASKED = {
    "values": ("squared_error", {"predictions": [1.5], "targets": [1.0]}),
    "probabilities": ("binary_cross_entropy", {"predictions": [0.5], "targets": [1.0]}),
    "probabilities of torch": ("torch.nn.BCELoss", {"predictions": [0.5], "targets": [1.0]}),
    "classes": (SPARSE, {"predictions": [[0.5, 1.0]], "targets": [0.0]}),
    "classes of Keras": (KERAS, {"predictions": [[0.5, 0.5]], "targets": [0.0]}),
    "distributions": (
        "categorical_cross_entropy",
        {"predictions": [[0.5, 0.5]], "targets": [[1.0, 0.0]]},
    ),
    "variances": ("gaussian_nll", {"predictions": [1.5], "targets": [1.0], "variance": [1.0]}),
    "logarithms": ("squared_log_error", {"predictions": [1.5], "targets": [1.0]}),
}
WIRES = {**UNARY, "in a stream": over_stream(2)}
pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.mark.parametrize("bad", EVERYWHERE)
def test_refused_over_rest(service: Service, bad: Refusal) -> None:
    response = post(service, "/v1/evaluate", body(bad.request))
    assert told_by_http(response) == over_http(bad.reason, bad.field)
    assert faults_of_response(response, *bad.words) == []


@pytest.mark.parametrize("bad", EVERYWHERE)
def test_refused_over_grpc(service: Service, bad: Refusal) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        service.stub.Evaluate(message(bad.request))
    assert told_by_rpc(raised.value) == over_rpc(bad.reason, bad.field)
    assert faults_of_error(raised.value, *bad.words) == []


@pytest.mark.parametrize(("loss", "row"), MASKED.values(), ids=MASKED)
@pytest.mark.parametrize("policy", ["propagate", "omit", "error"])
@pytest.mark.parametrize("ask", WIRES.values(), ids=WIRES)
def test_nonsense_under_the_mask_changes_nothing(
    service: Service, loss: str, row: dict[str, list[Any]], policy: str, ask: Ask
) -> None:
    asked = {"loss": loss, "options": {"nonfinite": policy}}
    covered = {name: x + [like(x[0], odd) for odd in NONSENSE] for name, x in row.items()}
    covered |= {"mask": [True] + [False] * len(NONSENSE), "sample_weight": [2.0, *NONSENSE]}
    bare = ask(service, {**asked, "inputs": {**row, "sample_weight": [2.0]}})
    found = ask(service, {**asked, "inputs": covered})
    assert (found.bits, found.fields["count"]) == (bare.bits, 1)


def like(x: Any, odd: object) -> object:
    """Nonsense in the form of a right value."""
    return [odd] * len(x) if isinstance(x, list) else odd
