"""Small requests that ask for much: each is answered or refused, in little memory."""

import base64
import hashlib
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from lossmeter.v1 import state_pb2
from tests.integration.servers import Service, serving
from tests.integration.wires import in_process, post

MANY, WIDE = 20_000, 2**40
ROOM = 2**31
EVALUATE, MERGE = "/v1/evaluate", "/v1/states:merge"
GOOD = {"loss": "huber", "inputs": {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}}


def ask(
    inputs: Mapping[str, Any], reduction: Any = "mean", loss: str = "absolute_error"
) -> Mapping[str, Any]:
    return {"loss": loss, "reduction": reduction, "inputs": inputs}


def empty(*shape: int) -> Mapping[str, Any]:
    """A tensor of no elements."""
    tensor = {"dtype": "float64", "shape": shape, "base64": ""}
    return {"predictions": tensor, "targets": tensor}


def forged(*shape: int) -> Mapping[str, Any]:
    """A merge of a state that claims to have many groups."""
    made = in_process(None, {**GOOD, "options": {"state": True}}).state
    state = state_pb2.State.FromString(made)
    state.shape.extend(shape)
    state.checksum = b""
    state.checksum = hashlib.sha256(state.SerializeToString(deterministic=True)).digest()
    return {"states": [base64.b64encode(state.SerializeToString(deterministic=True)).decode()]}


ROWS = {"predictions": [1.0] * MANY, "targets": [0.0] * MANY}
LABELS = ["a"] * (MANY - 1) + ["b" * MANY]
WORD = {**ROWS, "predictions": [1.0] * (MANY - 1) + ["b" * MANY]}
COLUMN = {"predictions": [[[1.0]]] * MANY, "targets": [[[0.0]]] * MANY}
BY = {"name": "mean", "by": "country"}
KERAS = "keras.losses.mean_squared_error"
BOMBS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "one long label": (EVALUATE, ask({**ROWS, "country": LABELS}, BY)),
    "one long string among numbers": (EVALUATE, ask(WORD)),
    "2^40 rows of nothing": (EVALUATE, ask(empty(WIDE, 0), "none")),
    "2^40 groups of nothing": (EVALUATE, ask(empty(WIDE, 0), {"name": "sum", "axis": [1]})),
    "weights that repeat the losses": (
        EVALUATE,
        ask({**COLUMN, "sample_weight": [[1.0] * MANY]}, "none", KERAS),
    ),
    "a state of 2^63 groups": (MERGE, forged(2**63)),
    "a state of 2^64 groups": (MERGE, forged(2**32, 2**32)),
}


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Service]:
    """A server that has 2 GiB."""
    with serving(tmp_path / "log") as started:
        resource.prlimit(started.process.pid, resource.RLIMIT_DATA, (ROOM, ROOM))
        yield started


@pytest.mark.parametrize(("path", "request_"), BOMBS.values(), ids=BOMBS)
def test_little_memory_is_enough(cramped: Service, path: str, request_: Mapping[str, Any]) -> None:
    status = post(cramped, path, orjson.dumps(request_)).status_code
    assert status in (200, 400, 413)
    assert cramped.answers()
