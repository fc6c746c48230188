"""Files of rows as tensors, read in blocks: Parquet, Arrow, CSV and npz."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from lossmeter.core.arrays import Array
from lossmeter.errors import (
    DtypeUnsupported,
    MalformedRequest,
    MissingInput,
    ShapeMismatch,
    UnsupportedMedia,
)
from lossmeter.plan.tensors import Tensors

ROWS = 65_536
# Input of the loss to the columns that hold it; several columns make a last axis, and so does one
# with an empty name after it.
Columns = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Table:
    """A file that can be read block by block.

    Attributes:
        path: The file.
        columns: Which columns are which inputs.
    """

    path: Path
    columns: Columns

    def rows(self) -> int | None:
        """How many rows there are, where the format says so without reading them."""
        if self.path.suffix == ".parquet":
            return int(pyarrow.parquet.read_metadata(self.path).num_rows)
        return None

    def blocks(self) -> Iterator[Tensors]:
        """The tensors of the next rows.

        Raises:
            MalformedRequest: The file is not what its name says.
            MissingInput: A column is absent.
        """
        with _readable(self.path):
            if self.path.suffix == ".npz":
                yield _npz(self.path, self.columns)
                return
            # The numbers of a CSV come without a dtype, like JSON's.
            plain = frozenset(self.columns) if self.path.suffix == ".csv" else frozenset()
            for batch in _READERS[self.path.suffix](self.path, self._names()):
                yield Tensors(_arrays(batch, self.columns), plain)

    def _names(self) -> list[str]:
        return _named(self.columns)


def _parquet(path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    with pyarrow.parquet.ParquetFile(path) as file:
        _check_present(names, file.schema_arrow.names)
        yield from file.iter_batches(batch_size=ROWS, columns=sorted(set(names)))


def _arrow(path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as source:
        try:
            file = pyarrow.ipc.open_file(source)
            _check_present(names, file.schema.names)
            for number in range(file.num_record_batches):
                yield file.get_batch(number)
        except pa.ArrowInvalid:
            source.seek(0)
            stream = pyarrow.ipc.open_stream(source)
            _check_present(names, stream.schema.names)
            yield from stream


def _csv(path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    with pyarrow.csv.open_csv(path) as reader:
        _check_present(names, reader.schema.names)
        yield from reader


_READERS: Mapping[str, Callable[[Path, list[str]], Iterator[pa.RecordBatch]]] = {
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".arrows": _arrow,
    ".feather": _arrow,
    ".csv": _csv,
}
SUFFIXES = (*_READERS, ".npz")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What goes wrong with a file, as the caller's mistake that it is."""
    if path.suffix not in SUFFIXES:
        raise UnsupportedMedia(f"a file must end in {', '.join(SUFFIXES)}", field="file")
    try:
        yield
    except (pa.ArrowException, ValueError, BadZipFile, EOFError):
        raise MalformedRequest(f"the file is no readable {path.suffix[1:]}", field="file") from None


def _check_present(wanted: list[str], present: list[str]) -> None:
    for name in wanted:
        if name not in present:
            raise MissingInput(f"the file has no column {name}", field=name)


def _arrays(batch: pa.RecordBatch, columns: Columns) -> dict[str, Array]:
    return {
        name: _joined([_column(batch.column(n), n) for n in names if n], name, "" in names)
        for name, names in columns.items()
    }


def _named(columns: Columns) -> list[str]:
    return [name for names in columns.values() for name in names if name]


def _joined(arrays: list[Array], name: str, axis: bool) -> Array:
    if any(not x.ndim for x in arrays):
        raise ShapeMismatch("a file holds rows, and this is one number", field=f"inputs.{name}")
    if len(arrays) == 1:
        return arrays[0][:, None] if axis else arrays[0]
    if any(x.ndim != 1 for x in arrays):
        raise ShapeMismatch("only columns of single numbers can be joined", field=f"inputs.{name}")
    return np.stack(arrays, axis=-1)


def _column(column: pa.Array, name: str) -> Array:
    """A column as an array; a null number is NaN, a list column has a last axis."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _column(column.dictionary_decode(), name)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(column, name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        if column.null_count:
            raise DtypeUnsupported(f"the column {name} has nulls among its strings", field=name)
        return np.asarray(column.to_pylist(), dtype=str)
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise DtypeUnsupported(f"the column {name} holds no numbers or strings", field=name)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _lists(column: Any, name: str) -> Array:
    if column.null_count:
        raise ShapeMismatch(f"the column {name} has null lists", field=name)
    flat = _column(column.flatten(), name)
    rows = len(column)
    width, odd = divmod(flat.shape[0], rows) if rows else (0, 0)
    lengths = column.value_lengths() if hasattr(column, "value_lengths") else None
    if odd or (lengths is not None and rows and not (lengths.to_numpy() == width).all()):
        raise ShapeMismatch(f"the lists of the column {name} differ in length", field=name)
    return flat.reshape(rows, width, *flat.shape[1:])


def _npz(path: Path, columns: Columns) -> Tensors:
    """The arrays of an npz, which are read whole."""
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        _check_present(_named(columns), list(file))
        arrays = {
            name: _joined([file[n] for n in names if n], name, "" in names)
            for name, names in columns.items()
        }
    return Tensors(arrays)


def column_names(path: Path) -> list[str]:
    """The columns of a file.

    Raises:
        MalformedRequest: The file is not what its name says.
    """
    with _readable(path):
        if path.suffix == ".npz":
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return list(file)
        if path.suffix == ".parquet":
            return list(pyarrow.parquet.read_schema(path).names)
        first = next(_READERS[path.suffix](path, []), None)
        return [] if first is None else list(first.schema.names)


def together(blocks: Iterator[Tensors]) -> Tensors:
    """All blocks as one."""
    every = list(blocks)
    names = every[0].arrays if every else {}
    arrays = {name: np.concatenate([block.arrays[name] for block in every]) for name in names}
    return Tensors(arrays, every[0].plain if every else frozenset())
