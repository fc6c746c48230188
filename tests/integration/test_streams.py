"""Streams of gRPC as they come: long, endless, idle, too many, given up, wrong in the middle."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from grpc_status import rpc_status

from lossmeter.v1 import loss_service_pb2 as pb
from tests.integration.forms import Request, array_of, chunk, message, raw_tensor, stream
from tests.integration.refusals import details, faults_of_error, over_rpc, told_by_rpc
from tests.integration.replies import of_grpc
from tests.integration.servers import Service, serving, until
from tests.integration.wires import in_process, over_grpc

GOOD: Request = {"loss": "huber", "inputs": {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}}
SPEC = pb.EvaluateStreamRequest(spec=message({"loss": "huber", "inputs": {}}))
ROWS = chunk({"predictions": np.zeros(2**16), "targets": np.ones(2**16)})
IDLE_SECONDS = 1.0
STREAMS = 3
MIB = 2**20


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with a thread for calls and few streams, which may not be idle."""
    with serving(
        tmp_path_factory.mktemp("narrow") / "log",
        grpc_threads=1,
        max_streams=STREAMS,
        stream_idle_seconds=IDLE_SECONDS,
    ) as started:
        yield started
        assert started.faults() == []


class Idle:
    """A stream that is open and brings nothing."""

    def __init__(self, service: Service, *messages: pb.EvaluateStreamRequest) -> None:
        self._over = threading.Event()
        self.call = service.stub.EvaluateStream.future(self._sent(messages), timeout=30.0)

    def _sent(
        self, messages: tuple[pb.EvaluateStreamRequest, ...]
    ) -> Iterator[pb.EvaluateStreamRequest]:
        yield from messages
        self._over.wait(30.0)

    def leave(self) -> None:
        self.call.cancel()  # type: ignore[no-untyped-call]

    def end(self) -> None:
        self._over.set()
        self.leave()


@pytest.mark.parametrize("rows", [7, 1000, 20_000, 50_000])
def test_the_bits_do_not_depend_on_the_chunks(service: Service, rows: int) -> None:
    n, rng = min(50_000, 100 * rows), np.random.default_rng(rows)
    inputs = {
        "predictions": rng.standard_normal((n, 5), np.float32),
        "targets": rng.random((n, 5), np.float32),
        "sample_weight": rng.random(n, np.float32),
        "mask": rng.random(n) < 0.9,
    }
    loss = "binary_cross_entropy_with_logits"
    asked = {"loss": loss, "reduction": "weighted_mean", "inputs": inputs}
    streamed = of_grpc(service.stub.EvaluateStream(stream(asked, rows)))
    assert streamed.bits == over_grpc(service, asked).bits == in_process(service, asked).bits


MISTAKES: dict[str, tuple[pb.EvaluateStreamRequest, str, str | None]] = {
    "an input that is missing": (
        chunk({"predictions": np.zeros(2)}),
        "MISSING_INPUT",
        "inputs.targets",
    ),
    "other sizes": (
        chunk({"predictions": np.zeros(2), "targets": np.zeros(3)}),
        "SHAPE_MISMATCH",
        "inputs.targets",
    ),
    "a large tensor with too few bytes": (
        pb.EvaluateStreamRequest(
            chunk=pb.EvaluateStreamRequest.Chunk(
                inputs={
                    "predictions": raw_tensor("FLOAT64", [2**16], bytes(MIB)),
                    "targets": raw_tensor("FLOAT64", [2**16], bytes(2**19)),
                }
            )
        ),
        "SHAPE_MISMATCH",
        "inputs.predictions",
    ),
    "no chunk": (SPEC, "MALFORMED_REQUEST", "chunk"),
}


