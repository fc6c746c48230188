"""The figures of one server over one wire, in one round."""

import statistics
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeAlias

from benchmarks.peers.batch import Batch
from benchmarks.peers.catalogue import Row
from benchmarks.peers.processes import Server, running
from benchmarks.peers.wires import Connection, Refused, Request, Wire

START_S = 120.0
REFUSING_S = 5.0
RETRY_S = 0.1
REASON = 160
LEAST = 3
CONCURRENCY = 16
MILLISECONDS = 1000.0
MIB = 2**20
Figures: TypeAlias = dict[str, float | str]  # a figure, or why there is none


class Failed(Exception):
    """The server cannot be measured, and why."""


def measure(row: Row, batches: Mapping[str, Batch], seconds: float) -> Figures:
    """Start a server, check its answers, take every figure, and end it.

    Args:
        row: Which, and how it is asked.
        batches: The batches by name; the first is also asked for by many at once.
        seconds: How long a figure is measured.

    Returns:
        Milliseconds, requests per second and MiB by name.

    Raises:
        Failed: It does not answer, or not with the loss.
        NotInstalled: Its packages cannot be had here.
    """
    figures: Figures = {}
    with running(row.server) as server:
        first = next(iter(batches.values()))
        with closing(when_ready(row.wire, server, first)) as connection:
            for name, batch in batches.items():
                figures |= _of_batch(row.wire, connection, name, batch, seconds)
        figures["rate"] = _rate(row.wire, server, first, seconds)
        figures["peak"] = server.peak_bytes() / MIB
    return figures


def _of_batch(
    wire: Wire, connection: Connection, name: str, batch: Batch, seconds: float
) -> Figures:
    request = wire.request(batch)
    try:
        batch.check(wire.value(connection.ask(request)))
        taken = sorted(latencies(connection, request, seconds))
    except (OSError, Refused, ValueError) as error:
        return {name: _reason(error)}
    return {
        name: statistics.median(taken) * MILLISECONDS,
        f"{name} p99": taken[int(0.99 * len(taken))] * MILLISECONDS,
    }


def _rate(wire: Wire, server: Server, batch: Batch, seconds: float) -> float | str:
    try:
        port = server.ports[wire.port]
        return throughput(wire, port, wire.request(batch), CONCURRENCY, seconds)
    except (OSError, Refused) as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:REASON] or type(error).__name__


def when_ready(wire: Wire, server: Server, batch: Batch) -> Connection:
    """A connection to a server that has given the right answer once.

    Raises:
        Failed: It ended, goes on refusing, answers wrongly, or takes too long.
    """
    request, begun, refused = wire.request(batch), time.monotonic(), 0.0
    while time.monotonic() < begun + START_S:
        if words := server.ended():
            raise Failed(f"did not start: {words}")
        try:
            return _tried(wire, server.ports[wire.port], request, batch)
        except OSError:
            time.sleep(RETRY_S)
        except Refused as error:
            refused = refused or time.monotonic()
            if time.monotonic() > refused + REFUSING_S:
                raise Failed(f"does not answer this: {_reason(error)}") from None
            time.sleep(RETRY_S)
        except ValueError as error:
            raise Failed(_reason(error)) from None
    raise Failed("did not start in time")


def _tried(wire: Wire, port: int, request: Request, batch: Batch) -> Connection:
    connection = wire.connect(port)
    try:
        batch.check(wire.value(connection.ask(request)))
    except Exception:
        connection.close()
        raise
    return connection


def latencies(connection: Connection, request: Request, seconds: float) -> Iterator[float]:
    """Seconds of each of some requests, one at a time."""
    begun, count = time.perf_counter(), 0
    while count < LEAST or time.perf_counter() < begun + seconds:
        start = time.perf_counter()
        connection.ask(request)
        yield time.perf_counter() - start
        count += 1


def throughput(wire: Wire, port: int, request: Request, many: int, seconds: float) -> float:
    """Requests per second of many callers, each with a connection and a thread."""
    connections = [wire.connect(port) for _ in range(many)]
    begun = time.perf_counter()

    def count(connection: Connection) -> int:
        asked = 0
        while not asked or time.perf_counter() < begun + seconds:
            connection.ask(request)
            asked += 1
        return asked

    try:
        with ThreadPoolExecutor(many) as pool:
            asked = sum(pool.map(count, connections))
        return asked / (time.perf_counter() - begun)
    finally:
        for connection in connections:
            connection.close()
