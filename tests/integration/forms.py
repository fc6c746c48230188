"""Requests in the form of each wire, encoded apart from the service's own code."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import orjson
from google.protobuf import json_format
from numpy.typing import NDArray

from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import tensor_pb2
from tests.golden.cases import numbers

Array: TypeAlias = NDArray[Any]
# A request as REST takes it; its inputs may be arrays besides.
Request: TypeAlias = Mapping[str, Any]
# Inputs of which plain whole numbers are not float64.
WHOLE = ("mask", "country")
PREFIX = "DATA_TYPE_"


def settings_of(request: Request) -> dict[str, Any]:
    """All of a request but its tensors."""
    return {name: x for name, x in request.items() if name != "inputs"}


def array(name: str, x: Any) -> Array:
    """A tensor of JSON as the array that it means."""
    if isinstance(x, dict):
        dtype = "str" if x["dtype"] == "string" else x["dtype"]
        return np.asarray(numbers(x["data"]) if dtype.startswith("float") else x["data"], dtype)
    found = np.asarray(x)
    given = isinstance(x, np.ndarray) or name in WHOLE or found.dtype.kind == "b"
    return found if given else numbers(x)


def body(request: Request) -> bytes:
    """A request as JSON, its arrays as base64."""
    given = request["inputs"].items()
    inputs = {name: typed(x) if isinstance(x, np.ndarray) else x for name, x in given}
    return orjson.dumps({**request, "inputs": inputs})


def typed(x: Array) -> Mapping[str, Any]:
    """An array as the object that JSON carries."""
    if x.dtype.kind == "U":
        return {"dtype": "string", "data": x.tolist()}
    text = base64.b64encode(little_endian(x)).decode()
    return {"dtype": x.dtype.name, "shape": list(x.shape), "base64": text}


def little_endian(x: Array) -> bytes:
    """The elements in the order and form of every wire."""
    if x.dtype.kind == "U":
        texts = [text.encode() for text in x.ravel().tolist()]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return x.astype(x.dtype.newbyteorder("<")).tobytes()


def message(request: Request) -> pb.EvaluateRequest:
    """A request as its message."""
    settings = flat(settings_of(request))
    if "losses" in settings:
        settings["losses"] = {name: flat(one) for name, one in settings["losses"].items()}
    made = json_format.ParseDict(settings, pb.EvaluateRequest())
    for name, x in request["inputs"].items():
        made.inputs[name].CopyFrom(tensor(array(name, x)))
    return made


def flat(settings: Request) -> dict[str, Any]:
    """The settings with an expression in a field of its own, as messages have it."""
    made = dict(settings)
    if isinstance(made.get("loss"), Mapping):
        made |= made.pop("loss")
    return made


def stream(request: Request, rows: int) -> Iterator[pb.EvaluateStreamRequest]:
    """A request as the messages of a stream, so many rows in each."""
    yield pb.EvaluateStreamRequest(spec=message({**request, "inputs": {}}))
    inputs = {name: array(name, x) for name, x in request["inputs"].items()}
    for start in range(0, len(next(iter(inputs.values()))), rows):
        yield chunk({name: x[start : start + rows] for name, x in inputs.items()})


def chunk(inputs: Mapping[str, Array]) -> pb.EvaluateStreamRequest:
    """The next rows of a stream."""
    tensors = {name: tensor(x) for name, x in inputs.items()}
    return pb.EvaluateStreamRequest(chunk=pb.EvaluateStreamRequest.Chunk(inputs=tensors))


def tensor(x: Array) -> tensor_pb2.Tensor:
    """An array as its message."""
    name = "STRING" if x.dtype.kind == "U" else x.dtype.name.upper()
    return raw_tensor(name, x.shape, little_endian(x))


def raw_tensor(dtype: str, shape: Sequence[int], data: bytes) -> tensor_pb2.Tensor:
    """A tensor's message, whether it makes sense or not."""
    number = tensor_pb2.DataType.Value(PREFIX + dtype)
    return tensor_pb2.Tensor(dtype=number, shape=shape, data=data)


def array_of(sent: tensor_pb2.Tensor) -> Array:
    """The array in a tensor's message."""
    name = tensor_pb2.DataType.Name(sent.dtype).removeprefix(PREFIX).lower()
    return np.frombuffer(sent.data, np.dtype(name).newbyteorder("<")).reshape(sent.shape)
