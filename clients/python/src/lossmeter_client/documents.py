"""Calls and answers as JSON, and streams as Arrow."""

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from lossmeter_client.answers import (
    Answer,
    Answers,
    Explanation,
    LossDescriptor,
    Value,
    answer_of,
    descriptor_of,
    explanation_of,
)
from lossmeter_client.arrays import STRING, Array, Arrays, dtype_name, to_bytes
from lossmeter_client.calls import Call
from lossmeter_client.chunks import cut
from lossmeter_client.errors import invalid
from lossmeter_client.requests import Evaluation

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
# What of a specification is text as it stands in a query; the rest is JSON.
WORDS = ("loss", "expression", "reduction")
NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def evaluate(evaluation: Evaluation) -> Call[Answer | Answers]:
    """All of a batch in one body."""
    return _post("/v1/evaluate", _request(evaluation), read_answer)


def explain(evaluation: Evaluation) -> Call[Explanation]:
    """The same, step by step."""
    return _post("/v1/explain", _request(evaluation), lambda found: explanation_of(_told(found)))


def merge_states(states: Sequence[bytes], settings: Mapping[str, Any]) -> Call[Answer]:
    """States made apart."""
    texts = [base64.b64encode(state).decode() for state in states]
    return _post("/v1/states:merge", {**settings, "states": texts}, _read_one_answer)


def list_losses(framework: str, search: str) -> Call[list[LossDescriptor]]:
    """What losses there are."""
    given = {"framework": framework, "search": search}
    query = {name: text for name, text in given.items() if text}
    return Call(
        "GET /v1/losses",
        {"params": query},
        lambda found: [descriptor_of(one) for one in json.loads(found)["losses"]],
    )


def get_loss(name: str) -> Call[LossDescriptor]:
    """What a loss is."""
    path = f"GET /v1/losses/{quote(name, safe='')}"
    return Call(path, {}, lambda found: descriptor_of(json.loads(found)))


def export(loss: str | Mapping[str, Any], form: Mapping[str, Any]) -> Call[bytes]:
    """A loss as a graph."""
    named = loss if isinstance(loss, Mapping) else {}
    name = "expression" if isinstance(loss, Mapping) else loss
    query = _query({**form, **named}, (*WORDS, "dtype", "stands_for"))
    return Call(f"GET /v1/losses/{quote(name, safe='')}/onnx", {"params": query}, bytes)


def stream(evaluation: Evaluation, body: Any) -> Call[Answer | Answers]:
    """Batches as they come; the body is what ``arrow`` makes of them."""
    settings = dict(evaluation.settings)
    if isinstance(settings.get("loss"), Mapping):
        settings |= settings.pop("loss")
    given = {"content": body, "headers": {"content-type": ARROW}}
    return Call("POST /v1/evaluate", {"params": _query(settings, WORDS), **given}, read_answer)


class ArrowStream:
    """The parts of an Arrow stream, one batch after another."""

    def __init__(self) -> None:
        import pyarrow.ipc  # noqa: PLC0415 needed for streams over REST alone

        self._pa = pyarrow
        self._sink = _Parts()
        self._writer: Any = None
        self._schema: Any = None

    def of(self, batch: Arrays) -> Iterator[bytes]:
        """The bytes of the next rows.

        Raises:
            InvalidRequest: Inputs differ in length, or from those of the first rows.
        """
        lengths = {x.shape[:1] for x in batch.values()}
        if len(lengths) > 1 or () in lengths:
            raise invalid("SHAPE_MISMATCH", "inputs", "inputs must have the same number of rows")
        for piece in cut(batch):
            rows = self._pa.record_batch({name: self._column(x) for name, x in piece.items()})
            if self._writer is None:
                self._writer = self._pa.ipc.new_stream(self._sink, rows.schema)
                self._schema = rows.schema
            if rows.schema != self._schema:
                raise invalid(
                    "SHAPE_MISMATCH", "inputs", "a batch differs from the first in its inputs"
                )
            self._writer.write_batch(rows)
            yield self._sink.taken()

    def end(self) -> bytes:
        """The bytes after the last rows."""
        if self._writer is not None:
            self._writer.close()
        return self._sink.taken()

    def _column(self, x: Array) -> Any:
        """Rows of numbers; further axes are lists of fixed size."""
        if x.dtype.kind == "V":
            x = x.astype(np.float32)  # Arrow has no bfloat16, which float32 holds and becomes
        column = self._pa.array(np.ascontiguousarray(x).reshape(-1))
        for size in reversed(x.shape[1:]):
            column = self._pa.FixedSizeListArray.from_arrays(column, size)
        return column


class _Parts:
    """A file that keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        return len(self._parts[-1])

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is held."""

    def writable(self) -> bool:
        return True


def _post(path: str, body: Any, read: Any) -> Call[Any]:
    content = json.dumps(_spelt(body), separators=(",", ":")).encode()
    return Call(f"POST {path}", {"content": content, "headers": {"content-type": JSON}}, read)


def _query(fields: Mapping[str, Any], words: tuple[str, ...]) -> dict[str, str]:
    return {
        name: x if name in words and isinstance(x, str) else json.dumps(_spelt(x))
        for name, x in fields.items()
    }


def _request(evaluation: Evaluation) -> dict[str, Any]:
    inputs = {name: _tensor(x) for name, x in evaluation.arrays.items()}
    return {**evaluation.settings, "inputs": inputs}


def _tensor(x: Array) -> dict[str, Any]:
    if dtype_name(x) == STRING:
        return {"dtype": STRING, "data": x.tolist()}
    text = base64.b64encode(to_bytes(x)).decode()
    return {"dtype": dtype_name(x), "shape": x.shape, "base64": text}


def _spelt(x: Any) -> Any:
    """Numbers that are not finite by name, since JSON has none."""
    if isinstance(x, float) and not math.isfinite(x):
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    if isinstance(x, Mapping):
        return {name: _spelt(inner) for name, inner in x.items()}
    return [_spelt(inner) for inner in x] if isinstance(x, list) else x


def read_answer(body: bytes) -> Answer | Answers:
    """The answer in a body."""
    return answer_of(_told(body))


def _read_one_answer(body: bytes) -> Answer:
    answer = read_answer(body)
    assert isinstance(answer, Answer)
    return answer


def _told(body: bytes) -> dict[str, Any]:
    told: dict[str, Any] = _read(json.loads(body))
    return told


def _read(told: dict[str, Any]) -> dict[str, Any]:
    """What a document says, with values as arrays and states as bytes."""
    made: dict[str, Any] = {name: _number(x) for name, x in told.items()}
    if "value" in made:
        made["value"], kept = _value(made["value"])
        made |= {} if kept is None or made["reduction"] != "none" else {"kept": kept}
    if "state" in made:
        made["state"] = base64.b64decode(made["state"])
    for name in ("results", "groups"):
        if name in made:
            made[name] = {label: _read(one) for label, one in made[name].items()}
    if "dialects" in made:
        made["dialects"] = [_read(one) for one in made["dialects"]]
    return made


def _number(x: Any) -> Any:
    """The number that a name stands for; anything else as it is."""
    return NAMES.get(x, x) if isinstance(x, str) else x


def _value(told: Any) -> tuple[Value, Array | None]:
    """A value, and which of it is there: null stands where the mask hides."""
    if isinstance(told, dict):
        return {label: float(_number(x)) for label, x in told.items()}, None
    found = np.asarray(told, dtype=object)
    kept = found != None  # noqa: E711 entry by entry
    found[~kept] = math.nan
    array = found.astype(np.float64)
    return (array, np.asarray(kept, bool)) if array.ndim else (float(array), None)
