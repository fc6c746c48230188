"""Time and memory against rows streamed, and requests against workers and callers.

    make bench-scaling                        a thousand rows to a hundred million
    make bench-scaling ARGS="--largest 6"     to a million

Every figure is a median; the picture and the results are written over the last ones.
"""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Annotated, TypeAlias

import typer
from rich.console import Console

from benchmarks.peers.batch import Batch
from benchmarks.peers.catalogue import LOSSMETER, ROWS
from benchmarks.peers.hardware import hardware
from benchmarks.peers.measure import MIB, Failed, throughput, when_ready
from benchmarks.peers.processes import end_when_told, running
from benchmarks.peers.wires import Refused
from benchmarks.scaling.plot import draw
from benchmarks.scaling.report import CALLERS, Point, Rate, Results, rates_table, streams_table
from benchmarks.scaling.stream import Stream

Messages: TypeAlias = Callable[[Stream], Iterator[bytes]]
STREAMS: dict[str, Messages] = {
    "Lossmeter, gRPC stream": Stream.messages,
    "Lossmeter, Arrow stream": Stream.body,
}
SMALL = ("Lossmeter, JSON", "Lossmeter, gRPC")
WORKERS = (1, 2)
SMALLEST = 3
TOLERANCE = 1e-6
# The longest stream is more than a body may be by default.
ROOM = {f"LOSSMETER_MAX_{kind}_BYTES": str(2**32) for kind in ("BODY", "UNFOLDED")}
WIRES = {row.title: row.wire for row in ROWS}
TINY = Batch.of(32)


def main(
    largest: Annotated[int, typer.Option(min=4, help="Power of ten of rows.")] = 8,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=0, help="For each rate, in each round.")] = 1.0,
) -> None:
    """Measure, print tables, write the results and their picture."""
    end_when_told()
    console = Console(width=120)
    failed: dict[str, str] = {}
    streams: dict[str, list[Point]] = {}
    for title in STREAMS:
        found: list[Point] = []
        try:
            found.extend(points(title, largest, rounds))
        except (Failed, Refused, OSError) as error:
            failed[title] = str(error)
        if len(found) > 1:
            streams[title] = found
    rates: dict[str, list[Rate]] = {}
    for title in SMALL:
        try:
            rates[title] = per_second(title, rounds, seconds)
        except (Failed, Refused, OSError) as error:
            failed[title] = str(error)
    results = Results(hardware(), rounds, streams, rates, failed)
    console.print(streams_table(results))
    console.print("\n".join(results.remarks()), markup=False)
    console.print(rates_table(results))
    results.save()
    draw(results)


def points(title: str, largest: int, rounds: int) -> Iterator[Point]:
    """Median seconds and the server's peak memory for each length of stream, shortest first.

    One server takes them all, so that its peak after each length is that of this length or a
    shorter one: flat memory is a peak that stops growing.

    Raises:
        Failed: The wire is not answered, or wrongly.
        Refused: A length is not taken.
        OSError: The server went away.
    """
    wire = WIRES[title]
    with (
        running(LOSSMETER, **ROOM) as server,
        closing(when_ready(wire, server, TINY)) as connection,
    ):
        for rows in (10**power for power in range(SMALLEST, largest + 1)):
            stream, taken = Stream(rows), []
            for _ in range(rounds):
                start = time.perf_counter()
                answer = connection.ask(STREAMS[title](stream))
                taken.append(time.perf_counter() - start)
                if not math.isclose(wire.value(answer), stream.value, rel_tol=TOLERANCE):
                    raise Failed(f"a wrong answer for {rows:,} rows")
            yield Point(rows, statistics.median(taken), server.peak_bytes() / MIB)


def per_second(title: str, rounds: int, seconds: float) -> list[Rate]:
    """Median requests per second for each number of workers and callers."""
    wire = WIRES[title]
    request = wire.request(TINY)
    taken: dict[tuple[int, int], list[float]] = {}
    for _, workers in itertools.product(range(rounds), WORKERS):
        with running(LOSSMETER, "--workers", str(workers)) as server:
            when_ready(wire, server, TINY).close()
            port = server.ports[wire.port]
            throughput(wire, port, request, max(CALLERS), seconds)  # every worker is up and warm
            for callers in CALLERS:
                rate = throughput(wire, port, request, callers, seconds)
                taken.setdefault((workers, callers), []).append(rate)
    return [Rate(*key, statistics.median(values)) for key, values in sorted(taken.items())]


if __name__ == "__main__":
    typer.run(main)