@pytest.mark.parametrize(("bad", "reason", "field"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_ends_a_stream_that_would_never_end(
    service: Service, bad: pb.EvaluateStreamRequest, reason: str, field: str | None
) -> None:
    sent = 0

    def endless() -> Iterator[pb.EvaluateStreamRequest]:
        nonlocal sent
        yield SPEC
        yield from (ROWS, ROWS, ROWS, bad)
        while True:
            sent += 1
            yield ROWS

    with pytest.raises(grpc.RpcError) as raised:
        service.stub.EvaluateStream(endless(), timeout=30.0)
    assert told_by_rpc(raised.value) == over_rpc(reason, field)
    assert details(raised.value)[0].metadata["chunk"] == "3"
    assert faults_of_error(raised.value, "chunk 3: ") == []
    before = sent
    time.sleep(0.1)
    assert sent <= before + 1


def test_a_message_that_is_none_says_which_chunk_it_is(service: Service) -> None:
    call = service.channel.stream_unary("/lossmeter.v1.LossService/EvaluateStream", None, None)
    sent = [SPEC.SerializeToString(), ROWS.SerializeToString(), b"\xff" * MIB]
    with pytest.raises(grpc.RpcError) as raised:
        call(iter(sent), timeout=10.0)
    assert told_by_rpc(raised.value) == over_rpc("MALFORMED_REQUEST", None)
    assert details(raised.value)[0].metadata["chunk"] == "1"


@pytest.mark.parametrize("messages", [(), (SPEC,), (SPEC, ROWS)], ids=["none", "spec", "rows"])
def test_an_idle_stream_is_ended(
    narrow: Service, messages: tuple[pb.EvaluateStreamRequest, ...]
) -> None:
    idle = Idle(narrow, *messages)
    error = idle.call.exception()
    assert isinstance(error, grpc.RpcError)
    assert told_by_rpc(error) == over_rpc("DEADLINE_EXCEEDED", None)
    assert faults_of_error(error, "brought nothing for 1 s") == []
    idle.end()


def test_an_idle_stream_of_another_service_is_ended(narrow: Service) -> None:
    over = threading.Event()

    def asked() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        over.wait(30.0)

    answers = ServerReflectionStub(narrow.channel).ServerReflectionInfo(asked(), timeout=30.0)
    assert next(answers).list_services_response.service
    with pytest.raises(grpc.RpcError) as raised:
        next(answers)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    over.set()


def test_a_slow_stream_is_not_idle(narrow: Service) -> None:
    def slow() -> Iterator[pb.EvaluateStreamRequest]:
        yield SPEC
        for _ in range(4):
            time.sleep(0.4 * IDLE_SECONDS)
            yield ROWS

    assert narrow.stub.EvaluateStream(slow(), timeout=30.0).count == 4 * 2**16


def test_idle_streams_delay_nobody(narrow: Service) -> None:
    idle = [Idle(narrow, SPEC, ROWS) for _ in range(STREAMS)]
    assert until(lambda: isinstance(refused(narrow), grpc.RpcError))
    before = time.perf_counter()
    assert over_grpc(narrow, GOOD).bits == (1.3125).hex()
    assert time.perf_counter() - before < IDLE_SECONDS / 2
    for one in idle:
        one.end()
    assert until(lambda: refused(narrow) is None)


def refused(service: Service) -> grpc.RpcError | None:
    """The refusal of one stream more, if it is refused."""
    try:
        service.stub.EvaluateStream(iter([SPEC, ROWS]), timeout=30.0)
    except grpc.RpcError as error:
        assert told_by_rpc(error) == over_rpc("OVERLOADED", None)
        assert delay_of(error) > 0
        return error
    return None


def delay_of(error: Any) -> float:
    """After how many seconds one may try again."""
    retry, status = error_details_pb2.RetryInfo(), rpc_status.from_call(error)
    assert status is not None
    assert any(packed.Unpack(retry) for packed in status.details)
    return float(retry.retry_delay.ToSeconds())


def test_a_caller_that_leaves_frees_its_stream(narrow: Service) -> None:
    idle = [Idle(narrow, SPEC) for _ in range(STREAMS)]
    assert until(lambda: refused(narrow) is not None)
    idle[0].leave()
    assert until(lambda: refused(narrow) is None, IDLE_SECONDS / 2)
    for one in idle:
        one.end()


def test_work_stops_when_the_deadline_passes(service: Service) -> None:
    slow = "predictions" + "*exp(-abs(predictions))" * 40 + "+targets"
    x = np.linspace(0.1, 1.0, 2**22, dtype=np.float32)
    asked = message({"loss": {"expression": slow}, "inputs": {"predictions": x, "targets": x}})
    begun, before = time.perf_counter(), seconds_of(service)
    assert service.stub.Evaluate(asked).count == x.size
    whole, taken = seconds_of(service) - before, time.perf_counter() - begun
    before = seconds_of(service)
    with pytest.raises(grpc.RpcError) as raised:
        service.stub.Evaluate(asked, timeout=taken / 8)
    time.sleep(taken)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert seconds_of(service) - before < 0.75 * whole


def seconds_of(service: Service) -> float:
    """The processor time that a service took so far."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_large_messages_go_both_ways(service: Service) -> None:
    x = np.arange(2**22, dtype=np.float32)
    asked = message(
        {
            "loss": "squared_error",
            "reduction": "none",
            "inputs": {"predictions": x, "targets": np.zeros_like(x)},
        }
    )
    assert np.array_equal(array_of(service.stub.Evaluate(asked).value), x * x)
