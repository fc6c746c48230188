"""Requests whose body is tensors, written by the libraries that everybody writes them with."""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from safetensors.numpy import save

from tests.integration.forms import WHOLE, Array, Request, array
from tests.integration.replies import Reply, of_rest
from tests.integration.servers import Service
from tests.integration.wires import Ask

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROWS = 3
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
NPZ = "application/x-npz"
SAFETENSORS = "application/vnd.safetensors"
CSV = "text/csv"
Arrays = Mapping[str, Array]
FOLDS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}


def table(inputs: Arrays) -> pa.Table:
    """Arrays as columns; those of more axes as lists of lists."""
    return pa.table({name: _column(x) for name, x in inputs.items()})


def _column(x: Array) -> pa.Array:
    if x.dtype.kind == "U":
        return pa.array(x.tolist(), pa.string())
    column = pa.array(np.ascontiguousarray(x).reshape(-1))
    for size in reversed(x.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def arrow(inputs: Arrays, rows: int = ROWS, compression: str | None = None) -> bytes:
    """An Arrow stream of small batches."""
    made, sink = table(inputs), pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, made.schema, options=options) as writer:
        writer.write_table(made, rows)
    return bytes(sink.getvalue())


def arrow_file(inputs: Arrays) -> bytes:
    """The format of Arrow files."""
    made, sink = table(inputs), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, made.schema) as writer:
        writer.write_table(made, ROWS)
    return bytes(sink.getvalue())


def parquet(inputs: Arrays, rows: int = ROWS, **options: Any) -> bytes:
    """Parquet of small row groups."""
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table(inputs), sink, row_group_size=rows, **options)
    return bytes(sink.getvalue())


def npz(inputs: Arrays) -> bytes:
    """Arrays as they are."""
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **inputs)
    return sink.getvalue()


def npz_compressed(inputs: Arrays) -> bytes:
    """Arrays deflated."""
    sink = io.BytesIO()
    np.savez_compressed(sink, allow_pickle=False, **inputs)
    return sink.getvalue()


def safetensors(inputs: Arrays) -> bytes:
    """Tensors behind a header."""
    return save({name: np.ascontiguousarray(x).reshape(x.shape) for name, x in inputs.items()})


def csv(inputs: Arrays) -> bytes:
    """Numbers as text that reads back to the same bits; of an array of two axes, its columns."""
    sink = pa.BufferOutputStream()
    columns: dict[str, Array] = {}
    for name, x in inputs.items():
        parts = {name: x} if x.ndim == 1 else {n: x[:, at] for at, n in enumerate(split(name, x))}
        columns |= parts
    pyarrow.csv.write_csv(table(columns), sink)
    return bytes(sink.getvalue())


def split(name: str, x: Array) -> list[str]:
    """The names of an array's columns."""
    return [f"{name}{at}" for at in range(x.shape[1])]


def _rows(inputs: Arrays) -> bool:
    """Whether the arrays are columns of the same rows."""
    return all(x.ndim for x in inputs.values()) and len({len(x) for x in inputs.values()}) == 1


def _text(inputs: Arrays) -> bool:
    """Whether text holds them: numbers without a dtype, of two axes at most."""
    plain = all(x.dtype == np.float64 or name in WHOLE for name, x in inputs.items())
    shaped = all(x.ndim == 1 or (x.ndim == 2 and x.shape[1]) for x in inputs.values())
    return plain and shaped and _rows(inputs)


@dataclass(frozen=True, slots=True)
class Wire:
    """A form of body.

    Attributes:
        media: Its media type.
        write: The body that holds arrays.
        holds: Whether it can hold them.
    """

    media: str
    write: Callable[[Arrays], bytes]
    holds: Callable[[Arrays], bool]


WIRES: Mapping[str, Wire] = {
    "Arrow": Wire(ARROW, arrow, _rows),
    "an Arrow file": Wire(ARROW, arrow_file, _rows),
    "Arrow of lz4": Wire(ARROW, lambda x: arrow(x, compression="lz4"), _rows),
    "Parquet": Wire(PARQUET, parquet, _rows),
    "npz": Wire(NPZ, npz, lambda _: True),
    "npz deflated": Wire(NPZ, npz_compressed, lambda _: True),
    "safetensors": Wire(
        SAFETENSORS, safetensors, lambda given: all(x.dtype.kind != "U" for x in given.values())
    ),
    "CSV": Wire(CSV, csv, _text),
}


def arrays_of(request: Request) -> dict[str, Array]:
    """The inputs of a request as arrays."""
    return {name: array(name, x) for name, x in request["inputs"].items()}


def query_of(request: Request, named: Mapping[str, str]) -> str:
    """All of a request but its tensors, as a query."""
    asked = {name: x for name, x in request.items() if name != "inputs"}
    if isinstance(asked.get("loss"), Mapping):
        asked |= asked.pop("loss")
    texts = {name: x if isinstance(x, str) else json.dumps(x) for name, x in asked.items()}
    return urlencode({**texts, **named})


def over(wire: Wire, path: str = "/v1/evaluate") -> Ask:
    """The way of asking with a body of this form, every input named."""

    def ask(service: Service, request: Request) -> Reply:
        inputs = arrays_of(request)
        named = {
            name: ",".join(split(name, x)) + ("," if x.shape[1] == 1 else "")
            if wire.media == CSV and x.ndim == 2
            else name
            for name, x in inputs.items()
        }
        query, content = query_of(request, named), wire.write(inputs)
        headers = {"content-type": wire.media}
        return of_rest(service.http.post(f"{path}?{query}", content=content, headers=headers))

    return ask
