"""Exports: the same bytes over every wire, what they hold, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format

from lossmeter import evaluate, export
from lossmeter.app.answer import Answer
from lossmeter.app.export.arrangements import ARRANGED
from lossmeter.app.export.surveys import SURVEYS
from lossmeter.core.arrays import Array
from lossmeter.dialects import SYMBOLS, sklearn, torchmetrics
from lossmeter.errors import LossmeterError
from lossmeter.v1 import loss_service_pb2 as pb
from tests.integration.exported import graph
from tests.integration.refusals import details
from tests.integration.servers import Service

ASKED: list[dict[str, Any]] = [
    {"loss": "huber"},
    {"loss": "torch.nn.CrossEntropyLoss", "params": {"weight": [1.0, 2.0, 0.5]}},
    {
        "loss": "categorical_cross_entropy",
        "params": {"label_smoothing": 0.1},
        "reduction": {"name": "mean", "divisor": 8.0},
        "dtype": "float32",
        "opset": 19,
        "ir_version": 9,
        "sizes": {"C": 3},
        "rank": 2,
    },
    {"loss": "sklearn.metrics.log_loss", "stands_for": "multiclass_log_loss"}
    | {"params": {"labels": [1, 2, 5]}},
    {"loss": "expression", "expression": "k * mean(square(x - y), axis=-1)", "params": {"k": 2.0}},
]


def over_rest(service: Service, asked: dict[str, Any]) -> bytes:
    query = {k: x if isinstance(x, str) else json.dumps(x) for k, x in asked.items()}
    answer = service.http.get(f"/v1/losses/{query.pop('loss')}/onnx", params=query)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="{asked["loss"]}.onnx"'
    return answer.content


def over_grpc(service: Service, asked: dict[str, Any]) -> bytes:
    fields = {"name" if name == "loss" else name: value for name, value in asked.items()}
    request = json_format.ParseDict(fields, pb.ExportLossRequest())
    return service.stub.ExportLoss(request).model


def over_cli(folder: Path, asked: dict[str, Any]) -> bytes:
    flags = [
        text
        for name, value in asked.items()
        if name != "loss"
        for text in (
            f"--{name.replace('_', '-')}",
            value if isinstance(value, str) else json.dumps(value),
        )
    ]
    file = folder / "loss.onnx"
    command = [sys.executable, "-m", "lossmeter", "export", asked["loss"], "-o", str(file), *flags]
    subprocess.run(command, check=True, timeout=60)
    return file.read_bytes()


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked["loss"])
def test_every_wire_gives_the_same_bytes(
    asked: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    model = export(**asked)
    assert over_rest(service, asked) == model
    assert over_grpc(service, asked) == model
    assert over_cli(tmp_path, asked) == model


def test_an_expression_is_exported_like_a_loss() -> None:
    rng = np.random.default_rng(5)
    given = {"x": rng.normal(size=(7, 4)), "y": rng.normal(size=(7, 4))}
    beside = {"sample_weight": rng.random(7), "mask": np.arange(7) != 2}
    ours = {"expression": "k * mean(square(x - y), axis=-1) + log_sum_exp(x)"}
    for reduction in ("sum", "mean", "weighted_mean", "rms", "max"):
        exported = graph(ours, params={"k": 2.0}, reduction=reduction)
        found = exported.run({**given, **beside})["loss"]
        expected = evaluate(ours, given, params={"k": 2.0}, reduction=reduction, **beside)
        assert isinstance(expected, Answer)
        assert found == pytest.approx(float(expected), rel=1e-13)
        assert exported.facts()["symbol"].startswith("expression(")


def test_a_graph_says_what_it_is() -> None:
    exported = graph("keras.losses.MeanSquaredError", reduction="mean_with_sample_weight")
    facts = exported.facts()
    assert facts["loss"] == "squared_error"
    assert facts["symbol"] == "keras.losses.MeanSquaredError"
    assert (facts["dialect"], facts["dialect_version"]) == ("keras", "3.15.1")
    assert (facts["reduction"], facts["empty"]) == ("weighted_mean", "0.0")
    assert facts["source"] and facts["lossmeter_version"]
    assert exported.model.producer_name == "lossmeter"
    assert json.loads(graph("huber", params={"delta": 0.5}).facts()["params"]) == {"delta": 0.5}


def test_a_batch_of_any_size_goes_through_one_session() -> None:
    exported = graph("squared_error", reduction="sum")
    for rows in (0, 1, 2, 1000):
        x = np.arange(rows, dtype=float)
        assert exported.run({"predictions": x, "targets": x + 2})["loss"] == 4.0 * rows


@pytest.mark.parametrize(
    ("loss", "nothing"),
    [
        ("squared_error", np.nan),
        ("torch.nn.MSELoss", np.nan),
        ("keras.losses.MeanSquaredError", 0.0),
    ],
)
@pytest.mark.parametrize("how", ["no rows", "all masked"])
def test_a_mean_of_nothing_is_what_the_dialect_says(loss: str, nothing: float, how: str) -> None:
    rows = 0 if how == "no rows" else 3
    rank = 2 if loss.startswith("keras") else 1
    x = np.full((rows, 2)[:rank], np.nan)
    given = {"predictions": x, "targets": x, "mask": np.zeros(rows, bool)}
    assert np.array_equal(graph(loss).run(given)["loss"], nothing, equal_nan=True)
    assert graph(loss, reduction="sum").run(given)["loss"] == 0.0
    greatest = graph(loss, reduction="max").run(given)
    assert np.isnan(greatest["loss"])
    assert greatest["index"] == -1


LIKE = np.array([4, 4, 5, 5])
PREDICTED, SEEN = np.array([1.0, 2.0, 3.0, 5.0]), np.array([1.0, 2.5, 3.0, 4.0])
HALVES = np.full((4, 2, 2), 0.5)
WHOLE: list[tuple[str, dict[str, Any], Array, Array]] = [
    ("circle", {}, np.eye(3)[[0, 0, 1, 2]], LIKE),
    ("ntxent", {}, np.eye(3)[[0, 0, 1, 2]] + 0.1, LIKE),
    ("d2_score", {}, PREDICTED, SEEN),
    ("d2_score", {"family": "pinball"}, PREDICTED, SEEN),
    ("d2_score", {"family": "brier"}, PREDICTED / 8, np.array([0, 1, 1, 1])),
    ("generalized_dice", {}, HALVES, HALVES),
]


@pytest.mark.parametrize(("loss", "params", "predictions", "targets"), WHOLE)
def test_a_loss_of_the_whole_batch_looks_at_what_is_kept_alone(
    loss: str, params: dict[str, Any], predictions: Array, targets: Array
) -> None:
    kept = np.array([True, True, False, True])
    hidden = predictions.copy()
    hidden[~kept] = np.nan
    found = graph(loss, params=params, reduction="sum").run(
        {"predictions": hidden, "targets": targets, "mask": kept}
    )
    answer = evaluate(
        loss, predictions=predictions[kept], targets=targets[kept], params=params, reduction="sum"
    )
    assert isinstance(answer, Answer)
    assert found["loss"] == pytest.approx(float(answer), rel=1e-12)
    nothing = {"predictions": hidden, "targets": targets, "mask": np.zeros(4, bool)}
    no_rows = {name: x[:0] for name, x in nothing.items()}
    for given in (nothing, no_rows):
        assert graph(loss, params=params, reduction="sum").run(given)["loss"] == 0.0


def test_weights_may_not_be_larger_than_the_loss_values() -> None:
    one = {"predictions": np.ones(1), "targets": np.zeros(1), "sample_weight": np.ones(5)}
    with pytest.raises(Exception, match=r"Reshape|Expand"):
        graph("squared_error").run(one)


@pytest.mark.parametrize(("opset", "ir"), [(17, 8), (18, 8), (19, 9), (20, 9), (21, 10)])
@pytest.mark.parametrize("loss", ["sparse_softmax_cross_entropy", "multiclass_sparsemax"])
def test_every_opset_gives_the_same_number(loss: str, opset: int, ir: int) -> None:
    exported = graph(loss, opset=opset, ir_version=ir, reduction="max")
    [domain] = exported.model.opset_import
    assert (domain.version, exported.model.ir_version) == (opset, ir)
    given = {"predictions": np.array([[1.0, 2.0, 4.0], [0.5, -1.0, 0.0]]), "targets": [0, 1]}
    assert exported.run(given) == graph(loss, reduction="max").run(given)


def test_a_framework_takes_labels_as_it_does() -> None:
    scores = np.array([[0.2], [-0.3], [1.5]])
    for labels in ([[0], [1], [1]], [[-1], [1], [1]]):
        given = {"predictions": scores, "targets": np.array(labels, float)}
        answer = evaluate("keras.losses.Hinge", given)
        assert isinstance(answer, Answer)
        found = graph("keras.losses.Hinge").run(given)["loss"]
        assert found == pytest.approx(float(answer), rel=1e-12)


@pytest.mark.parametrize("ignored", [None, 1])
def test_keras_counts_weights_before_they_are_broadcast(ignored: int | None) -> None:
    asked: dict[str, Any] = {
        "params": {"ignore_class": ignored},
        "reduction": "mean_with_sample_weight",
    }
    given = {
        "predictions": np.array([[[0.2, 0.8], [0.5, 0.5]], [[0.9, 0.1], [0.6, 0.4]]]),
        "targets": np.array([[0, 1], [1, 0]]),
        "sample_weight": np.array([[2.0], [0.5]]),
    }
    loss = "keras.losses.SparseCategoricalCrossentropy"
    answer = evaluate(loss, given, **asked)
    assert isinstance(answer, Answer)
    found = graph(loss, rank=2, **asked).run(given)["loss"]
    assert found == pytest.approx(float(answer), rel=1e-12)


@pytest.mark.parametrize("symbol", ["log_loss", "brier_score_loss"])
def test_more_labels_than_two_have_a_column_each(symbol: str) -> None:
    loss, params = f"sklearn.metrics.{symbol}", {"labels": [1, 2, 5]}
    given = {
        "predictions": np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]),
        "targets": np.array([2, 5]),
    }
    answer = evaluate(loss, given, params=params)
    assert isinstance(answer, Answer)
    found = graph(loss, params=params).run(given)["loss"]
    assert found == pytest.approx(float(answer), rel=1e-12)


@pytest.mark.parametrize("joining", ["uniform_average", "raw_values", [1.0, 3.0]])
def test_outputs_are_joined_as_scikit_learn_joins_them(joining: Any) -> None:
    asked: dict[str, Any] = {"params": {"multioutput": joining}}
    given = {
        "predictions": np.array([[0.5, 2.0], [1.0, -3.0], [4.0, 0.0]]),
        "targets": np.array([[0.0, 1.0], [1.5, 2.0], [3.0, 0.5]]),
    }
    weights = np.array([2.0, 1.0, 0.5])
    loss = "sklearn.metrics.root_mean_squared_error"
    answer = evaluate(loss, {**given, "sample_weight": weights}, **asked)
    assert isinstance(answer, Answer)
    found = graph(loss, rank=2, **asked).run({**given, "sample_weight": weights[:, None]})["loss"]
    np.testing.assert_allclose(found, np.asarray(answer.value), 1e-12)


def test_a_factor_divides_as_it_multiplies() -> None:
    """In float32 0.1 is another number than in float64, above the line and below it."""
    asked: dict[str, Any] = {"params": {"weight": [0.1, 0.3, 0.7, 0.9]}}
    x = np.array([0.25, -1.0, 2.0, 0.5], np.float32)
    given = {"predictions": x, "targets": np.zeros_like(x)}
    loss = "torch.nn.functional.mse_loss"
    answer = evaluate(loss, given, **asked)
    assert isinstance(answer, Answer)
    found = graph(loss, dtype="float32", **asked).run(given)["loss"]
    assert found == pytest.approx(float(answer), rel=1e-13)


REFUSED = [
    ({"loss": "huber", "reduction": "median"}, "BACKEND_UNSUPPORTED", "reduction"),
    (
        {"loss": "huber", "reduction": {"name": "mean", "axis": 0}},
        "BACKEND_UNSUPPORTED",
        "reduction.axis",
    ),
    (
        {"loss": "huber", "reduction": {"name": "mean", "by": "g"}},
        "BACKEND_UNSUPPORTED",
        "reduction.by",
    ),
    ({"loss": "huber", "reduction": "men"}, "UNKNOWN_REDUCTION", "reduction"),
    ({"loss": "hubert"}, "LOSS_NOT_FOUND", "loss"),
    ({"loss": "expression"}, "MALFORMED_REQUEST", "expression"),
    (
        {"loss": "sklearn.metrics.log_loss", "stands_for": "binary_cross_entropy"}
        | {"params": {"labels": [1, 2, 5]}},
        "PARAMETER_INVALID",
        "params.labels",
    ),
    ({"loss": "huber", "params": {"delta": -1.0}}, "PARAMETER_INVALID", "params.delta"),
    ({"loss": "huber", "opset": 16}, "MALFORMED_REQUEST", "opset"),
    ({"loss": "huber", "ir_version": 11}, "MALFORMED_REQUEST", "ir_version"),
    ({"loss": "huber", "dtype": "float16"}, "MALFORMED_REQUEST", "dtype"),
    ({"loss": "huber", "rank": 9}, "MALFORMED_REQUEST", "rank"),
    ({"loss": "huber", "sizes": {"C": 3}}, "PARAMETER_INVALID", "sizes.C"),
    ({"loss": "huber", "sizes": {"N": 0}}, "MALFORMED_REQUEST", "sizes.N"),
    ({"loss": "huber", "stands_for": "hinge"}, "PARAMETER_INVALID", "stands_for"),
    ({"loss": "circle", "rank": 2}, "PARAMETER_INVALID", "rank"),
    (
        {"loss": "sparse_softmax_cross_entropy", "sizes": {"C": 3}}
        | {"params": {"class_weight": {"7": 2.0}}},
        "PARAMETER_INVALID",
        "params.class_weight",
    ),
    (
        {"loss": "binary_cross_entropy", "params": {"class_weight": {"2": 2.0}}},
        "PARAMETER_INVALID",
        "params.class_weight",
    ),
    ({"loss": "optax.dice_loss"}, "BACKEND_UNSUPPORTED", "sizes"),
    ({"loss": "sklearn.metrics.log_loss"}, "BACKEND_UNSUPPORTED", "params.labels"),
    (
        {"loss": "sklearn.metrics.log_loss", "params": {"labels": ["no", "yes"]}},
        "BACKEND_UNSUPPORTED",
        "params.labels",
    ),
    (
        {"loss": "sklearn.metrics.log_loss", "params": {"labels": [1]}},
        "PARAMETER_INVALID",
        "params.labels",
    ),
    (
        {"loss": "sklearn.metrics.brier_score_loss", "params": {"pos_label": "yes"}},
        "BACKEND_UNSUPPORTED",
        "params.pos_label",
    ),
    (
        {"loss": "sklearn.metrics.mean_squared_error", "params": {"multioutput": [1.0, 3.0]}},
        "PARAMETER_INVALID",
        "rank",
    ),
    (
        {"loss": "sklearn.metrics.d2_pinball_score", "params": {"multioutput": [1.0] * 257}},
        "TOO_LARGE",
        "params.multioutput",
    ),
    (
        {"loss": "sparse_softmax_cross_entropy", "params": {"class_weight": "balanced"}},
        "BACKEND_UNSUPPORTED",
        "params.class_weight",
    ),
    (
        {
            "loss": "sparse_softmax_cross_entropy",
            "params": {"class_weight": [1.0, 2.0]},
            "sizes": {"C": 3},
        },
        "PARAMETER_INVALID",
        "sizes.C",
    ),
]


@pytest.mark.parametrize(("asked", "reason", "field"), REFUSED, ids=str)
def test_a_refusal_says_where(
    asked: dict[str, Any], reason: str, field: str, service: Service
) -> None:
    with pytest.raises(LossmeterError) as refused:
        export(**asked)
    assert (refused.value.reason, refused.value.field) == (reason, field)
    fields = {"name" if name == "loss" else name: value for name, value in asked.items()}
    with pytest.raises(grpc.RpcError) as over_rpc:
        service.stub.ExportLoss(json_format.ParseDict(fields, pb.ExportLossRequest()))
    info, request = details(over_rpc.value)
    assert (info.reason, request.field_violations[0].field) == (reason, field)
    query = {k: x if isinstance(x, str) else json.dumps(x) for k, x in asked.items()}
    answer = service.http.get(f"/v1/losses/{query.pop('loss')}/onnx", params=query)
    assert 400 <= answer.status_code < 500
    assert (answer.json()["reason"], answer.json()["field"]) == (reason, field)


def test_a_query_is_read_as_it_stands(service: Service) -> None:
    for query, reason in {
        "params={": "MALFORMED_REQUEST",
        "opset=17&opset=18": "MALFORMED_REQUEST",
        "colour=red": "UNKNOWN_FIELD",
        "rank=1.5": "MALFORMED_REQUEST",
    }.items():
        answer = service.http.get(f"/v1/losses/huber/onnx?{query}")
        assert (answer.status_code, answer.json()["reason"]) == (400, reason)


def test_a_graph_knows_every_framework_s_way_with_its_inputs() -> None:
    variants = [variant for symbol in SYMBOLS.values() for variant in symbol.variants]
    # These check shapes and change nothing.
    checks = {None, sklearn.one_output, sklearn.three_classes, torchmetrics.as_many_classes}
    assert {variant.arrange for variant in variants} == checks | ARRANGED.keys()
    looks = {variant.survey.read for variant in variants if variant.survey}
    assert looks == SURVEYS.keys()
