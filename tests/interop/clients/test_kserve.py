"""KServe's clients: REST with tensors as bytes and in JSON, and gRPC."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import from_np_dtype

from tests.interop.clients.cases import (
    GRPC,
    HTTP,
    HUBER,
    Array,
    bits,
    golden_cases,
    huber,
    inputs_of,
    is_json,
    own_answer,
    parameters_of,
)

BASE = f"http://{HTTP}"
CLIENTS = ("REST", "REST JSON", "gRPC")


@dataclass(frozen=True, slots=True)
class Client:
    """A client.

    Attributes:
        loop: Where it runs.
        ask: The client itself.
        place: What it must be told besides with each call: over REST, where the service is.
        json: Whether tensors go in JSON, where JSON has such numbers; else as bytes.
    """

    loop: asyncio.AbstractEventLoop
    ask: Any
    place: tuple[str, ...] = ()
    json: bool = False

    def call(self, method: str, *args: Any, **named: Any) -> Any:
        """What a method answers."""
        return self.loop.run_until_complete(getattr(self.ask, method)(*self.place, *args, **named))

    def infer(
        self, model: str, arrays: Mapping[str, Array], *outputs: str, **parameters: Any
    ) -> Any:
        """An inference; over REST its id and outputs are asked for in the same way."""
        inputs = []
        for name, x in arrays.items():
            one = InferInput(name, list(x.shape), from_np_dtype(x.dtype))
            one.set_data_from_numpy(x, binary_data=not (self.json and is_json(x)))
            inputs.append(one)
        # KServe tells the form of all outputs by a parameter of the request.
        binary = {"binary_data_output": True} if self.place and not self.json else {}
        request = InferRequest(
            model,
            inputs,
            request_id="mine",
            parameters={**parameters, **binary},
            request_outputs=[RequestedOutput(name) for name in outputs],
        )
        return self.call("infer", request, **({"model_name": model} if self.place else {}))

    def loss(self, model: str, arrays: Mapping[str, Array], **parameters: Any) -> Array:
        """The output of an inference."""
        answer = self.infer(model, arrays, "loss", **parameters)
        return np.asarray(answer.get_output_by_name("loss").as_numpy())


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    loop = asyncio.new_event_loop()

    async def made() -> Any:
        if request.param == "gRPC":
            return InferenceGRPCClient(GRPC)
        return InferenceRESTClient(RESTConfig(protocol="v2"))

    ask = loop.run_until_complete(made())
    place = () if request.param == "gRPC" else (BASE,)
    yield Client(loop, ask, place, request.param == "REST JSON")
    loop.run_until_complete(ask.close())
    loop.close()


def test_the_service_and_its_models_are_ready(client: Client) -> None:
    assert client.call("is_server_live") is True
    assert client.call("is_server_ready") is True
    assert client.call("is_model_ready", "huber") is True
    assert client.call("is_model_ready", "hubert") is False


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_numbers_of_every_width(client: Client, dtype: str) -> None:
    loss = client.loss("huber", huber(dtype))
    assert (loss.dtype.name, loss.tolist()) == ("float64", [HUBER])


def test_labels_and_masks(client: Client) -> None:
    arrays = {
        "predictions": np.array([[0.5, 0.5], [0.25, 0.75], [np.e, -1.0]]),
        "targets": np.array([0, 1, -7]),
        "mask": np.array([True, True, False]),
    }
    loss = client.loss("sparse_categorical_cross_entropy", arrays)
    assert loss.tolist() == pytest.approx([-np.log(0.5 * 0.75) / 2], rel=1e-15)


def test_groups_have_names(client: Client) -> None:
    country = np.array(["Perú", "Chad", "Perú"], object)
    arrays = {"predictions": np.array([1.0, 2.0, 5.0]), "targets": np.zeros(3), "country": country}
    asked = {"reduction": '{"name": "mean", "by": "country"}'}
    answer = client.infer("absolute_error", arrays, "group", "loss", **asked)
    names, loss = (answer.get_output_by_name(one).as_numpy() for one in ("group", "loss"))
    texts = [x.decode() if isinstance(x, bytes) else x for x in names]
    assert dict(zip(texts, loss, strict=True)) == {"Perú": 3.0, "Chad": 2.0}


def test_ids_and_outputs(client: Client) -> None:
    answer = client.infer("huber", huber(), "denominator", "loss", "count")
    assert (answer.id, answer.model_name) == ("mine", "huber")
    found = {one.name: one.as_numpy().tolist() for one in answer.outputs}
    assert found == {"denominator": [2.0], "loss": [HUBER], "count": [2]}


def test_parameters(client: Client) -> None:
    # Over gRPC KServe has no numbers that are not whole, so one goes as text.
    delta = 0.5 if client.place else "0.5"
    assert client.loss("huber", huber(), reduction="sum", delta=delta).tolist() == [1.5]


def test_numbers_that_are_not_finite(client: Client) -> None:
    arrays = {"predictions": np.array([np.nan, np.inf, 1e308]), "targets": np.full(3, -1e308)}
    loss = client.loss("absolute_error", arrays, reduction="none")
    assert bits(loss) == bits([np.nan, np.inf, np.inf])


@pytest.mark.parametrize(
    ("model", "asked", "status", "says"),
    [
        ("hubert", {}, ("404", "NOT_FOUND"), "huber"),
        ("huber", {"delta": -1}, ("400", "INVALID_ARGUMENT"), "greater than 0"),
        ("binary_cross_entropy", {}, ("400", "INVALID_ARGUMENT"), "[0, 1]"),
    ],
    ids=["of a model", "of a parameter", "of a value"],
)
def test_the_message_of_a_refusal_arrives(
    client: Client, model: str, asked: dict[str, Any], status: tuple[str, str], says: str
) -> None:
    with pytest.raises((httpx.HTTPStatusError, grpc.RpcError)) as raised:
        client.loss(model, huber(), **asked)
    assert status[0 if client.place else 1] in str(raised.value)
    assert says in str(raised.value)


def test_golden_cases_have_the_bits_of_the_services_own_answers(client: Client) -> None:
    differ = {}
    for case in golden_cases():
        own = own_answer(case)
        loss = client.loss(case["loss"], inputs_of(case), **parameters_of(case))
        if bits(loss) != own:
            differ[case["id"]] = (bits(loss), own)
    assert differ == {}
