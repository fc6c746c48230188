"""The command line as a way of asking, and the files it reads."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from typer.testing import CliRunner

from lossmeter.cli import app
from tests.integration.forms import Array, Request, array
from tests.integration.replies import Reply, of_json
from tests.integration.servers import Service

ROWS_IN_A_GROUP = 300


def over_cli(_: Service, request: Request) -> Reply:
    """lossmeter evaluate, on a Parquet file."""
    with TemporaryDirectory() as folder:
        file, state = Path(folder, "rows.parquet"), Path(folder, "rows.state")
        write_parquet(file, {name: array(name, x) for name, x in request["inputs"].items()})
        wanted = request.get("options", {})
        flags = ["--state", str(state)] if wanted.get("state") else []
        reply = evaluated([file], request, *flags)
        return Reply(reply.value, {**reply.fields, "state": state.read_bytes()}) if flags else reply


def evaluated(files: Sequence[Path], request: Request, *flags: str) -> Reply:
    """lossmeter evaluate, on files that hold the inputs in columns of the same names."""
    reduction = request.get("reduction")
    by = ["--by", reduction["by"]] if isinstance(reduction, dict) and "by" in reduction else []
    settings = ["--params", json.dumps(request.get("params", {})), *_reduction(request), *by]
    marks = [
        x for name in ("sample_weight", "mask") if name in request["inputs"] for x in _flag(name)
    ]
    loss = request["loss"]
    own = isinstance(loss, Mapping)
    asked = ("--expression", loss["expression"]) if own else ("--loss", loss)
    words = ("evaluate", *map(str, files), *asked)
    return said(*words, *settings, *marks, *flags)


def _flag(name: str) -> tuple[str, str]:
    return f"--{name.replace('_', '-')}", name


def merged_over_cli(_: Service, states: Sequence[bytes], request: Request) -> Reply:
    """lossmeter merge, on files of states."""
    with TemporaryDirectory() as folder:
        files, merged = (
            [Path(folder, f"{at}.state") for at in range(len(states))],
            Path(folder, "m"),
        )
        for file, state in zip(files, states, strict=True):
            file.write_bytes(state)
        flags = ["--state", str(merged)] if request.get("options") else []
        reply = said("merge", *map(str, files), *_reduction(request), *flags)
        return (
            Reply(reply.value, {**reply.fields, "state": merged.read_bytes()}) if flags else reply
        )


def _reduction(request: Request) -> list[str]:
    asked = request.get("reduction")
    if asked is None:
        return []
    return ["--reduction", json.dumps(asked) if isinstance(asked, dict) else asked]


def said(*words: str) -> Reply:
    """What the command prints."""
    result = CliRunner().invoke(app, [*words, "--format", "json"])
    assert result.exit_code == 0, result.output
    return of_json(json.loads(result.stdout))


def table(columns: Mapping[str, Array]) -> pa.Table:
    """Arrays as columns; those of more axes as lists."""
    return pa.table({name: _column(x) for name, x in columns.items()})


def _column(x: Array) -> pa.Array:
    if x.ndim == 1:
        return pa.array(x.tolist() if x.dtype.kind == "U" else x)
    return pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])


def split_columns(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays of two axes as a column for each of the second: p0, p1, p2."""
    return {
        name if x.ndim == 1 else f"{name[0]}{at}": x if x.ndim == 1 else x[:, at]
        for name, x in columns.items()
        for at in range(1 if x.ndim == 1 else x.shape[1])
    }


def write_parquet(path: Path, columns: Mapping[str, Array]) -> None:
    """Several row groups, so that rows come in several reads."""
    pyarrow.parquet.write_table(table(columns), path, row_group_size=ROWS_IN_A_GROUP)


def write_arrow(path: Path, columns: Mapping[str, Array]) -> None:
    """The format of Arrow files, in several record batches."""
    made = table(columns)
    with pyarrow.ipc.new_file(path, made.schema) as writer:
        writer.write_table(made, ROWS_IN_A_GROUP)


def write_arrow_stream(path: Path, columns: Mapping[str, Array]) -> None:
    """The format of Arrow streams."""
    made = table(columns)
    with pyarrow.ipc.new_stream(path, made.schema) as writer:
        writer.write_table(made, ROWS_IN_A_GROUP)


def write_csv(path: Path, columns: Mapping[str, Array]) -> None:
    """Numbers as text that reads back to the same bits."""
    pyarrow.csv.write_csv(table(columns), path)


def write_npz(path: Path, columns: Mapping[str, Array]) -> None:
    """Arrays by name."""
    np.savez(path, allow_pickle=False, **columns)


WRITERS: Mapping[str, Callable[[Path, Mapping[str, Any]], None]] = {
    ".parquet": write_parquet,
    ".arrow": write_arrow,
    ".arrows": write_arrow_stream,
    ".feather": write_arrow,
    ".csv": write_csv,
    ".npz": write_npz,
}
