"""Starting, stopping, dying: what becomes of the calls in flight and of the ports."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from lossmeter.v1 import loss_service_pb2 as pb
from tests.integration.columns import columns, shuffled
from tests.integration.forms import Request, body, chunk, message, stream
from tests.integration.replies import of_grpc
from tests.integration.servers import (
    HOST,
    LOSSMETER,
    Service,
    connected,
    free_ports,
    serving,
    until,
)
from tests.integration.wires import in_process, over_grpc, over_rest, over_stream

MIB = 2**20
GOOD: Request = {"loss": "huber", "inputs": {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}}
CALLS = 20
INTERRUPTED = (130, -signal.SIGINT)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Service]:
    """A server of its own."""
    with serving(tmp_path / "log") as started:
        yield started


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Service]:
    """A server of two processes."""
    with serving(tmp_path / "log", "--workers", "2") as started:
        until(lambda: len(workers(started)) == 2)
        yield started


def workers(service: Service) -> set[int]:
    """The processes that serve."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in children if b"spawn_main" in command(child)}


def command(pid: str) -> bytes:
    """What a process runs; nothing of one that has just ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_one_process_serves_both_ports(service: Service) -> None:
    assert workers(service) == set()
    assert [ask(service, GOOD).bits for ask in (over_rest, over_grpc)] == [(1.3125).hex()] * 2


def test_two_processes_give_the_same_bits(pair: Service) -> None:
    given = columns("log_cosh", "float64", 2000)
    inputs = {name: x for name, x in shuffled(given, 5).items() if name != "country"}
    asked = {"loss": "log_cosh", "inputs": inputs}
    found = {answers(pair, asked) for _ in range(CALLS)}
    assert found == {(in_process(None, asked).bits,) * 3}


def test_a_process_that_is_killed_is_replaced(pair: Service) -> None:
    assert until(lambda: len(workers(pair)) == 2)
    killed = min(workers(pair))
    os.kill(killed, signal.SIGKILL)
    assert until(lambda: len(workers(pair) - {killed}) == 2)
    assert [answers(pair, GOOD) for _ in range(CALLS)] == [((1.3125).hex(),) * 3] * CALLS


def answers(service: Service, asked: Request) -> tuple[object, ...]:
    """What each wire answers over connections of their own."""
    with connected(service.process, service.log, service.http_port, service.grpc_port) as fresh:
        return tuple(ask(fresh, asked).bits for ask in (over_rest, over_grpc, over_stream(100)))


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--workers", "2", ends=(-signal.SIGKILL,)) as started:
        assert until(lambda: len(workers(started)) == 2)
        started.process.kill()
        assert until(lambda: listening(started) == [])


def listening(service: Service) -> list[int]:
    """The ports on which the service still listens."""
    found = []
    for port in (service.http_port, service.grpc_port):
        with socket.socket() as caller:
            if caller.connect_ex((HOST, port)) == 0:
                found.append(port)
    return found


def test_a_stream_in_flight_is_finished(alone: Service) -> None:
    asked, stopping = {**GOOD, "reduction": "sum"}, threading.Event()

    def sent() -> Iterator[pb.EvaluateStreamRequest]:
        yield from stream(asked, rows=1)
        stopping.wait()
        yield from list(stream(asked, rows=1))[1:]

    call = alone.stub.EvaluateStream.future(sent(), timeout=30.0)
    stop_listening(alone)
    stopping.set()
    assert of_grpc(call.result()).bits == (2 * 2.625).hex()
    assert alone.process.wait(10.0) == 0


def stop_listening(service: Service) -> None:
    """Tell a service to stop, once it has seen what was sent before."""
    assert [ask(service, GOOD).bits for ask in (over_rest, over_grpc)] == [(1.3125).hex()] * 2
    service.process.send_signal(signal.SIGTERM)
    assert until(lambda: listening(service) == [])


def test_a_request_in_flight_is_finished(alone: Service) -> None:
    content = body(GOOD)
    head = f"POST /v1/evaluate HTTP/1.1\r\nHost: here\r\nContent-Length: {len(content)}\r\n"
    with socket.create_connection((HOST, alone.http_port), timeout=10.0) as caller:
        caller.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + content[:9])
        stop_listening(alone)
        caller.sendall(content[9:])
        answer = b"".join(iter(lambda: caller.recv(65536), b""))
    assert b'"value":1.3125' in answer
    assert alone.process.wait(10.0) == 0


@pytest.mark.parametrize(
    ("flags", "number", "ends"),
    [
        pytest.param([], signal.SIGTERM, (0,), id="one process by SIGTERM"),
        pytest.param([], signal.SIGINT, INTERRUPTED, id="one process by Ctrl-C"),
        pytest.param(["--workers", "2"], signal.SIGTERM, (0,), id="two processes by SIGTERM"),
    ],
)
def test_a_service_that_is_told_to_stop_ends_quietly(
    tmp_path: Path, flags: list[str], number: signal.Signals, ends: tuple[int, ...]
) -> None:
    with serving(tmp_path / "log", *flags, ends=ends) as started:
        over_grpc(started, GOOD)
        started.process.send_signal(number)
        assert until(lambda: started.process.poll() is not None)
        assert until(lambda: listening(started) == [])
    assert started.faults() == []


@pytest.mark.parametrize(
    ("theirs", "flags"),
    [
        pytest.param(("http_port", "grpc_port"), [], id="both ports"),
        pytest.param(("http_port",), [], id="the port of REST"),
        pytest.param(("grpc_port",), [], id="the port of gRPC"),
        pytest.param(("grpc_port",), ["--workers", "2"], id="the port of gRPC, for two processes"),
    ],
)
def test_a_second_service_on_the_same_ports_says_so(
    service: Service, theirs: tuple[str, ...], flags: list[str]
) -> None:
    ports = dict(zip(("http_port", "grpc_port"), free_ports(), strict=True))
    ports |= {name: getattr(service, name) for name in theirs}
    asked = [f"--{name.replace('_', '-')}={port}" for name, port in ports.items()]
    words = [LOSSMETER, "serve", *asked, *flags]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20.0, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert f"error: 127.0.0.1:{ports[theirs[0]]}: Address already in use" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--http-port", "70000"], id="a port beyond the last"),
        pytest.param(["--workers", "0"], id="no process"),
        pytest.param(["--backend", "abacus"], id="a backend of no kind"),
        pytest.param(["--device", "cuda"], id="a device that is not here"),
        pytest.param(["--host", "256.1.1.1"], id="an address of no machine"),
        pytest.param(["--host", "192.0.2.1"], id="an address of another machine"),
    ],
)
def test_a_setting_that_cannot_be_is_told(words: list[str]) -> None:
    done = subprocess.run(
        [LOSSMETER, "serve", *words], capture_output=True, text=True, timeout=20.0, check=False
    )
    assert done.returncode in (1, 2)
    assert ("Traceback" in done.stderr, "rror" in done.stderr) == (False, True)


def test_a_stream_takes_no_memory(alone: Service) -> None:
    x = np.linspace(-1.0, 1.0, 2**16)
    rows = chunk({"predictions": x, "targets": x[::-1]})

    def sent(chunks: int) -> Iterator[pb.EvaluateStreamRequest]:
        yield pb.EvaluateStreamRequest(spec=message({"loss": "squared_error", "inputs": {}}))
        yield from (rows for _ in range(chunks))

    alone.stub.EvaluateStream(sent(5))
    before = most_memory(alone)
    assert alone.stub.EvaluateStream(sent(200)).count == 200 * x.size
    assert most_memory(alone) - before < 64 * MIB


def most_memory(service: Service) -> int:
    """The greatest resident size so far."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
