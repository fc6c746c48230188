"""Answers, explanations and losses as the command line prints them."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.explain import Explanation
from lossmeter.wire.answers import answer_fields, as_lists

out = Console()
# Explanations are read beside one another, in mails and reports.
WIDTH, NAME_WIDTH = 100, 50


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"


def format_of(asked: Format | None) -> Format:
    """What is asked for; else a table on a terminal, JSON in a pipe."""
    return asked or (Format.TABLE if sys.stdout.isatty() else Format.JSON)


def print_answer(answer: Answer | Answers, output: Format | None) -> None:
    """An answer, the state left out."""
    fields = {
        name: value for name, value in answer_fields(answer, as_lists).items() if name != "state"
    }
    if format_of(output) is Format.JSON:
        text = orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
        sys.stdout.write(text.decode() + "\n")
        return
    groups, value = fields.pop("groups", {}), fields.pop("value")
    table = RichTable(show_header=False, box=None)
    if isinstance(value, dict):
        for label, number in value.items():
            table.add_row(label, repr(number), f"{groups[label]['count']} kept")
    else:
        table.add_row("value", f"[bold]{value}[/]")
    for name, content in fields.items():
        table.add_row(name, str(content))
    out.print(table)


def print_explanation(explanation: Explanation) -> None:
    """Two tables that fit 100 columns: the steps, and the dialects side by side."""
    steps = RichTable(box=None, show_header=False)
    steps.add_column(style="bold")
    steps.add_column(overflow="fold")
    for step in explanation.steps:
        steps.add_row(step.step, Text(step.says))
    wide = Console(width=min(out.width, WIDTH) if out.is_terminal else WIDTH)
    wide.print(steps)
    for warning in explanation.answer.warnings:
        wide.print(Text(f"\n{warning}", style="yellow"))
    wide.print()
    dialects = RichTable(box=None, header_style="bold")
    dialects.add_column("asked of", overflow="fold", max_width=NAME_WIDTH)
    for heading in ("value", "why it differs"):
        dialects.add_column(heading, overflow="fold")
    dialects.add_row(Text(explanation.symbol), _short(explanation.answer), "")
    for opinion in explanation.dialects:
        same = ["the same number"] if opinion.agrees else []
        told = [*same, *opinion.why, *([opinion.note] if opinion.note else [])]
        dialects.add_row(Text(opinion.symbol), _short(opinion.answer), Text("; ".join(told)))
    wide.print(dialects)


def _short(answer: Answer | None) -> str:
    if answer is None:
        return "refused"
    value = answer.value
    if isinstance(value, Mapping):
        return f"{len(value)} groups"
    return f"{np.size(value)} values" if np.ndim(value) else f"{float(value):.8g}"


def print_list(descriptors: Sequence[Any]) -> None:
    """Losses, a line each."""
    table = RichTable("loss", "kind", "what it measures", box=None, header_style="bold")
    for found in descriptors:
        table.add_row(found["name"], found["kind"], Text(found["summary"]))
    out.print(table)


def print_loss(found: Any) -> None:
    """What is known of one loss."""
    # As Text, for what a graph says of itself may hold what rich takes for markup.
    says = f"  {found['summary']}\n\n  {found['formula']}\n"
    out.print(Text.assemble((found["name"], "bold"), says))
    table = RichTable(box=None, header_style="bold")
    for heading in ("", "name", "values", "meaning"):
        table.add_column(heading)
    for spec in found["inputs"]:
        table.add_row(
            "input", f"{spec['name']} {spec['shape']}", spec["values"], spec["description"]
        )
    for name, schema in found["params"].get("properties", {}).items():
        default = f"default {schema.get('default')}"
        table.add_row("parameter", name, default, schema.get("description", ""))
    for symbol in found["symbols"]:
        table.add_row("symbol", symbol["symbol"], symbol["default_reduction"], symbol["version"])
    out.print(table)
    out.print(f"\nsource: {found['source']}", highlight=False)
