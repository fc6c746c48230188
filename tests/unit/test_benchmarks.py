"""What the benchmarks send, check and report."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread

import numpy as np
import orjson
import pyarrow as pa
import pytest

from benchmarks.peers import bodies, wires
from benchmarks.peers.__main__ import medians
from benchmarks.peers.batch import Arrays, Batch
from benchmarks.peers.catalogue import FLOOR, LOSSMETER, ROWS
from benchmarks.peers.environments import HERE, requirements
from benchmarks.peers.measure import Figures
from benchmarks.peers.plot import draw
from benchmarks.peers.report import Measured, Results, as_markdown, remarks, table
from benchmarks.peers.servers.loss import answer
from benchmarks.scaling import plot as scaling_plot
from benchmarks.scaling import report as scaling
from benchmarks.scaling.stream import CHUNK_ROWS, Stream
from lossmeter.api import evaluate
from lossmeter.app.answer import Answer
from lossmeter.v1 import loss_service_pb2 as pb

PEERS = sorted({row.server for row in ROWS} - {LOSSMETER})
BATCH = Batch.of(30_000)  # more than one MiB


@pytest.mark.parametrize("server", PEERS)
def test_a_peer_has_a_server_and_pinned_requirements(server: str) -> None:
    assert (HERE / "servers" / f"{server}.py").exists()
    assert all("==" in pin for pin in requirements(server))


def ours(arrays: Arrays) -> float:
    """The service's answer."""
    answer = evaluate(bodies.LOSS, arrays, reduction=bodies.REDUCTION)
    assert isinstance(answer, Answer)
    assert isinstance(answer.value, float)
    return answer.value


def test_the_loss_is_the_services() -> None:
    BATCH.check(ours(BATCH.arrays))
    with pytest.raises(ValueError, match="the answer is"):
        BATCH.check(BATCH.value * (1 + 1e-4))


def test_bare_bytes_hold_the_batch() -> None:
    BATCH.check(bodies.bare_value(answer(bodies.bare(BATCH))))
    pieces = bodies.bare_stream(BATCH)
    assert b"".join(pieces) == bodies.bare(BATCH)
    assert max(map(len, pieces)) == bodies.MIB


def test_binary_tensors_follow_their_header() -> None:
    headers, body = bodies.oip_binary(BATCH, {"reduction": "mean"})
    end = int(headers["inference-header-content-length"])
    header = orjson.loads(body[:end])
    assert header["parameters"] == {"reduction": "mean"}
    sizes = [entry["parameters"]["binary_data_size"] for entry in header["inputs"]]
    assert sum(sizes) == len(body) - end
    logits = np.frombuffer(body[end : end + sizes[0]], np.float32)
    assert np.array_equal(logits, BATCH.arrays["predictions"].ravel())


def test_an_arrow_body_has_blocks_of_rows() -> None:
    wide = Batch.of(bodies.ARROW_ROWS + 1)
    _, body = bodies.own_arrow(wide)
    read = list(pa.ipc.open_stream(body))
    assert [part.num_rows for part in read] == [bodies.ARROW_ROWS, 1]
    assert read[1]["predictions"][0].as_py() == wide.arrays["predictions"][-1].tolist()


def test_a_stream_begins_with_what_is_computed() -> None:
    first, *chunks = map(pb.EvaluateStreamRequest.FromString, bodies.own_stream(BATCH))
    assert first.spec.reduction.string_value == bodies.REDUCTION
    data = b"".join(chunk.chunk.inputs["sample_weight"].data for chunk in chunks)
    assert data == BATCH.arrays["sample_weight"].tobytes()


@pytest.mark.parametrize("rows", [1000, CHUNK_ROWS, 3 * CHUNK_ROWS + 7])
def test_a_long_stream_is_as_long_as_it_says(rows: int) -> None:
    stream = Stream(rows)
    messages = list(map(pb.EvaluateStreamRequest.FromString, stream.messages()))
    assert sum(message.chunk.inputs["targets"].shape[0] for message in messages[1:]) == rows
    head, *pieces = stream.body()
    assert f"content-length: {sum(map(len, pieces))}\r\n".encode() in head
    read = pa.ipc.open_stream(b"".join(pieces)).read_all()
    arrays = {name: read[name].to_numpy() for name in read.column_names}
    assert stream.value == pytest.approx(ours(arrays), rel=1e-6)


