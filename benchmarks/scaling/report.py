"""Results of scaling as tables; `python -m benchmarks.scaling.report` prints them as Markdown."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.peers.report import as_markdown

RESULTS = Path("benchmarks/results/scaling.json")
CALLERS = (1, 2, 4, 8, 16, 32, 64)
ROW_BYTES = 12
MILLISECONDS = 1000.0
NANOSECONDS = 1e9
STRAIGHT_FROM = 100_000


@dataclass(frozen=True, slots=True)
class Point:
    """One length of stream: seconds, and the server's peak memory once it was through."""

    rows: int
    seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests of 32 rows per second, of so many callers."""

    workers: int
    callers: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds as a straight line of rows, by least squares of relative errors.

    Attributes:
        start: Seconds of an empty stream.
        slope: Seconds a row.
        off: The greatest relative error among streams of 100,000 rows and more.
    """

    start: float
    slope: float
    off: float

    @classmethod
    def through(cls, points: list[Point]) -> "Line":
        rows, seconds = np.array([(p.rows, p.seconds) for p in points]).T
        slope, start = np.polyfit(rows, seconds, 1, w=1 / seconds)
        long = rows >= min(STRAIGHT_FROM, rows.max())
        off = np.abs((start + slope * rows) / seconds - 1)[long].max()
        return cls(float(start), float(slope), float(off))

    def said(self) -> str:
        """In words."""
        return (
            f"{self.start * MILLISECONDS:.1f} ms + {self.slope * NANOSECONDS:.1f} ns a row "
            f"({ROW_BYTES / self.slope / 1e6:,.0f} MB/s), within {self.off:.0%}"
        )


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run: points and rates by wire, and why a wire has none."""

    hardware: str
    rounds: int
    streams: dict[str, list[Point]]
    rates: dict[str, list[Rate]]
    failed: dict[str, str]

    def save(self, path: Path = RESULTS) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path = RESULTS) -> "Results":
        """Those that were saved.

        Raises:
            FileNotFoundError: There are none.
        """
        found: dict[str, Any] = json.loads(path.read_text())
        for member, kind in (("streams", Point), ("rates", Rate)):
            found[member] = {k: [kind(**x) for x in many] for k, many in found[member].items()}
        return cls(**found)

    def remarks(self) -> list[str]:
        """The lines, and what was not measured."""
        lines = [f"{title}: {Line.through(found).said()}" for title, found in self.streams.items()]
        return lines + [f"{title}: {why}" for title, why in self.failed.items()]


def streams_table(results: Results) -> Table:
    """Rows by wires."""
    shown = Table("rows", title=f"{results.hardware}; medians of {results.rounds}")
    for title in results.streams:
        shown.add_column(f"{title}: ms", justify="right")
        shown.add_column("peak MiB", justify="right")
    for rows in sorted({point.rows for points in results.streams.values() for point in points}):
        found = [{p.rows: p for p in points}.get(rows) for points in results.streams.values()]
        shown.add_row(f"{rows:,}", *(text for point in found for text in _cells(point)))
    return shown


def _cells(point: Point | None) -> tuple[str, str]:
    return (
        (f"{point.seconds * MILLISECONDS:,.1f}", f"{point.peak_mib:,.0f}") if point else ("–", "–")
    )


def rates_table(results: Results) -> Table:
    """Callers by wires and workers."""
    shown = Table("callers", title="32 rows: requests/s")
    columns: dict[str, dict[int, float]] = {}
    for title, rates in results.rates.items():
        for rate in rates:
            workers = "1 worker" if rate.workers == 1 else f"{rate.workers} workers"
            columns.setdefault(f"{title}, {workers}", {})[rate.callers] = rate.per_second
    for heading in columns:
        shown.add_column(heading, justify="right")
    for callers in next(iter(columns.values()), {}):
        shown.add_row(str(callers), *(f"{found[callers]:,.0f}" for found in columns.values()))
    return shown


if __name__ == "__main__":
    last = Results.load()
    print(as_markdown(streams_table(last)))
    print("\n".join(f"- {said}" for said in last.remarks()), end="\n\n")
    print(as_markdown(rates_table(last)))
