"""Triton's Python clients: HTTP and gRPC, each with and without asyncio, streams, shared memory."""

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype
from tritonclient.utils import shared_memory as memory

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

SECONDS = 30.0
# Servers that close idle connections often do so after 5.
PAUSE_SECONDS = 5.5
# Each client with tensors as bytes; those of HTTP have them in JSON too.
CLIENTS = ("HTTP", "HTTP JSON", "HTTP asyncio", "HTTP asyncio JSON", "gRPC", "gRPC asyncio")


class Awaited:
    """A client of asyncio whose methods are waited for."""

    def __init__(self, module: ModuleType, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = self._loop.run_until_complete(self._made(module, address))

    async def _made(self, module: ModuleType, address: str) -> Any:
        return module.InferenceServerClient(address)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **named: self._loop.run_until_complete(method(*args, **named))


@dataclass(frozen=True, slots=True)
class Client:
    """A client.

    Attributes:
        module: Where its classes are.
        ask: The client itself.
        http: Whether it speaks HTTP; else gRPC.
        json: Whether tensors go in JSON, where JSON has such numbers; else as bytes.
    """

    module: ModuleType
    ask: Any
    http: bool = False
    json: bool = False

    def inputs(self, arrays: Mapping[str, Array]) -> list[Any]:
        """Inputs as the client has them."""
        found = []
        for name, x in arrays.items():
            one = self.module.InferInput(name, list(x.shape), np_to_triton_dtype(x.dtype))
            options = {"binary_data": not (self.json and is_json(x))} if self.http else {}
            found.append(one.set_data_from_numpy(x, **options))
        return found

    def outputs(self, *names: str) -> list[Any]:
        """Outputs as the client asks for them."""
        options = {"binary_data": not self.json} if self.http else {}
        return [self.module.InferRequestedOutput(name, **options) for name in names]

    def loss(self, model: str, arrays: Mapping[str, Array], **asked: Any) -> Array:
        """The output of an inference."""
        answer = self.ask.infer(model, self.inputs(arrays), outputs=self.outputs("loss"), **asked)
        return np.asarray(answer.as_numpy("loss"))

    def plain(self, method: str, *args: Any) -> Any:
        """What a method answers, as lists and dictionaries."""
        options = {} if self.http else {"as_json": True}
        return getattr(self.ask, method)(*args, **options)


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    wire, *ways = request.param.split()
    package = tritonclient.http if wire == "HTTP" else tritonclient.grpc
    address = HTTP if wire == "HTTP" else GRPC
    made = Awaited(package.aio, address) if "asyncio" in ways else None
    with closing(made or package.InferenceServerClient(address)) as ask:
        yield Client(package, ask, http=wire == "HTTP", json="JSON" in ways)


def test_the_service_and_its_models_are_ready(client: Client) -> None:
    assert client.ask.is_server_live()
    assert client.ask.is_server_ready()
    assert client.ask.is_model_ready("huber")
    assert client.ask.is_model_ready("torch.nn.HuberLoss", "1")
    assert not client.ask.is_model_ready("hubert")
    assert not client.ask.is_model_ready("huber", "2")


def test_metadata_and_configuration(client: Client) -> None:
    server = client.plain("get_server_metadata")
    assert server["name"] == "lossmeter"
    assert {"binary_tensor_data", "statistics", "system_shared_memory"} <= {*server["extensions"]}
    model = client.plain("get_model_metadata", "huber")
    assert [one["name"] for one in model["inputs"]][:2] == ["predictions", "targets"]
    assert {"loss", "count", "weight", "denominator"} <= {one["name"] for one in model["outputs"]}
    config = client.plain("get_model_config", "huber", "1")
    config = config if client.http else config["config"]
    assert config["input"][0]["data_type"] == "TYPE_FP32"


def test_the_repository(client: Client) -> None:
    index = client.plain("get_model_repository_index")
    index = index if client.http else index["models"]
    states = {one["name"]: one["state"] for one in index}
    assert states["huber"] == states["keras.losses.Huber"] == "READY"
    client.ask.load_model("huber")
    with pytest.raises(InferenceServerException, match="unloaded"):
        client.ask.unload_model("huber")


def test_statistics_count_inferences(client: Client) -> None:
    def count() -> int:
        found = client.plain("get_inference_statistics", "log_cosh")["model_stats"][0]
        return int(found["inference_stats"]["success"].get("count", 0))

    before = count()
    client.loss("log_cosh", huber())
    assert count() == before + 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_numbers_of_every_width(client: Client, dtype: Any) -> None:
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
    answer = client.ask.infer(
        "absolute_error",
        client.inputs(arrays),
        outputs=client.outputs("group", "loss", "count"),
        parameters={"reduction": '{"name": "mean", "by": "country"}'},
    )
    names = [x.decode() if isinstance(x, bytes) else x for x in answer.as_numpy("group")]
    assert dict(zip(names, answer.as_numpy("loss"), strict=True)) == {"Perú": 3.0, "Chad": 2.0}
    assert dict(zip(names, answer.as_numpy("count"), strict=True)) == {"Perú": 2, "Chad": 1}


def test_ids_versions_and_outputs(client: Client) -> None:
    answer = client.ask.infer(
        "huber",
        client.inputs(huber()),
        model_version="1",
        request_id="mine",
        priority=1,
        timeout=1_000_000,
        sequence_id=7,
        sequence_start=True,
        outputs=client.outputs("denominator", "loss", "count"),
    )
    response = answer.get_response() if client.http else answer.get_response(as_json=True)
    assert (response["id"], response["model_version"]) == ("mine", "1")
    assert [one["name"] for one in response["outputs"]] == ["denominator", "loss", "count"]
    found = {name: answer.as_numpy(name).tolist() for name in ("loss", "count", "denominator")}
    assert found == {"loss": [HUBER], "count": [2], "denominator": [2.0]}
    assert answer.as_numpy("weight") is None


def test_outputs_that_an_answer_lacks_are_empty(client: Client) -> None:
    outputs = client.outputs("state", "index", "kept", "loss")
    answer = client.ask.infer("huber", client.inputs(huber()), outputs=outputs)
    assert [answer.as_numpy(name).size for name in ("state", "index", "kept")] == [0, 0, 0]
    assert answer.as_numpy("loss").tolist() == [HUBER]


def test_all_outputs_come_where_none_is_named(client: Client) -> None:
    answer = client.ask.infer("huber", client.inputs(huber()))
    assert answer.as_numpy("loss").tolist() == [HUBER]


def test_parameters(client: Client) -> None:
    asked = {"reduction": "sum", "delta": 0.5}
    assert client.loss("huber", huber(), parameters=asked).tolist() == [0.125 + 1.375]
    asked = {"reduction": '{"name": "quantile", "q": 1}', "nonfinite": "error"}
    assert client.loss("huber", huber(), parameters=asked).tolist() == [2.5]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("way", ["request", "response"])
def test_compression(client: Client, way: str, algorithm: str) -> None:
    x = np.arange(4096.0)
    # Over gRPC there is one word for both.
    name = f"{way}_compression_algorithm" if client.http else "compression_algorithm"
    loss = client.loss(
        "absolute_error",
        {"predictions": x, "targets": np.zeros_like(x)},
        parameters={"reduction": "none"},
        **{name: algorithm},
    )
    assert np.array_equal(loss, x)


@pytest.mark.parametrize(
    ("model", "asked", "status", "says"),
    [
        ("hubert", {}, ("404", "NOT_FOUND"), "huber"),
        ("huber", {"delta": -1.0}, ("400", "INVALID_ARGUMENT"), "greater than 0"),
        ("squared_error", {"reduction": "avarage"}, ("400", "INVALID_ARGUMENT"), "weighted_mean"),
        ("binary_cross_entropy", {}, ("400", "INVALID_ARGUMENT"), "[0, 1]"),
    ],
    ids=["of a model", "of a parameter", "of a reduction", "of a value"],
)
def test_the_message_of_a_refusal_arrives(
    client: Client, model: str, asked: dict[str, Any], status: tuple[str, str], says: str
) -> None:
    with pytest.raises(InferenceServerException) as raised:
        client.loss(model, huber(), parameters=asked)
    assert raised.value.status().removeprefix("StatusCode.") == status[0 if client.http else 1]
    assert says in raised.value.message()


@pytest.mark.parametrize(
    "method", ["get_log_settings", "get_trace_settings", "get_cuda_shared_memory_status"]
)
def test_what_is_not_there_is_refused_with_a_message(client: Client, method: str) -> None:
    with pytest.raises(InferenceServerException) as raised:
        getattr(client.ask, method)()
    assert raised.value.status() in ("404", "StatusCode.UNIMPLEMENTED")
    assert "decoding" not in raised.value.message()


def test_a_large_batch(client: Client) -> None:
    x = np.arange(2.0**19)  # beyond the 4 MiB that gRPC takes of itself
    loss = client.loss("absolute_error", {"predictions": x, "targets": np.zeros_like(x)})
    assert loss.tolist() == [(2**19 - 1) / 2]


def test_a_connection_outlasts_a_pause() -> None:
    # aiohttp, unlike other clients, does not ask again when it is closed on.
    with closing(Awaited(tritonclient.http.aio, HTTP)) as ask:
        client = Client(tritonclient.http, ask, http=True)
        client.loss("huber", huber())
        time.sleep(PAUSE_SECONDS)
        assert client.loss("huber", huber()).tolist() == [HUBER]


def test_numbers_that_are_not_finite(client: Client) -> None:
    x = np.array([np.nan, np.inf, 1e308, 1.0])
    arrays = {"predictions": x, "targets": np.array([0.0, 0.0, -1e308, -np.inf])}
    outputs = client.outputs("loss")
    asked = {"outputs": outputs, "parameters": {"reduction": "none"}}
    answer = client.ask.infer("absolute_error", client.inputs(arrays), **asked)
    assert bits(answer.as_numpy("loss")) == bits([np.nan, np.inf, np.inf, np.inf])


def test_nan_that_the_client_writes_as_no_json_is_refused() -> None:
    ask = tritonclient.http.InferenceServerClient(HTTP)
    x = tritonclient.http.InferInput("predictions", [1], "FP64")
    x.set_data_from_numpy(np.array([np.nan]), binary_data=False)
    with pytest.raises(InferenceServerException, match="JSON"):
        ask.infer("huber", [x])


def test_golden_cases_have_the_bits_of_the_services_own_answers(client: Client) -> None:
    differ = {}
    for case in golden_cases():
        arrays = {n: _sendable(x) for n, x in inputs_of(case).items()}
        own = own_answer(case)
        found = client.loss(case["loss"], arrays, parameters=parameters_of(case))
        if bits(found) != own:
            differ[case["id"]] = (bits(found), own)
    assert differ == {}


def _sendable(x: Array) -> Array:
    return x.astype(object) if x.dtype.kind == "U" else x


def test_inferences_without_waiting() -> None:
    found: queue.Queue[Any] = queue.Queue()
    over_grpc = Client(tritonclient.grpc, tritonclient.grpc.InferenceServerClient(GRPC))
    over_grpc.ask.async_infer(
        "huber", over_grpc.inputs(huber()), lambda result, error: found.put((result, error))
    )
    result, error = found.get(timeout=SECONDS)
    assert error is None
    assert result.as_numpy("loss").tolist() == [HUBER]
    ask = tritonclient.http.InferenceServerClient(HTTP, concurrency=4)
    over_http = Client(tritonclient.http, ask, http=True)
    waiting = [ask.async_infer("huber", over_http.inputs(huber())) for _ in range(8)]
    assert [one.get_result().as_numpy("loss").tolist() for one in waiting] == [[HUBER]] * 8


def test_a_stream_goes_on_after_a_refusal() -> None:
    found: queue.Queue[tuple[Any, Any]] = queue.Queue()
    ask = tritonclient.grpc.InferenceServerClient(GRPC)
    inputs = Client(tritonclient.grpc, ask).inputs(huber())
    ask.start_stream(lambda result, error: found.put((result, error)))
    for at, model in enumerate(["huber", "hubert", "huber"]):
        ask.async_stream_infer(
            model, inputs, request_id=str(at), enable_empty_final_response=at == 2
        )
    answers = [found.get(timeout=SECONDS) for _ in range(3)]
    ask.stop_stream()
    (first, none), (nothing, error), (last, nought) = answers
    assert none is nought is nothing is None
    assert "huber" in error.message()
    assert [one.get_response().id for one in (first, last)] == ["0", "2"]
    assert first.as_numpy("loss").tolist() == last.as_numpy("loss").tolist() == [HUBER]


def test_a_stream_that_ends_with_the_status_of_a_refusal() -> None:
    found: queue.Queue[tuple[Any, Any]] = queue.Queue()
    ask = tritonclient.grpc.InferenceServerClient(GRPC)
    inputs = Client(tritonclient.grpc, ask).inputs(huber())
    headers = {"triton_grpc_error": "true"}
    ask.start_stream(lambda result, error: found.put((result, error)), headers=headers)
    ask.async_stream_infer("hubert", inputs)
    _, error = found.get(timeout=SECONDS)
    ask.stop_stream()
    assert error.status() == "StatusCode.NOT_FOUND"


def test_a_stream_that_is_cancelled_harms_nobody() -> None:
    ask = tritonclient.grpc.InferenceServerClient(GRPC)
    client = Client(tritonclient.grpc, ask)
    inputs = client.inputs(huber())
    ask.start_stream(lambda result, error: None)
    for _ in range(100):
        ask.async_stream_infer("huber", inputs)
    ask.stop_stream(cancel_requests=True)
    assert client.loss("huber", huber()).tolist() == [HUBER]


def test_a_stream_of_asyncio() -> None:
    async def asked(inputs: list[Any]) -> AsyncIterator[dict[str, Any]]:
        for at in range(5):
            yield {"model_name": "huber", "inputs": inputs, "request_id": str(at)}

    async def run() -> list[tuple[str, list[float]]]:
        async with tritonclient.grpc.aio.InferenceServerClient(GRPC) as ask:
            inputs = Client(tritonclient.grpc.aio, ask).inputs(huber())
            found = []
            async for result, error in ask.stream_infer(asked(inputs)):
                assert error is None
                found.append((result.get_response().id, result.as_numpy("loss").tolist()))
            return found

    assert asyncio.run(run()) == [(str(at), [HUBER]) for at in range(5)]


@pytest.fixture
def region() -> Iterator[Any]:
    """Memory of 64 bytes for inputs and 64 for outputs."""
    made = memory.create_shared_memory_region("batch", f"/lossmeter-{time.time_ns()}", 128)
    yield made
    memory.destroy_shared_memory_region(made)


def test_shared_memory(client: Client, region: Any) -> None:
    arrays = huber()
    memory.set_shared_memory_region(region, list(arrays.values()))
    client.ask.register_system_shared_memory("batch", region._shm_key, 128)
    try:
        inputs = [
            client.module.InferInput(name, [2], "FP64").set_shared_memory("batch", 16, 16 * at)
            for at, name in enumerate(arrays)
        ]
        outputs = client.outputs("count", "loss", "denominator")
        outputs[1].set_shared_memory("batch", 64, 64)
        answer = client.ask.infer("huber", inputs, outputs=outputs)
        found = memory.get_contents_as_numpy(region, np.float64, [1], 64)
        assert found.tolist() == [HUBER]
        assert answer.as_numpy("count").tolist() == [2]
        assert answer.as_numpy("denominator").tolist() == [2.0]
        status = client.plain("get_system_shared_memory_status", "batch")
        assert status[0]["byte_size"] == 128 if client.http else "batch" in status["regions"]
    finally:
        client.ask.unregister_system_shared_memory("batch")


def test_memory_of_another_program_is_refused(client: Client) -> None:
    made = memory.create_shared_memory_region("other", f"/other-{time.time_ns()}", 64)
    try:
        with pytest.raises(InferenceServerException, match="a key begins with lossmeter"):
            client.ask.register_system_shared_memory("other", made._shm_key, 64)
    finally:
        memory.destroy_shared_memory_region(made)
