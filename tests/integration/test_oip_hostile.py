"""Requests of the inference protocol that are wrong, by accident or not; the next is answered."""

import json  # writes whole numbers of any size
import socket
from typing import Any, NamedTuple

import grpc
import numpy as np
import orjson
import pytest

from lossmeter.inference import grpc_service_pb2 as pb
from tests.integration.inference import (
    LENGTH,
    Fields,
    as_json,
    elements,
    infer,
    infer_binary,
    message,
    outputs_of_json,
    outputs_of_message,
    path_of,
    stub_of,
)
from tests.integration.refusals import (
    JSON,
    STATUSES,
    faults_of_error,
    faults_of_response,
    told_by_http,
    told_by_rpc,
)
from tests.integration.servers import HOST, Service

pytestmark = pytest.mark.usefixtures("unharmed")
X, Y = np.array([1.5, 5.0]), np.array([1.0, 2.0])
ARRAYS = {"predictions": X, "targets": Y}
INPUTS: list[Fields] = [as_json(name, x) for name, x in ARRAYS.items()]
AT = "inputs.predictions"


class Bad(NamedTuple):
    """What is sent, and its refusal."""

    sent: Any
    reason: str
    field: str | None = None


def first(**changed: Any) -> Fields:
    """A request whose first input is changed; a field that is ... is left out."""
    fields = {name: x for name, x in {**INPUTS[0], **changed}.items() if x is not ...}
    return {"inputs": [fields, INPUTS[1]]}


def asking(**parameters: Any) -> Fields:
    return {"inputs": INPUTS, "parameters": parameters}


def nested(depth: int) -> Any:
    found: Any = 1.0
    for _ in range(depth):
        found = [found]
    return found


