"""The dashboard as docs/pictures/dashboard.svg, drawn from Prometheus's own answers.

The service runs, callers ask it for a minute over both wires, now and then wrongly, and a
Prometheus watches. Each panel is drawn as Grafana would, from the same expressions.
"""

import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.integration.prometheus import DASHBOARD, PROMETHEUS, filled, query, scraping
from tests.integration.replies import Refused
from tests.integration.servers import Service, serving
from tests.integration.wires import over_grpc, over_rest

PICTURE = Path("docs/pictures/dashboard.svg")
SECONDS = 60
INTERVAL = "15s"
COLUMNS, INCHES, ROW_INCHES = 24, 17.0, 0.3
TITLE = 0.9
LOSSES = {"huber": 6, "squared_error": 3, "log_cosh": 2, "keras.losses.MeanSquaredError": 1}
MOST_ROWS = 20_000
Panel = Mapping[str, Any]


def main() -> int:
    """Draw it; 1 where there is no Prometheus."""
    if PROMETHEUS is None:
        print("no prometheus is on the path", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder / "log", workers=2) as service, scraping(service, folder) as client:
            callers = [threading.Thread(target=ask, args=(service, seed)) for seed in range(3)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            draw(client)
    return 0


def ask(service: Service, seed: int) -> None:
    """Ask for this and that, now and then wrongly, until the time is over."""
    draws = random.Random(seed)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        rows = int(MOST_ROWS ** draws.random())
        data = [float(draws.random()) for _ in range(rows)]
        loss = draws.choices([*LOSSES], [*LOSSES.values()])[0]
        request: dict[str, Any] = {"loss": loss, "inputs": {"predictions": data, "targets": data}}
        if draws.random() < 0.05:
            request["params"] = {"delta": -1}
        with suppress(Refused):
            draws.choice([over_rest, over_grpc])(service, request)
        time.sleep(draws.expovariate(20))


def draw(client: httpx.Client, path: Path = PICTURE) -> None:
    """Every panel at its place."""
    panels = DASHBOARD["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = Figure((INCHES, ROW_INCHES * rows))
    for panel in panels:
        place = panel["gridPos"]
        top = 1 - (place["y"] + TITLE) / rows
        left, width = (place["x"] + 0.7) / COLUMNS, (place["w"] - 1.0) / COLUMNS
        height = max(place["h"] - TITLE - 1.1, 0.01) / rows
        axes = figure.add_axes((left, top - height, width, height))
        big = 13 if panel["type"] == "row" else 9
        axes.set_title(panel["title"], loc="left", fontsize=big, fontweight="bold")
        DRAWN[panel["type"]](axes, panel, client)
    with mpl.rc_context({"svg.hashsalt": "lossmeter", "svg.fonttype": "none"}):
        figure.savefig(path, facecolor="white", metadata={"Date": None})


def row(axes: Axes, panel: Panel, client: httpx.Client) -> None:
    """A heading."""
    axes.axis("off")


def stat(axes: Axes, panel: Panel, client: httpx.Client) -> None:
    """Numbers of the moment."""
    axes.axis("off")
    told = []
    for target in panel["targets"]:
        for found in query(client, filled(target["expr"], INTERVAL)):
            named = legend(target["legendFormat"], found["metric"])
            value = f"{float(found['value'][1]):.4g}"
            shown = named if panel["options"].get("textMode") == "name" else f"{value} {named}"
            told.append(shown.strip())
    axes.text(0.0, 0.5, "\n".join(told), fontsize=18 if len(told) == 1 else 13, va="center")


def timeseries(axes: Axes, panel: Panel, client: httpx.Client) -> None:
    """Lines, or areas upon each other."""
    series = ranged(client, panel)
    seconds = series.pop("time")
    if "custom" in panel["fieldConfig"]["defaults"]:
        areas = [np.nan_to_num(values) for values in series.values()]
        axes.stackplot(seconds, *areas, labels=[*series], alpha=0.8)
    else:
        for name, values in series.items():
            axes.plot(seconds, values, label=name)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(panel["fieldConfig"]["defaults"]["unit"], fontsize=7)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6, loc="upper left")


def heatmap(axes: Axes, panel: Panel, client: httpx.Client) -> None:
    """Requests by their time: a bucket's own are those of it less those of the one below."""
    series = ranged(client, panel)
    seconds = series.pop("time")
    edges = sorted(series, key=float)
    counts = np.diff([np.nan_to_num(series[edge]) for edge in edges], axis=0, prepend=0)
    axes.pcolormesh(seconds, np.arange(len(edges)), counts, cmap="Oranges", shading="nearest")
    axes.set_yticks(range(len(edges)), edges, fontsize=6)
    axes.tick_params(axis="x", labelsize=7)


DRAWN = {"row": row, "stat": stat, "timeseries": timeseries, "heatmap": heatmap}


def ranged(client: httpx.Client, panel: Panel) -> dict[str, Any]:
    """The values of each series over the minute, by its legend; the seconds under `time`."""
    now = int(time.time())
    seconds = np.arange(now - SECONDS, now + 1)
    found: dict[str, Any] = {"time": seconds - seconds[0]}
    for target in panel["targets"]:
        asked = {"query": filled(target["expr"], INTERVAL), "step": "1"}
        span = {"start": str(seconds[0]), "end": str(seconds[-1])}
        answer = client.get("/api/v1/query_range", params=asked | span).raise_for_status()
        for series in answer.json()["data"]["result"]:
            values = dict((int(at), float(value)) for at, value in series["values"])
            name = legend(target["legendFormat"], series["metric"])
            found[name] = np.array([values.get(int(at), np.nan) for at in seconds])
    return found


def legend(told: str, labels: Mapping[str, str]) -> str:
    """A series' name, as Grafana makes it."""
    return re.sub(r"{{(\w+)}}", lambda label: labels.get(label[1], ""), told)


if __name__ == "__main__":
    sys.exit(main())
