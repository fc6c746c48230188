"""The picture of scaling: time and memory against rows, requests against callers.

`python -m benchmarks.scaling.plot` draws the last results again.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.peers.plot import BLUE, ORANGE, PALE, plain, save
from benchmarks.scaling.report import CALLERS, NANOSECONDS, Line, Rate, Results

PICTURE = Path("docs/pictures/scaling.svg")
GAP = 0.055
LOOKS = [(BLUE, "o"), (ORANGE, "s")]


def draw(results: Results, path: Path = PICTURE) -> None:
    """Write the picture."""
    figure = Figure((15, 4.6), layout="constrained")
    seconds, memory, rates = figure.subplots(1, 3)
    for (title, points), (colour, marker) in zip(results.streams.items(), LOOKS, strict=False):
        rows = [point.rows for point in points]
        line = Line.through(points)
        every = np.geomspace(rows[0], rows[-1])
        seconds.plot(every, line.start + line.slope * every, color=colour, linewidth=1)
        said = f"{short(title)}: {line.slope * NANOSECONDS:.1f} ns a row"
        seconds.plot(rows, [point.seconds for point in points], marker, color=colour, label=said)
        memory.plot(
            rows, [p.peak_mib for p in points], f"{marker}-", color=colour, label=short(title)
        )
    _dress(seconds, "time against rows streamed, and the straight line", "rows", "seconds")
    _dress(memory, "the server's peak memory", "rows", "MiB")
    _dress(rates, "requests of 32 rows, 1 worker and 2 (dashed)", "callers", "requests/s")
    seconds.set(xscale="log", yscale="log")
    memory.set(xscale="log")
    plain(seconds.yaxis)
    _rates(rates, results.rates)
    for axes in (memory, rates):
        axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
    for axes in (seconds, memory):
        axes.legend(frameon=False, fontsize=9, loc="upper left")
    figure.supxlabel(f"{results.hardware}; medians of {results.rounds}", fontsize=8)
    save(figure, path)


def short(title: str) -> str:
    """A wire without whose it is."""
    return title.partition(", ")[2]


def _dress(axes: Axes, title: str, below: str, beside: str) -> None:
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    axes.grid(color=PALE)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _rates(axes: Axes, rates: Mapping[str, list[Rate]]) -> None:
    """A line for each wire and number of workers, named at its end."""
    axes.set_xscale("log", base=2)
    ends: list[tuple[float, str, str]] = []
    for (title, found), (colour, marker) in zip(rates.items(), LOOKS, strict=False):
        for workers in dict.fromkeys(rate.workers for rate in found):
            line = [rate for rate in found if rate.workers == workers]
            heights = [rate.per_second for rate in line]
            style = f"{marker}-" if workers == 1 else f"{marker}--"
            axes.plot([rate.callers for rate in line], heights, style, color=colour, markersize=4)
            ends.append((heights[-1], f"{short(title)} × {workers}", colour))
    axes.set_xticks(CALLERS, [str(n) for n in CALLERS])
    axes.set_xlim(0.9, 2.6 * CALLERS[-1])  # room for the names
    height, gap = -math.inf, GAP * axes.get_ylim()[1]
    for end, name, colour in sorted(ends):
        height = max(end, height + gap)  # names that would lie on each other move up
        axes.text(1.12 * CALLERS[-1], height, name, va="center", fontsize=9, color=colour)


if __name__ == "__main__":
    draw(Results.load())
