"""Markdown: tables, links and values as text."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

BREAK = "<br>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a column that is empty throughout is left out."""
    cells = [[_cell(text) for text in row] for row in rows]
    kept = [at for at in range(len(headings)) if any(row[at] for row in cells)]
    lines = [[headings[at] for at in kept], ["---"] * len(kept)]
    lines += [[row[at] for at in kept] for row in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def formula(latex: str) -> str:
    """A formula, in the macros and the fence that GitHub takes.

    Between dollar signs it drops the backslash of ``\\,``; ``\\operatorname`` it refuses.
    """
    named = re.sub(r"\\operatorname\*\{(\w+)\}", r"\\mathop{\\mathrm{\1}}", latex)
    named = re.sub(r"\\operatorname\{(\w+)\}", r"\\mathop{\\mathrm{\1}}\\nolimits", named)
    return f"```math\n{named}\n```" if named else ""


def code(text: str) -> str:
    """Text in the type of code."""
    return f"`{text}`"


def plain(text: str) -> str:
    """Text with single backticks for the double ones of docstrings."""
    return text.replace("``", "`")


def clause(text: str) -> str:
    """A sentence as a part of another: without capital and full stop."""
    start = text[:1] if text[1:2].isupper() else text[:1].lower()
    return plain(start + text[1:]).rstrip(".")


def join(*blocks: str) -> str:
    """Blocks of a document, those that are empty left out."""
    return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def literal(value: Any) -> str:
    """A value as JSON has it, whole numbers without their fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


def words(schema: dict[str, Any], many: bool = False) -> str:
    """The values that a JSON Schema admits, in words."""
    if "anyOf" in schema:
        return either([words(one, many) for one in schema["anyOf"]])
    if "enum" in schema:
        return either([code(literal(value)) for value in schema["enum"]])
    if "const" in schema:
        return code(literal(schema["const"]))
    if schema.get("type") == "array":
        return f"a list of {words(schema.get('items', {}), many=True)}"
    if schema.get("type") == "object":
        return f"a mapping to {words(schema.get('additionalProperties', {}), many=True)}"
    one, several = NAMES.get(schema.get("type", ""), ("anything", "anything"))
    return " ".join([several if many else one, *_bounds(schema)])


def either(names: Sequence[str]) -> str:
    """One of several: a, b or c."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


NAMES = {
    "boolean": ("true or false", "true or false"),
    "integer": ("a whole number", "whole numbers"),
    "null": (code("null"), code("null")),
    "number": ("a number", "numbers"),
    "string": ("a text", "texts"),
}


def _bounds(schema: dict[str, Any]) -> list[str]:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if (low is None and above is None) or (high is None and below is None):
        signs = (("≥", low), (">", above), ("≤", high), ("<", below))
        return [f"{sign} {literal(bound)}" for sign, bound in signs if bound is not None]
    start = f"({literal(above)}" if low is None else f"[{literal(low)}"
    end = f"{literal(below)})" if high is None else f"{literal(high)}]"
    return [f"in {start}, {end}"]


def anchor(heading: str) -> str:
    """The fragment by which GitHub links to a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
