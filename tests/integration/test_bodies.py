"""Bodies that are tensors: the same bits as JSON, whatever the form."""

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.golden.cases import Case, by_hand, of_frameworks
from tests.integration.bodies import (
    ARROW,
    CSV,
    FOLDS,
    NPZ,
    PARQUET,
    SAFETENSORS,
    WIRES,
    Wire,
    arrays_of,
    arrow,
    csv,
    npz,
    over,
    parquet,
    safetensors,
)
from tests.integration.columns import LOSSES, columns
from tests.integration.forms import Request, body
from tests.integration.replies import Refused, Reply, of_rest
from tests.integration.servers import Service
from tests.integration.wires import answered, over_rest, post

pytestmark = pytest.mark.usefixtures("unharmed")
EVALUATE = "/v1/evaluate"
SYMBOLS = [pytest.param(cases, id=symbol) for symbol, cases in of_frameworks().items()]
BY_HAND = [case for _, case in by_hand() if case.code is None]
EVERY_WIRE = pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
# Several blocks of the engine, and several of what is gathered of small batches.
MANY_ROWS = 70_000


def differing(service: Service, wire: Wire, cases: list[Case]) -> list[object]:
    """The cases that the form can hold, but answers otherwise than JSON."""
    held = [case.request for case in cases if wire.holds(arrays_of(case.request))]
    pairs = [(request, over_rest(service, request)) for request in held]
    found = [(request, json, answered(over(wire), service, request)) for request, json in pairs]
    return [
        (request, reply)
        for request, json, reply in found
        if isinstance(reply, Refused) or said(reply) != said(json)
    ]


def said(reply: Reply) -> object:
    """All of an answer, but for the state: a random name of the batch is in it."""
    return reply.bits, {name: x for name, x in reply.fields.items() if name != "state"}


@EVERY_WIRE
@pytest.mark.parametrize("cases", SYMBOLS)
def test_the_frameworks_numbers(service: Service, cases: list[Case], wire: Wire) -> None:
    assert differing(service, wire, cases) == []


@EVERY_WIRE
def test_the_numbers_worked_out_by_hand(service: Service, wire: Wire) -> None:
    assert differing(service, wire, BY_HAND) == []


REDUCTIONS: Mapping[str, Any] = {
    **{name: name for name in ("mean", "weighted_mean", "std", "median", "none", "max", "cvar")},
    "groups": {"name": "mean", "by": "country"},
    "joined groups": {"name": "macro_mean", "by": "country"},
}


def long(loss: str, reduction: Any) -> Request:
    """A request of many rows."""
    inputs = dict(columns(loss, "float64", MANY_ROWS))
    if not isinstance(reduction, dict):
        del inputs["country"]
    if reduction == "cvar":
        reduction = {"name": "cvar", "alpha": 0.1}
    params = LOSSES[loss][1]
    return {"loss": loss, "params": params, "reduction": reduction, "inputs": inputs}


LARGE = {
    "Arrow": Wire(ARROW, lambda x: arrow(x, 1000, "zstd"), lambda _: True),
    "Parquet": Wire(PARQUET, lambda x: parquet(x, 30_000), lambda _: True),
    "CSV": Wire(CSV, csv, lambda _: True),
}


