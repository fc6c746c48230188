"""Which evaluations run beside the event loop, so that they keep no other request waiting."""

import asyncio
import threading
from typing import Any

import httpx
import pytest

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.backend import Backends
from lossmeter.app.engine import Engine
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import Tensors
from lossmeter.settings import Settings
from lossmeter.transports.rest.app import create_app

HUBER = {"loss": "huber", "inputs": {"predictions": [1.0, 2.0], "targets": [1.0, 3.0]}}
PAIRS = {"loss": "circle", "inputs": {"predictions": [[1.0], [2.0]], "targets": [0, 0]}}
CROSSED = "sum(expand_dims(x, axis=-1) * expand_dims(y, axis=-2), axis=(-1, -2))"


class _Noted(Engine):
    """Notes the thread of its last evaluation."""

    thread = 0

    def evaluate(self, spec: EvaluateSpec, tensors: Tensors) -> Answer | Answers:
        self.thread = threading.get_ident()
        return super().evaluate(spec, tensors)


def beside_the_loop(asked: dict[str, Any], backend: str = "numpy") -> bool:
    """Whether a request over REST is evaluated in another thread than that of the loop."""
    engine = _Noted(Backends(backend))
    app = create_app(engine, Settings())

    async def ask() -> bool:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            assert (await client.post("/v1/evaluate", json=asked)).status_code == httpx.codes.OK
        return engine.thread != threading.get_ident()

    return asyncio.run(ask())


def test_a_brief_one_is_answered_at_once() -> None:
    assert not beside_the_loop(HUBER)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({**HUBER, "options": {"backend": "onnx"}}, id="a graph is traced"),
        pytest.param(
            {"loss": {"expression": CROSSED}, "inputs": {"x": [[1.0]], "y": [[2.0]]}},
            id="an expression crosses axes",
        ),
        pytest.param(PAIRS, id="samples are compared"),
        pytest.param(
            {"losses": {"one": {"loss": "huber"}}, "inputs": HUBER["inputs"]}, id="several losses"
        ),
    ],
)
def test_what_may_take_long_keeps_nobody_waiting(asked: dict[str, Any]) -> None:
    assert beside_the_loop(asked)


def test_a_service_on_graphs_traces_beside_the_loop() -> None:
    assert beside_the_loop(HUBER, "onnx")
