"""One service with two ports: what it says of itself, and how it answers."""

import math
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import httpx
import numpy as np
import orjson
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from pydantic import BaseModel

from lossmeter.core.declare import REGISTRY
from lossmeter.transports.rest import schema
from lossmeter.v1 import loss_service_pb2 as pb
from tests.integration.forms import Request, body, message, stream
from tests.integration.replies import Reply
from tests.integration.servers import Service
from tests.integration.wires import UNARY, Ask, in_process, over_grpc, over_rest, post

SERVICE = "lossmeter.v1.LossService"
SERVING = health_pb2.HealthCheckResponse.SERVING
HARD = {"predictions": [1.0, "NaN", "Infinity"], "targets": [0.0, 0.0, 0.0]}
BOXES: Mapping[str, Any] = {
    "losses": {
        "box": {
            "loss": "smooth_l1",
            "inputs": {"predictions": "box_pred", "targets": "box", "sample_weight": "sure"},
            "loss_weight": 0.5,
        },
        "cls": {
            "loss": "keras.losses.BinaryCrossentropy",
            "params": {"label_smoothing": 0.1},
            "inputs": {"predictions": "score", "targets": "label"},
            "loss_weight": -2.0,
        },
        "depth": {"loss": "huber", "inputs": {"predictions": "score", "targets": "depth"}},
    },
    "inputs": {
        "box_pred": [[0.1, 0.2], [0.4, 0.5]],
        "box": [[0.0, 0.2], [0.5, 2.5]],
        "sure": [1.0, 0.25],
        "score": [0.9, 0.2],
        "label": [1.0, 0.0],
    },
}


def huber(reduction: Any = "mean", **parts: Any) -> dict[str, Any]:
    """A request that is right, but for the parts given."""
    inputs = {"predictions": [1.5, 5.0, 2.0], "targets": [1.0, 2.0, 2.0]} | parts.pop("inputs", {})
    return {"loss": "huber", "reduction": reduction, "inputs": inputs, **parts}


COUNTRY = {"country": ["de", "fr", "fr"]}
REQUESTS: Mapping[str, Request] = {
    "a mean": huber(),
    "whole numbers": huber(inputs={"predictions": [1, 5, 2], "targets": [1, 2, 2]}),
    "a single number": huber(inputs={"predictions": 1.5, "targets": 1.0}),
    "a weighted mean": huber("weighted_mean", inputs={"sample_weight": [0.5, 2.0, 0.0]}),
    "a sum of nothing": huber("sum", inputs={"mask": [0, 0, 0]}),
    "no rows": huber("sum", inputs={"predictions": [], "targets": []}),
    "single values": huber("none"),
    "single values under a mask": huber("none", inputs={"mask": [True, False, True]}),
    "a maximum": huber("max"),
    "a median": huber("median"),
    "groups": huber({"name": "mean", "by": "country"}, inputs=COUNTRY),
    "groups that are numbers": huber(
        {"name": "mean", "by": "country"}, inputs={"country": [3, -1, 3]}
    ),
    "groups of nothing": huber(
        {"name": "sum", "by": "country"}, inputs={**COUNTRY, "mask": [0, 1, 1]}
    ),
    "a mean of groups": huber({"name": "macro_mean", "by": "country"}, inputs=COUNTRY),
    "an axis": huber(
        {"name": "mean", "axis": [0]},
        inputs={"predictions": [[1.0, 2.0], [3.0, 5.0]], "targets": [[0.0, 0.0], [0.0, 0.0]]},
    ),
    "an axis of the inside": huber(
        {"name": "sum", "axis": -1},
        inputs={"predictions": [[1.0, 2.0], [3.0, 5.0]], "targets": [[0.0, 0.0], [0.0, 0.0]]},
    ),
    "NaN": huber(inputs=HARD),
    "infinity": huber("max", inputs={**HARD, "mask": [1, 0, 1]}),
    "single values that are not finite": huber("none", inputs=HARD),
    "what is not finite left out": huber(inputs=HARD, options={"nonfinite": "omit"}),
    "infinite weights": huber("sum", inputs={"sample_weight": ["Infinity", 1.0, 1.0]}),
    "warnings": {
        "loss": "categorical_cross_entropy",
        "inputs": {"predictions": [[0.5, 0.9]], "targets": [[1.0, 0.0]]},
    },
    "a state": huber(options={"state": True, "batch_id": "one"}),
    "a state with a maximum": huber(options={"state": ["max", "median"], "batch_id": "one"}),
    "a state of groups": huber(
        {"name": "mean", "by": "country"},
        inputs=COUNTRY,
        options={"state": True, "batch_id": "one"},
    ),
    "a named backend and device": huber(options={"backend": "numpy", "device": "cpu"}),
    "any device": huber(options={"device": "auto"}),
    "a symbol": {**huber(), "loss": "torch.nn.HuberLoss"},
    "an alias": {**huber(), "loss": "mse"},
    "a mean of nothing in Keras": {
        "loss": "keras.losses.MeanSquaredError",
        "inputs": {"predictions": [[1.0]], "targets": [[2.0]], "mask": [False]},
    },
    "a mean of nothing in torch": {
        "loss": "torch.nn.MSELoss",
        "inputs": {"predictions": [1.0], "targets": [2.0], "mask": [False]},
    },
    "several losses": BOXES,
}


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_all_wires_say_the_same(service: Service, asked: Request) -> None:
    here, rest, rpc = [comparable(ask(service, asked)) for ask in UNARY.values()]
    assert (rest, rpc) == (here, here)


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_an_answer_is_what_the_openapi_document_says(service: Service, asked: Request) -> None:
    answer = post(service, "/v1/evaluate", body(asked)).content
    model: type[BaseModel] = schema.Evaluations if "losses" in asked else schema.Evaluation
    assert model.model_validate_json(answer).model_dump(exclude_unset=True) == orjson.loads(answer)