@contextmanager
def server(answer: bytes) -> Iterator[int]:
    """A port that gives one answer in small pieces, whatever it is asked, and closes."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.read(1)
            for byte in answer:
                self.wfile.write(bytes([byte]))

    with TCPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.handle_request)
        thread.start()
        yield listening.server_address[1]
        thread.join()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n0.5", "0.5"),
        (b'HTTP/1.1 415 X\r\ncontent-length:18\r\n\r\n{"detail": "no X"}', "415 no X"),
        (b"HTTP/1.1 500 X\r\nContent-Length: 4\r\n\r\noops", "500 oops"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n0.5", "the server closed the connection"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "an answer without its length"),
    ],
)
def test_an_answer_is_read_to_its_end(reply: bytes, expected: str) -> None:
    wire = wires.http("/", bodies.lists, bodies.lists_value)
    with server(reply) as port, closing(wire.connect(port)) as connection:
        try:
            said = connection.ask(b"x").decode()
        except (wires.Refused, ConnectionError) as error:
            said = str(error)
    assert said == expected


def test_the_markdown_is_the_table() -> None:
    figures: Figures = {
        "small": 0.1,
        "small p99": 0.2,
        "rate": 10_000.0,
        "medium": 1.0,
        "peak": 227.0,
    }
    rows = [
        Measured("floor", FLOOR, figures),
        Measured("MLServer", "mlserver", {"small": 0.4, "rate": 2500.0, "medium": "413 too large"}),
        Measured("Triton", "triton", {}, "did not start"),
    ]
    results = Results("a machine", {"mlserver": ["mlserver==1"]}, 3, 1.0, rows)
    lines = as_markdown(table(results)).splitlines()
    assert lines[3] == "| MLServer | 0.4 (4×) | – | 2,500 (0.25×) | refused | – | – | – |"
    assert lines[4] == "| Triton |" + " – |" * 7
    assert remarks(results) == ["Triton: did not start", "MLServer, 10,000 rows: 413 too large"]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [Measured("floor", FLOOR, {"small": 0.1, "rate": 1.0, "peak": 3.0})]
    results = Results("a machine", {"floor": ["numpy==2"]}, 1, 1.0, rows)
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results
    draw(results, tmp_path / "picture.svg")
    assert "floor" in (tmp_path / "picture.svg").read_text()


def test_medians_of_rounds() -> None:
    rounds: list[Figures] = [
        {"small": 1.0, "rate": 5.0},
        {"small": 9.0, "rate": "refused"},
        {"small": 2.0},
    ]
    assert medians(rounds) == {"small": 2.0, "rate": "refused"}


def test_a_straight_line_is_found(tmp_path: Path) -> None:
    points = [scaling.Point(10**k, 0.002 + 1e-8 * 10**k, 100.0) for k in range(3, 9)]
    line = scaling.Line.through(points)
    assert (line.start, line.slope) == pytest.approx((0.002, 1e-8))
    assert line.off < 1e-6
    bent = [*points[:-1], replace(points[-1], seconds=2 * points[-1].seconds)]
    assert scaling.Line.through(bent).off > 0.1
    rates = [scaling.Rate(workers, n, 1000.0) for workers in (1, 2) for n in scaling.CALLERS]
    results = scaling.Results("a machine", 3, {"ours, stream": points}, {"ours, JSON": rates}, {})
    results.save(tmp_path / "results.json")
    assert scaling.Results.load(tmp_path / "results.json") == results
    scaling_plot.draw(results, tmp_path / "picture.svg")
    assert "10.0 ns a row" in (tmp_path / "picture.svg").read_text()
