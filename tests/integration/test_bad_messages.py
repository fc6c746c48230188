"""Messages and streams of gRPC that are no request."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import grpc
import numpy as np
import pytest

from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import tensor_pb2
from tests.integration.forms import chunk, message, raw_tensor
from tests.integration.refusals import faults_of_error, over_rpc, told_by_rpc
from tests.integration.servers import Service, serving

GOOD = {"loss": "huber", "inputs": {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}}
METHODS = ("Evaluate", "EvaluateStream", "MergeStates", "GetLoss", "ListLosses")
OURS = "/lossmeter.v1.LossService"
AT = "inputs.predictions"
ONE = np.float64(7919.0625).tobytes()
LIMIT = 1000
pytestmark = pytest.mark.usefixtures("unharmed")


class Bad(NamedTuple):
    """Something sent and its refusal."""

    sent: Any
    reason: str
    field: str | None = None


TENSORS = {
    "no dtype": Bad(tensor_pb2.Tensor(shape=[1], data=ONE), "DTYPE_UNSUPPORTED", f"{AT}.dtype"),
    "a dtype of no number": Bad(
        tensor_pb2.Tensor(dtype=cast(tensor_pb2.DataType.ValueType, 7919), shape=[1], data=ONE),
        "DTYPE_UNSUPPORTED",
        f"{AT}.dtype",
    ),
    "half an element": Bad(raw_tensor("FLOAT64", [1], ONE[:4]), "MALFORMED_REQUEST", AT),
    "a boolean of 2": Bad(raw_tensor("BOOL", [1], b"\2"), "MALFORMED_REQUEST", AT),
    "fewer elements than the shape": Bad(raw_tensor("FLOAT64", [2], ONE), "SHAPE_MISMATCH", AT),
    "more elements than the shape": Bad(raw_tensor("FLOAT64", [0], ONE), "SHAPE_MISMATCH", AT),
    "no elements for a number": Bad(raw_tensor("FLOAT64", [], b""), "SHAPE_MISMATCH", AT),
    "a negative size": Bad(raw_tensor("FLOAT64", [-1], ONE), "SHAPE_MISMATCH", AT),
    "two negative sizes": Bad(raw_tensor("FLOAT64", [-1, -1], ONE), "SHAPE_MISMATCH", AT),
    "the least size": Bad(raw_tensor("FLOAT64", [-(2**63)], ONE), "SHAPE_MISMATCH", AT),
    "a product that overflows": Bad(
        raw_tensor("FLOAT64", [2**32, 2**32], ONE), "SHAPE_MISMATCH", AT
    ),
    "a product that overflows to 0": Bad(
        raw_tensor("FLOAT64", [2**62, 4], b""), "SHAPE_MISMATCH", AT
    ),
    "a product that overflows but for a 0": Bad(
        raw_tensor("FLOAT64", [2**62, 2**62, 0], b""), "SHAPE_MISMATCH", AT
    ),
    "33 axes": Bad(raw_tensor("FLOAT64", [1] * 33, ONE), "TOO_LARGE", AT),
    "a string longer than its data": Bad(
        raw_tensor("STRING", [1], b"\xff\0\0\0hunter2"), "MALFORMED_REQUEST", AT
    ),
    "a string that is no UTF-8": Bad(
        raw_tensor("STRING", [1], b"\1\0\0\0\xff"), "MALFORMED_REQUEST", AT
    ),
    "half a length": Bad(raw_tensor("STRING", [0], b"\1\0"), "MALFORMED_REQUEST", AT),
    "more strings than the shape": Bad(
        raw_tensor("STRING", [0], b"\7\0\0\0hunter2"), "SHAPE_MISMATCH", AT
    ),
    "strings for 2^40 elements": Bad(
        raw_tensor("STRING", [2**40], b"\7\0\0\0hunter2"), "SHAPE_MISMATCH", AT
    ),
}


@pytest.mark.parametrize("bad", TENSORS.values(), ids=TENSORS)
def test_a_bad_tensor(service: Service, bad: Bad) -> None:
    request = message(GOOD)
    request.inputs["predictions"].CopyFrom(bad.sent)
    with pytest.raises(grpc.RpcError) as raised:
        service.stub.Evaluate(request)
    assert told_by_rpc(raised.value) == over_rpc(bad.reason, bad.field)
    assert faults_of_error(raised.value) == []


def nested(depth: int) -> bytes:
    """A request whose reduction is a list in a list, and so on."""
    value = b"\x1a\x07hunter2"
    for _ in range(depth):
        value = b"\x0a" + length(value) + value
        value = b"\x32" + length(value) + value
    return b"\x0a\x05huber\x1a" + length(value) + value


def length(data: bytes) -> bytes:
    """A varint of a length."""
    n, found = len(data), bytearray()
    while n > 127:
        found.append(n & 127 | 128)
        n >>= 7
    return bytes((*found, n))


FOREIGN = b"\xff\xffhunter2"
BYTES = {
    **{f"foreign bytes to {method}": (method, FOREIGN) for method in METHODS},
    "half a message": ("Evaluate", message(GOOD).SerializeToString()[:-3]),
    "text that is no UTF-8": ("Evaluate", b"\x0a\x02\xff\xfe"),
}


@pytest.mark.parametrize(("method", "sent"), BYTES.values(), ids=BYTES)
def test_bytes_that_are_no_message(service: Service, method: str, sent: bytes) -> None:
    call = service.channel.stream_unary(f"{OURS}/{method}", None, None)
    with pytest.raises(grpc.RpcError) as raised:
        call(iter([sent]), timeout=10.0)
    assert told_by_rpc(raised.value) == over_rpc("MALFORMED_REQUEST", None)
    assert faults_of_error(raised.value) == []


def test_values_nested_too_deep(service: Service) -> None:
    call = service.channel.unary_unary(f"{OURS}/Evaluate", None, None)
    with pytest.raises(grpc.RpcError) as raised:
        call(nested(10_000), timeout=10.0)
    assert raised.value.code().name in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")


def spec(**parts: Any) -> pb.EvaluateStreamRequest:
    """The first message of a stream."""
    return pb.EvaluateStreamRequest(spec=message({**GOOD, **parts, "inputs": {}}))


def rows(
    dtype: str = "float64", shape: Sequence[int] = (2,), **more: Any
) -> pb.EvaluateStreamRequest:
    """A chunk whose rows are right, but for the parts given."""
    x = np.full(shape, 7919.0625, dtype)
    inputs = {"predictions": x, "targets": x, **more}
    return chunk({name: x for name, x in inputs.items() if x is not None})


def sparse() -> pb.EvaluateStreamRequest:
    """A chunk with class indices."""
    return rows(shape=(2, 3), targets=np.zeros(2, np.int64))


SPARSE, BALANCED = "sparse_softmax_cross_entropy", {"class_weight": "balanced"}
BY = {"name": "mean", "by": "country"}
STREAMS = {
    "no message": Bad([], "MALFORMED_REQUEST", "spec"),
    "a message of nothing": Bad([pb.EvaluateStreamRequest()], "MALFORMED_REQUEST", "spec"),
    "a chunk before the specification": Bad([rows(), spec()], "MALFORMED_REQUEST", "spec"),
    "a specification twice": Bad([spec(), rows(), spec()], "MALFORMED_REQUEST", "chunk"),
    "a message of nothing among the chunks": Bad(
        [spec(), pb.EvaluateStreamRequest()], "MALFORMED_REQUEST", "chunk"
    ),
    "inputs in the specification": Bad(
        [pb.EvaluateStreamRequest(spec=message(GOOD))], "MALFORMED_REQUEST", "spec.inputs"
    ),
    "a specification alone": Bad([spec()], "EMPTY_REDUCTION", "inputs"),
    "a chunk of nothing": Bad([spec(), chunk({})], "MISSING_INPUT", AT),
    "a loss that is not there": Bad([spec(loss="hunter2"), rows()], "LOSS_NOT_FOUND", "loss"),
    "a bad parameter": Bad(
        [spec(params={"delta": -7919.0}), rows()], "PARAMETER_INVALID", "params.delta"
    ),
    "the reduction none": Bad([spec(reduction="none"), rows()], "NOT_STREAMABLE", "reduction"),
    "cvar": Bad(
        [spec(reduction={"name": "cvar", "alpha": 0.5}), rows()], "NOT_STREAMABLE", "reduction"
    ),
    "a reduction that keeps the rows": Bad(
        [spec(reduction={"name": "mean", "axis": [1]}), rows(shape=(2, 3))],
        "NOT_STREAMABLE",
        "reduction",
    ),
    "a reduction that keeps the rows by another name": Bad(
        [spec(reduction={"name": "mean", "axis": [-1]}), rows(shape=(2, 3))],
        "NOT_STREAMABLE",
        "reduction",
    ),
    "balanced classes": Bad(
        [spec(loss=SPARSE, params=BALANCED), sparse()], "NOT_STREAMABLE", "loss"
    ),
    "the labels of a whole batch": Bad(
        [spec(loss="keras.losses.Hinge"), rows()], "NOT_STREAMABLE", "loss"
    ),
    "one of several losses that cannot": Bad(
        [
            spec(loss="", losses={"a": {"loss": "huber"}, "b": {"loss": "keras.losses.Hinge"}}),
            rows(),
        ],
        "NOT_STREAMABLE",
        "losses.b.loss",
    ),
    "one sample, whose one axis is no rows": Bad(
        [spec(loss="torch.nn.MultiLabelSoftMarginLoss"), rows(shape=(2,), targets=np.ones(2))],
        "NOT_STREAMABLE",
        "inputs",
    ),
    "a chunk without targets": Bad(
        [spec(), rows(), rows(targets=None)], "MISSING_INPUT", "inputs.targets"
    ),
    "a chunk with one input more": Bad(
        [spec(), rows(), rows(anchor=np.zeros(2))], "UNKNOWN_INPUT", "inputs.anchor"
    ),
    "a chunk of another dtype": Bad([spec(), rows(), rows("float32")], "SHAPE_MISMATCH", "inputs"),
    "a chunk of other sizes": Bad(
        [spec(), rows(), rows(targets=np.zeros(3))], "SHAPE_MISMATCH", "inputs.targets"
    ),
    "a chunk of another rank": Bad(
        [spec(), rows(), rows(shape=(2, 3))], "SHAPE_MISMATCH", "inputs"
    ),
    "a chunk of other columns": Bad(
        [spec(), rows(shape=(2, 3)), rows(shape=(2, 4))], "SHAPE_MISMATCH", "inputs"
    ),
    "a chunk of other kept axes": Bad(
        [spec(reduction={"name": "mean", "axis": [0]}), rows(shape=(2, 3)), rows(shape=(2, 4))],
        "SHAPE_MISMATCH",
        "inputs",
    ),
    "a chunk of targets of another kind": Bad(
        [spec(loss="torch.nn.CrossEntropyLoss"), sparse(), rows(shape=(2, 3))],
        "SHAPE_MISMATCH",
        "inputs",
    ),
    "a mask in some chunks of 2": Bad(
        [spec(), rows(), rows(mask=np.array([1, 2]))], "OUT_OF_DOMAIN", "inputs.mask"
    ),
    "a group in some chunks": Bad([spec(reduction=BY), rows()], "MISSING_INPUT", "inputs.country"),
    "nothing kept": Bad([spec(), rows(mask=np.zeros(2, bool))], "EMPTY_REDUCTION", "reduction"),
    "NaN where that is an error": Bad(
        [spec(options={"nonfinite": "error"}), rows(), rows(targets=np.full(2, np.nan))],
        "NONFINITE",
        "inputs",
    ),
    "a bad tensor late": Bad(
        [
            spec(),
            rows(),
            pb.EvaluateStreamRequest(
                chunk=pb.EvaluateStreamRequest.Chunk(
                    inputs={"predictions": raw_tensor("FLOAT64", [2], ONE)}
                )
            ),
        ],
        "SHAPE_MISMATCH",
        AT,
    ),
}


@pytest.mark.parametrize("bad", STREAMS.values(), ids=STREAMS)
def test_a_bad_stream(service: Service, bad: Bad) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        service.stub.EvaluateStream(iter(bad.sent), timeout=10.0)
    assert told_by_rpc(raised.value) == over_rpc(bad.reason, bad.field)
    assert faults_of_error(raised.value) == []


def test_a_refusal_reaches_one_who_is_still_streaming(service: Service) -> None:
    big = np.zeros(2**17)
    chunks = [chunk({"predictions": big, "anchor": big}) for _ in range(20)]
    with pytest.raises(grpc.RpcError) as raised:
        service.stub.EvaluateStream(iter([spec(), *chunks]), timeout=30.0)
    assert told_by_rpc(raised.value) == over_rpc("MISSING_INPUT", "inputs.targets")


@pytest.mark.parametrize(
    ("method", "code"),
    [
        pytest.param(f"{OURS}/Hunter2", "UNIMPLEMENTED", id="a method"),
        pytest.param("/lossmeter.v2.LossService/Evaluate", "UNIMPLEMENTED", id="a service"),
    ],
)
def test_something_that_is_not_there(service: Service, method: str, code: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        service.channel.unary_unary(method, None, None)(b"", timeout=10.0)
    assert raised.value.code().name == code


def test_a_loss_that_is_not_there(service: Service) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        service.stub.GetLoss(pb.GetLossRequest(name="hubber"), timeout=10.0)
    assert told_by_rpc(raised.value) == over_rpc("LOSS_NOT_FOUND", "name")
    assert faults_of_error(raised.value, "huber") == []


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that takes small messages only."""
    log = tmp_path_factory.mktemp("small") / "log"
    with serving(log, max_message_bytes=LIMIT) as started:
        yield started
        assert started.faults() == []


@pytest.mark.parametrize("streamed", [False, True], ids=["at once", "in a stream"])
def test_a_message_over_the_limit(small: Service, streamed: bool) -> None:
    x = np.zeros(LIMIT)
    big = message({**GOOD, "inputs": {"predictions": x, "targets": x}})
    with pytest.raises(grpc.RpcError) as raised:
        if streamed:
            small.stub.EvaluateStream(iter([spec(), chunk({"predictions": x, "targets": x})]))
        else:
            small.stub.Evaluate(big)
    assert told_by_rpc(raised.value) == over_rpc("TOO_LARGE", None)
    assert faults_of_error(raised.value) == []
