"""Losses of one's own in a real service: over every wire, reloaded, and kept from hurting."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from lossmeter.cli import app
from lossmeter.v1 import loss_service_pb2 as pb
from tests.graphs import CUBIC, SQUARED, processes, put, slow
from tests.integration.commands import said
from tests.integration.forms import Request
from tests.integration.replies import Refused
from tests.integration.servers import Service, serving, stop, until
from tests.integration.wires import (
    Ask,
    Merge,
    answered,
    merged_over_grpc,
    merged_over_rest,
    over_grpc,
    over_rest,
    over_stream,
)

SECONDS = 4.0
SOON = 1.0
ALONE = {"predictions": [3.0], "targets": [2.0]}
WIRES: dict[str, Ask] = {
    "over REST": over_rest,
    "over gRPC": over_grpc,
    "in a stream": over_stream(300),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the service's losses."""
    found = tmp_path_factory.mktemp("losses")
    for name, text in (("cubic_error", CUBIC), ("tardy", slow())):
        put(found, name, text)
    (found / "hopeless.onnx").write_bytes(b"no graph")
    return found


@pytest.fixture(scope="module")
def service(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has them."""
    log = tmp_path_factory.mktemp("service") / "log"
    flags = ("--losses", str(folder))
    memory = 512 * 2**20
    with serving(log, *flags, graph_seconds=SECONDS, graph_memory_bytes=memory) as started:
        yield started
        assert started.faults() == []


def request(loss: str, rows: int = 1000, **fields: object) -> Request:
    draw = np.random.default_rng(0)
    inputs = {name: draw.random(rows) for name in ("predictions", "targets", "sample_weight")}
    return {"loss": loss, "inputs": {**inputs, "mask": draw.random(rows) < 0.9}, **fields}


def test_it_is_listed_and_described(service: Service) -> None:
    listed = {loss["name"]: loss for loss in service.http.get("/v1/losses").json()["losses"]}
    assert "cubic_error" in listed and "hopeless" not in listed
    described = service.http.get("/v1/losses/cubic_error").json()
    assert described == listed["cubic_error"]
    assert [one["name"] for one in described["inputs"]] == ["predictions", "targets"]
    messages = service.stub.ListLosses(pb.ListLossesRequest(search="cubic")).losses
    assert [loss.name for loss in messages] == ["cubic_error"]
    assert service.stub.GetLoss(pb.GetLossRequest(name="cubic_error")).loss.kind == "graph"


def test_the_log_has_a_line_of_each(service: Service, folder: Path) -> None:
    log = service.log.read_text()
    assert "INFO:  loss cubic_error is there" in log
    assert "WARNING:  loss hopeless is refused: it is no ONNX model" in log
    assert str(folder) not in log


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("reduction", ["sum", "weighted_mean", "rms"])
def test_it_is_masked_weighed_and_reduced(service: Service, wire: str, reduction: str) -> None:
    asked = request("cubic_error", reduction=reduction)
    inputs = asked["inputs"]
    losses = np.abs(inputs["predictions"] - inputs["targets"]) ** 3
    kept, weights = inputs["mask"], inputs["sample_weight"]
    total, weight = (weights * losses)[kept].sum(), weights[kept].sum()
    squares = (weights * losses**2)[kept].sum()
    expected = {"sum": total, "weighted_mean": total / weight, "rms": np.sqrt(squares / weight)}
    reply = WIRES[wire](service, asked)
    assert np.asarray(reply.value) == pytest.approx(expected[reduction], rel=1e-12)
    assert (reply.fields["backend"], reply.fields["loss"]) == ("onnx", "cubic_error")


def test_every_wire_gives_the_same_bits(service: Service) -> None:
    asked = request("cubic_error", rows=70_000)
    assert len({str(ask(service, asked).bits) for ask in WIRES.values()}) == 1


@pytest.mark.parametrize("merge", [merged_over_rest, merged_over_grpc])
def test_its_states_merge(service: Service, merge: Merge) -> None:
    asked = request("cubic_error", reduction="mean")
    states = []
    for part in (slice(None, 300), slice(300, None)):
        inputs = {name: x[part] for name, x in asked["inputs"].items()}
        ask = {**asked, "inputs": inputs, "options": {"state": True, "batch_id": str(part.stop)}}
        states.append(over_grpc(service, ask).state)
    whole = over_rest(service, asked)
    assert merge(service, states, {"reduction": "mean"}).bits == whole.bits


def test_it_is_explained(service: Service) -> None:
    content = orjson.dumps({"loss": "cubic_error", "inputs": ALONE})
    steps = service.http.post("/v1/explain", content=content).json()["steps"]
    assert steps[-1]["says"] == "mean = 1.0"


def test_it_stands_beside_other_losses(service: Service) -> None:
    names = {"predictions": "predictions", "targets": "targets"}
    losses = {name: {"loss": name, "inputs": names} for name in ("cubic_error", "squared_error")}
    reply = over_rest(service, {"losses": losses, "inputs": {"predictions": [4], "targets": [2]}})
    assert reply.fields["total"] == 12.0


@pytest.mark.parametrize("wire", WIRES)
def test_one_that_hangs_costs_its_caller_an_error_and_nobody_else(
    service: Service, wire: str
) -> None:
    hanging = Later(WIRES[wire], service, stuck())
    time.sleep(SOON)
    for ask in WIRES.values():
        assert ask(service, {"loss": "cubic_error", "inputs": ALONE}).bits == (1.0).hex()
    assert hanging.waits
    found = hanging.answer()
    assert isinstance(found, Refused)
    assert found.reason == "BACKEND_UNSUPPORTED"
    past = f"the graph of this loss ran past its limit of {SECONDS:g} seconds"
    assert found.detail.removeprefix("chunk 0: ") == past
    assert WIRES[wire](service, {"loss": "tardy", "inputs": ALONE}).bits == (1.0).hex()


def stuck() -> Request:
    """A request on which the slow graph hangs."""
    return {"loss": "tardy", "inputs": {"predictions": [0.0], "targets": [1600.0]}}


class Later:
    """A request on its way."""

    def __init__(self, ask: Ask, service: Service, asked: Request) -> None:
        self._found: object = None
        self._thread = threading.Thread(target=self._ask, args=(ask, service, asked))
        self._thread.start()

    def _ask(self, ask: Ask, service: Service, asked: Request) -> None:
        with suppress(httpx.TransportError):
            self._found = answered(ask, service, asked)

    @property
    def waits(self) -> bool:
        """Whether no answer has come."""
        return self._thread.is_alive()

    def answer(self) -> object:
        """What came back; nothing, if the service was killed."""
        self._thread.join()
        return self._found


def test_one_that_is_in_use_for_long_is_overloaded(service: Service) -> None:
    hanging = Later(over_grpc, service, stuck())
    time.sleep(SOON / 2)
    over = Later(over_grpc, service, {"loss": "tardy", "inputs": ALONE})
    content = orjson.dumps({"loss": "tardy", "inputs": ALONE})
    told = service.http.post("/v1/evaluate", content=content)
    assert (told.status_code, told.json()["reason"]) == (429, "OVERLOADED")
    assert told.headers["retry-after"] == "1"
    found = over.answer()
    assert isinstance(found, Refused)
    assert (found.code, found.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    hanging.answer()


def test_one_that_wants_too_much_memory_gets_an_error(service: Service) -> None:
    inputs = {"predictions": [0.0], "targets": [36_000.0]}
    with pytest.raises(Refused, match="more than its limit of 512 MiB of memory"):
        over_rest(service, {"loss": "tardy", "inputs": inputs})
    assert over_rest(service, {"loss": "tardy", "inputs": ALONE}).bits == (1.0).hex()


def test_one_whose_process_dies_gets_an_error_and_a_new_process(service: Service) -> None:
    hanging = Later(over_rest, service, stuck())
    time.sleep(SOON)
    for pid in processes(service.process.pid):
        os.kill(pid, signal.SIGKILL)
    found = hanging.answer()
    assert isinstance(found, Refused) and "ended its process" in found.detail
    for loss in ("tardy", "cubic_error"):
        assert over_rest(service, {"loss": loss, "inputs": ALONE}).bits == (1.0).hex()


def test_a_file_takes_effect_changes_and_goes(service: Service, folder: Path) -> None:
    asked = {"loss": "changing", "inputs": {"predictions": [5.0], "targets": [2.0]}}

    def becomes(expected: float | None) -> bool:
        def holds() -> bool:
            found = answered(over_rest, service, asked)
            if isinstance(found, Refused):
                return expected is None and found.reason == "LOSS_NOT_FOUND"
            return expected is not None and found.bits == expected.hex()

        return until(holds)

    put(folder, "changing", SQUARED)
    assert becomes(9.0)
    put(folder, "changing", CUBIC)
    assert becomes(27.0)
    (folder / "changing.onnx").write_bytes(b"no graph")
    assert until(lambda: "loss changing is refused" in service.log.read_text())
    assert becomes(27.0)
    (folder / "changing.onnx").unlink()
    assert becomes(None)


def test_the_command_line_has_them_too(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("predictions,targets\n3,1\n5,2\n")
    losses = ("--losses", str(folder))
    assert said("evaluate", str(file), "--loss", "cubic_error", *losses).bits == (17.5).hex()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_no_process_outlives_the_service(folder: Path, tmp_path: Path, end: signal.Signals) -> None:
    ends = (0, -signal.SIGKILL)
    with serving(tmp_path / "log", "--losses", str(folder), graph_seconds=2, ends=ends) as started:
        hanging = Later(over_rest, started, stuck())
        time.sleep(SOON)
        left = processes(started.process.pid)
        assert len(left) == 2
        started.process.send_signal(end) if end is signal.SIGKILL else stop(started.process)
        started.process.wait()
        assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))
        hanging.answer()


def test_workers_have_them_too(folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--losses", str(folder), "--workers", "2") as started:
        for _ in range(4):
            assert over_rest(started, {"loss": "tardy", "inputs": ALONE}).bits == (1.0).hex()


def test_a_folder_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["serve", "--losses", str(tmp_path / "nothing")])
    assert (result.exit_code, "No such file or directory" in result.output) == (1, True)
