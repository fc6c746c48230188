"""Files of predictions: their columns as inputs, and their rows evaluated in blocks."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.engine import Engine
from lossmeter.core.parts import Values
from lossmeter.errors import MalformedRequest, NotStreamable
from lossmeter.plan.names import symbol_of
from lossmeter.plan.plan import prepare
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.tables import Columns, Table, column_names, together


def columns_of(named: dict[str, str], spec: EvaluateSpec, file: Path) -> Columns:
    """Which columns are which inputs; those the loss takes besides go by their own names."""
    variants = symbol_of(spec.loss or "", spec.params).variants
    inputs = [spec.name for variant in variants for spec in variant.loss.inputs]
    present = column_names(file)
    # A framework may do without targets.
    lacked = {name for variant in variants for name in variant.lacks} - {*present}
    named = {name: column for name, column in named.items() if {name, column} - lacked}
    wanted = {**{name: name for name in inputs if name in present}, **named}
    taken = (*inputs, "sample_weight", "mask")
    return {
        name: _names(columns, name)
        for name, columns in wanted.items()
        if name in taken or name not in ("predictions", "targets")
    }


def _names(columns: str, name: str) -> tuple[str, ...]:
    names = tuple(columns.split(","))
    if not any(names):
        raise MalformedRequest("name a column", field=name)
    return names


def evaluated(
    spec: EvaluateSpec, tables: Sequence[Table], evaluates: Engine, screen: Console
) -> Answer | Answers:
    """Stream where sums are enough; else hold all rows, so that the answer is exact."""
    reduction = prepare(spec.loss or "", spec.params, spec.reduction).reduction
    blocks = with_progress(tables, screen)
    if Values not in reduction.rule.parts and reduction.rule.merges:
        first = list(islice(blocks, 1))
        try:
            session = evaluates.open(spec, streaming=True)
            for tensors in first:
                session.add(tensors)
        except NotStreamable:
            return evaluates.evaluate(spec, together(chain(first, blocks)))
        for tensors in blocks:
            session.add(tensors)
        return session.finish()
    return evaluates.evaluate(spec, together(blocks))


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
