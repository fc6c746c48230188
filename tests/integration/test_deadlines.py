"""Answers that come too late, or that nobody waits for: the work stops, and is counted."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest

from tests.integration.forms import Request, body, message
from tests.integration.refusals import faults_of_response
from tests.integration.servers import HOST, Service, serving, until
from tests.integration.test_metrics import gauge, requests
from tests.integration.wires import JSON

ROWS, LOSSES = 500_000, 200
SOON = 0.3
# Far less than all of the work takes, far more than a block.
STOPPED_SECONDS = 10.0
GOOD: Request = {"loss": "huber", "inputs": {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}}


@pytest.fixture(scope="module")
def long() -> Request:
    """A request that takes many seconds."""
    x = np.random.default_rng(0).random(ROWS, np.float32)
    losses = {f"loss {at}": {"loss": "log_cosh"} for at in range(LOSSES)}
    return {"losses": losses, "inputs": {"predictions": x, "targets": x[::-1].copy()}}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server on which no request may take long."""
    with serving(tmp_path_factory.mktemp("hasty") / "log", request_seconds=SOON) as started:
        yield started


def ask(service: Service, request: Request, **headers: str) -> httpx.Response:
    return service.http.post("/v1/evaluate", content=body(request), headers={**JSON, **headers})


def codes(service: Service) -> dict[str, int]:
    """How many requests ended with each code."""
    found: dict[str, int] = {}
    for (_, _, code), count in requests(service).items():
        found[code] = found.get(code, 0) + count
    return found


def is_idle(service: Service) -> bool:
    """Whether the processor has nothing to do any more."""
    before = busy(service)
    time.sleep(0.5)
    return busy(service) - before < 0.1


def busy(service: Service) -> float:
    """Seconds of the processor that the server has taken."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100.0


def test_an_answer_in_time(service: Service) -> None:
    assert ask(service, GOOD, timeout="60").json()["value"] == 1.3125


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf", "1e999", "1 s"])
def test_a_time_that_is_none(service: Service, text: str) -> None:
    refused = ask(service, GOOD, timeout=text)
    told = refused.json()
    assert (refused.status_code, told["reason"], told["field"]) == (
        400,
        "MALFORMED_REQUEST",
        "timeout",
    )


def test_an_answer_that_comes_too_late(service: Service, long: Request) -> None:
    before = codes(service).get("DEADLINE_EXCEEDED", 0)
    late = ask(service, long, timeout=str(SOON))
    assert late.status_code == 504
    assert late.json()["reason"] == "DEADLINE_EXCEEDED"
    assert faults_of_response(late) == []
    assert until(lambda: is_idle(service), STOPPED_SECONDS)
    assert codes(service)["DEADLINE_EXCEEDED"] == before + 1
    assert ask(service, GOOD).json()["value"] == 1.3125


@pytest.mark.parametrize("length", [1000, 10**7], ids=["small", "large"])
def test_a_body_that_comes_too_late(service: Service, length: int) -> None:
    head = (
        f"POST /v1/evaluate HTTP/1.1\r\nHost: here\r\nTimeout: {SOON}\r\nContent-Length: {length}"
    )
    with socket.create_connection((HOST, service.http_port), timeout=STOPPED_SECONDS) as caller:
        caller.sendall(f"{head}\r\n\r\n".encode() + b"{" * (length // 2))
        assert b" 504 " in caller.recv(65536).split(b"\r\n")[0]


def test_a_caller_that_leaves_while_its_answer_is_computed(service: Service, long: Request) -> None:
    content, before = body(long), codes(service).get("CANCELLED", 0)
    head = f"POST /v1/evaluate HTTP/1.1\r\nHost: here\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection((HOST, service.http_port), timeout=30.0) as caller:
        caller.sendall(head.encode() + content)
        assert until(lambda: gauge(service, "lossmeter_requests_in_flight") >= 1.0)
        time.sleep(SOON)
    assert until(lambda: codes(service).get("CANCELLED", 0) == before + 1, STOPPED_SECONDS)
    assert until(lambda: is_idle(service), STOPPED_SECONDS)
    assert service.faults() == []


def test_no_request_may_take_longer_than_an_operator_lets_it(hasty: Service, long: Request) -> None:
    asked = [ask(hasty, long), ask(hasty, long, timeout="600")]
    assert [late.status_code for late in asked] == [504, 504]
    with pytest.raises(grpc.RpcError) as raised:
        hasty.stub.Evaluate(message(long))
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert until(lambda: is_idle(hasty), STOPPED_SECONDS)
    assert ask(hasty, GOOD).json()["value"] == 1.3125


def test_others_are_answered_while_one_is_late(service: Service, long: Request) -> None:
    late = threading.Thread(target=lambda: ask_apart(service, long))
    late.start()
    assert ask(service, GOOD).json()["value"] == 1.3125
    late.join()


def ask_apart(service: Service, request: Request) -> None:
    """Ask over a connection of one's own."""
    url = f"http://{HOST}:{service.http_port}/v1/evaluate"
    headers = {**JSON, "timeout": str(SOON)}
    assert httpx.post(url, content=body(request), headers=headers, timeout=60.0).is_error
