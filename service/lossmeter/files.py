"""Files of predictions: their columns as inputs, and their rows evaluated in blocks."""

import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.engine import Engine
from lossmeter.app.streaming import evaluate_blocks
from lossmeter.errors import UnsupportedMedia
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.forms import OF_SUFFIX, Form, columns_of, read_blocks, readable
from lossmeter.wire.json import group_inputs
from lossmeter.wire.tables import UNBOUNDED, Columns, Rows

FIELD = "file"


@dataclass(frozen=True, slots=True)
class Table:
    """A file that can be read block by block.

    Attributes:
        path: The file.
        columns: Which columns are which inputs.
        whole: Inputs whose whole numbers are integers in a form without dtypes.
    """

    path: Path
    columns: Columns
    whole: frozenset[str]

    def rows(self) -> int | None:
        """How many rows there are, where the format says so without reading them."""
        if self.path.suffix != ".parquet":
            return None
        with opened(self.path, self.whole) as (_, rows):
            return getattr(rows, "count", None)

    def blocks(self) -> Iterator[Tensors]:
        """The tensors of the next rows.

        Raises:
            MalformedRequest: The file is not what its name says.
            MissingInput: A column is absent.
        """
        with opened(self.path, self.whole) as (form, rows):
            yield from read_blocks(form, rows, self.columns, FIELD)


@contextmanager
def opened(path: Path, whole: frozenset[str]) -> Iterator[tuple[Form, Rows]]:
    """The rows of a file, and their form.

    Raises:
        UnsupportedMedia: Its name ends in nothing known.
        MalformedRequest: It is not what its name says.
    """
    form = OF_SUFFIX.get(path.suffix)
    if form is None:
        raise UnsupportedMedia(f"a file must end in {', '.join(OF_SUFFIX)}", field=FIELD)
    with path.open("rb") as file:
        with readable(form, FIELD):
            source = file if form.streams else _mapped(file.fileno())
            rows = form.open(source, UNBOUNDED, whole)
        yield form, rows


def _mapped(number: int) -> memoryview:
    # Not closed here: arrays may lie in it for as long as they live.
    return memoryview(mmap.mmap(number, 0, access=mmap.ACCESS_READ))


def tables_of(named: Mapping[str, str], spec: EvaluateSpec, files: Sequence[Path]) -> list[Table]:
    """The files with the columns that are inputs, as the first of them has them."""
    whole = group_inputs(spec) | {"mask"}
    with opened(files[0], whole) as (_, rows):
        columns = columns_of(named, spec, rows.names)
    return [Table(file, columns, whole) for file in files]


def evaluated(
    spec: EvaluateSpec, tables: Sequence[Table], evaluates: Engine, screen: Console
) -> Answer | Answers:
    """Stream where sums are enough; else hold all rows, so that the answer is exact."""
    return evaluate_blocks(evaluates, spec, with_progress(tables, screen))


def with_progress(tables: Sequence[Table], screen: Console) -> Iterator[Tensors]:
    """The blocks of all tables, counted on the screen if it is a terminal."""
    counts = [table.rows() for table in tables]
    total = None if None in counts else sum(n for n in counts if n is not None)
    bar = Progress(
        TextColumn("rows"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    with bar:
        task = bar.add_task("rows", total=total)
        for table in tables:
            for tensors in table.blocks():
                yield tensors
                first = next(iter(tensors.arrays.values()))
                bar.advance(task, first.shape[0] if first.ndim else 1)
