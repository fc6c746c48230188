"""Results as a table; `python -m benchmarks.peers.report` prints it as Markdown."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from benchmarks.peers.catalogue import FLOOR, LOSSMETER
from benchmarks.peers.measure import Figures

RESULTS = Path("benchmarks/results/peers.json")
NONE = "–"
# The table's column of each figure; those in RATIOS have their ratio to the floor beside them.
HEADINGS = {
    "small": "32 rows: p50 ms",
    "small p99": "p99 ms",
    "rate": "16 at once: requests/s",
    "medium": "10,000 rows: p50 ms",
    "json": "100,000 rows: p50 ms",
    "large": "1,000,000 rows: p50 ms",
    "peak": "peak MiB",
}
RATIOS = ("small", "rate", "medium", "json", "large")


@dataclass(frozen=True, slots=True)
class Measured:
    """A row's medians.

    Attributes:
        title: What the table calls it.
        server: Its name in servers/.
        figures: Medians by name, or why one is missing.
        failed: Why there are none at all; empty where there are.
    """

    title: str
    server: str
    figures: Figures
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run.

    Attributes:
        hardware: What it ran on.
        versions: What each server's requirements pin.
        rounds: How many.
        seconds: How long each figure was measured in each.
        rows: In the order of the catalogue.
    """

    hardware: str
    versions: Mapping[str, list[str]]
    rounds: int
    seconds: float
    rows: list[Measured]

    def save(self, path: Path = RESULTS) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path = RESULTS) -> "Results":
        """Those that were saved.

        Raises:
            FileNotFoundError: There are none.
        """
        found = json.loads(path.read_text())
        return cls(**found | {"rows": [Measured(**row) for row in found["rows"]]})

    @property
    def floor(self) -> Figures:
        """The floor's figures, none where it was not measured."""
        return next((row.figures for row in self.rows if row.server == FLOOR), {})

    def described(self) -> str:
        """What the figures are."""
        rounds = "one round" if self.rounds == 1 else f"{self.rounds} interleaved rounds"
        return f"{self.hardware}; medians of {rounds}, {self.seconds:g} s each figure"


def cell(name: str, figures: Figures, floor: Figures) -> str:
    """A figure and its ratio to the floor's; a dash where it was not measured."""
    value, least = figures.get(name), floor.get(name)
    if value is None:
        return NONE
    if isinstance(value, str):
        return "refused"
    text = _short(value)
    if name in RATIOS and isinstance(least, float):
        text += f" ({_ratio(value / least)})"
    return text


def _short(value: float) -> str:
    """Three digits, never as a power."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.2g}×" if value < 10 else f"{value:,.0f}×"


def remarks(results: Results) -> list[str]:
    """Why a row or a figure is missing."""
    said = [f"{row.title}: {row.failed}" for row in results.rows if row.failed]
    for row in results.rows:
        reasons = {n: value for n, value in row.figures.items() if isinstance(value, str)}
        said += [f"{row.title}, {HEADINGS[n].split(':')[0]}: {why}" for n, why in reasons.items()]
    return said


def table(results: Results) -> Table:
    """All rows, ours in bold."""
    shown = Table(title=results.described())
    shown.add_column("server, wire (× the floor)")
    for heading in HEADINGS.values():
        shown.add_column(heading, justify="right")
    for row in results.rows:
        cells = (cell(name, row.figures, results.floor) for name in HEADINGS)
        shown.add_row(row.title, *cells, style="bold" if row.server == LOSSMETER else None)
    return shown


def as_markdown(shown: Table) -> str:
    """A table of texts, as docs/performance.md has it."""
    headings = [str(column.header) for column in shown.columns]
    rows = zip(*(column.cells for column in shown.columns), strict=True)
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def _versions(results: Results) -> str:
    """Each package once, the peers' own and those beneath them."""
    pins = {pin for found in results.versions.values() for pin in found}
    return ", ".join(sorted(pin.replace("==", " ") for pin in pins))


if __name__ == "__main__":
    last = Results.load()
    print(as_markdown(table(last)))
    print(f"{last.described()}. Versions: {_versions(last)}.\n")
    print("\n".join(f"- {said}" for said in remarks(last)))
