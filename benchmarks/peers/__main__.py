"""The service beside its peers, in one run.

    make bench-peers                                    all of them
    make bench-peers ARGS="--only floor --only MLServer --rounds 1 --seconds 0.2"

Every figure is the median of interleaved rounds; ratios to the floor carry to other machines.
"""

import itertools
import statistics
from collections import defaultdict
from functools import cache
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.peers.batch import Batch
from benchmarks.peers.catalogue import LOSSMETER, ROWS, Row
from benchmarks.peers.environments import NotInstalled, requirements
from benchmarks.peers.hardware import hardware
from benchmarks.peers.measure import Failed, Figures, measure
from benchmarks.peers.plot import draw
from benchmarks.peers.processes import end_when_told
from benchmarks.peers.report import Measured, Results, remarks, table

SIZES = {"small": 32, "medium": 10_000, "json": 100_000, "large": 1_000_000}
OWN_PACKAGES = ("lossmeter", "numpy", "grpcio", "uvicorn", "uvloop", "httptools", "pyarrow")
console = Console(width=190)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Part of a row's title.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=0, help="For each figure, in each round.")] = 1.0,
) -> None:
    """Measure, print a table, and, where no row is left out, write results and picture."""
    end_when_told()
    rows = [row for row in ROWS if not only or any(part in row.title for part in only)]
    results = Results(hardware(), pinned(rows), rounds, seconds, measured(rows, rounds, seconds))
    console.print(table(results))
    console.print("\n".join(remarks(results)), markup=False)
    if not only:
        results.save()
        draw(results)


def measured(rows: list[Row], rounds: int, seconds: float) -> list[Measured]:
    """Medians of every row; a server lives for one row of one round, alone."""
    taken: dict[str, list[Figures]] = defaultdict(list)
    failed: dict[str, str] = {}
    for at, row in itertools.product(range(rounds), rows):
        if row.title in failed:
            continue
        console.print(f"round {at + 1} of {rounds}: {row.title}", style="dim")
        try:
            taken[row.title].append(measure(row, batches(row), seconds))
        except (Failed, NotInstalled) as error:
            failed[row.title] = str(error)
            console.print(f"  {error}", style="dim", markup=False)
    return [
        Measured(row.title, row.server, medians(taken[row.title]), failed.get(row.title, ""))
        for row in rows
    ]


def batches(row: Row) -> dict[str, Batch]:
    """The batches that a row is asked about: numbers as text stop at a tenth of the largest."""
    return {name: batch(n) for name, n in SIZES.items() if not (row.wire.text and name == "large")}


batch = cache(Batch.of)


def medians(rounds: list[Figures]) -> Figures:
    """Of each figure; the reason where there is none."""
    found: Figures = {}
    for name in dict.fromkeys(name for figures in rounds for name in figures):
        values = [figures[name] for figures in rounds if name in figures]
        reasons = [value for value in values if isinstance(value, str)]
        found[name] = (
            reasons[0]
            if reasons
            else statistics.median(value for value in values if isinstance(value, float))
        )
    return found


def pinned(rows: list[Row]) -> dict[str, list[str]]:
    """What every server stands on."""
    own = [f"{name}=={version(name)}" for name in OWN_PACKAGES]
    servers = dict.fromkeys(row.server for row in rows)
    return {name: own if name == LOSSMETER else requirements(name) for name in servers}


if __name__ == "__main__":
    typer.run(main)
