"""What bytes of any kind do to the inference protocol: an answer, or a refusal that says why."""

from typing import Any

import numpy as np
import orjson
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lossmeter.app.answer import Answer
from lossmeter.app.engine import Engine
from lossmeter.errors import LossmeterError
from lossmeter.inference import grpc_service_pb2 as pb
from lossmeter.transports.oip.shared_memory import NoSharedMemory
from lossmeter.wire.cutting import parsed
from lossmeter.wire.inference.bodies import answer_body, read_body
from lossmeter.wire.inference.messages import answer_message, read_message
from lossmeter.wire.inference.request import Inference
from tests.property.test_decoders import damaged

MODEL = "squared_error"
ENGINE, MEMORY = Engine(), NoSharedMemory()
X = np.array([1.5, 5.0, 2.0], np.float32)
MASK = np.array([True, False, True])
RAW_CONTENTS = (pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER,)


def told(name: str, datatype: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [3], **more}


def sized(x: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"parameters": {"binary_data_size": x.nbytes}}


HEAD = orjson.dumps(
    {
        "parameters": {"binary_data_output": True, "reduction": "none"},
        "inputs": [
            told("predictions", "FP32", **sized(X)),
            told("targets", "FP32", **sized(X)),
            told("mask", "BOOL", **sized(MASK)),
        ],
    }
)
BINARY = HEAD + X.tobytes() + X.tobytes() + MASK.tobytes()
PLAIN = orjson.dumps(
    {
        "id": "1",
        "inputs": [
            told("predictions", "FP64", data=[1.5, 5.0, 2.0]),
            told("targets", "INT64", data=[1, 2, 3]),
        ],
        "outputs": [{"name": "loss"}, {"name": "count"}],
    }
)


def answered(inference: Inference) -> Answer:
    answer = ENGINE.evaluate(inference.spec, inference.tensors)
    assert isinstance(answer, Answer)
    return answer


def message() -> bytes:
    """A request with raw tensors."""
    request = pb.ModelInferRequest(model_name=MODEL, id="1")
    for name, datatype in (("predictions", "FP32"), ("targets", "FP32"), ("mask", "BOOL")):
        request.inputs.add(name=name, datatype=datatype, shape=[3])
    request.raw_input_contents.extend([X.tobytes(), X.tobytes(), MASK.tobytes()])
    return request.SerializeToString()


@settings(deadline=2000)
@given(
    content=damaged([BINARY, PLAIN]),
    length=st.none() | st.integers(0, 2 * len(BINARY)) | st.just(len(HEAD)),
)
@example(content=BINARY, length=len(HEAD))
@example(content=BINARY, length=len(HEAD) - 1)
@example(content=BINARY, length=2**31)
@example(content=PLAIN, length=None)
def test_bodies(content: bytes, length: int | None) -> None:
    try:
        inference = read_body(MODEL, content, length, MEMORY)
        answer_body(inference, answered(inference), MEMORY)
    except LossmeterError as error:
        assert error.reason != "INTERNAL"
        assert error.detail


@settings(deadline=2000)
@given(content=damaged([message()]))
@example(content=message())
def test_messages(content: bytes) -> None:
    try:
        request = parsed(pb.ModelInferRequest, RAW_CONTENTS, content)
    except DecodeError:
        return
    try:
        inference = read_message(request.message, request.bytes_of, MEMORY)
        answer_message(inference, answered(inference), MEMORY)
    except LossmeterError as error:
        assert error.reason != "INTERNAL"
        assert error.detail


def test_whole_ones_are_answered() -> None:
    for content, length in ((BINARY, len(HEAD)), (PLAIN, None)):
        assert answered(read_body(MODEL, content, length, MEMORY)).count in (2, 3)
    request = parsed(pb.ModelInferRequest, RAW_CONTENTS, message())
    assert answered(read_message(request.message, request.bytes_of, MEMORY)).count == 2
