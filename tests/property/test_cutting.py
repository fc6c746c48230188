"""What is read without copying is what the generated messages read, whatever the bytes."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmeter.transports.grpc.servicer import CHUNK_DATA, REQUEST_DATA
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import tensor_pb2
from lossmeter.wire import cutting
from lossmeter.wire.cutting import Cut, parsed

KINDS: Mapping[str, tuple[type[Message], Sequence[int]]] = {
    "a request": (pb.EvaluateRequest, REQUEST_DATA),
    "a message of a stream": (pb.EvaluateStreamRequest, CHUNK_DATA),
}
EVERY_KIND = pytest.mark.parametrize(("kind", "path"), KINDS.values(), ids=KINDS)
MANY = settings(max_examples=400, deadline=None, derandomize=True)
LENGTH = 2


def number(n: int, more: int = 0) -> bytes:
    """A varint, with more digits than it needs."""
    digits = bytearray()
    while n > 127 or more:
        more -= n <= 127
        digits.append(n & 127 | 128)
        n >>= 7
    return bytes((*digits, n))


@st.composite
def fields(draw: st.DrawFn, path: Sequence[int]) -> bytes:
    """Some fields of a message: on the path, beside it, and of other wire types than theirs."""
    found = []
    for _ in range(draw(st.integers(0, 4))):
        more = draw(st.sampled_from([0, 0, 0, 1, 3, 5, 9]))
        tag = draw(st.one_of(st.just(path[0] << 3 | LENGTH), st.integers(0, 100)))
        match tag & 7:
            case 0:
                content = number(draw(st.integers(0, 2**64 - 1)), more)
            case 1 | 5:
                content = draw(st.binary(min_size=8, max_size=8))[: 8 if tag & 7 == 1 else 4]
            case 2:
                on = tag >> 3 == path[0] and len(path) > 1
                inside = draw(fields(path[1:]) if on else st.binary(max_size=20))
                content = number(len(inside), more) + inside
            case _:
                content = b""
        found.append(number(tag, draw(st.sampled_from([0, 0, 0, 1, 4, 5]))) + content)
    return b"".join(found)


@st.composite
def spoilt(draw: st.DrawFn, path: Sequence[int]) -> bytes:
    """Fields of which one byte is another, or the end is gone."""
    data = bytearray(draw(fields(path)))
    if data:
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@pytest.fixture(autouse=True, scope="module")
def _everything_is_cut() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "LEAST", 0)
        yield


@EVERY_KIND
@MANY
@given(st.data())
def test_any_fields(kind: type[Message], path: Sequence[int], data: st.DataObject) -> None:
    agree(kind, path, data.draw(fields(path)))


@EVERY_KIND
@MANY
@given(st.data())
def test_spoilt_fields(kind: type[Message], path: Sequence[int], data: st.DataObject) -> None:
    agree(kind, path, data.draw(spoilt(path)))


def agree(kind: type[Message], path: Sequence[int], data: bytes) -> None:
    """Compare with the generated message; both may be refusals."""
    try:
        expected = kind.FromString(data)
    except DecodeError:
        with pytest.raises(DecodeError):
            parsed(kind, path, data)
        return
    found = parsed(kind, path, data)
    for tensor in tensors_of(found.message).values():
        tensor.data = bytes(found.bytes_of(tensor.data))
    # Compared as bytes: a NaN is not equal to itself.
    assert canonical(found.message) == canonical(expected)


def tensors_of(message: Message) -> Mapping[str, tensor_pb2.Tensor]:
    if isinstance(message, pb.EvaluateStreamRequest):
        return message.chunk.inputs if message.HasField("chunk") else {}
    assert isinstance(message, pb.EvaluateRequest)
    return message.inputs


def canonical(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def request(x: bytes) -> bytes:
    made = pb.EvaluateRequest(loss="huber")
    for name in ("predictions", "targets"):
        made.inputs[name].CopyFrom(tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_UINT8, data=x))
    return made.SerializeToString()


def test_the_bytes_are_those_of_the_request() -> None:
    data = request(bytes(range(256)))
    found: Cut[pb.EvaluateRequest] = parsed(pb.EvaluateRequest, REQUEST_DATA, data)
    for tensor in found.message.inputs.values():
        view = found.bytes_of(tensor.data)
        assert np.shares_memory(np.frombuffer(view, np.uint8), np.frombuffer(data, np.uint8))
        assert view == bytes(range(256))


def test_many_fields_are_left_to_protobuf() -> None:
    data = request(b"hunter2") + b"\x0a\x00" * cutting.MOST_FIELDS
    found = parsed(pb.EvaluateRequest, REQUEST_DATA, data)
    assert found.views is None
    assert [tensor.data for tensor in found.message.inputs.values()] == [b"hunter2"] * 2
