"""The usual twenty-line service, and ours, asked the same over loopback."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket
from typing import Any

import httpx
import numpy as np
from rich.table import Table

ROUNDS = 3
REQUESTS = 200
MILLISECONDS = 1000.0
NAIVE = """
import sys

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Body(BaseModel):
    predictions: list[float]
    targets: list[float]


@app.post("/v1/evaluate")
def evaluate(body: Body) -> dict[str, float]:
    x, y = np.array(body.predictions), np.array(body.targets)
    loss = np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))
    return {"value": float(loss.mean())}


@app.get("/readyz")
def ready() -> dict[str, bool]:
    return {"ready": True}


uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
"""


def measure_servers() -> Table:
    """Latency of a small request and of a large one, medians of interleaved rounds."""
    rng = np.random.default_rng(0)
    sizes = {"32 values": (32, REQUESTS), "100,000 values": (100_000, 5)}
    table = Table("JSON, one at a time, p50 ms", "naive FastAPI", "lossmeter", "×")
    with ExitStack() as stack:
        ports = [stack.enter_context(running(command)) for command in commands()]
        client = stack.enter_context(httpx.Client(timeout=60))
        for title, (rows, requests) in sizes.items():
            logits, labels = rng.normal(size=rows), rng.integers(0, 2, rows)
            body = {"predictions": logits.tolist(), "targets": labels.tolist()}
            bodies: list[dict[str, Any]] = [
                body,
                {"loss": "binary_cross_entropy_with_logits", "inputs": body},
            ]
            naive, ours = interleaved(client, ports, bodies, requests)
            table.add_row(title, f"{naive:.2f}", f"{ours:.2f}", f"{naive / ours:.1f}")
    return table


def interleaved(
    client: httpx.Client, ports: list[int], bodies: list[dict[str, Any]], requests: int
) -> list[float]:
    """Median milliseconds of each server."""
    taken: list[list[float]] = [[] for _ in ports]
    for _ in range(ROUNDS):
        for port, body, times in zip(ports, bodies, taken, strict=True):
            for _ in range(requests):
                start = time.perf_counter()
                answer = client.post(f"http://127.0.0.1:{port}/v1/evaluate", json=body)
                times.append((time.perf_counter() - start) * MILLISECONDS)
                answer.raise_for_status()
    return [statistics.median(times) for times in taken]


def commands() -> list[list[str]]:
    """How to start each server; the port is appended."""
    lossmeter = str(Path(sys.executable).parent / "lossmeter")
    return [
        [sys.executable, "-c", NAIVE],
        [lossmeter, "serve", "--grpc-port", "0", "--http-port"],
    ]


@contextmanager
def running(command: list[str]) -> Iterator[int]:
    """A server on a free port, ready for requests."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen([*command, str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(port: int) -> None:
    """Wait for the first answer, ten seconds at most.

    Raises:
        TimeoutError: There was none.
    """
    for _ in range(100):
        try:
            httpx.get(f"http://127.0.0.1:{port}/readyz").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server did not start")
