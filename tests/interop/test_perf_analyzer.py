"""perf_analyzer, Triton's load generator in C++: it measures, and no request of it fails."""

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.servers import HOST, Service
from tests.interop.environments import debian_library, environment

ROWS = 1000
SECONDS = 120.0
# A measurement is three windows of so many requests, and any spread of them is stable enough.
BRIEF = "--measurement-mode count_windows --measurement-request-count 100 -s 999"
LOADS = {
    "HTTP": "-i http --concurrency-range 1:2",
    "HTTP, asynchronous": "-i http --async --concurrency-range 4",
    "gRPC": "-i grpc --concurrency-range 1:2",
    "gRPC, asynchronous, a version": "-i grpc --async --concurrency-range 4 -x 1",
    "gRPC, compressed": "-i grpc --grpc-compression-algorithm gzip",
    "gRPC, a rate": "-i grpc --request-rate-range 100",
    "a gRPC stream": "-i grpc --streaming --concurrency-range 2",
}


@pytest.fixture(scope="module")
def tool() -> tuple[Path, dict[str, str]]:
    """The program, and where it finds what it is linked to."""
    folder = environment("perf_analyzer")
    runtime = str(next(folder.rglob("libcudart.so.12")).parent)
    libraries = filter(None, (debian_library("libb64-0d", "libb64.so.0d"), runtime))
    return folder / "bin" / "perf_analyzer", {"LD_LIBRARY_PATH": ":".join(libraries)}


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of inputs; of itself the tool would send masks of random bytes."""
    values = {"content": [x / ROWS for x in range(ROWS)], "shape": [ROWS]}
    file = tmp_path_factory.mktemp("perf") / "batch.json"
    file.write_text(json.dumps({"data": [{"predictions": values, "targets": values}]}))
    return file


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_it_measures(
    service: Service, tool: tuple[Path, dict[str, str]], batch: Path, load: str
) -> None:
    refused = failures(service)
    rows = measured(tool, batch, service, load.split())
    assert len(rows) == (2 if "1:2" in load else 1)
    assert all(float(row["Inferences/Second"]) > 0 for row in rows)
    assert failures(service) == refused


def measured(
    tool: tuple[Path, dict[str, str]], batch: Path, service: Service, load: list[str]
) -> list[dict[str, str]]:
    """A row of figures for each concurrency or rate."""
    program, variables = tool
    port = service.http_port if "http" in load else service.grpc_port
    figures = batch.with_suffix(".csv")
    asked = ("-m", "huber", "-u", f"{HOST}:{port}", "--input-data", str(batch), *BRIEF.split())
    subprocess.run(
        [program, *asked, *load, "-f", str(figures)],
        env=os.environ | variables,
        timeout=SECONDS,
        check=True,
    )
    with figures.open(newline="") as file:
        return list(csv.DictReader(file))


def failures(service: Service) -> int:
    """How many inferences the service has refused."""
    stats = service.http.get("/v2/models/huber/stats").json()["model_stats"][0]
    return int(stats["inference_stats"]["fail"]["count"])