BODIES = {
    "no JSON": Bad(b"{hunter2", "MALFORMED_REQUEST"),
    "a list": Bad([], "MALFORMED_REQUEST"),
    "nothing": Bad({}, "MISSING_INPUT", AT),
    "a field misspelt": Bad({"inputs": INPUTS, "output": []}, "UNKNOWN_FIELD", "output"),
    "an id that is a number": Bad({"inputs": INPUTS, "id": 7919}, "MALFORMED_REQUEST", "id"),
    "inputs by name": Bad({"inputs": {"hunter2": INPUTS}}, "MALFORMED_REQUEST", "inputs"),
    "inputs that are numbers": Bad({"inputs": [7919]}, "MALFORMED_REQUEST", "inputs"),
    "parameters in a list": Bad(
        {"inputs": INPUTS, "parameters": ["hunter2"]}, "MALFORMED_REQUEST", "parameters"
    ),
    "an input without a name": Bad(first(name=...), "MALFORMED_REQUEST", "inputs.0.name"),
    "an input named twice": Bad({"inputs": [*INPUTS, INPUTS[0]]}, "MALFORMED_REQUEST", AT),
    "an input misspelt": Bad(first(name="prediction"), "MISSING_INPUT", AT),
    "one input more": Bad(
        {"inputs": [*INPUTS, as_json("anchor", X)]}, "UNKNOWN_INPUT", "inputs.anchor"
    ),
    "an input with a field more": Bad(first(hunter2=1), "UNKNOWN_FIELD", f"{AT}.hunter2"),
    "no datatype": Bad(first(datatype=...), "DTYPE_UNSUPPORTED", f"{AT}.datatype"),
    "a datatype of no kind": Bad(first(datatype="hunter2"), "DTYPE_UNSUPPORTED", f"{AT}.datatype"),
    "a datatype of another protocol": Bad(
        first(datatype="float64"), "DTYPE_UNSUPPORTED", f"{AT}.datatype"
    ),
    "FP16 in JSON": Bad(first(datatype="FP16"), "DTYPE_UNSUPPORTED", f"{AT}.datatype"),
    "BF16 in JSON": Bad(first(datatype="BF16"), "DTYPE_UNSUPPORTED", f"{AT}.datatype"),
    "no shape": Bad(first(shape=...), "MALFORMED_REQUEST", f"{AT}.shape"),
    "a shape of text": Bad(first(shape=["hunter2"]), "MALFORMED_REQUEST", f"{AT}.shape"),
    "a shape of halves": Bad(first(shape=[0.5]), "MALFORMED_REQUEST", f"{AT}.shape"),
    "a negative dimension": Bad(first(shape=[-2]), "SHAPE_MISMATCH", AT),
    "two negative dimensions": Bad(first(shape=[-1, -2]), "SHAPE_MISMATCH", AT),
    "dimensions beyond 2^64": Bad(first(shape=[2**32, 2**32]), "SHAPE_MISMATCH", AT),
    "dimensions that wrap around to 2": Bad(first(shape=[2**63 + 1, 2]), "SHAPE_MISMATCH", AT),
    "bytes that wrap around": Bad(first(shape=[2**61 + 2]), "SHAPE_MISMATCH", AT),
    "nothing, of a size that overflows": Bad(
        first(shape=[0, 2**62, 2**62], data=[]), "SHAPE_MISMATCH", AT
    ),
    "too many axes": Bad(first(shape=[1] * 100), "TOO_LARGE", AT),
    "an element too few": Bad(first(shape=[3]), "SHAPE_MISMATCH", AT),
    "an element too many": Bad(first(shape=[1]), "SHAPE_MISMATCH", AT),
    "nested otherwise": Bad(first(shape=[2, 1], data=[[1.5, 5.0]]), "SHAPE_MISMATCH", AT),
    "ragged": Bad(first(shape=[3], data=[[1.5], [5.0, 1.0]]), "SHAPE_MISMATCH", None),
    "no data": Bad(first(data=...), "MALFORMED_REQUEST", AT),
    "data of text": Bad(first(data=["hunter2", "7919"]), "DTYPE_UNSUPPORTED", None),
    "data of objects": Bad(first(data=[{}, {}]), "MALFORMED_REQUEST", None),
    "data of null": Bad(first(data=[None, 1.0]), "MALFORMED_REQUEST", None),
    "data beyond INT8": Bad(first(datatype="INT8", data=[7919, 1]), "OUT_OF_DOMAIN", None),
    "data beyond FP32": Bad(first(datatype="FP32", data=[1e300, 1]), "OUT_OF_DOMAIN", None),
    "halves as INT8": Bad(first(datatype="INT8", data=[0.5, 1]), "OUT_OF_DOMAIN", None),
    "BYTES as predictions": Bad(
        first(datatype="BYTES", data=["hunter2", "7919"]), "DTYPE_UNSUPPORTED", AT
    ),
    "data 120 deep": Bad(first(shape=[1], data=nested(120)), "TOO_LARGE", None),
    "JSON 5000 deep": Bad(b"[" * 5000 + b"]" * 5000, "TOO_LARGE"),
    "JSON 250 000 deep": Bad(b'{"a":' * 250_000, "TOO_LARGE"),
    "bytes that do not follow": Bad(
        first(data=..., parameters={"binary_data_size": 16}),
        "MALFORMED_REQUEST",
        f"{AT}.parameters.binary_data_size",
    ),
    "shared memory that is off": Bad(
        first(
            data=..., parameters={"shared_memory_region": "hunter2", "shared_memory_byte_size": 16}
        ),
        "NOT_FOUND",
        AT,
    ),
    "a place in shared memory without a size": Bad(
        first(data=..., parameters={"shared_memory_region": "hunter2"}),
        "MALFORMED_REQUEST",
        f"{AT}.parameters",
    ),
    "an output that is not there": Bad(
        {"inputs": INPUTS, "outputs": [{"name": "hunter2"}]}, "UNKNOWN_FIELD", "outputs.0.name"
    ),
    "an output without a name": Bad(
        {"inputs": INPUTS, "outputs": [{}]}, "UNKNOWN_FIELD", "outputs.0.name"
    ),
    "an output named twice": Bad(
        {"inputs": INPUTS, "outputs": [{"name": "loss"}, {"name": "loss"}]},
        "MALFORMED_REQUEST",
        "outputs.loss",
    ),
    "an output by class": Bad(
        {"inputs": INPUTS, "outputs": [{"name": "loss", "parameters": {"classification": 3}}]},
        "PARAMETER_INVALID",
        "outputs.loss.parameters",
    ),
    "an output that is binary perhaps": Bad(
        {"inputs": INPUTS, "outputs": [{"name": "loss", "parameters": {"binary_data": "7919"}}]},
        "MALFORMED_REQUEST",
        "outputs.loss.parameters",
    ),
    "binary outputs perhaps": Bad(
        asking(binary_data_output="7919"), "MALFORMED_REQUEST", "parameters.binary_data_output"
    ),
    "a parameter that is not there": Bad(
        asking(hunter2=1), "PARAMETER_INVALID", "parameters.hunter2"
    ),
    "a parameter out of its bounds": Bad(
        asking(delta=-7919), "PARAMETER_INVALID", "parameters.delta"
    ),
    "a parameter that is text": Bad(
        asking(delta="hunter2"), "PARAMETER_INVALID", "parameters.delta"
    ),
    "a parameter that is a list": Bad(
        asking(delta=[7919]), "MALFORMED_REQUEST", "parameters.delta"
    ),
    "a parameter that is no JSON": Bad(
        asking(delta="[hunter2"), "MALFORMED_REQUEST", "parameters.delta"
    ),
    "parameters that are no object": Bad(
        asking(params="[7919]"), "MALFORMED_REQUEST", "parameters.params"
    ),
    "a parameter twice": Bad(
        asking(params='{"delta": 7919}', delta=1.0), "MALFORMED_REQUEST", "parameters.delta"
    ),
    "a reduction that is not there": Bad(
        asking(reduction="hunter2"), "UNKNOWN_REDUCTION", "parameters.reduction"
    ),
    "a reduction that is no JSON": Bad(
        asking(reduction="{hunter2"), "MALFORMED_REQUEST", "parameters.reduction"
    ),
    "a reduction with a field more": Bad(
        asking(reduction='{"name": "mean", "hunter2": 1}'),
        "UNKNOWN_FIELD",
        "parameters.reduction.hunter2",
    ),
    "a backend that is not there": Bad(
        asking(backend="hunter2"), "BACKEND_UNSUPPORTED", "parameters.backend"
    ),
    "an option of no kind": Bad(
        asking(nonfinite="hunter2"), "MALFORMED_REQUEST", "parameters.nonfinite"
    ),
    "no elements": Bad(
        {"inputs": [as_json(name, x[:0]) for name, x in ARRAYS.items()]},
        "EMPTY_REDUCTION",
        "parameters.reduction",
    ),
}


