"""nginx as compose runs it, over two real services: both wires, and one killed."""

import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest

from lossmeter.v1.loss_service_pb2_grpc import LossServiceStub
from tests.integration.conftest import GOOD
from tests.integration.forms import body, message, stream
from tests.integration.servers import (
    HOST,
    START_SECONDS,
    Service,
    connected,
    free_ports,
    serving,
    start,
    stop,
    until,
)
from tests.integration.test_metrics import requests
from tests.integration.wires import JSON

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "nginx.conf"
pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx is installed")
ASKED = 40
# After which nginx asks a replica again that it found closed.
SETTLED_SECONDS = 1.5
# The policy of docs/guides/operating.md.
REPEATED = {
    "name": [{}],
    "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    },
}
HUBER = 1.3125


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """Two services; the second may be killed."""
    folder = tmp_path_factory.mktemp("replicas")
    mortal = serving(folder / "second", ends=(0, -signal.SIGKILL))
    with serving(folder / "first") as first, mortal as second:
        yield [first, second]


@pytest.fixture(scope="module")
def balanced(
    replicas: list[Service], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The balancer before them, as if it were a service."""
    behind = [(replica.http_port, replica.grpc_port) for replica in replicas]
    with balancing(tmp_path_factory.mktemp("nginx"), behind) as found:
        assert until(found.answers), found.log.read_text()
        yield found


@contextmanager
def balancing(folder: Path, behind: list[tuple[int, int]]) -> Iterator[Service]:
    """nginx before services, by their ports of REST and gRPC."""
    ports = free_ports()
    (folder / "nginx.conf").write_text(configured(folder, behind, ports))
    assert NGINX is not None
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    with process, connected(process, folder / "log", *ports) as found:
        try:
            yield found
        finally:
            process.send_signal(signal.SIGQUIT)
    assert process.returncode == 0, (folder / "log").read_text()


def configured(folder: Path, behind: list[tuple[int, int]], ports: tuple[int, int]) -> str:
    """The configuration with addresses for the replicas' name, and with ports that are free."""
    text = CONFIGURATION.read_text().replace("/tmp/", f"{folder}/")
    for inside, port, theirs in zip((8080, 8081), ports, zip(*behind, strict=True), strict=True):
        # Names asked again and again need a newer nginx than that of some distributions.
        named = rf"server replica:{inside} resolve (.*);"
        text, found = re.subn(named, "\n".join(rf"server {HOST}:{p} \1;" for p in theirs), text)
        text, listens = re.subn(rf"listen {inside}\b", f"listen {HOST}:{port}", text)
        assert (found, listens) == (1, 1)
    return text


def asked(service: Service) -> list[float]:
    """The answers of one request in every way."""
    answer = service.http.post("/v1/evaluate", content=body(GOOD), headers=JSON)
    unary = service.stub.Evaluate(message(GOOD), timeout=30.0)
    streamed = service.stub.EvaluateStream(stream(GOOD, rows=1), timeout=30.0)
    return [
        float(answer.raise_for_status().json()["value"]),
        *(float(np.frombuffer(found.value.data)[0]) for found in (unary, streamed)),
    ]


def test_requests_of_one_connection_are_shared_out(
    balanced: Service, replicas: list[Service]
) -> None:
    before = [requests(replica) for replica in replicas]
    for _ in range(ASKED):
        assert asked(balanced) == [HUBER] * 3
    for replica, then in zip(replicas, before, strict=True):
        counted = requests(replica) - then
        assert counted["rest", "huber", "OK"] > ASKED / 4
        assert counted["grpc", "huber", "OK"] > ASKED / 2


def test_mistakes_come_through_as_they_are(balanced: Service) -> None:
    answer = balanced.http.post("/v1/evaluate", content=b'{"loss": "hubr"}', headers=JSON)
    assert (answer.status_code, answer.json()["reason"]) == (404, "LOSS_NOT_FOUND")
    with pytest.raises(grpc.RpcError) as refused:
        balanced.stub.Evaluate(message({**GOOD, "loss": "hubr"}))
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert "grpc-status-details-bin" in {x.key for x in refused.value.trailing_metadata()}


def test_a_body_in_pieces_is_passed_on(balanced: Service) -> None:
    rows = 200_000
    csv = b"predictions,targets\n" + b"1.5,1.0\n" * rows

    def pieces() -> Iterator[bytes]:
        yield from (csv[at : at + 65536] for at in range(0, len(csv), 65536))

    answer = balanced.http.post(
        "/v1/evaluate",
        params={"loss": "huber"},
        content=pieces(),
        headers={"content-type": "text/csv"},
    )
    assert answer.raise_for_status().json()["count"] == rows


def test_metrics_are_those_of_each_replica(balanced: Service) -> None:
    assert balanced.http.get("/metrics").status_code == 404


def test_a_killed_replica_is_noticed_by_nobody(balanced: Service, replicas: list[Service]) -> None:
    replicas[1].process.kill()
    replicas[1].process.wait()
    for _ in range(ASKED):
        assert asked(balanced) == [HUBER] * 3


def test_replicas_started_anew_in_turn_lose_no_request(tmp_path: Path) -> None:
    behind = [free_ports(), free_ports()]
    failed: list[str] = []
    with (tmp_path / "services").open("wb") as log, balancing(tmp_path, behind) as balanced:
        processes = [start(*ports, log=log.fileno()) for ports in behind]
        try:
            assert all(until(partial(ready, ports), START_SECONDS) for ports in behind)
            with asking(balanced, failed) as answered:
                for i, ports in enumerate(behind):
                    assert stop(processes[i]) == 0
                    processes[i] = start(*ports, log=log.fileno())
                    assert until(partial(ready, ports), START_SECONDS)
                    time.sleep(SETTLED_SECONDS)
        finally:
            assert [stop(process) for process in processes] == [0, 0]
    assert failed == []
    assert answered["rest"] > ASKED < answered["grpc"]


def ready(ports: tuple[int, int]) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{ports[0]}/readyz").is_success
    except httpx.TransportError:
        return False


@contextmanager
def asking(service: Service, failed: list[str]) -> Iterator[Counter[str]]:
    """Ask over both wires until the end of the block, as clients that repeat what gRPC ended."""
    ended, answered = threading.Event(), Counter[str]()
    options = [("grpc.service_config", json.dumps({"methodConfig": [REPEATED]}))]

    def ask(wire: str, once: Callable[[], object]) -> None:
        while not ended.is_set():
            try:
                once()
                answered[wire] += 1
            except (httpx.HTTPError, grpc.RpcError) as error:
                failed.append(f"{wire}: {error!r}")

    def rest() -> None:
        service.http.post("/v1/evaluate", content=body(GOOD), headers=JSON).raise_for_status()

    with grpc.insecure_channel(f"{HOST}:{service.grpc_port}", options) as channel:
        evaluate = partial(LossServiceStub(channel).Evaluate, message(GOOD), timeout=30.0)
        callers = [
            threading.Thread(target=ask, args=("rest", rest)),
            threading.Thread(target=ask, args=("grpc", evaluate)),
        ]
        for caller in callers:
            caller.start()
        try:
            yield answered
        finally:
            ended.set()
            for caller in callers:
                caller.join()


def test_where_no_replica_answers_the_caller_may_try_again(tmp_path: Path) -> None:
    with balancing(tmp_path, [free_ports()]) as alone:
        assert until(lambda: status(alone) == httpx.codes.BAD_GATEWAY)
        with pytest.raises(grpc.RpcError) as refused:
            alone.stub.Evaluate(message(GOOD), timeout=30.0)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def status(service: Service) -> int:
    """Of its readiness; 0 where nothing listens."""
    try:
        return service.http.get("/readyz").status_code
    except httpx.TransportError:
        return 0
