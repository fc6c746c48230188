"""The picture of a run: a row for each server and wire, a panel for each question.

python -m benchmarks.peers.plot      draws the last results again
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.peers.report import Measured, Results

PICTURE = Path("docs/pictures/peers.svg")
# Okabe and Ito's colours, told apart by colour-blind readers; the dots differ in shape besides.
OURS, THEIRS, FLOOR = "#0072B2", "#999999", "#D55E00"
PANELS = {
    "small": ("32 rows, one at a time", "p50 ms"),
    "rate": ("32 rows, 16 at once", "requests/s (more is better)"),
    "medium": ("10,000 rows", "p50 ms"),
    "json": ("100,000 rows", "p50 ms"),
    "large": ("1,000,000 rows", "p50 ms"),
    "peak": ("peak memory", "MiB"),
}
INCHES = 16.0
ROW_INCHES = 0.27


def draw(results: Results, path: Path = PICTURE) -> None:
    """Write the picture."""
    rows = [row for row in results.rows if row.figures]
    figure = Figure((INCHES, ROW_INCHES * len(rows) + 1.3), layout="constrained")
    axes = figure.subplots(1, len(PANELS), sharey=True, squeeze=False)[0]
    for at, (name, (title, unit)) in enumerate(PANELS.items()):
        _panel(axes[at], rows, name, results.floor.get(name))
        axes[at].set_title(title, fontsize=10, loc="left", fontweight="bold")
        axes[at].set_xlabel(unit, fontsize=9)
    axes[0].set_yticks(range(len(rows)), [row.title for row in rows], fontsize=9)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    for label, row in zip(axes[0].get_yticklabels(), rows, strict=True):
        label.set_color(OURS if _own(row) else "black")
        label.set_fontweight("bold" if _own(row) else "normal")
    figure.supxlabel(f"{results.described()}; the dashed line is the floor", fontsize=8)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure, the same bytes for the same figure."""
    path.parent.mkdir(exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "lossmeter"}):
        figure.savefig(path, facecolor="white", metadata={"Date": None})


def _own(row: Measured) -> bool:
    return row.title.startswith("Lossmeter")


def _panel(axes: Axes, rows: list[Measured], name: str, floor: float | str | None) -> None:
    """One question's dots, each with its number."""
    axes.set_xscale("log")
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.tick_params(left=False, labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if isinstance(floor, float):
        axes.axvline(floor, color=FLOOR, linestyle="--", linewidth=1)
    for at, row in enumerate(rows):
        value = row.figures.get(name)
        if not isinstance(value, float):
            continue
        colour = OURS if _own(row) else THEIRS
        axes.plot(value, at, "D" if _own(row) else "o", color=colour, markersize=6)
        axes.annotate(
            f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}",
            (value, at),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=OURS if _own(row) else "#444444",
        )
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.18)  # room for the last number


if __name__ == "__main__":
    draw(Results.load())
