"""The picture of a run: a row for each server and wire, a panel for each question.

`python -m benchmarks.peers.plot` draws the last results again.
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.peers.catalogue import BARE, FLOOR, LOSSMETER
from benchmarks.peers.report import Measured, Results

PICTURE = Path("docs/pictures/peers.svg")
# Okabe and Ito's colours, which colour-blind readers tell apart; the shapes differ besides.
BLUE, ORANGE, GREY, PALE = "#0072B2", "#D55E00", "#444444", "#eeeeee"
PANELS = {
    "small": ("32 rows, one at a time", "p50 ms"),
    "rate": ("32 rows, 16 at once", "requests/s: more is better"),
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
    for panel, name in zip(axes, PANELS, strict=True):
        _panel(panel, rows, name, results.floor.get(name))
    axes[0].set_yticks(range(len(rows)), [row.title for row in rows], fontsize=9)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    for label, row in zip(axes[0].get_yticklabels(), rows, strict=True):
        label.set_color(_look(row)[0])
        label.set_fontweight("bold" if row.server == LOSSMETER else "normal")
    figure.supxlabel(
        "dashed: the floor; hollow: bare servers, without protocol, names or checks\n"
        + results.described(),
        fontsize=8,
    )
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure, the same bytes for the same figure."""
    path.parent.mkdir(exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "lossmeter", "svg.fonttype": "none"}):
        figure.savefig(path, facecolor="white", metadata={"Date": None})


def plain(axis: Axis) -> None:
    """Ticks as numbers, not as powers."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _look(row: Measured) -> tuple[str, str, str]:
    """Colour, marker and filling."""
    if row.server == LOSSMETER:
        return BLUE, "D", BLUE
    if row.server == FLOOR:
        return ORANGE, "s", ORANGE
    return GREY, "o", "white" if row.server in BARE else GREY


def _panel(axes: Axes, rows: list[Measured], name: str, floor: float | str | None) -> None:
    """One question's marks, each with its number."""
    title, unit = PANELS[name]
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axes.set_xlabel(unit, fontsize=9)
    axes.grid(axis="y", color=PALE)
    axes.set_axisbelow(True)
    axes.tick_params(left=False, labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if isinstance(floor, float):
        axes.axvline(floor, color=ORANGE, linestyle="--", linewidth=1, zorder=1)
    found = [(at, row, row.figures.get(name)) for at, row in enumerate(rows)]
    for at, row, value in found:
        if isinstance(value, float):
            colour, marker, filling = _look(row)
            axes.plot(value, at, marker, color=colour, markerfacecolor=filling, markersize=6)
            _number(axes, value, at, colour)
    if name == "peak":
        axes.set_xlim(0, 1.3 * axes.get_xlim()[1])
        plain(axes.xaxis)
        return
    axes.set_xscale("log")
    plain(axes.xaxis)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.18)  # room for the last number


def _number(axes: Axes, value: float, at: int, colour: str) -> None:
    axes.annotate(
        f"{value:,.0f}" if value >= 10 else f"{value:.2g}",
        (value, at),
        (7, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},  # no line runs through it
    )


if __name__ == "__main__":
    draw(Results.load())
