"""The benchmark's own servers and ours, asked in earnest for a moment."""

import sys
from pathlib import Path

import pytest

from benchmarks.peers import processes
from benchmarks.peers.batch import Batch
from benchmarks.peers.catalogue import ROWS, Row
from benchmarks.peers.measure import Failed, measure
from benchmarks.peers.wires import call

# Those whose packages are in this environment too.
SERVED = ("floor", "bare_uvicorn", "bare_grpcio", "naive_fastapi", "flight", "lossmeter")
BATCHES = {"small": Batch.of(32), "medium": Batch.of(20_000)}
ANSWERED = {"small", "small p99", "medium", "medium p99", "rate", "peak"}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "python", lambda server: Path(sys.executable))
    monkeypatch.setattr("benchmarks.peers.measure.REFUSING_S", 0.2)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.server in SERVED], ids=lambda row: row.title
)
def test_a_row_is_measured(row: Row) -> None:
    figures = measure(row, BATCHES, seconds=0.0)
    assert set(figures) == ANSWERED
    assert all(isinstance(value, float) and value > 0 for value in figures.values()), figures


def test_a_wire_that_is_not_there_says_so() -> None:
    row = next(row for row in ROWS if row.title == "grpcio, bytes")
    absent = call("/Bare/Absent", lambda batch: [b""], lambda answer: 0.0)
    with pytest.raises(Failed, match="does not answer this: UNIMPLEMENTED"):
        measure(Row("absent", row.server, absent), BATCHES, seconds=0.0)


def test_a_wrong_answer_is_not_timed() -> None:
    row = next(row for row in ROWS if row.title == "grpcio, bytes")
    wrong = call("/Bare/Unary", row.wire.request, lambda answer: 0.25)
    with pytest.raises(Failed, match=r"the answer is 0\.25"):
        measure(Row("wrong", row.server, wrong), BATCHES, seconds=0.0)


def test_a_server_that_ends_is_quoted() -> None:
    row = next(row for row in ROWS if row.server == "floor")
    with pytest.raises(Failed, match=r"did not start: .*servers\.absent"):
        measure(Row("absent", "absent", row.wire), BATCHES, seconds=0.0)
