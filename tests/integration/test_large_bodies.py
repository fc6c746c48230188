"""Bodies that the kernel reads to where they stay, over bare connections."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.integration.servers import HOST, Service, serving

MIB = 2**20
COUNT = 200_000
IDLE_SECONDS = 1
SMALL = b'{"loss":"huber","inputs":{"predictions":[1.5,5],"targets":[1,2]}}'
LARGE = orjson.dumps(
    {
        "loss": "mse",
        "inputs": {"predictions": [0.5] * COUNT, "targets": [2] * COUNT},
    }
)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that waits a second for more of a body."""
    log = tmp_path_factory.mktemp("hasty") / "log"
    with serving(log, stream_idle_seconds=IDLE_SECONDS) as started:
        yield started


class Caller:
    """A bare connection."""

    def __init__(self, service: Service) -> None:
        self.socket = socket.create_connection((HOST, service.http_port), timeout=30.0)
        self._came = b""

    def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        while b"\r\n\r\n" not in self._came:
            self._more()
        head, _, self._came = self._came.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ") for line in head.split(b"\r\n")[1:])
        size = int(fields[b"content-length"])
        while len(self._came) < size:
            self._more()
        body, self._came = self._came[:size], self._came[size:]
        return int(head.split(b" ")[1]), body

    def value(self) -> float:
        status, body = self.answer()
        assert status == 200, body
        return float(orjson.loads(body)["value"])

    def _more(self) -> None:
        data = self.socket.recv(65536)
        assert data, "the connection was closed"
        self._came += data


@pytest.fixture
def caller(hasty: Service) -> Iterator[Caller]:
    made = Caller(hasty)
    with made.socket:
        yield made


def asking(body: bytes, *fields: bytes) -> bytes:
    lines = [
        b"POST /v1/evaluate HTTP/1.1",
        b"Host: here",
        b"Content-Length: %d" % len(body),
        *fields,
    ]
    return b"\r\n".join([*lines, b"", b""])


def test_requests_follow_one_another_on_a_connection(caller: Caller) -> None:
    for body, value in ((SMALL, 1.3125), (LARGE, 2.25), (SMALL, 1.3125), (LARGE, 2.25)):
        caller.socket.sendall(asking(body) + body)
        assert caller.value() == value


def test_requests_sent_at_once_are_answered_in_turn(caller: Caller) -> None:
    requests = [(LARGE, 2.25), (SMALL, 1.3125), (LARGE, 2.25), (LARGE, 2.25), (SMALL, 1.3125)]
    caller.socket.sendall(b"".join(asking(body) + body for body, _ in requests))
    assert [caller.value() for _ in requests] == [value for _, value in requests]


@pytest.mark.parametrize("first", [0, 1, 70_000, 300_000, len(LARGE) - 1])
def test_a_body_may_come_in_pieces(caller: Caller, first: int) -> None:
    caller.socket.sendall(asking(LARGE))
    time.sleep(0.05)
    caller.socket.sendall(LARGE[:first])
    time.sleep(0.05)
    caller.socket.sendall(LARGE[first:] + asking(SMALL))
    assert caller.value() == 2.25
    caller.socket.sendall(SMALL)
    assert caller.value() == 1.3125


def test_a_caller_that_asks_first_is_told_to_go_on(caller: Caller) -> None:
    caller.socket.sendall(asking(LARGE, b"Expect: 100-continue"))
    assert caller.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    caller.socket.sendall(LARGE)
    assert caller.value() == 2.25


def test_a_slow_body_is_not_a_silent_one(caller: Caller) -> None:
    caller.socket.sendall(asking(LARGE))
    part = len(LARGE) // 4
    for at in range(0, len(LARGE), part):
        time.sleep(0.7 * IDLE_SECONDS)
        caller.socket.sendall(LARGE[at : at + part])
    assert caller.value() == 2.25


@pytest.mark.parametrize("sent", [0, 1, 300_000, len(LARGE) - 1])
def test_a_silent_body_is_given_up(caller: Caller, sent: int) -> None:
    caller.socket.sendall(asking(LARGE) + LARGE[:sent])
    started = time.monotonic()
    status, body = caller.answer()
    assert status == 504 and b"nothing came of the body" in body
    assert IDLE_SECONDS * 0.9 < time.monotonic() - started < IDLE_SECONDS * 4
    assert caller.socket.recv(1) == b""


def test_bytes_that_are_no_request_behind_a_body(caller: Caller) -> None:
    caller.socket.sendall(asking(LARGE) + LARGE + b"hunter2 \r\n\r\n")
    status, body = caller.answer()
    assert status == 400 and b"hunter2" not in body
    assert caller.socket.recv(1) == b""


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_cut_bodies_leave_nothing_behind(hasty: Service, reset: bool) -> None:
    files = Path(f"/proc/{hasty.process.pid}/fd")
    held = len(list(files.iterdir()))
    for cut in range(0, len(LARGE), len(LARGE) // 50):
        with Caller(hasty).socket as leaving:
            if reset:
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            leaving.sendall(asking(LARGE) + LARGE[:cut])
    deadline = time.monotonic() + 10.0
    while len(list(files.iterdir())) > held and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(files.iterdir())) <= held
    again = Caller(hasty)
    with again.socket:
        again.socket.sendall(asking(SMALL) + SMALL)
        assert again.value() == 1.3125
    assert hasty.faults() == []
