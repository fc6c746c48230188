"""Files of rows, read in blocks: Parquet, Arrow, CSV and npz."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from lossmeter_client.arrays import MASK, Array, Arrays, array_of
from lossmeter_client.errors import invalid

ROWS = 65_536
ARROW_FILE = b"ARROW1"
# Inputs that are taken from the column of their name where no other is named.
USUAL = ("predictions", "targets")


@dataclass(frozen=True, slots=True)
class Table:
    """A file that can be read block by block.

    Attributes:
        path: The file.
        columns: Which columns are which inputs; several make a last axis, and so does one with an
            empty name after it.
        labels: Inputs that name groups.
    """

    path: Path
    columns: Mapping[str, tuple[str, ...]]
    labels: frozenset[str]

    @classmethod
    def of(
        cls, path: str | PathLike[str], named: Mapping[str, str], labels: frozenset[str]
    ) -> "Table":
        """A file and what its caller says of its columns.

        Raises:
            OSError: It cannot be opened.
            InvalidRequest: It is not what its ending says, or lacks a column.
        """
        found = Path(path)
        with _opened(found) as source:
            present = source.names
        usual = {name: name for name in (*USUAL, *labels) if name in present}
        split = {name: tuple(text.split(",")) for name, text in {**usual, **named}.items()}
        for name, columns in split.items():
            if any(column and column not in present for column in columns) or not any(columns):
                raise invalid("MISSING_INPUT", name, f"{name} must name columns of the file")
        return cls(found, split, labels)

    def batches(self) -> Iterator[Arrays]:
        """The inputs in the next rows."""
        wanted = sorted(
            {column for columns in self.columns.values() for column in columns if column}
        )
        with _opened(self.path) as source:
            for block in source.blocks(wanted):
                yield {name: self._input(block, name) for name in self.columns}

    def _input(self, block: Mapping[str, Any], name: str) -> Array:
        columns = self.columns[name]
        parts = [_array(block[column], column) for column in columns if column]
        if any(x.ndim != 1 for x in parts) and len(columns) > 1:
            raise invalid("SHAPE_MISMATCH", name, "only columns of single numbers can be joined")
        found = np.stack(parts, axis=-1) if len(columns) > 1 else parts[0]
        whole = name == MASK or name in self.labels
        if self.path.suffix == ".csv" and found.dtype.kind == "i" and not whole:
            # Its numbers come without a dtype, as those of a list do.
            return found.astype(np.float64)
        return array_of(found, name)


@dataclass(frozen=True, slots=True)
class _Source:
    """An open file: the names of its columns, and what reads some of them block by block."""

    names: Collection[str]
    blocks: Callable[[list[str]], Iterable[Mapping[str, Any]]]


@contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    """A file, with what is wrong with it as an error of ours."""
    if path.suffix not in READERS:
        raise invalid("UNSUPPORTED_MEDIA", "path", f"a file must end in {', '.join(READERS)}")
    try:
        with READERS[path.suffix](path) as source:
            yield source
    except (ValueError, BadZipFile, EOFError):  # pyarrow's own are ValueErrors
        raise invalid(
            "MALFORMED_REQUEST", "path", f"the file is no readable {path.suffix[1:]}"
        ) from None


@contextmanager
def _npz(path: Path) -> Iterator[_Source]:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        yield _Source(list(file), lambda names: [{name: file[name] for name in names}])


@contextmanager
def _parquet(path: Path) -> Iterator[_Source]:
    import pyarrow.parquet  # noqa: PLC0415 needed for these files alone

    with pyarrow.parquet.ParquetFile(path) as file:
        yield _Source(
            file.schema_arrow.names,
            lambda names: map(_named, file.iter_batches(batch_size=ROWS, columns=names)),
        )


@contextmanager
def _arrow(path: Path) -> Iterator[_Source]:
    import pyarrow  # noqa: PLC0415 needed for these files alone
    import pyarrow.ipc  # noqa: PLC0415

    with pyarrow.memory_map(str(path)) as opened:
        if opened.read(len(ARROW_FILE)) == ARROW_FILE:
            file = pyarrow.ipc.open_file(opened)
            batches = map(file.get_batch, range(file.num_record_batches))
            yield _Source(file.schema.names, lambda _: map(_named, batches))
        else:
            opened.seek(0)
            stream = pyarrow.ipc.open_stream(opened)
            yield _Source(stream.schema.names, lambda _: map(_named, stream))


@contextmanager
def _csv(path: Path) -> Iterator[_Source]:
    import pyarrow.csv  # noqa: PLC0415 needed for these files alone

    with pyarrow.csv.open_csv(path) as reader:
        yield _Source(reader.schema.names, lambda _: map(_named, reader))


READERS: Mapping[str, Callable[[Path], AbstractContextManager[_Source]]] = {
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".arrows": _arrow,
    ".feather": _arrow,
    ".csv": _csv,
    ".npz": _npz,
}


def _named(batch: Any) -> Mapping[str, Any]:
    """The columns of a record batch by name."""
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def _array(column: Any, name: str) -> Array:
    """A column as an array; a null number is NaN, a list column has a last axis."""
    if isinstance(column, np.ndarray):
        return column
    import pyarrow.types as kinds  # noqa: PLC0415 it is imported already

    kind = column.type
    if kinds.is_dictionary(kind):
        return _array(column.dictionary_decode(), name)
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        return _lists(column, name)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _lists(column: Any, name: str) -> Array:
    import pyarrow.compute  # noqa: PLC0415 it takes time

    lengths = np.unique(pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False))
    if column.null_count or lengths.size > 1:
        raise invalid("SHAPE_MISMATCH", name, f"the lists of {name} must be of equal length")
    flat = _array(column.flatten(), name)
    return flat.reshape(len(column), int(lengths.sum()), *flat.shape[1:])
