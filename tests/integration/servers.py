"""Real servers: started as an operator starts them, stopped as a container's runtime stops them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx

from lossmeter.v1.loss_service_pb2_grpc import LossServiceStub

HOST = "127.0.0.1"
# The console script beside this interpreter: what an operator types.
LOSSMETER = str(Path(sys.executable).with_name("lossmeter"))
START_SECONDS = 60.0
STOP_SECONDS = 20.0
PAUSE_SECONDS = 0.02
CHANNEL_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True, slots=True)
class Service:
    """A running server and a client of each of its wires."""

    process: subprocess.Popen[bytes]
    log: Path
    http_port: int
    grpc_port: int
    http: httpx.Client
    channel: grpc.Channel

    @property
    def stub(self) -> LossServiceStub:
        return LossServiceStub(self.channel)

    def answers(self) -> bool:
        """Whether REST takes requests, over a connection of its own."""
        try:
            return httpx.get(f"http://{HOST}:{self.http_port}/readyz").is_success
        except httpx.TransportError:
            return False

    def faults(self) -> list[str]:
        """What the log tells of faults of the service's own."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if "Traceback" in line or "internal error" in line]


@contextmanager
def serving(
    log: Path, *flags: str, ends: Container[int] = (0,), **settings: object
) -> Iterator[Service]:
    """A server on free ports, until the end of the block; it must then end calmly on SIGTERM."""
    http_port, grpc_port = free_ports()
    with log.open("wb") as sink:
        process = start(http_port, grpc_port, *flags, log=sink.fileno(), **settings)
    with process, connected(process, log, http_port, grpc_port) as service:
        try:
            until(lambda: service.answers() or process.poll() is not None, START_SECONDS)
            assert process.poll() is None, log.read_text()
            yield service
        finally:
            ended = stop(process)
    assert ended in ends, log.read_text()


@contextmanager
def connected(
    process: subprocess.Popen[bytes], log: Path, http_port: int, grpc_port: int
) -> Iterator[Service]:
    """A server with clients of its ports."""
    http = httpx.Client(base_url=f"http://{HOST}:{http_port}", timeout=60.0)
    with http, grpc.insecure_channel(f"{HOST}:{grpc_port}", CHANNEL_OPTIONS) as channel:
        yield Service(process, log, http_port, grpc_port, http, channel)


def start(
    http_port: int, grpc_port: int, *flags: str, log: int, **settings: object
) -> subprocess.Popen[bytes]:
    """Start the command; settings are its environment variables."""
    ports = ("--http-port", str(http_port), "--grpc-port", str(grpc_port))
    variables = {f"LOSSMETER_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.Popen(
        [LOSSMETER, "serve", *ports, *flags],
        env=os.environ | variables,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a server to stop, and say how it ended; one that does not end is killed."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def free_ports() -> tuple[int, int]:
    """Two ports on which nobody listens."""
    with socket.socket() as first, socket.socket() as second:
        for found in (first, second):
            found.bind((HOST, 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])


def until(holds: Callable[[], bool], seconds: float = STOP_SECONDS) -> bool:
    """Wait until something holds, and say whether it came to."""
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(PAUSE_SECONDS)
    return held
