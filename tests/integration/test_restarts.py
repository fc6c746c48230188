"""Workers renewed, killed and let go while callers ask without a pause."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import httpx
import pytest

from lossmeter.v1.loss_service_pb2_grpc import LossServiceStub
from tests.integration.forms import Request, body, message
from tests.integration.servers import CHANNEL_OPTIONS, HOST, Service, serving, until
from tests.integration.test_processes import listening, workers
from tests.integration.wires import JSON, over_rest

GOOD: Request = {"loss": "huber", "inputs": {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}}
# A call that meets a worker as it stops is cancelled before anything of it is done.
AGAIN = {
    "name": [{}],
    "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    },
}
OPTIONS = [*CHANNEL_OPTIONS, ("grpc.service_config", json.dumps({"methodConfig": [AGAIN]}))]
# Less than the supervisor waits for a worker that does not answer.
BOOT_SECONDS = 45.0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Service]:
    """A server of two processes."""
    with serving(tmp_path / "log", "--workers", "2") as started:
        assert until(lambda: len(workers(started)) == 2)
        yield started


def asking_rest(http: httpx.Client) -> None:
    assert http.post("/v1/evaluate", content=body(GOOD), headers=JSON).json()["value"] == 1.3125


def asking_grpc(channel: grpc.Channel) -> None:
    assert LossServiceStub(channel).Evaluate(message(GOOD), timeout=60.0).count == 2


def callers(service: Service, opened: ExitStack) -> Iterator[Callable[[], None]]:
    """Who asks: on each wire over a connection that is kept, and over a new one each time."""
    url, address = f"http://{HOST}:{service.http_port}", f"{HOST}:{service.grpc_port}"
    kept_http = opened.enter_context(httpx.Client(base_url=url, timeout=60.0))
    kept_channel = opened.enter_context(grpc.insecure_channel(address, OPTIONS))

    # One that keeps none; a client of its own each time would mostly set itself up.
    limits = httpx.Limits(max_keepalive_connections=0)
    new_http = opened.enter_context(httpx.Client(base_url=url, timeout=60.0, limits=limits))

    def new_channel() -> None:
        with grpc.insecure_channel(address, OPTIONS) as channel:
            asking_grpc(channel)

    yield lambda: asking_rest(kept_http)
    yield lambda: asking_grpc(kept_channel)
    yield lambda: asking_rest(new_http)
    yield new_channel


def test_no_request_is_lost_when_workers_are_renewed(pair: Service) -> None:
    former, ended, failed, answered = workers(pair), threading.Event(), [], [0] * 4

    def keep_on(at: int, ask: Callable[[], None]) -> None:
        while not ended.is_set():
            try:
                ask()
                answered[at] += 1
            except Exception as error:
                failed.append(error)

    with ExitStack() as opened:
        threads = [
            threading.Thread(target=keep_on, args=(at, ask))
            for at, ask in enumerate(callers(pair, opened))
        ]
        for thread in threads:
            thread.start()
        pair.process.send_signal(signal.SIGHUP)
        renewed = until(
            lambda: len(workers(pair)) == 2 and not workers(pair) & former, 2 * BOOT_SECONDS
        )
        ended.set()
        for thread in threads:
            thread.join()
    assert renewed
    assert failed == []
    assert min(answered) > 0


def test_a_worker_that_is_killed_while_it_starts_is_replaced_soon(pair: Service) -> None:
    known = workers(pair)
    os.kill(min(known), signal.SIGKILL)
    assert until(lambda: workers(pair) - known != set())
    (starting,) = workers(pair) - known
    time.sleep(0.8)  # by then the supervisor waits to be told how it is
    os.kill(starting, signal.SIGKILL)
    known.add(starting)
    assert until(lambda: workers(pair) - known != set(), BOOT_SECONDS)
    assert until(lambda: len(workers(pair)) == 2)


def test_the_ports_are_closed_while_requests_in_flight_are_finished(pair: Service) -> None:
    content = body(GOOD)
    head = f"POST /v1/evaluate HTTP/1.1\r\nHost: here\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection((HOST, pair.http_port), timeout=30.0) as caller:
        caller.sendall(head.encode() + content[:9])
        over_rest(pair, GOOD)
        pair.process.send_signal(signal.SIGTERM)
        assert until(lambda: listening(pair) == [])
        caller.sendall(content[9:])
        answer = b"".join(iter(lambda: caller.recv(65536), b""))
    assert b'"value":1.3125' in answer
    assert b"connection: close" in answer
    assert pair.process.wait(30.0) == 0


def test_who_asks_again_as_the_service_stops_is_answered_once_more(tmp_path: Path) -> None:
    with serving(tmp_path / "log") as started:
        over_rest(started, GOOD)
        started.process.send_signal(signal.SIGTERM)
        assert until(lambda: "Shutting down" in started.log.read_text())
        done = started.http.post("/v1/evaluate", content=body(GOOD), headers=JSON)
        assert (done.json()["value"], done.headers["connection"]) == (1.3125, "close")
        assert started.process.wait(30.0) == 0
