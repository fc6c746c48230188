"""GET /metrics: what is counted, by which labels, and that it is right over all workers."""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import grpc
import httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from lossmeter.v1 import loss_service_pb2 as pb
from tests.integration.forms import Request, body, message, stream
from tests.integration.servers import HOST, Service, serving, until
from tests.integration.test_processes import workers
from tests.integration.wires import over_grpc, over_rest, over_stream, post

GOOD: Request = {"loss": "huber", "inputs": {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}}
WIRES = {"rest", "grpc", "oip_rest", "oip_grpc"}
REQUESTS, DURATION = "lossmeter_requests", "lossmeter_request_duration_seconds"
LEAVING = 10


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server of two processes."""
    with serving(tmp_path_factory.mktemp("pair") / "log", "--workers", "2") as started:
        assert until(lambda: gauge(started, "lossmeter_workers") == 2.0)
        yield started


@pytest.fixture(params=["service", "pair"], ids=["one worker", "two workers"])
def counting(request: pytest.FixtureRequest) -> Service:
    """A server of one process and one of two."""
    started: Service = request.getfixturevalue(request.param)
    return started


def scrape(service: Service) -> dict[str, Metric]:
    """The families by name, over a connection of its own: of whichever worker."""
    answer = httpx.get(f"http://{HOST}:{service.http_port}/metrics").raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def gauge(service: Service, name: str) -> float:
    (sample,) = scrape(service)[name].samples
    return float(sample.value)


def requests(service: Service) -> Counter[tuple[str, str, str]]:
    """How many requests there were, by wire, loss and code."""
    samples = scrape(service)[REQUESTS].samples
    return Counter(
        {(s.labels["wire"], s.labels["loss"], s.labels["code"]): int(s.value) for s in samples}
    )


def of_losses(service: Service, before: Counter[tuple[str, str, str]]) -> dict[object, int]:
    """How many requests for a loss there were since."""
    return {key: n for key, n in (requests(service) - before).items() if key[1]}


def test_requests_are_counted_by_wire_loss_and_code(counting: Service) -> None:
    before = requests(counting)
    for ask in (over_rest, over_grpc, over_stream(1)):
        for _ in range(3):
            ask(counting, GOOD)
    post(counting, "/v1/evaluate", body({**GOOD, "params": {"delta": -1}}))
    post(counting, "/v1/evaluate", body({**GOOD, "loss": "no_such_loss"}))
    post(counting, "/v1/evaluate", body({**GOOD, "loss": "torch.nn.HuberLoss"}))
    with pytest.raises(grpc.RpcError):
        counting.stub.Evaluate(message({**GOOD, "loss": "no_such_loss"}))
    assert of_losses(counting, before) == {
        ("rest", "huber", "OK"): 3,
        ("grpc", "huber", "OK"): 6,
        ("rest", "huber", "INVALID_ARGUMENT"): 1,
        ("rest", "other", "NOT_FOUND"): 1,
        ("rest", "torch.nn.HuberLoss", "OK"): 1,
        ("grpc", "other", "NOT_FOUND"): 1,
    }


def test_what_fastapi_answers_is_counted_without_a_loss(counting: Service) -> None:
    before = requests(counting)
    for path in ("/v1/losses", "/v1/losses", "/nowhere", "/v1/evaluate"):
        counting.http.get(path)
    found = requests(counting) - before
    # The scrape before is one too.
    assert found == {
        ("rest", "", "OK"): 3,
        ("rest", "", "NOT_FOUND"): 1,
        ("rest", "", "UNIMPLEMENTED"): 1,
    }


def test_bytes_are_counted_as_they_were_sent(counting: Service) -> None:
    content, sent = body(GOOD), message(GOOD)
    over_rest(counting, GOOD)
    over_grpc(counting, GOOD)
    before = received(counting)
    post(counting, "/v1/evaluate", content)
    counting.stub.Evaluate(sent)
    assert received(counting) - before == {"rest": len(content), "grpc": sent.ByteSize()}


def received(service: Service) -> Counter[str]:
    """The bytes that came, by wire."""
    samples = scrape(service)["lossmeter_received_bytes"].samples
    return Counter({s.labels["wire"]: int(s.value) for s in samples})


def test_durations_agree_with_requests(counting: Service) -> None:
    over_rest(counting, GOOD)
    families = scrape(counting)
    key = {"wire": "rest", "loss": "huber", "code": "OK"}
    (count,) = (s.value for s in families[REQUESTS].samples if s.labels == key)
    found = {s.name: s.value for s in families[DURATION].samples if s.labels == key}
    (last,) = (s.value for s in families[DURATION].samples if s.labels == {**key, "le": "+Inf"})
    assert found[f"{DURATION}_count"] == last == count > 0
    assert 0.0 < found[f"{DURATION}_sum"] < 60.0 * count


def test_labels_are_bounded_whatever_callers_send(service: Service) -> None:
    for number in range(50):
        asked = {**GOOD, "loss": f"mine_{number}"}
        post(service, "/v1/evaluate", body(asked))
        service.http.get(f"/v1/losses/mine_{number}")
        with pytest.raises(grpc.RpcError):
            service.stub.Evaluate(message(asked))
    labels = [s.labels for s in scrape(service)[REQUESTS].samples]
    assert not [one for one in labels if "mine" in one["loss"]]
    assert {one["wire"] for one in labels} <= WIRES
    assert all(re.fullmatch("[A-Z_]+", one["code"]) for one in labels)


def test_a_request_that_waits_is_in_flight(counting: Service) -> None:
    asked, ending = {**GOOD, "reduction": "sum"}, threading.Event()

    def sent() -> Iterator[pb.EvaluateStreamRequest]:
        yield from stream(asked, rows=1)
        ending.wait(30.0)

    call = counting.stub.EvaluateStream.future(sent(), timeout=30.0)
    # The scrape itself is one.
    assert until(lambda: gauge(counting, "lossmeter_requests_in_flight") == 2.0)
    ending.set()
    call.result()
    assert until(lambda: gauge(counting, "lossmeter_requests_in_flight") == 1.0)


def test_callers_that_leave_are_counted_as_such(counting: Service) -> None:
    before, ending = requests(counting), threading.Event()

    def sent() -> Iterator[pb.EvaluateStreamRequest]:
        yield from stream(GOOD, rows=1)
        ending.wait(30.0)

    for _ in range(LEAVING):
        call = counting.stub.EvaluateStream.future(sent(), timeout=30.0)
        assert until(lambda: gauge(counting, "lossmeter_requests_in_flight") == 2.0)
        call.cancel()  # type: ignore[no-untyped-call]
        assert until(lambda: gauge(counting, "lossmeter_requests_in_flight") == 1.0)
    ending.set()
    counted = of_losses(counting, before)
    # gRPC may tell that the messages have ended before it tells why.
    finished = counted.pop(("grpc", "huber", "OK"), 0)
    assert counted == {("grpc", "huber", "CANCELLED"): LEAVING - finished}


def test_counts_outlive_a_worker_that_is_killed_under_load(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--workers", "2") as started:
        assert until(lambda: len(workers(started)) == 2)
        answered, sent = ask_while_killed(started)
        assert until(lambda: gauge(started, "lossmeter_workers") == 2.0)
        counted = requests(started)["rest", "huber", "OK"]
    # One that was counted may have been killed before its answer was out.
    assert answered <= counted <= sent
    assert answered > 10


def ask_while_killed(service: Service) -> tuple[int, int]:
    """How many requests were answered, and how many sent, while two workers were killed."""
    ended, counts = threading.Event(), Counter[str]()

    def asking() -> None:
        while not ended.is_set():
            counts["sent"] += 1
            with suppress(httpx.TransportError):
                counts["answered"] += post(service, "/v1/evaluate", body(GOOD)).is_success

    caller = threading.Thread(target=asking)
    caller.start()
    for _ in range(2):
        assert until(lambda: gauge(service, "lossmeter_workers") == 2.0)
        former = workers(service)
        os.kill(min(former), signal.SIGKILL)
        assert until(partial(renewed, service, former))
    ended.set()
    caller.join()
    return counts["answered"], counts["sent"]


def renewed(service: Service, former: set[int]) -> bool:
    """Whether there are two workers, and not the former."""
    return len(workers(service)) == 2 and workers(service) != former


def test_nothing_is_left_of_the_folder(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--workers", "2") as started:
        folder = folder_of(started)
        assert until(lambda: len(list(folder.glob("gauge_*.db"))) == 2)
    assert not folder.exists()


def test_nothing_is_left_of_the_folder_where_the_parent_was_killed(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--workers", "2", ends=(-signal.SIGKILL,)) as started:
        assert until(lambda: len(workers(started)) == 2)
        folder = folder_of(started)
        started.process.kill()
        assert until(lambda: not folder.exists())


def folder_of(service: Service) -> Path:
    """Where its workers count."""
    until(lambda: len(workers(service)) == 2)
    variables = Path(f"/proc/{min(workers(service))}/environ").read_bytes().decode()
    found = re.search("PROMETHEUS_MULTIPROC_DIR=([^\0]+)", variables)
    assert found is not None
    return Path(found[1])