def test_a_refusal_is_what_the_openapi_document_says(service: Service) -> None:
    answer = post(service, "/v1/evaluate", b"{}").content
    problem = schema.Problem.model_validate_json(answer, extra="forbid")
    assert problem.model_dump(exclude_unset=True) == orjson.loads(answer)


def comparable(reply: Reply) -> object:
    """All that an answer says, with its numbers to the bit."""
    if reply.results:
        results = {name: comparable(one) for name, one in reply.results.items()}
        return reply.fields, results
    fields = {name: spelt(x) for name, x in reply.fields.items() if name != "kept"}
    return reply.bits, fields


def spelt(x: object) -> object:
    """Numbers that are not finite by their names, as JSON has them."""
    if isinstance(x, Mapping):
        return {name: spelt(y) for name, y in x.items()}
    if isinstance(x, float) and not math.isfinite(x):
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    return list(x) if not isinstance(x, str | bytes | float | int) else x  # type: ignore[call-overload]


@pytest.mark.parametrize("ask", UNARY.values(), ids=UNARY)
def test_several_losses_have_a_total(service: Service, ask: Ask) -> None:
    reply = ask(service, BOXES)
    box, cls = (float(reply.results[name].value) for name in ("box", "cls"))  # type: ignore[arg-type]
    assert reply.fields["total"] == math.fsum([0.5 * box, -2.0 * cls])
    assert reply.fields["skipped"] == ["depth"]


@pytest.mark.parametrize(
    ("reduction", "groups"),
    [
        pytest.param("mean", {"de": (0.125, 1), "fr": (1.25, 2)}, id="means"),
        pytest.param("sum", {"de": (0.125, 1), "fr": (2.5, 2)}, id="sums"),
        pytest.param("max", {"de": (0.125, 1), "fr": (2.5, 2)}, id="maxima"),
        pytest.param("median", {"de": (0.125, 1), "fr": (1.25, 2)}, id="medians"),
    ],
)
@pytest.mark.parametrize("ask", UNARY.values(), ids=UNARY)
def test_groups_have_their_own_answers(
    service: Service, ask: Ask, reduction: str, groups: dict[str, tuple[float, int]]
) -> None:
    reply = ask(service, huber({"name": reduction, "by": "country"}, inputs=COUNTRY))
    assert isinstance(reply.value, Mapping)
    sums = reply.fields["groups"]
    assert {x: (value, sums[x]["count"]) for x, value in reply.value.items()} == groups


@pytest.mark.parametrize(
    ("predictions", "reduction", "value"),
    [
        pytest.param(["NaN"], "mean", "NaN", id="NaN"),
        pytest.param(["-Infinity"], "mean", "Infinity", id="infinity"),
        pytest.param(["NaN", 1.0, "Infinity"], "none", ["NaN", 1.0, "Infinity"], id="in a list"),
        pytest.param([0.0], "geometric_mean", 0.0, id="a product with 0"),
        pytest.param([], "logsumexp", "-Infinity", id="the logarithm of no sum"),
    ],
)
def test_json_has_numbers_that_are_not_finite_by_name(
    service: Service, predictions: list[object], reduction: str, value: object
) -> None:
    inputs = {"predictions": predictions, "targets": [0.0] * len(predictions)}
    asked = {"loss": "absolute_error", "reduction": reduction, "inputs": inputs}
    assert post(service, "/v1/evaluate", body(asked)).json()["value"] == value


MASK = {"mask": [True, False, True]}


@pytest.mark.parametrize(
    ("loss", "json", "binary"),
    [
        pytest.param("squared_error", [0.25, None, 0.0], [0.25, math.nan, 0.0], id="canonical"),
        pytest.param("torch.nn.MSELoss", [0.25, 0.0, 0.0], [0.25, 0.0, 0.0], id="torch"),
    ],
)
def test_what_a_mask_hides(
    service: Service, loss: str, json: list[float | None], binary: list[float]
) -> None:
    asked = {**huber("none", inputs=MASK), "loss": loss}
    reply = over_grpc(service, asked)
    found = post(service, "/v1/evaluate", body(asked)).json()["value"]
    assert (found, reply.fields["kept"].tolist()) == (json, MASK["mask"])
    np.testing.assert_array_equal(np.asarray(reply.value), binary)


