"""The picture of scaling: time and memory against rows, requests against callers.

python -m benchmarks.scaling.plot      draws the last results again
"""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.peers.plot import save
from benchmarks.scaling.report import CALLERS, NANOSECONDS, Line, Rate, Results

PICTURE = Path("docs/pictures/scaling.svg")
# Okabe and Ito's colours, told apart by colour-blind readers; markers differ besides.
LOOKS = [("#0072B2", "o"), ("#D55E00", "s")]


def draw(results: Results, path: Path = PICTURE) -> None:
    """Write the picture."""
    figure = Figure((15, 4.6), layout="constrained")
    seconds, memory, rates = figure.subplots(1, 3)
    for (title, points), (colour, marker) in zip(results.streams.items(), LOOKS, strict=False):
        rows = [point.rows for point in points]
        line = Line.through(points)
        seconds.plot(rows, [line.start + line.slope * n for n in rows], color=colour, linewidth=1)
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
    _rates(rates, results.rates)
    memory.set_ylim(0, None)
    rates.set_ylim(0, None)
    for axes in (seconds, memory, rates):
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False, fontsize=9)
    figure.supxlabel(f"{results.hardware}; medians of {results.rounds} rounds", fontsize=8)
    save(figure, path)


def short(title: str) -> str:
    """A wire without whose it is."""
    return title.partition(", ")[2]


def _dress(axes: Axes, title: str, below: str, beside: str) -> None:
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _rates(axes: Axes, rates: Mapping[str, list[Rate]]) -> None:
    """A line for each wire and number of workers, named at its end."""
    axes.set_xscale("log", base=2)
    for (title, found), (colour, marker) in zip(rates.items(), LOOKS, strict=False):
        for workers in dict.fromkeys(rate.workers for rate in found):
            line = [rate for rate in found if rate.workers == workers]
            callers = [rate.callers for rate in line]
            heights = [rate.per_second for rate in line]
            style = f"{marker}-" if workers == 1 else f"{marker}--"
            axes.plot(callers, heights, style, color=colour, markersize=4)
            axes.annotate(
                f"{short(title)} × {workers}",
                (callers[-1], heights[-1]),
                (6, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=colour,
            )
    axes.set_xticks(CALLERS, [str(n) for n in CALLERS])
    axes.set_xlim(0.9, 2.4 * CALLERS[-1])  # room for the names


if __name__ == "__main__":
    draw(Results.load())