@pytest.mark.parametrize("bad", BODIES.values(), ids=BODIES)
def test_a_bad_body(service: Service, bad: Bad) -> None:
    content = bad.sent if isinstance(bad.sent, bytes) else json.dumps(bad.sent).encode()
    response = service.http.post(path_of("huber"), content=content, headers={"content-type": JSON})
    found = told_by_http(response)
    assert found[:2] == (STATUSES[bad.reason][0], bad.reason)
    assert bad.field is None or found[2] == bad.field
    assert faults_of_response(response) == []


HEAD: Fields = {"inputs": [{**one, "parameters": {"binary_data_size": 16}} for one in INPUTS]}
for one in HEAD["inputs"]:
    del one["data"]
RAW = (X.tobytes(), Y.tobytes())
SIZE = len(orjson.dumps(HEAD))


@pytest.mark.parametrize(
    "length",
    [2**31, 2**31 - 1, 2**64, "9" * 5000, -1, "1e3", "0x10", "hunter2", "", "٣", 0, SIZE + 33],
)
def test_a_bad_length_of_the_header(service: Service, length: object) -> None:
    text = length if isinstance(length, str) else str(length)
    headers = {LENGTH.encode(): text.encode()}
    content = orjson.dumps(HEAD) + b"".join(RAW)
    response = service.http.post(path_of("huber"), content=content, headers=headers)
    assert told_by_http(response)[:2] == (400, "MALFORMED_REQUEST")
    assert faults_of_response(response) == []


@pytest.mark.parametrize("length", [SIZE - 1, SIZE + 1, SIZE + 32, 1])
def test_a_header_cut_elsewhere(service: Service, length: int) -> None:
    response = infer_binary(service, "huber", HEAD, *RAW, length=length)
    assert told_by_http(response)[:2] == (400, "MALFORMED_REQUEST")


