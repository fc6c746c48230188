"""The Open Inference Protocol asked as its clients ask, encoded apart from the service's code."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import numpy as np
import orjson

from lossmeter.inference import grpc_service_pb2 as pb
from lossmeter.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from tests.golden.cases import numbers
from tests.integration.forms import Array, Request, array, little_endian
from tests.integration.replies import Refused, Reply
from tests.integration.servers import Service
from tests.integration.wires import JSON, SECONDS, Ask, refusing

CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 422: "FAILED_PRECONDITION"}
LENGTH = "inference-header-content-length"
KINDS = {"b": "BOOL", "i": "INT", "u": "UINT", "f": "FP", "U": "BYTES"}
DTYPES = {
    "BOOL": "?",
    **{f"{kind}INT{n}": f"<{kind.lower() or 'i'}{n // 8}" for kind in ("U", "") for n in (8, 64)},
    **{f"FP{n}": f"<f{n // 8}" for n in (16, 32, 64)},
}
Fields = dict[str, Any]


def stub_of(service: Service) -> GRPCInferenceServiceStub:
    """A client of the protocol over gRPC."""
    return GRPCInferenceServiceStub(service.channel)


def datatype(x: Array) -> str:
    """What the protocol calls the dtype of an array."""
    kind = KINDS[x.dtype.kind]
    return kind if kind in ("BOOL", "BYTES") else f"{kind}{8 * x.dtype.itemsize}"


def as_json(name: str, x: Array) -> Fields:
    """An input in JSON."""
    return {"name": name, "datatype": datatype(x), "shape": list(x.shape), "data": plain(x)}


def plain(x: Array) -> list[Any]:
    """The elements row by row, those that JSON has no number for by name."""
    found = x.ravel().tolist()
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return [names.get(str(one), one) if isinstance(one, float) else one for one in found]


def as_binary(name: str, x: Array) -> tuple[Fields, bytes]:
    """An input whose bytes follow the JSON."""
    raw = little_endian(x)
    told = {"name": name, "datatype": datatype(x), "shape": list(x.shape)}
    return {**told, "parameters": {"binary_data_size": len(raw)}}, raw


def parameters(request: Request) -> Fields:
    """Reduction, parameters and options of a request: what is no number or word is JSON."""
    params = dict(request.get("params", {}))
    asked = {**params, **request.get("options", {})}
    if "reduction" in params:  # of Optax's Dice loss; the word is taken
        asked = {"params": {"reduction": asked.pop("reduction")}, **asked}
    if request.get("reduction") is not None:
        asked["reduction"] = request["reduction"]
    return {
        name: x if isinstance(x, str | bool | int | float) else orjson.dumps(x).decode()
        for name, x in asked.items()
    }


def inputs_of(request: Request) -> dict[str, Array]:
    """The inputs of a request as arrays."""
    return {name: array(name, x) for name, x in request["inputs"].items()}


def infer(service: Service, model: str, fields: Fields, **headers: str) -> httpx.Response:
    """POST an inference in JSON."""
    content = orjson.dumps(fields)
    return service.http.post(path_of(model), content=content, headers={**JSON, **headers})


def infer_binary(
    service: Service, model: str, fields: Fields, *chunks: bytes, length: object = None
) -> httpx.Response:
    """POST an inference with bytes after the JSON."""
    head = orjson.dumps(fields)
    headers = {
        "content-type": "application/octet-stream",
        LENGTH: str(len(head) if length is None else length),
    }
    content = b"".join((head, *chunks))
    return service.http.post(path_of(model), content=content, headers=headers)


def path_of(model: str) -> str:
    """Where a loss is asked for."""
    return f"/v2/models/{model}/infer"


def message(model: str, inputs: Mapping[str, Array], **fields: Any) -> pb.ModelInferRequest:
    """An inference whose inputs are raw."""
    asked = fields.pop("parameters", {})
    tensor = pb.ModelInferRequest.InferInputTensor
    tensors = [tensor(name=n, datatype=datatype(x), shape=x.shape) for n, x in inputs.items()]
    raw = [little_endian(x) for x in inputs.values()]
    made = pb.ModelInferRequest(model_name=model, inputs=tensors, raw_input_contents=raw, **fields)
    for name, x in asked.items():
        kind = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
        setattr(made.parameters[name], kind[type(x)], x)
    return made


def outputs_of_json(response: httpx.Response) -> dict[str, Array]:
    """The outputs of an answer, whether in JSON or after it."""
    length = int(response.headers.get(LENGTH, len(response.content)))
    found, tail = orjson.loads(response.content[:length]), response.content[length:]
    outputs = {}
    for one in found["outputs"]:
        size = one.get("parameters", {}).get("binary_data_size")
        if size is None:
            outputs[one["name"]] = shaped(one["data"], one)
        else:
            outputs[one["name"]] = elements(one["datatype"], tail[:size]).reshape(one["shape"])
            tail = tail[size:]
    assert tail == b""
    return outputs


def shaped(data: Sequence[Any], told: Fields) -> Array:
    """The elements of an output in JSON."""
    flat = numbers(data) if told["datatype"] == "FP64" else np.asarray(data)
    return flat.reshape(told["shape"])


def elements(name: str, raw: bytes) -> Array:
    """The elements in bytes."""
    if name != "BYTES":
        return np.frombuffer(raw, DTYPES[name])
    found = []
    while raw:
        size = int.from_bytes(raw[:4], "little")
        found.append(raw[4 : 4 + size].decode())
        raw = raw[4 + size :]
    return np.array(found, dtype=str)


def outputs_of_message(answer: pb.ModelInferResponse) -> dict[str, Array]:
    """The outputs of an answer over gRPC."""
    told = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return {one.name: elements(one.datatype, raw).reshape(one.shape) for one, raw in told}


def of_outputs(outputs: Mapping[str, Array]) -> Reply:
    """An answer in the form of every other wire, but that one number has the shape (1,)."""
    if "group" in outputs:
        pairs = zip(outputs["group"].tolist(), outputs["loss"].tolist(), strict=True)
        return Reply(dict(pairs), outputs)
    return Reply(outputs["loss"], outputs)


def of_response(response: httpx.Response) -> Reply:
    """What the protocol answers over HTTP.

    Raises:
        Refused: It is a refusal.
    """
    if response.is_success:
        return of_outputs(outputs_of_json(response))
    raise Refused(CODES.get(response.status_code, str(response.status_code)), response.json())


def over_json(service: Service, request: Request) -> Reply:
    """Inference in JSON; what JSON cannot hold follows as bytes."""
    inputs = inputs_of(request)
    halves = {name: x for name, x in inputs.items() if x.dtype == np.float16}
    whole = [as_json(name, x) for name, x in inputs.items() if name not in halves]
    raw = [as_binary(name, x) for name, x in halves.items()]
    fields = {"parameters": parameters(request), "inputs": [*whole, *(told for told, _ in raw)]}
    if not raw:
        return of_response(infer(service, request["loss"], fields))
    return of_response(infer_binary(service, request["loss"], fields, *(x for _, x in raw)))


def over_binary(service: Service, request: Request) -> Reply:
    """Inference with all tensors after the JSON, both ways."""
    raw = [as_binary(name, x) for name, x in inputs_of(request).items()]
    asked = {**parameters(request), "binary_data_output": True}
    fields = {"parameters": asked, "inputs": [told for told, _ in raw]}
    return of_response(infer_binary(service, request["loss"], fields, *(x for _, x in raw)))


def over_messages(service: Service, request: Request) -> Reply:
    """ModelInfer."""
    asked = message(request["loss"], inputs_of(request), parameters=parameters(request))
    with refusing():
        answer = stub_of(service).ModelInfer(asked, timeout=SECONDS)
    return of_outputs(outputs_of_message(answer))


INFERENCES: Mapping[str, Ask] = {
    "in JSON": over_json,
    "in binary": over_binary,
    "over gRPC": over_messages,
}
