"""The calls beside evaluations, by all clients: one answer, whichever asks."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest

import lossmeter
from clients.python.tests.asking import target, url
from lossmeter_client import (
    AsyncClient,
    AsyncHttpClient,
    Client,
    HttpClient,
    InvalidRequest,
    LossDescriptor,
    NotFound,
)
from tests.integration.servers import Service

Make = Callable[[Service], Any]
WAITING: dict[str, Make] = {
    "Client": lambda service: Client(target(service)),
    "HttpClient": lambda service: HttpClient(url(service)),
}
AWAITED: dict[str, Make] = {
    "AsyncClient": lambda service: AsyncClient(target(service)),
    "AsyncHttpClient": lambda service: AsyncHttpClient(url(service)),
}
DATA = {"predictions": np.asarray([[1.0], [2.0], [4.0]]), "targets": np.zeros((3, 1))}
WEIGHTS = np.asarray([2.0, 0.0, 1.0])


class Awaited:
    """A client that is awaited, as one that waits."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            async with self._make() as client:
                return await getattr(client, name)(*args, **kwargs)

        return lambda *args, **kwargs: asyncio.run(call(*args, **kwargs))


@pytest.fixture(params=[*WAITING, *AWAITED])
def client(request: pytest.FixtureRequest, service: Service) -> Any:
    """Each client in turn."""
    name: str = request.param
    if name in AWAITED:
        return Awaited(lambda: AWAITED[name](service))
    made = WAITING[name](service)
    request.addfinalizer(made.close)
    return made


def test_states_made_apart_finish_as_one(client: Any) -> None:
    states = [
        client.evaluate("squared_error", predictions=[x], targets=[0.0], options=OPTIONS).state
        for x in (1e8, 3.0, 1e-8)
    ]
    merged = client.merge_states(states, reduction="rms", options={"state": True})
    whole = lossmeter.evaluate(
        "squared_error", predictions=[1e8, 3.0, 1e-8], targets=[0.0] * 3, reduction="rms"
    )
    assert (merged.value, merged.count) == (whole["value"], 3)
    assert client.merge_states([merged.state], reduction="rms").value == merged.value


OPTIONS = {"state": True}


def test_a_merge_refused(client: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        client.merge_states([b"hunter2"])
    assert (raised.value.reason, raised.value.field) == ("MALFORMED_REQUEST", "states.0")


def test_losses_are_listed_and_found(client: Any) -> None:
    names = [loss.name for loss in client.list_losses()]
    found = client.list_losses(framework="torch", search="huber")
    assert len(names) > 70
    assert found
    assert {loss.name for loss in found} <= {*names}
    assert client.get_loss("torch.nn.HuberLoss") == client.get_loss("huber")


def test_a_descriptor_says_what_the_catalogue_says(client: Any) -> None:
    huber: LossDescriptor = client.get_loss("huber")
    assert [one.name for one in huber.inputs] == ["predictions", "targets"]
    assert huber.params["properties"]["delta"]["default"] == 1.0
    assert "torch.nn.HuberLoss" in {one.symbol for one in huber.symbols}
    assert huber.examples


def test_a_loss_that_is_not_there(client: Any) -> None:
    with pytest.raises(NotFound) as raised:
        client.get_loss("hubr ?#x=1")
    assert raised.value.reason == "LOSS_NOT_FOUND"


def test_an_explanation_is_that_of_the_package(client: Any) -> None:
    loss = "keras.losses.MeanSquaredError"
    found = client.explain(loss, DATA, sample_weight=WEIGHTS)
    here = lossmeter.explain(loss, DATA, sample_weight=WEIGHTS)
    assert found.answer.value == here.answer.value  # type: ignore[union-attr]
    assert [(step.step, step.says) for step in found.steps] == [
        (step.step, step.says)
        for step in here.steps  # type: ignore[union-attr]
    ]
    assert [(row.symbol, row.value, row.agrees, row.why, row.note) for row in found.dialects] == [
        (row.symbol, row.answer and row.answer.value, row.agrees, tuple(row.why), row.note)
        for row in here.dialects  # type: ignore[union-attr]
    ]


@pytest.mark.parametrize("loss", ["huber", {"expression": "abs(predictions - targets)"}])
def test_an_export_runs_elsewhere(client: Any, loss: Any) -> None:
    graph = client.export(loss, reduction="sum", dtype="float32")
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = {one.name for one in session.get_inputs()}
    inputs = {"predictions": [3.0, 1.0], "targets": [1.0, 1.0]}
    given = {name: np.asarray(x, np.float32) for name, x in inputs.items() if name in names}
    (value,) = session.run(None, given)[:1]
    expected = client.evaluate(loss, inputs, reduction="sum").value
    assert float(np.asarray(value)) == expected


def test_an_answer_by_group_and_one_under_a_mask(client: Any) -> None:
    by = {"name": "mean", "by": "group"}
    grouped = client.evaluate(
        "huber", predictions=[1.0, 5.0], targets=[0, 0], group=[7, -1], reduction=by
    )
    assert dict(grouped.value) == {"-1": 4.5, "7": 0.5}
    assert grouped.groups["7"].count == 1
    rows = client.evaluate(
        "huber", predictions=[1.0, 5.0], targets=[0, 0], mask=[True, False], reduction="none"
    )
    assert rows.value[0] == 0.5
    assert np.isnan(rows.value[1])
    assert rows.kept.tolist() == [True, False]