def sized(*sizes: Any) -> Fields:
    inputs = [
        {**one, "parameters": {"binary_data_size": size}}
        for one, size in zip(HEAD["inputs"], sizes, strict=True)
    ]
    return {"inputs": inputs}


TAILS = {
    "a byte too few": Bad((HEAD, RAW[0], RAW[1][1:]), "MALFORMED_REQUEST"),
    "a byte too many": Bad((HEAD, *RAW, b"7"), "MALFORMED_REQUEST"),
    "a tensor too few": Bad((HEAD, RAW[0]), "MALFORMED_REQUEST"),
    "sizes that swap bytes": Bad((sized(8, 24), *RAW), "SHAPE_MISMATCH"),
    "sizes within an element": Bad((sized(15, 17), *RAW), "MALFORMED_REQUEST"),
    "a negative size": Bad((sized(-16, 16), *RAW), "MALFORMED_REQUEST"),
    "a size beyond 2^63": Bad((sized(2**63, 16), *RAW), "MALFORMED_REQUEST"),
    "a size of text": Bad((sized("16", 16), *RAW), "MALFORMED_REQUEST"),
    "a size that is true": Bad((sized(True, 16), *RAW), "MALFORMED_REQUEST"),
    "data beside bytes": Bad(
        ({"inputs": [{**HEAD["inputs"][0], "data": [1.5, 5]}, HEAD["inputs"][1]]}, *RAW),
        "MALFORMED_REQUEST",
    ),
    "a boolean of 2": Bad(
        (
            {
                "inputs": [
                    *INPUTS,
                    {
                        "name": "mask",
                        "datatype": "BOOL",
                        "shape": [2],
                        "parameters": {"binary_data_size": 2},
                    },
                ]
            },
            b"\1\2",
        ),
        "MALFORMED_REQUEST",
    ),
}


@pytest.mark.parametrize("bad", TAILS.values(), ids=TAILS)
def test_bad_bytes_after_the_header(service: Service, bad: Bad) -> None:
    fields, *chunks = bad.sent
    response = infer_binary(service, "huber", fields, *chunks)
    assert told_by_http(response)[:2] == (400, bad.reason)
    assert faults_of_response(response) == []


def with_labels(raw: bytes) -> Fields:
    told = {"name": "country", "datatype": "BYTES", "shape": [2]}
    return {
        "parameters": {"reduction": '{"name": "mean", "by": "country"}'},
        "inputs": [*INPUTS, {**told, "parameters": {"binary_data_size": len(raw)}}],
    }


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\1\0\0\0a\3\0\0\0b\0c", id="a NUL within"),
        pytest.param(b"\1\0\0\0a\xff\xff\xff\xffb", id="longer than the data"),
        pytest.param(b"\1\0\0\0a\1\0", id="cut within a length"),
        pytest.param(b"\1\0\0\0a\1\0\0\0\xff", id="no UTF-8"),
        pytest.param(b"\1\0\0\0a", id="one too few"),
        pytest.param(b"\1\0\0\0a" * 3, id="one too many"),
    ],
)
def test_bad_labels(service: Service, raw: bytes) -> None:
    response = infer_binary(service, "huber", with_labels(raw), raw)
    assert response.status_code == 400
    assert response.json()["field"] == "inputs.country"
    asked = message("huber", {**ARRAYS, "country": np.array(["a", "b"])})
    asked.parameters["reduction"].string_param = '{"name": "mean", "by": "country"}'
    asked.raw_input_contents[2] = raw
    with pytest.raises(grpc.RpcError) as raised:
        stub_of(service).ModelInfer(asked, timeout=10.0)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def of_kind(datatype: str, shape: list[int], **contents: Any) -> pb.ModelInferRequest:
    """A request whose predictions are given by a field of their contents."""
    made = pb.ModelInferRequest(model_name="huber")
    made.inputs.add(name="predictions", datatype=datatype, shape=shape).contents.MergeFrom(
        pb.InferTensorContents(**contents)
    )
    made.inputs.add(name="targets", datatype="FP64", shape=[2]).contents.fp64_contents.extend(Y)
    return made


def mixed() -> pb.ModelInferRequest:
    made = message("huber", ARRAYS)
    made.inputs[1].contents.fp64_contents.extend(Y)
    return made


