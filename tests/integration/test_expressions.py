"""Expressions as a service takes them: the built-in losses' numbers, and no harm from any text."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson
import pytest

import lossmeter
from lossmeter.app.answer import Answer
from lossmeter.v1 import loss_service_pb2 as pb
from tests.integration.columns import batches, columns
from tests.integration.commands import over_cli
from tests.integration.forms import Array, Request, body, message
from tests.integration.refusals import (
    faults_of_error,
    faults_of_response,
    over_http,
    over_rpc,
    told_by_http,
    told_by_rpc,
)
from tests.integration.replies import Refused, of_rest
from tests.integration.servers import Service, serving
from tests.integration.wires import (
    MERGES,
    UNARY,
    Ask,
    Merge,
    answered,
    in_process,
    over_grpc,
    over_rest,
    over_stream,
    post,
)

pytestmark = pytest.mark.usefixtures("unharmed")
ROWS = 1004
BY = {"name": "mean", "by": "country"}
AT = "loss.expression"
CROSS_ENTROPY = (
    "(1 - s) * -pick(log_softmax(predictions), targets) - s * mean(log_softmax(predictions), "
    "axis=-1)"
)
# A loss of the catalogue with its parameters, as an expression with its own; both draw the same
# columns.
SAME: Mapping[str, tuple[str, Any, str, Any]] = {
    "squared_error": ("squared_error", {}, "square(predictions - targets)", {}),
    "absolute_error": ("squared_error", {}, "abs(predictions - targets)", {}),
    "huber": (
        "squared_error",
        {"delta": 0.5},
        "minimum(abs(predictions - targets), delta) * (abs(predictions - targets) "
        "- 0.5 * minimum(abs(predictions - targets), delta))",
        {"delta": 0.5},
    ),
    "sparse_softmax_cross_entropy": (
        "sparse_softmax_cross_entropy",
        {"label_smoothing": 0.1},
        CROSS_ENTROPY,
        {"s": 0.1},
    ),
}
REDUCTIONS: Mapping[str, Any] = {
    name: name
    for name in ("sum", "mean", "weighted_mean", "nonzero_mean", "rms", "std", "max", "median")
} | {"none": "none", "groups": BY, "quantile": {"name": "quantile", "q": 0.9}}
# Those of the same operations in the same order have the same bits.
EXACT = ("squared_error", "absolute_error", "huber")


def pair(name: str, dtype: str, reduction: Any) -> tuple[Request, Request]:
    """The same question of a built-in loss and of an expression."""
    drawn, params, text, own = SAME[name]
    inputs = columns(drawn, dtype, ROWS)
    if not (isinstance(reduction, dict) and "by" in reduction):
        inputs = {k: x for k, x in inputs.items() if k != "country"}
    asked = {"reduction": reduction, "inputs": inputs}
    return (
        {"loss": name, "params": params, **asked},
        {"loss": {"expression": text}, "params": own, **asked},
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", REDUCTIONS.values(), ids=REDUCTIONS)
@pytest.mark.parametrize("name", SAME)
def test_an_expression_of_a_loss_is_that_loss(name: str, reduction: Any, dtype: str) -> None:
    built_in, own = (in_process(None, request) for request in pair(name, dtype, reduction))
    if name in EXACT:
        assert own.bits == built_in.bits
    close = 1e-13 if dtype == "float64" else 2e-6
    for one, other in zip(values(own.value), values(built_in.value), strict=True):
        np.testing.assert_allclose(one, other, rtol=close)
    assert own.fields["dtype"] == dtype


def values(found: Any) -> list[Array]:
    return [np.asarray(x) for x in (found.values() if isinstance(found, Mapping) else [found])]


EVERYWHERE = {**UNARY, "on the command line": over_cli}
STREAMS = {f"in chunks of {rows}": over_stream(rows) for rows in (1, 100, ROWS)}


@pytest.mark.parametrize("ask", [*EVERYWHERE.values(), *STREAMS.values()])
@pytest.mark.parametrize("reduction", ["mean", BY, "std"], ids=["mean", "groups", "std"])
@pytest.mark.parametrize("name", ["huber", "sparse_softmax_cross_entropy"])
def test_an_expression_has_the_same_bits_everywhere(
    service: Service, name: str, reduction: Any, ask: Ask
) -> None:
    _, own = pair(name, "float64", reduction)
    found, expected = ask(service, own), in_process(None, own)
    assert (found.bits, found.fields["loss"]) == (expected.bits, expected.fields["loss"])


@pytest.mark.parametrize("merged", MERGES.values(), ids=MERGES)
@pytest.mark.parametrize("ask", UNARY.values(), ids=UNARY)
def test_states_of_an_expression_merge(service: Service, ask: Ask, merged: Merge) -> None:
    _, own = pair("sparse_softmax_cross_entropy", "float64", "std")
    parts = batches(own["inputs"], 300)
    states = [
        ask(service, {**own, "inputs": part, "options": {"state": True}}).state for part in parts
    ]
    found = merged(service, states, {"reduction": "std"})
    assert (found.bits, found.fields["loss"]) == (
        in_process(None, own).bits,
        in_process(None, own).fields["loss"],
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("x * k", {"k": 1}), ("x * k", {"k": 2}), id="other parameters"),
        pytest.param(("x * k", {"k": 1}), ("x / k", {"k": 1}), id="another expression"),
        pytest.param(("x", {}), ("x + 0", {}), id="the same value"),
        pytest.param(("x * 2", {}), ("where(k, x, x) * 2", {"k": True}), id="a condition"),
    ],
)
def test_states_of_two_expressions_never_mix(service: Service, one: Any, other: Any) -> None:
    states = [
        over_rest(
            service,
            {
                "loss": {"expression": text},
                "params": params,
                "inputs": {"x": [1.0]},
                "options": {"state": True},
            },
        ).state
        for text, params in (one, other)
    ]
    with pytest.raises(Exception, match="STATE_MISMATCH"):
        MERGES["over REST"](service, states, {})


def test_several_losses_of_which_one_is_an_expression(service: Service) -> None:
    request = {
        "losses": {
            "a": {"loss": "squared_error"},
            "b": {
                "loss": {"expression": "k * abs(predictions - gold)"},
                "params": {"k": 2},
                "inputs": {"gold": "targets"},
                "loss_weight": 0.5,
            },
        },
        "inputs": {"predictions": [1.0, 4.0], "targets": [0.0, 1.0]},
    }
    for ask in UNARY.values():
        found = ask(service, request)
        assert (found.fields["total"], found.results["b"].bits) == (7.0, (4.0).hex())


def test_the_package_takes_an_expression_and_a_whole_request() -> None:
    whole: dict[str, Any] = {"loss": {"expression": "square(x - 1)"}, "inputs": {"x": [1.0, 3.0]}}
    for found in (lossmeter.evaluate(whole["loss"], whole["inputs"]), lossmeter.evaluate(whole)):
        assert isinstance(found, Answer)
        assert found.value == 2.0


@pytest.mark.parametrize("reduction", ["mean", "max", BY, "none"], ids=str)
@pytest.mark.parametrize("name", SAME)
def test_an_expression_is_explained(service: Service, name: str, reduction: Any) -> None:
    _, own = pair(name, "float64", reduction)
    found = post(service, "/v1/explain", body(own)).json()
    steps = [step["step"] for step in found["steps"]]
    assert steps[:3] == ["loss", "shapes", "mask"] and steps[-1] == "result"
    assert (found["dialects"], found["framework"]) == ([], "")
    assert found["symbol"] == found["loss"] == service.stub.Explain(message(own)).loss


# Parameters of these names mean something in the catalogue.
NAMED = ["blank", "temperature", "class_weight", "columns", "naive", "factor", "xp", "model_dump_"]


@pytest.mark.parametrize("name", NAMED)
def test_a_parameter_may_be_called_what_one_of_the_catalogue_is(
    service: Service, name: str
) -> None:
    asked = {"loss": {"expression": f"x * {name}"}, "params": {name: 9}, "inputs": {"x": [2.0]}}
    assert over_rest(service, asked).bits == (18.0).hex()
    assert post(service, "/v1/explain", body(asked)).json()["value"] == 18.0


def crossing(size: int) -> Request:
    crossed = "max(expand_dims(x, axis=-1) * expand_dims(x, axis=-2), axis=(-1, -2))"
    return {"loss": {"expression": crossed}, "inputs": {"x": np.ones((2, size))}}


def test_axes_are_crossed_in_little_memory(service: Service) -> None:
    assert over_rest(service, crossing(512)).bits == (1.0).hex()


# The text, the reason and where.
HOSTILE: Mapping[str, tuple[str, str]] = {
    "__import__('os').system('true')": ("PARAMETER_INVALID", AT),
    "__builtins__": ("PARAMETER_INVALID", AT),
    "predictions.__class__.__mro__": ("PARAMETER_INVALID", AT),
    "().__class__": ("PARAMETER_INVALID", AT),
    '"hunter2"["b"]': ("PARAMETER_INVALID", AT),
    "[x for x in predictions]": ("PARAMETER_INVALID", AT),
    "sum(x for x in predictions)": ("PARAMETER_INVALID", AT),
    "(lambda: predictions)()": ("PARAMETER_INVALID", AT),
    "f'{hunter2}'": ("PARAMETER_INVALID", AT),
    "(hunter2 := predictions)": ("PARAMETER_INVALID", AT),
    "exp(*predictions)": ("PARAMETER_INVALID", AT),
    "exp(**predictions)": ("PARAMETER_INVALID", AT),
    "9**9**9**9": ("PARAMETER_INVALID", AT),
    "predictions * 9**9**9**9": ("PARAMETER_INVALID", AT),
    "predictions + pow(10, 400)": ("PARAMETER_INVALID", AT),
    "7919 * 7919": ("PARAMETER_INVALID", AT),
    "(" * 10_000: ("TOO_LARGE", AT),
    "(" * 4_000 + "x": ("TOO_LARGE", AT),
    "-" * 4_000 + "x": ("TOO_LARGE", AT),
    "hunter2+" * 131_072: ("TOO_LARGE", AT),
    "x**" * 1_000 + "x": ("TOO_LARGE", AT),
    "x+" * 600 + "x": ("TOO_LARGE", AT),
    "predictions\0": ("PARAMETER_INVALID", AT),
    "\uff50redictions": ("PARAMETER_INVALID", AT),
    "predicti\u03bfns": ("PARAMETER_INVALID", AT),
    "\u202epredictions": ("PARAMETER_INVALID", AT),
    "hunter2 +": ("PARAMETER_INVALID", AT),
    "gold": ("MISSING_INPUT", "inputs.gold"),
    "predictions + targets": ("UNKNOWN_INPUT", "inputs.x"),
    "predictions + targets + x": ("SHAPE_MISMATCH", "inputs.x"),
}
TENSORS = {"predictions": [1.0, 2.0], "targets": [1.0, 2.0], "x": [[7919.0]]}


def hostile(text: str) -> Request:
    return {"loss": {"expression": text}, "inputs": TENSORS}


IDS = [ascii(text)[:32] for text in HOSTILE]


@pytest.mark.parametrize("text", HOSTILE, ids=IDS)
@pytest.mark.parametrize("path", ["/v1/evaluate", "/v1/explain"])
def test_a_hostile_text_over_rest(service: Service, path: str, text: str) -> None:
    response = post(service, path, orjson.dumps(hostile(text)))
    assert told_by_http(response) == over_http(*HOSTILE[text])
    assert faults_of_response(response) == []
    assert len(response.json()["detail"]) < 500


@pytest.mark.parametrize("text", HOSTILE, ids=IDS)
def test_a_hostile_text_over_grpc(service: Service, text: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        service.stub.Evaluate(message(hostile(text)))
    assert told_by_rpc(refused.value) == over_rpc(*HOSTILE[text])
    assert faults_of_error(refused.value) == []


def test_what_is_wrong_with_one_of_several_is_told_in_its_place(service: Service) -> None:
    for text, params, place in (("x[", {}, AT), ("x", {"hunter2": 1}, "params.hunter2")):
        one = {"loss": {"expression": text}, "params": params}
        request = {"losses": {"a": one}, "inputs": TENSORS}
        response = post(service, "/v1/evaluate", orjson.dumps(request))
        assert told_by_http(response) == over_http("PARAMETER_INVALID", f"losses.a.{place}")


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"loss": {"expression": 7919}}, "MALFORMED_REQUEST", AT),
        ({"loss": {}}, "MALFORMED_REQUEST", AT),
        ({"loss": {"expression": "x", "hunter2": 1}}, "UNKNOWN_FIELD", "loss.hunter2"),
        ({"loss": ["x"]}, "MALFORMED_REQUEST", "loss"),
        ({"loss": "expression(x)"}, "LOSS_NOT_FOUND", "loss"),
        ({"expression": "x"}, "UNKNOWN_FIELD", "expression"),
        ({"loss": {"expression": "x*k"}, "params": {"k": "a"}}, "PARAMETER_INVALID", "params.k"),
        ({"loss": {"expression": "x*k"}, "params": {"k": [1]}}, "PARAMETER_INVALID", "params.k"),
        ({"loss": {"expression": "x*k"}, "params": {"k": None}}, "PARAMETER_INVALID", "params.k"),
        ({"loss": {"expression": "x*k"}, "params": {"k": True}}, "PARAMETER_INVALID", AT),
        ({"loss": {"expression": "x*json"}, "params": {"json": 1}}, "PARAMETER_INVALID", None),
    ],
    ids=str,
)
def test_a_bad_form_of_an_expression(
    service: Service, fields: Mapping[str, Any], reason: str, field: str | None
) -> None:
    response = post(service, "/v1/evaluate", orjson.dumps({**fields, "inputs": {"x": [1.0]}}))
    assert told_by_http(response) == (*over_http(reason, None)[:2], field or "params.json")
    assert faults_of_response(response) == []


def test_a_refusal_that_lists_all_names_reaches_its_caller(service: Service) -> None:
    names = [f"{number:x>64}" for number in range(24)]
    inputs = {name: [1.0] for name in (*names, "y")}
    asked = {"loss": {"expression": " + ".join(names)}, "inputs": inputs}
    for ask in (over_rest, over_grpc):
        refused = answered(ask, service, asked)
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.field) == ("UNKNOWN_INPUT", "inputs.y")


def test_grpc_takes_a_loss_or_an_expression(service: Service) -> None:
    for request, field in (
        (pb.EvaluateRequest(loss="huber", expression="x"), "loss"),
        (
            pb.EvaluateRequest(losses={"a": pb.LossSpec(loss="huber", expression="x")}),
            "losses.a.loss",
        ),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            service.stub.Evaluate(request)
        assert told_by_rpc(refused.value) == over_rpc("MALFORMED_REQUEST", field)


def test_crossed_axes_that_are_too_many_are_refused(service: Service) -> None:
    response = post(service, "/v1/evaluate", body(crossing(513)))
    assert told_by_http(response) == over_http("TOO_LARGE", AT)
    assert (response.json()["limit"], response.json()["actual"]) == (2**18, 513**2)


def test_values_beyond_float64_are_values(service: Service) -> None:
    asked = {"loss": {"expression": "x * 1e308 * 10"}, "inputs": {"x": [1.0]}}
    assert over_rest(service, asked).bits == over_grpc(service, asked).bits == "inf"


def test_a_service_answers_to_the_names_of_its_settings(tmp_path: Path) -> None:
    own = {"my_gap": {"expression": "k * abs(x)", "params": {"k": 2}, "summary": "A gap."}}
    asked = {"loss": "my_gap", "inputs": {"x": [1.0, -2.0]}}
    with serving(tmp_path / "log", "--expressions", json.dumps(own)) as service:
        listed = service.http.get("/v1/losses", params={"search": "gap"}).json()["losses"]
        described = service.http.get("/v1/losses/my_gap").json()
        over_rpc_ = service.stub.GetLoss(pb.GetLossRequest(name="my_gap")).loss
        assert listed == [described]
        assert (over_rpc_.name, over_rpc_.formula) == ("my_gap", "k * abs(x)")
        assert "my_gap" in [x.name for x in service.stub.ListLosses(pb.ListLossesRequest()).losses]
        assert over_rest(service, asked).bits == over_grpc(service, asked).bits == (3.0).hex()
        assert over_rest(service, {**asked, "params": {"k": 4}}).bits == (6.0).hex()


def test_workers_answer_to_the_names_of_the_settings(tmp_path: Path) -> None:
    own = json.dumps({"my_gap": {"expression": "abs(x)"}})
    asked = {"loss": "my_gap", "inputs": {"x": [1.0, -2.0]}}
    with serving(tmp_path / "log", "--workers", "2", expressions=own) as service:
        assert [over_rest(service, asked).bits for _ in range(8)] == [(1.5).hex()] * 8


def test_openapi_describes_both_forms(service: Service) -> None:
    schemas = service.http.get("/openapi.json").json()["components"]["schemas"]
    forms = schemas["EvaluateBody"]["properties"]["loss"]["anyOf"]
    assert {"$ref": "#/components/schemas/Expression"} in forms and {"type": "string"} in forms
    assert schemas["Expression"]["required"] == ["expression"]
    assert of_rest(post(service, "/v1/evaluate", body(crossing(2)))).fields["count"] == 2
