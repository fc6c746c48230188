"""Requests and answers of the protocol over HTTP: JSON, with tensors as bytes after it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import orjson

from lossmeter.app.answer import Answer
from lossmeter.core.arrays import Array
from lossmeter.errors import (
    DtypeUnsupported,
    LossmeterError,
    MalformedRequest,
    ShapeMismatch,
    UnknownField,
)
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.answers import as_text
from lossmeter.wire.inference.datatypes import OUTPUTS, RAW_ONLY, dtype_of, names_of, output_of
from lossmeter.wire.inference.request import (
    VERSION,
    Inference,
    Memory,
    Reads,
    Wanted,
    place_of,
    read_spec,
    read_wanted,
    refuse_twice,
)
from lossmeter.wire.json import MOST_REMEMBERED, REMEMBERED, tensor
from lossmeter.wire.tensors import elements, from_bytes, to_bytes
from lossmeter.wire.text import Json, cut, filled, marks_in, parse

# KServe's client repeats the model's name.
FIELDS = frozenset({"id", "model_name", "model_version", "parameters", "inputs", "outputs"})
INPUT_FIELDS = frozenset({"name", "shape", "datatype", "parameters", "data"})
OUTPUT_FIELDS = frozenset({"name", "parameters"})


class _Head(NamedTuple):
    """A request but for its tensors, to be changed by nobody."""

    id: Any
    spec: EvaluateSpec
    inputs: Sequence[Json]
    wanted: tuple[Wanted, ...]
    binary: bool


def read_body(
    model: str, body: bytes | bytearray | memoryview, length: int | None, memory: Memory
) -> Inference:
    """A request; its tensors are views of the body's bytes.

    Args:
        model: Name of the loss.
        body: JSON, and what follows it.
        length: Number of bytes of the JSON; None if there is nothing else.
        memory: Where other tensors may lie.

    Raises:
        LossmeterError: It is no request.
    """
    head = _whole(model, body) if length is None else _head(model, bytes(body[:length]))
    reader = _Reader(memoryview(b"" if length is None else body)[length:], memory)
    return Inference(
        model=model,
        id=_id(head.id),
        spec=head.spec,
        tensors=reader.tensors(head.inputs),
        wanted=head.wanted,
        binary=head.binary,
    )


def _whole(model: str, body: bytes | bytearray | memoryview) -> _Head:
    """A request with its tensors in the JSON."""
    text = bytes(body) if isinstance(body, memoryview) else body
    found = cut(text)
    if found is None:
        return _read(model, parse(text))
    try:
        head = _head(model, found.text)
    except LossmeterError:  # told of the whole body
        return _read(model, parse(text))
    if sorted(marks_in(head.inputs)) != list(range(len(found.values))):
        return _read(model, parse(text))
    return head._replace(inputs=filled(head.inputs, found.values))


def _head(model: str, text: bytes) -> _Head:
    return (_remembered if len(text) <= MOST_REMEMBERED else _parsed)(model, text)


def _parsed(model: str, text: bytes) -> _Head:
    return _read(model, parse(text))


# What asks again differs in its tensors.
_remembered = lru_cache(REMEMBERED)(_parsed)


def _read(model: str, fields: Json) -> _Head:
    _refuse_unknown(fields, FIELDS, "")
    parameters = _object(fields, "parameters")
    binary = parameters.get("binary_data_output", False)
    if not isinstance(binary, bool):
        raise MalformedRequest(
            "binary_data_output is a boolean", field="parameters.binary_data_output"
        )
    return _Head(
        id=fields.get("id"),
        spec=read_spec(model, parameters),
        inputs=_objects(fields, "inputs"),
        wanted=_wanted(_objects(fields, "outputs"), binary),
        binary=binary,
    )


def _refuse_unknown(fields: Json, known: frozenset[str], place: str) -> None:
    for name in fields.keys() - known:
        raise UnknownField(f"the fields are {', '.join(sorted(known))}", field=f"{place}{name}")


def _object(fields: Json, name: str, place: str = "") -> Mapping[str, Any]:
    found = fields.get(name)
    if found is not None and not isinstance(found, dict):
        raise MalformedRequest(f"{name} must be an object", field=f"{place}{name}")
    return found or {}


def _objects(fields: Json, name: str) -> Sequence[Json]:
    found = fields.get(name)
    found = [] if found is None else found
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise MalformedRequest(f"{name} must be a list of objects", field=name)
    return found


def _id(given: Any) -> str:
    """The id of a request, or one of ours."""
    if given is not None and not isinstance(given, str):
        raise MalformedRequest("id must be a string", field="id")
    return given or uuid4().hex


def _wanted(outputs: Sequence[Json], binary: bool) -> tuple[Wanted, ...]:
    wanted = []
    for at, one in enumerate(outputs):
        _refuse_unknown(one, OUTPUT_FIELDS, f"outputs.{at}.")
        parameters = _object(one, "parameters", f"outputs.{at}.")
        wanted.append(read_wanted(one.get("name"), parameters, binary, at))
    refuse_twice([one.name for one in wanted], "outputs")
    return tuple(wanted)


class _Reader:
    """Reads the tensors of a request, one after the other.

    Args:
        tail: The bytes after the JSON.
        memory: Where tensors may lie besides.
    """

    def __init__(self, tail: memoryview, memory: Memory) -> None:
        self._tail = tail
        self._reads = Reads(memory)

    def tensors(self, inputs: Sequence[Json]) -> Tensors:
        """All of them."""
        arrays: dict[str, Array] = {}
        for at, one in enumerate(inputs):
            name = one.get("name")
            if not isinstance(name, str) or not name:
                raise MalformedRequest("an input needs its name", field=f"inputs.{at}.name")
            if name in arrays:
                refuse_twice((name, name), "inputs")
            arrays[name] = self._tensor(one, f"inputs.{name}")
        if self._tail:
            raise MalformedRequest(f"{len(self._tail)} bytes follow the last tensor")
        return Tensors(arrays)

    def _tensor(self, one: Json, field: str) -> Array:
        _refuse_unknown(one, INPUT_FIELDS, f"{field}.")
        dtype, shape = dtype_of(one.get("datatype"), field), _shape(one.get("shape"), field)
        parameters = _object(one, "parameters", f"{field}.")
        data = one.get("data")
        raw = self._raw(parameters, field)
        if (raw is None) == (data is None):
            raise MalformedRequest("an input has data, or bytes elsewhere, not both", field=field)
        if raw is not None:
            return from_bytes(dtype, shape, raw, field)
        if one["datatype"] in RAW_ONLY:
            raise DtypeUnsupported(
                f"{one['datatype']} is not taken in JSON; send it as bytes",
                field=f"{field}.datatype",
            )
        found = tensor({"dtype": dtype, "data": data}, field, dtype == "string")
        return _shaped(found, shape, field)

    def _raw(self, parameters: Mapping[str, Any], field: str) -> memoryview | None:
        """The bytes of a tensor, if they are not in the JSON."""
        place, size = place_of(parameters, field), parameters.get("binary_data_size")
        if place is not None:
            return self._reads.bytes_at(place)
        if size is None:
            return None
        if type(size) is not int or not 0 <= size <= len(self._tail):
            raise MalformedRequest(
                f"binary_data_size must be a number of bytes, of the {len(self._tail)} that are "
                "left of the body",
                field=f"{field}.parameters.binary_data_size",
            )
        raw, self._tail = self._tail[:size], self._tail[size:]
        return raw


def _shape(given: Any, field: str) -> list[int]:
    """Whole numbers; beyond 64 bits the parser gives floats, which are whole too."""
    whole = isinstance(given, list) and all(
        type(n) is int or (type(n) is float and n.is_integer()) for n in given
    )
    if not whole:
        raise MalformedRequest("shape must be a list of whole numbers", field=f"{field}.shape")
    return [int(n) for n in given]


def _shaped(x: Array, shape: list[int], field: str) -> Array:
    """Elements that are flat, or nested as the shape says."""
    count = elements(shape, field)
    if count != x.size:
        raise ShapeMismatch(f"the shape has {count} elements, the data {x.size}", field=field)
    if x.ndim > 1 and list(x.shape) != shape:
        raise ShapeMismatch("the data is nested otherwise than the shape says", field=field)
    return x.reshape(shape)


def answer_body(inference: Inference, answer: Answer, memory: Memory) -> tuple[bytes, int | None]:
    """An answer as a body, and the number of bytes of its JSON if more follows.

    Raises:
        LossmeterError: An output does not fit where it shall lie.
    """
    names = [Wanted(name, inference.binary) for name in names_of(answer)]
    outputs, chunks, binary = [], [b""], False
    for wanted in inference.wanted or names:
        x = output_of(answer, wanted.name)
        told: dict[str, Any] = {
            "name": wanted.name,
            "datatype": OUTPUTS[wanted.name].datatype,
            "shape": x.shape,
        }
        outputs.append(told)
        if wanted.place is not None:
            # No parameters: where there are some, Triton's C++ client must find binary_data_size.
            memory.write(wanted.place, to_bytes(x))
        elif wanted.binary:
            data, binary = to_bytes(x), True
            told["parameters"] = {"binary_data_size": len(data)}
            chunks.append(data)
        else:
            told["data"] = _json(x, _hidden(answer) if wanted.name == "loss" else None)
    said = {"parameters": {"warnings": "; ".join(answer.warnings)}} if answer.warnings else {}
    head = {"model_name": inference.model, "model_version": VERSION, "id": inference.id}
    chunks[0] = orjson.dumps(
        {**head, **said, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY
    )
    return (b"".join(chunks), len(chunks[0])) if binary else (chunks[0], None)


def _hidden(answer: Answer) -> Array | None:
    """Where a value is masked, and so none."""
    return None if answer.kept is None or answer.masked is not None else ~answer.kept


def _json(x: Array, hidden: Array | None) -> Any:
    """The elements row by row; numbers that JSON cannot hold by name, masked ones null."""
    flat = x.reshape(-1)
    if flat.dtype.kind != "f":
        return flat.tolist()
    return as_text(flat, np.zeros(flat.size, np.bool_) if hidden is None else hidden.reshape(-1))