def raws(*raw: bytes) -> pb.ModelInferRequest:
    made = message("huber", ARRAYS)
    del made.raw_input_contents[:]
    made.raw_input_contents.extend(raw)
    return made


def reshaped(*shape: int) -> pb.ModelInferRequest:
    made = message("huber", ARRAYS)
    made.inputs[0].shape[:] = shape
    return made


def twice() -> pb.ModelInferRequest:
    made = message("huber", ARRAYS)
    made.inputs[1].name = "predictions"
    return made


def wanting(*names: str) -> pb.ModelInferRequest:
    wanted = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in names]
    return message("huber", ARRAYS, outputs=wanted)


def unset() -> pb.ModelInferRequest:
    made = message("huber", ARRAYS)
    made.parameters["delta"].CopyFrom(pb.InferParameter())
    return made


RAW_COUNT = "raw_input_contents"
MESSAGES = {
    "nothing": Bad(pb.ModelInferRequest(), "LOSS_NOT_FOUND", "model_name"),
    "no inputs": Bad(pb.ModelInferRequest(model_name="huber"), "MISSING_INPUT", AT),
    "raw and typed contents": Bad(mixed(), "MALFORMED_REQUEST", "inputs.targets.contents"),
    "a tensor too few": Bad(raws(RAW[0]), "MALFORMED_REQUEST", RAW_COUNT),
    "a tensor too many": Bad(raws(*RAW, RAW[0]), "MALFORMED_REQUEST", RAW_COUNT),
    "a byte too few": Bad(raws(RAW[0][1:], RAW[1]), "MALFORMED_REQUEST", AT),
    "an element too few": Bad(raws(RAW[0][8:], RAW[1]), "SHAPE_MISMATCH", AT),
    "a negative dimension": Bad(reshaped(-2), "SHAPE_MISMATCH", AT),
    "dimensions beyond 2^64": Bad(reshaped(2**32, 2**32), "SHAPE_MISMATCH", AT),
    "dimensions that wrap around": Bad(reshaped(2**62 + 1, 4), "SHAPE_MISMATCH", AT),
    "too many axes": Bad(reshaped(*[1] * 100), "TOO_LARGE", AT),
    "an input named twice": Bad(twice(), "MALFORMED_REQUEST", AT),
    "an output named twice": Bad(wanting("loss", "loss"), "MALFORMED_REQUEST", "outputs.loss"),
    "an output that is not there": Bad(wanting("hunter2"), "UNKNOWN_FIELD", "outputs.0.name"),
    "a parameter without a value": Bad(unset(), "MALFORMED_REQUEST", "parameters.delta"),
    "a datatype of no kind": Bad(of_kind("hunter2", [2]), "DTYPE_UNSUPPORTED", f"{AT}.datatype"),
    "contents of another datatype": Bad(
        of_kind("FP64", [2], fp32_contents=[1.5, 5.0]), "MALFORMED_REQUEST", f"{AT}.contents"
    ),
    "contents of two datatypes": Bad(
        of_kind("FP64", [2], fp64_contents=[1.5, 5.0], int_contents=[1]),
        "MALFORMED_REQUEST",
        f"{AT}.contents",
    ),
    "FP16 in contents": Bad(
        of_kind("FP16", [2], fp32_contents=[1.5, 5.0]), "DTYPE_UNSUPPORTED", f"{AT}.datatype"
    ),
    "contents beyond INT8": Bad(of_kind("INT8", [2], int_contents=[7919, 1]), "OUT_OF_DOMAIN", AT),
    "contents that are too few": Bad(
        of_kind("FP64", [3], fp64_contents=[1.5, 5.0]), "SHAPE_MISMATCH", AT
    ),
    "contents of a size that overflows": Bad(
        of_kind("FP64", [0, 2**62, 2**62]), "SHAPE_MISMATCH", AT
    ),
    "BYTES that are no UTF-8": Bad(
        of_kind("BYTES", [2], bytes_contents=[b"\xff", b"a"]), "MALFORMED_REQUEST", AT
    ),
}


