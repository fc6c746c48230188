"""The forms that rows come in, by media type, by a file's suffix, or by their first bytes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from struct import error as StructError
from tokenize import TokenError
from typing import Any, NamedTuple
from zipfile import BadZipFile
from zlib import error as ZlibError

import pyarrow as pa

from lossmeter.errors import MalformedRequest
from lossmeter.plan.names import symbol_of
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import SHARED, Tensors
from lossmeter.wire.arrow import ArrowRows
from lossmeter.wire.csv import CsvRows
from lossmeter.wire.json import group_inputs
from lossmeter.wire.npz import NpzRows
from lossmeter.wire.parquet import ParquetRows
from lossmeter.wire.safetensors import SafetensorsRows
from lossmeter.wire.tables import Columns, Rows


class Form(NamedTuple):
    """A form of rows.

    Attributes:
        name: What it is called.
        media: Its media type.
        suffixes: What its files end in.
        magic: What it begins with; nothing where that tells nothing.
        streams: Whether it is read from a file as it comes; else it is opened as a whole.
        open: Its rows, given file or memory, most bytes that it may unfold to, and the inputs that
            are whole numbers where the form has no dtypes.
    """

    name: str
    media: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    streams: bool
    open: Callable[[Any, int, frozenset[str]], Rows]


FORMS = (
    Form(
        "Arrow",
        "application/vnd.apache.arrow.stream",
        (".arrow", ".arrows", ".feather"),
        (b"ARROW1", b"\xff\xff\xff\xff"),
        True,
        lambda file, limit, _: ArrowRows(file, limit),
    ),
    Form(
        "Parquet",
        "application/vnd.apache.parquet",
        (".parquet",),
        (b"PAR1",),
        False,
        lambda data, limit, _: ParquetRows(data, limit),
    ),
    Form(
        "npz",
        "application/x-npz",
        (".npz",),
        (b"PK\x03\x04",),
        False,
        lambda data, limit, _: NpzRows(data, limit),
    ),
    Form(
        "safetensors",
        "application/vnd.safetensors",
        (".safetensors",),
        (),
        False,
        lambda data, limit, _: SafetensorsRows(data),
    ),
    Form("CSV", "text/csv", (".csv",), (), True, lambda file, _, whole: CsvRows(file, whole)),
)
OF_MEDIA = {form.media: form for form in FORMS}
OF_SUFFIX = {suffix: form for form in FORMS for suffix in form.suffixes}


def form_of(start: bytes) -> Form | None:
    """The form of what begins so; None if it does not show."""
    return next((form for form in FORMS for magic in form.magic if start.startswith(magic)), None)


# What the readers raise of bytes that they cannot read, besides our own.
FAULTS = (
    *(pa.ArrowException, OSError, BadZipFile, ZlibError, StructError, EOFError, MemoryError),
    *(ValueError, LookupError, ArithmeticError, NotImplementedError, SyntaxError, RecursionError),
    *(TypeError, TokenError),
)


@contextmanager
def readable(form: Form, field: str | None = None) -> Iterator[None]:
    """What goes wrong in reading, as the caller's mistake that it is."""
    try:
        yield
    except FAULTS:
        raise MalformedRequest(f"this is no readable {form.name}", field=field) from None


def read_blocks(
    form: Form, rows: Rows, columns: Columns, field: str | None = None
) -> Iterator[Tensors]:
    """The tensors of rows, block by block.

    Raises:
        LossmeterError: They cannot be read, or a column is not what it must be.
    """
    blocks = rows.blocks(columns)
    while True:
        # Not around the yield: what goes wrong with the tensors is no fault of the form's.
        with readable(form, field):
            tensors = next(blocks, None)
        if tensors is None:
            return
        yield tensors


def columns_of(named: Mapping[str, str], spec: EvaluateSpec, present: Sequence[str]) -> Columns:
    """Which columns are which inputs; those the losses take besides go by their own names.

    Args:
        named: Columns of an input, as ``p0,p1``.
        spec: What is asked.
        present: The columns there are.

    Raises:
        MalformedRequest: An input has a list of no columns.
        LossmeterError: There is no such loss.
    """
    found = dict(named)
    inputs: set[str] = set()
    for one in spec.each():
        variants = symbol_of(one.loss, one.params).variants
        # A framework may do without targets.
        lacked = {name for variant in variants for name in variant.lacks} - {*present}
        found = {name: column for name, column in found.items() if {name, column} - lacked}
        names = (spec.name for variant in variants for spec in variant.loss.inputs)
        inputs |= {one.inputs.get(name, name) for name in names}
    wanted = {**{name: name for name in sorted(inputs) if name in present}, **found}
    return {
        name: _names(columns, name)
        for name, columns in wanted.items()
        if name in inputs or name not in ("predictions", "targets")
    }


def inputs_of(spec: EvaluateSpec) -> frozenset[str]:
    """All tensors that the losses can take."""
    found: set[str] = {*group_inputs(spec)}
    for one in spec.each():
        names = {*SHARED}
        for variant in symbol_of(one.loss, one.params).variants:
            names |= {*variant.beside, *variant.aliases, *(s.name for s in variant.loss.inputs)}
        found |= {one.inputs.get(name, name) for name in names}
    return frozenset(found)


def _names(columns: str, name: str) -> tuple[str, ...]:
    names = tuple(columns.split(","))
    if not any(names):
        raise MalformedRequest("name a column", field=name)
    return names