@pytest.mark.parametrize("reduction", REDUCTIONS.values(), ids=REDUCTIONS)
@pytest.mark.parametrize("wire", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("loss", ["log_cosh", "sparse_softmax_cross_entropy"])
def test_many_rows(service: Service, loss: str, wire: Wire, reduction: Any) -> None:
    asked = long(loss, reduction)
    if wire.media == CSV:  # a class is no float64 in the other arrays
        asked = {**asked, "inputs": {n: _plain(n, x) for n, x in asked["inputs"].items()}}
    json, found = over_rest(service, asked), over(wire)(service, asked)
    assert (found.bits, found.fields) == (json.bits, json.fields)


def _plain(name: str, x: Any) -> Any:
    return x.astype(np.float64) if name == "targets" else x


HUBER = {"predictions": np.array([1.5, 5.0]), "targets": np.array([1.0, 2.0])}
VALUE = 1.3125


def ask(
    service: Service, query: str, content: bytes, media: str | None = ARROW, **headers: str
) -> Reply:
    """POST a body."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    given |= {"content-type": media} if media is not None else {}
    return of_rest(service.http.post(f"{EVALUATE}?{query}", content=content, headers=given))


ENCODINGS = {**FOLDS, "x-gzip": FOLDS["gzip"], "GZIP": FOLDS["gzip"]}


@pytest.mark.parametrize(("encoding", "fold"), ENCODINGS.items(), ids=ENCODINGS)
@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
def test_a_body_in_an_encoding(
    service: Service, wire: Wire, encoding: str, fold: Callable[[bytes], bytes]
) -> None:
    content = fold(wire.write(HUBER))
    reply = ask(service, "loss=huber", content, wire.media, content_encoding=encoding)
    assert reply.value == VALUE


@pytest.mark.parametrize(("encoding", "fold"), ENCODINGS.items(), ids=ENCODINGS)
@pytest.mark.parametrize("path", [EVALUATE, "/v1/explain"])
def test_json_in_an_encoding(
    service: Service, path: str, encoding: str, fold: Callable[[bytes], bytes]
) -> None:
    content = json.dumps({"loss": "huber", "inputs": {n: x.tolist() for n, x in HUBER.items()}})
    headers = {"content-type": "application/json", "content-encoding": encoding}
    reply = service.http.post(path, content=fold(content.encode()), headers=headers)
    assert of_rest(reply).value == VALUE


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_an_encoding_of_files_joined(service: Service, encoding: str) -> None:
    whole, fold = arrow(HUBER), FOLDS[encoding]
    content = b"".join(fold(whole[at : at + 50]) for at in range(0, len(whole), 50))
    assert ask(service, "loss=huber", content, content_encoding=encoding).value == VALUE


MAGIC = {
    "Arrow": arrow(HUBER),
    "an Arrow file": WIRES["an Arrow file"].write(HUBER),
    "Parquet": parquet(HUBER),
    "npz": npz(HUBER),
}
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("media", [FORM, "application/octet-stream", None])
@pytest.mark.parametrize("content", MAGIC.values(), ids=MAGIC)
def test_a_body_that_only_its_first_bytes_tell(
    service: Service, content: bytes, media: str | None
) -> None:
    assert ask(service, "loss=huber", content, media).value == VALUE
    folded = gzip.compress(content)
    assert ask(service, "loss=huber", folded, media, content_encoding="gzip").value == VALUE


RENAMED = {"score": HUBER["predictions"], "label": HUBER["targets"], "note": np.array(["a", "b"])}
WIDE = {"p0": np.array([0.5, 2.0]), "p1": np.array([1.5, 1.0]), "targets": np.array([0, 1])}
ASKED: Mapping[str, tuple[str, Mapping[str, Any], Any]] = {
    "columns by other names": ("loss=huber&predictions=score&targets=label", RENAMED, VALUE),
    "parameters": ('loss=huber&params={"delta":0.5}', HUBER, (0.125 + 1.375) / 2),
    "an expression": ("expression=abs(score-label)&score=score&label=label", RENAMED, 1.75),
    "an expression of what is there": ("expression=abs(score-label)", RENAMED, 1.75),
    "a reduction": ("loss=huber&reduction=sum", HUBER, 2.625),
    "a reduction with settings": (
        'loss=huber&reduction={"name":"mean","divisor":8}',
        HUBER,
        0.328125,
    ),
    "columns that are an axis": (
        "loss=squared_error&reduction=none&predictions=p0,p1&targets=p1,p0",
        WIDE,
        [[1.0, 1.0], [1.0, 1.0]],
    ),
    "a column that is an axis of one": (
        "loss=squared_error&reduction=none&predictions=p0,&targets=p1,",
        WIDE,
        [[1.0], [1.0]],
    ),
    "weights by their name": (
        "loss=huber&reduction=weighted_mean",
        {**HUBER, "sample_weight": np.array([1.0, 0.0])},
        0.125,
    ),
    "a mask by its name": ("loss=huber", {**HUBER, "mask": np.array([True, False])}, 0.125),
    "a mask by another": (
        "loss=huber&mask=keep",
        {**HUBER, "keep": np.array([True, False])},
        0.125,
    ),
    "no rows": ("loss=huber&reduction=sum", {name: x[:0] for name, x in HUBER.items()}, 0.0),
}


@pytest.mark.parametrize("form", [arrow, parquet, npz])
@pytest.mark.parametrize(("query", "inputs", "value"), ASKED.values(), ids=ASKED)
def test_what_a_query_asks(
    service: Service, form: Callable[..., bytes], query: str, inputs: Any, value: Any
) -> None:
    media = {arrow: ARROW, parquet: PARQUET, npz: NPZ}[form]
    found = ask(service, query, form(inputs), media).value
    assert np.array_equal(np.asarray(found), value)


def test_several_losses(service: Service) -> None:
    losses = {
        "one": {"loss": "huber", "inputs": {"predictions": "score", "targets": "label"}},
        "two": {
            "loss": "absolute_error",
            "inputs": {"predictions": "score", "targets": "label"},
            "loss_weight": 2.0,
        },
        "three": {"loss": "huber", "inputs": {"predictions": "score", "targets": "absent"}},
    }
    query = f"losses={json.dumps(losses)}"
    for form, media in ((arrow, ARROW), (npz, NPZ)):
        reply = ask(service, query, form(RENAMED), media)
        assert {name: one.value for name, one in reply.results.items()} == {
            "one": VALUE,
            "two": 1.75,
        }
        assert (reply.fields["total"], reply.fields["skipped"]) == (VALUE + 3.5, ["three"])


def test_bfloat16(service: Service) -> None:
    halves = np.array([0x3FC0, 0x40A0], np.uint16)
    content = safetensors({**HUBER, "predictions": halves}).replace(b'"U16"', b'"BF16"')
    header = int.from_bytes(content[:8], "little")
    assert b"BF16" in content[: 8 + header + 1]
    content = (header + 1).to_bytes(8, "little") + content[8:]
    assert ask(service, "loss=huber", content, SAFETENSORS).value == VALUE


@pytest.mark.parametrize("dtype", ["float16", ">f8", ">i4", "uint8", "<u2"])
def test_numbers_of_other_dtypes(service: Service, dtype: str) -> None:
    inputs = {"predictions": np.array([3, 5], dtype), "targets": np.array([1, 2], dtype)}
    assert ask(service, "loss=absolute_error", npz(inputs), NPZ).value == 2.5


def test_an_array_in_the_order_of_columns(service: Service) -> None:
    x = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    inputs = {"predictions": x, "targets": np.zeros((4, 3))}
    reply = ask(service, "loss=absolute_error&reduction=none", npz(inputs), NPZ)
    assert np.array_equal(np.asarray(reply.value), x)


def test_text_of_whole_numbers_is_float64(service: Service) -> None:
    reply = ask(service, "loss=huber", b"predictions,targets\n1,1\n" * 1 + b"5,2\n", CSV)
    assert (reply.value == 1.25, reply.fields["dtype"]) == (True, "float64")


def test_fractions_may_follow_whole_numbers(service: Service) -> None:
    content = b"predictions,targets\n" + b"1,1\n" * 400_000 + b"1.5,1\n"
    reply = ask(service, "loss=absolute_error&reduction=sum", content, CSV)
    assert (reply.value == 0.5, reply.fields["count"]) == (True, 400_001)


def test_nulls_under_the_mask(service: Service) -> None:
    given = pa.table({"predictions": [1.5, None], "targets": [1.0, 2.0], "mask": [True, False]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, given.schema) as writer:
        writer.write_table(given)
    assert ask(service, "loss=huber", bytes(sink.getvalue())).value == 0.125


def test_a_body_is_explained(service: Service) -> None:
    content = {"loss": "huber", "inputs": {n: x.tolist() for n, x in HUBER.items()}}
    expected = post(service, "/v1/explain", json.dumps(content).encode()).json()
    for wire in WIRES.values():
        reply = service.http.post(
            "/v1/explain?loss=huber",
            content=wire.write(HUBER),
            headers={"content-type": wire.media},
        )
        assert reply.json() == expected


@pytest.mark.parametrize("media", [ARROW, PARQUET, "application/json"])
def test_a_body_of_unknown_length(service: Service, media: str) -> None:
    asked = long("log_cosh", "mean")
    inputs = arrays_of(asked)
    bodies = {ARROW: arrow(inputs, 5000), PARQUET: parquet(inputs, 30_000)}
    content = bodies.get(media, body(asked))
    chunks = (content[at : at + 10_007] for at in range(0, len(content), 10_007))
    path = EVALUATE if media == "application/json" else f"{EVALUATE}?loss=log_cosh"
    found = of_rest(service.http.post(path, content=chunks, headers={"content-type": media}))
    assert found.bits == over_rest(service, asked).bits
