"""Columns as tensors: the rules that every form of rows shares."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from lossmeter.core.arrays import Array
from lossmeter.errors import (
    DtypeUnsupported,
    MalformedRequest,
    MissingInput,
    ShapeMismatch,
    TooLarge,
)
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.tensors import MOST_EMPTY, check_labels

ROWS = 65_536
# Input of the loss to the columns that hold it; several columns make a last axis, and so does one
# with an empty name after it.
Columns = Mapping[str, tuple[str, ...]]
UNBOUNDED = 2**62


class Rows(Protocol):
    """Rows in some form, opened.

    Attributes:
        names: Its columns.
    """

    names: list[str]

    def blocks(self, columns: Columns) -> Iterator[Tensors]:
        """The tensors of the next rows, until there are no more.

        Raises:
            LossmeterError: A column is absent, or cannot be a tensor.
            Exception: The form is broken; what a library raises then.
        """
        ...


def check_present(columns: Columns, present: Sequence[str]) -> list[str]:
    """The columns that are named, each once.

    Raises:
        MissingInput: One is absent.
        MalformedRequest: One is there twice.
    """
    wanted = list(dict.fromkeys(name for names in columns.values() for name in names if name))
    for name in wanted:
        if name not in present:
            raise MissingInput(f"there is no column {name}", field=name)
        if list(present).count(name) > 1:
            raise MalformedRequest(f"there are two columns {name}", field=name)
    return wanted


def tensors_of(batch: pa.RecordBatch, columns: Columns, *, plain: bool = False) -> Tensors:
    """The tensors in a batch whose bytes nobody has looked at.

    Raises:
        InvalidRequest: A column cannot be a tensor.
    """
    # Offsets and indices that point outside their data would be read all the same.
    batch.validate(full=True)
    arrays = {
        name: joined([_column(batch.column(n), n) for n in names if n], name, axis="" in names)
        for name, names in columns.items()
    }
    return Tensors(arrays, frozenset(columns) if plain else frozenset())


def nothing_of(schema: pa.Schema, columns: Columns, *, plain: bool = False) -> Tensors:
    """The tensors of no rows."""
    empty = [pa.array([], field.type) for field in schema]
    return tensors_of(pa.RecordBatch.from_arrays(empty, schema=schema), columns, plain=plain)


def joined(arrays: list[Array], name: str, *, axis: bool) -> Array:
    """An input from its columns.

    Raises:
        ShapeMismatch: They cannot be joined.
        TooLarge: There are too many rows of nothing.
    """
    for x in arrays:
        if x.ndim and not x.size and x.shape[0] > MOST_EMPTY:
            raise TooLarge("too many rows of nothing", limit=MOST_EMPTY, actual=x.shape[0])
    if len(arrays) == 1:
        return arrays[0][..., None] if axis else arrays[0]
    if any(x.ndim != 1 for x in arrays):
        raise ShapeMismatch("only columns of single numbers can be joined", field=f"inputs.{name}")
    return np.stack(arrays, axis=-1)


def _column(column: pa.Array, name: str) -> Array:
    """A column as an array; a null number is NaN, a list column has a last axis."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        if not _is_flat(kind.value_type):
            raise DtypeUnsupported(f"the column {name} repeats what is no number", field=name)
        _check_strings(column.dictionary, name)
        return _column(column.dictionary_decode(), name)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(column, name)
    if not _is_flat(kind):
        raise DtypeUnsupported(f"the column {name} holds no numbers or strings", field=name)
    if _is_string(kind):
        _check_strings(column, name)
        return np.asarray(column.to_pylist(), dtype=str)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _is_string(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_flat(kind: Any) -> bool:
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    return bool(number or pa.types.is_boolean(kind) or _is_string(kind))


def _check_strings(column: pa.Array, name: str) -> None:
    if not _is_string(column.type):
        return
    if column.null_count:
        raise DtypeUnsupported(f"the column {name} has nulls among its strings", field=name)
    check_labels(column.to_pylist(), name)


def _lists(column: Any, name: str) -> Array:
    if column.null_count:
        raise ShapeMismatch(f"the column {name} has null lists", field=name)
    flat = _column(column.flatten(), name)
    rows = len(column)
    width, odd = divmod(flat.shape[0], rows) if rows else (0, 0)
    if pa.types.is_fixed_size_list(column.type):
        width, odd = column.type.list_size, 0
    lengths = column.value_lengths() if hasattr(column, "value_lengths") else None
    if odd or (lengths is not None and rows and not (lengths.to_numpy() == width).all()):
        raise ShapeMismatch(f"the lists of the column {name} differ in length", field=name)
    return flat.reshape(rows, width, *flat.shape[1:])