@pytest.mark.parametrize("bad", MESSAGES.values(), ids=MESSAGES)
def test_a_bad_message(service: Service, bad: Bad) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub_of(service).ModelInfer(bad.sent, timeout=10.0)
    assert told_by_rpc(raised.value) == (STATUSES[bad.reason][1], bad.reason, bad.field)
    assert faults_of_error(raised.value) == []


def test_bytes_that_are_no_message(service: Service) -> None:
    call = service.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer", None, pb.ModelInferResponse.FromString
    )
    with pytest.raises(grpc.RpcError) as raised:
        call(b"\xff" * 100, timeout=10.0)
    assert told_by_rpc(raised.value)[:2] == ("INVALID_ARGUMENT", "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/v2/repository/index", b'{"ready": "hunter2"}', 400),
        ("/v2/repository/index", b"[" * 250_000, 413),
        ("/v2/repository/index", b"[" * 60_000, 413),
        ("/v2/repository/index", b"7919", 400),
        ("/v2/repository/models/huber/load", b'{"parameters": {"config": "hunter2"}}', 405),
        ("/v2/models/hunter2/versions/infer", b"{}", 404),
        ("/v2/models//infer", b"{}", 404),
        ("/v2/models/huber%2finfer/infer", b"{}", 404),
        ("/v2/models/huber/versions//infer", b"{}", 404),
        ("/v2/models/infer", b"{}", 404),
    ],
)
def test_another_bad_request(service: Service, path: str, content: bytes, status: int) -> None:
    response = service.http.post(path, content=content, headers={"content-type": JSON})
    assert response.status_code == status
    assert faults_of_response(response) == []


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_media_type_that_is_not_taken(service: Service, media: str) -> None:
    response = infer(service, "huber", {"inputs": INPUTS}, **{"content-type": media})
    assert told_by_http(response)[:2] == (415, "UNSUPPORTED_MEDIA")


def test_json_that_is_called_bytes_is_read(service: Service) -> None:
    media = {"content-type": "application/octet-stream"}
    response = infer(service, "huber", {"inputs": INPUTS}, **media)
    assert response.status_code == 200


def test_a_scalar_is_taken_in_every_form(service: Service) -> None:
    scalars = {"predictions": np.array(3.0), "targets": np.array(1.0)}
    inputs = [as_json(name, x) for name, x in scalars.items()]
    assert inputs[0]["shape"] == []
    found = outputs_of_json(infer(service, "squared_error", {"inputs": inputs}))
    assert found["loss"].tolist() == [4.0]
    answer = stub_of(service).ModelInfer(message("squared_error", scalars))
    assert outputs_of_message(answer)["loss"].tolist() == [4.0]


def test_tensors_of_nothing_are_taken_in_every_form(service: Service) -> None:
    nothing = {name: x[:0] for name, x in ARRAYS.items()}
    asked = {"parameters": {"reduction": "none"}}
    fields = {**asked, "inputs": [as_json(name, x) for name, x in nothing.items()]}
    assert outputs_of_json(infer(service, "huber", fields))["loss"].tolist() == []
    answer = stub_of(service).ModelInfer(message("huber", nothing, **asked))
    assert outputs_of_message(answer)["loss"].tolist() == []
    assert elements("FP64", b"").shape == (0,)


def cancel(call: Any) -> None:
    call.cancel()


def test_a_caller_who_leaves_in_the_middle(service: Service) -> None:
    body = orjson.dumps({"inputs": INPUTS})
    head = f"POST {path_of('huber')} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    for end in (len(head) // 2, len(head), len(head) + 10):
        with socket.create_connection((HOST, service.http_port)) as connection:
            connection.sendall((head.encode() + body)[:end])
    requests = (message("huber", ARRAYS) for _ in range(10_000))
    answers = stub_of(service).ModelStreamInfer(requests)
    for answer, _ in zip(answers, range(3), strict=False):
        assert not answer.error_message
    cancel(answers)
    late = stub_of(service).ModelInfer.future(message("huber", ARRAYS))
    cancel(late)


def test_many_small_chunks(service: Service) -> None:
    body = orjson.dumps({"inputs": INPUTS}) + b" " * 20_000
    chunks = (body[at : at + 1] for at in range(len(body)))
    response = service.http.post(path_of("huber"), content=chunks, headers={"content-type": JSON})
    assert outputs_of_json(response)["loss"] == 1.3125