def test_what_a_mask_hides_in_keras_is_0(service: Service) -> None:
    inputs = {"predictions": [[1.5], [9.0]], "targets": [[1.0], [2.0]], "mask": [True, False]}
    asked = {"loss": "keras.losses.mean_squared_error", "inputs": inputs}
    found = [np.asarray(ask(service, asked).value).tolist() for ask in UNARY.values()]
    assert found == [[0.25, 0.0]] * len(UNARY)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/openapi.json", "/docs", "/v1/losses"])
def test_a_page_is_there(service: Service, path: str) -> None:
    assert service.http.get(path).status_code == httpx.codes.OK


@pytest.mark.parametrize("name", ["", SERVICE], ids=["the server", "the service"])
def test_grpc_is_healthy(service: Service, name: str) -> None:
    stub, asked = HealthStub(service.channel), health_pb2.HealthCheckRequest(service=name)
    watched = stub.Watch(asked, timeout=10.0)
    assert [stub.Check(asked).status, next(watched).status] == [SERVING] * 2
    watched.cancel()


def test_the_health_of_all_services_is_listed(service: Service) -> None:
    listed = HealthStub(service.channel).List(health_pb2.HealthListRequest()).statuses
    assert {name: one.status for name, one in listed.items()} == dict.fromkeys(
        ("", "lossmeter.v1.LossService", "inference.GRPCInferenceService"), SERVING
    )


def test_another_service_has_no_health(service: Service) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        HealthStub(service.channel).Check(health_pb2.HealthCheckRequest(service="other"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services(service: Service) -> None:
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    replies = ServerReflectionStub(service.channel).ServerReflectionInfo(iter([asked]))
    names = {found.name for found in next(iter(replies)).list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names


def test_reflection_describes_the_service(service: Service) -> None:
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
    replies = ServerReflectionStub(service.channel).ServerReflectionInfo(iter([asked]))
    files = next(iter(replies)).file_descriptor_response.file_descriptor_proto
    assert pb.DESCRIPTOR.serialized_pb in files


@pytest.mark.parametrize("example", schema.EVALUATE_EXAMPLES)
def test_an_example_of_the_openapi_document_runs(service: Service, example: str) -> None:
    operation = service.http.get("/openapi.json").json()["paths"]["/v1/evaluate"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    answer = post(service, "/v1/evaluate", orjson.dumps(examples[example]["value"]))
    assert answer.status_code == httpx.codes.OK


def test_the_openapi_document_refers_to_what_it_has(service: Service) -> None:
    text = service.http.get("/openapi.json").text
    known = orjson.loads(text)["components"]["schemas"].keys()
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= known
    assert "HTTPValidationError" not in text


def test_the_catalogue_is_the_same_over_both_wires(service: Service) -> None:
    rest = service.http.get("/v1/losses").json()["losses"]
    rpc = service.stub.ListLosses(pb.ListLossesRequest()).losses
    assert [one["name"] for one in rest] == [one.name for one in rpc] == sorted(REGISTRY)


@pytest.mark.parametrize("name", ["huber", "mse", "torch.nn.CrossEntropyLoss"])
def test_a_loss_is_described_over_both_wires(service: Service, name: str) -> None:
    rest = service.http.get(f"/v1/losses/{name}").json()
    rpc = service.stub.GetLoss(pb.GetLossRequest(name=name)).loss
    assert (rest["name"], rest["formula"]) == (rpc.name, rpc.formula)
    assert [i["name"] for i in rest["inputs"]] == [i.name for i in rpc.inputs]


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_the_examples_of_a_loss_run(service: Service, name: str) -> None:
    examples = service.http.get(f"/v1/losses/{name}").json()["examples"]
    for example in examples:
        found = over_rest(service, example["request"]).value
        np.testing.assert_allclose(np.asarray(found), np.asarray(example["value"]), rtol=1e-13)


def test_a_message_of_64_mib(service: Service) -> None:
    x = np.linspace(0.0, 1.0, 2**22)
    asked = {"loss": "squared_error", "inputs": {"predictions": x, "targets": x[::-1].copy()}}
    assert over_grpc(service, asked).bits == in_process(None, asked).bits


def test_streams_that_wait_keep_nobody_waiting(service: Service) -> None:
    done, asked = threading.Event(), message(huber())

    def waiting() -> Iterator[pb.EvaluateStreamRequest]:
        yield next(stream(huber(), rows=1))
        done.wait()

    calls = [service.stub.EvaluateStream.future(waiting()) for _ in range(16)]
    count = service.stub.Evaluate(asked, timeout=5.0).count
    done.set()
    assert {call.code() for call in calls} == {grpc.StatusCode.INVALID_ARGUMENT}
    assert count == 3
