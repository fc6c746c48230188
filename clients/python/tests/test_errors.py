"""Errors, and what is tried again: against servers that answer what the test wants."""

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

import lossmeter_client
from lossmeter_client import (
    Client,
    DeadlineExceeded,
    HttpClient,
    Internal,
    LossmeterError,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from lossmeter_client.errors import OF_CODE, error_of
from lossmeter_client.v1 import loss_service_pb2 as pb
from lossmeter_client.v1 import tensor_pb2
from tests.integration.servers import HOST

DATA = {"predictions": np.ones(2), "targets": np.zeros(2)}
GOOD = pb.EvaluateResponse(
    value=tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_FLOAT64, data=bytes(8)),
    loss="huber",
    reduction="mean",
    count=2,
    backend="numpy",
    device="cpu",
    dtype="float64",
)


def status(reason: str, code: str = "RESOURCE_EXHAUSTED", seconds: float | None = None) -> Any:
    info = error_details_pb2.ErrorInfo(reason=reason, domain="lossmeter")
    details: list[Any] = [info]
    if seconds is not None:
        delay = Duration(nanos=int(seconds * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = [Packed() for _ in details]
    for one, detail in zip(packed, details, strict=True):
        one.Pack(detail)
    made = status_pb2.Status(code=code_pb2.Code.Value(code), message="told", details=packed)
    return rpc_status.to_status(made)


class Scripted:
    """Refuses as it is told, then answers: of a service, what these tests call."""

    def __init__(self, *refusals: Any) -> None:
        self.refusals = list(refusals)
        self.calls: list[dict[str, str]] = []

    def Evaluate(
        self, request: pb.EvaluateRequest, context: grpc.ServicerContext
    ) -> pb.EvaluateResponse:
        given: Any = context.invocation_metadata()
        self.calls.append({name: str(text) for name, text in given})
        if self.refusals:
            context.abort_with_status(self.refusals.pop(0))
        return GOOD

    def EvaluateStream(
        self, request_iterator: Iterator[pb.EvaluateStreamRequest], context: grpc.ServicerContext
    ) -> pb.EvaluateResponse:
        for _ in request_iterator:
            pass
        return self.Evaluate(pb.EvaluateRequest(), context)


@contextmanager
def scripted(*refusals: Any, **options: Any) -> Iterator[tuple[Client, Scripted]]:
    servicer = Scripted(*refusals)
    server = grpc.server(ThreadPoolExecutor(2))
    methods = {
        "Evaluate": grpc.unary_unary_rpc_method_handler(
            servicer.Evaluate,
            pb.EvaluateRequest.FromString,
            pb.EvaluateResponse.SerializeToString,
        ),
        "EvaluateStream": grpc.stream_unary_rpc_method_handler(
            servicer.EvaluateStream,
            pb.EvaluateStreamRequest.FromString,
            pb.EvaluateResponse.SerializeToString,
        ),
    }
    handler = grpc.method_handlers_generic_handler("lossmeter.v1.LossService", methods)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        with Client(f"{HOST}:{port}", **options) as client:
            yield client, servicer
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("unary_bytes", [10_000, 0])
def test_an_overloaded_service_is_asked_again_when_it_says(unary_bytes: int) -> None:
    busy = status("OVERLOADED", seconds=0.01)
    with scripted(busy, busy, unary_bytes=unary_bytes) as (client, servicer):
        assert client.evaluate("huber", DATA).count == 2
    assert len(servicer.calls) == 3


def test_a_service_overloaded_for_long_is_given_up() -> None:
    with (
        scripted(*[status("OVERLOADED", seconds=0.01)] * 9) as (client, servicer),
        pytest.raises(Overloaded),
    ):
        client.evaluate("huber", DATA)
    assert len(servicer.calls) == 5


def test_a_pause_beyond_the_timeout_is_not_waited_for() -> None:
    with (
        scripted(status("OVERLOADED", seconds=0.9), timeout=0.5) as (client, servicer),
        pytest.raises(Overloaded) as raised,
    ):
        client.evaluate("huber", DATA)
    assert raised.value.retry_after == pytest.approx(0.9)
    assert len(servicer.calls) == 1


def test_what_is_too_large_stays_so() -> None:
    with scripted(status("TOO_LARGE")) as (client, servicer), pytest.raises(TooLarge):
        client.evaluate("huber", DATA)
    assert len(servicer.calls) == 1


def test_a_service_that_is_stopping_is_asked_again() -> None:
    away = status("DRAINING", "UNAVAILABLE")
    with scripted(away, away) as (client, servicer):
        assert client.evaluate("huber", DATA).count == 2
    assert len(servicer.calls) == 3


def test_a_token_goes_with_every_call() -> None:
    with scripted(token="abc") as (client, servicer):
        client.evaluate("huber", DATA)
        client.evaluate_stream("huber", [DATA])
    assert [call["authorization"] for call in servicer.calls] == ["Bearer abc"] * 2


def over(answer: Callable[[httpx.Request], httpx.Response], **options: Any) -> HttpClient:
    """A client whose requests go nowhere."""
    client = HttpClient(**options)
    client._http.close()
    client._http = httpx.Client(
        transport=httpx.MockTransport(answer), base_url="http://x", headers=client._http.headers
    )
    return client


def test_rest_tries_again_as_it_is_told() -> None:
    answers = [
        httpx.Response(429, json={"reason": "OVERLOADED"}, headers={"retry-after": "0"}),
        httpx.Response(503, json={"reason": "DRAINING"}, headers={"retry-after": "0"}),
        httpx.Response(200, json={"losses": []}),
    ]
    with over(lambda _: answers.pop(0)) as client:
        assert client.list_losses() == []


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (401, b"", Unauthenticated),
        (500, b"<html>", Internal),
        (413, b'{"reason": "TOO_LARGE", "limit": 1, "actual": 2}', TooLarge),
        (504, b"[]", DeadlineExceeded),
        (418, b"{}", LossmeterError),
    ],
)
def test_whatever_stands_between_is_an_error_of_ours(
    code: int, body: bytes, kind: type[LossmeterError]
) -> None:
    with (
        over(lambda _: httpx.Response(code, content=body)) as client,
        pytest.raises(LossmeterError) as raised,
    ):
        client.get_loss("huber")
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(httpx.ReadTimeout, DeadlineExceeded), (httpx.ConnectError, Unavailable)],
)
def test_a_broken_exchange_is_an_error_of_ours(
    fault: type[httpx.TransportError], kind: type[LossmeterError]
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise fault("hurt")

    with over(answer, timeout=0.3) as client, pytest.raises(kind):
        client.get_loss("huber")


@pytest.mark.parametrize("code", OF_CODE)
def test_an_error_survives_its_way_to_another_process(code: str) -> None:
    made = error_of(code, "told", {"reason": "R", "field": "inputs.x", "limit": "3"}, 0.5)
    again = pickle.loads(pickle.dumps(made))
    assert (type(again), vars(again)) == (type(made), vars(made))
    assert str(again) == "R at inputs.x: told"


def test_every_error_is_offered() -> None:
    offered = {getattr(lossmeter_client, name) for name in lossmeter_client.__all__}
    assert {error_of(code, "").__class__ for code in OF_CODE} <= offered
