"""What bytes of any kind do to the decoders: an answer, or a refusal that says why."""

from collections.abc import Callable, Iterator

import numpy as np
import orjson
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmeter.app.engine import Engine
from lossmeter.app.streaming import evaluate_blocks
from lossmeter.errors import LossmeterError
from lossmeter.plan.request import EvaluateSpec, read_evaluate
from lossmeter.transports.rest.bodies import Asked, Pieces
from lossmeter.transports.rest.unfolding import Unfolding, unfolded
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.wire.forms import OF_MEDIA, Form, form_of
from lossmeter.wire.json import read_request
from lossmeter.wire.protobuf import read_spec, read_tensors
from tests.integration.bodies import (
    FOLDS,
    WIRES,
    Wire,
    arrow,
    parquet,
)
from tests.integration.forms import Array, body, message

LIMIT = 2**20
ENGINE = Engine()
PLAIN: dict[str, Array] = {
    "predictions": np.array([1.5, 5.0, 2.0, 4.0]),
    "targets": np.array([1.0, 2.0, 2.0, 3.0]),
    "mask": np.array([True, True, False, True]),
}
WORDS: dict[str, Array] = {**PLAIN, "country": np.array(["de", "fr", "de", "é"])}
MATRIX: dict[str, Array] = {
    "predictions": np.ones((4, 2), np.float32),
    "targets": np.zeros((4, 2), np.float16),
}
SPECS = (
    read_evaluate({"loss": "squared_error"}),
    read_evaluate({"loss": "squared_error", "reduction": {"name": "mean", "by": "country"}}),
    read_evaluate({"loss": "squared_error", "reduction": "none"}),
)


def bodies(wire: Wire) -> list[bytes]:
    """Whole bodies to begin with."""
    found = [wire.write(x) for x in (PLAIN, WORDS, MATRIX) if wire.holds(x)]
    if wire.write is arrow:
        found += [arrow(WORDS, 2, "zstd"), arrow(MATRIX, 4, "lz4")]
    if wire.write is parquet:
        found += [parquet(WORDS, 4, compression=c) for c in ("gzip", "zstd", "none")]
        found += [parquet(MATRIX, 4, data_page_version="2.0", use_dictionary=False)]
    return found


@st.composite
def damaged(draw: st.DrawFn, whole: list[bytes]) -> bytes:
    """A body with some bytes changed, taken out or put in, or cut off; or bytes of any kind."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    found = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(found)))
        kind = draw(st.sampled_from(["change", "number", "out", "in", "cut", "again"]))
        if kind == "change":
            found[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == "number":
            number = draw(st.sampled_from([-1, 0, 1, 2, 2**15, 2**31 - 1, 2**40, 2**62, -(2**63)]))
            size = draw(st.sampled_from([2, 4, 8]))
            found[at : at + size] = (number % 2 ** (8 * size)).to_bytes(size, "little")
        elif kind == "out":
            del found[at : at + draw(st.integers(1, 16))]
        elif kind == "in":
            found[at:at] = draw(st.binary(max_size=16))
        elif kind == "cut":
            del found[at:]
        else:
            found[at:at] = found[at : at + draw(st.integers(1, 64))]
    return bytes(found)


def decode(form: Form, content: bytes, spec: EvaluateSpec) -> None:
    """Read and evaluate a body, as the service does."""
    asked = Asked(form, spec, {}, LIMIT)
    source = Pieces(iter((content,))) if form.streams else memoryview(content)
    try:
        evaluate_blocks(ENGINE, spec, asked.blocks(asked.rows(source)))
    except LossmeterError as error:
        assert error.reason != "INTERNAL"
        assert error.detail


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
def test_tensors(wire: Wire) -> None:
    form, whole = OF_MEDIA[wire.media], bodies(wire)

    @settings(deadline=2000)
    @given(content=damaged(whole), spec=st.sampled_from(SPECS))
    def run(content: bytes, spec: EvaluateSpec) -> None:
        decode(form, content, spec)

    run()


@given(content=st.binary(max_size=64))
def test_first_bytes(content: bytes) -> None:
    form = form_of(content)
    assert form is None or content.startswith(form.magic)


WHOLE_JSON = [body({"loss": "squared_error", "inputs": x}) for x in (PLAIN, WORDS, MATRIX)]
WHOLE_JSON += [
    orjson.dumps({"loss": "squared_error", "inputs": {n: x.tolist() for n, x in PLAIN.items()}})
]


@settings(deadline=2000)
@given(content=damaged(WHOLE_JSON))
def test_json(content: bytes) -> None:
    try:
        ENGINE.evaluate(*read_request(content))
    except LossmeterError as error:
        assert error.reason != "INTERNAL"


MESSAGES = [
    message({"loss": "squared_error", "inputs": x}).SerializeToString()
    for x in (PLAIN, WORDS, MATRIX)
]


@settings(deadline=2000)
@given(content=damaged(MESSAGES))
def test_messages(content: bytes) -> None:
    try:
        request = pb.EvaluateRequest.FromString(content)
    except DecodeError:
        return
    try:
        ENGINE.evaluate(read_spec(request), read_tensors(request.inputs))
    except LossmeterError as error:
        assert error.reason != "INTERNAL"


TEXT = b"one loss, one number; " * 200


@pytest.mark.parametrize(("encoding", "fold"), FOLDS.items(), ids=FOLDS)
def test_encodings(encoding: str, fold: Callable[[bytes], bytes]) -> None:
    @given(content=damaged([fold(TEXT), fold(TEXT[:30]) * 3, fold(b"")]))
    def run(content: bytes) -> None:
        try:
            assert len(unfolded(content, encoding, LIMIT)) <= LIMIT
        except LossmeterError as error:
            assert error.reason in ("MALFORMED_REQUEST", "TOO_LARGE")

    run()


@pytest.mark.parametrize(("encoding", "fold"), FOLDS.items(), ids=FOLDS)
def test_an_encoding_in_parts(encoding: str, fold: Callable[[bytes], bytes]) -> None:
    @given(text=st.binary(max_size=500).map(lambda x: x * 20), sizes=st.integers(1, 50))
    def run(text: bytes, sizes: int) -> None:
        folded = fold(text) + fold(text)
        parts = (folded[at : at + sizes] for at in range(0, len(folded), sizes))
        assert b"".join(_fed(Unfolding(encoding, LIMIT), parts)) == text + text

    run()


def _fed(unfolding: Unfolding, parts: Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield from unfolding.feed(part)
    unfolding.end()
