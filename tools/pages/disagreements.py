"""Where frameworks disagree, from the cases that the tests run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.pages.markdown import anchor, code, join, literal, table

Rows = Sequence[Mapping[str, Any]]
MOST_CHARACTERS = 300
INTRODUCTION = """# Where frameworks disagree

The same data, and what each framework's own rule makes of it. Every request below is run by the
tests, and gives the number that stands beside it."""
BEYOND = """## What one request cannot say

These disagreements are about something other than a loss of given arrays."""


def read(path: Path) -> Mapping[str, Any]:
    """The cases; none where the file is absent."""
    if not path.exists():
        return {"rows": [], "beyond": []}
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found


def section(loss: str, rows: Rows) -> str:
    """The disagreements about one loss."""
    about = [_short(row) for row in rows if loss in row["losses"]]
    return join("## Known disagreements", *about) if about else ""


def _short(row: Mapping[str, Any]) -> str:
    heading = _heading(row)
    answers = [(one["says"], _value(one)) for one in row["answers"]]
    return join(
        f"### {row['title']}",
        table(("who", "answer"), answers),
        f"{row['why']} [The data](../disagreements.md#{anchor(heading)}).",
    )


def document(found: Mapping[str, Any]) -> str:
    """All disagreements, with their requests."""
    beyond = [(str(one["row"]), one["what"], one["why_not"]) for one in found["beyond"]]
    return join(
        INTRODUCTION,
        *(_long(row) for row in found["rows"]),
        join(BEYOND, table(("row", "what differs", "why no request says it"), beyond))
        if beyond
        else "",
    )


def _heading(row: Mapping[str, Any]) -> str:
    return f"{row['row']}. {row['title']}"


def _long(row: Mapping[str, Any]) -> str:
    requests = [one["request"] for one in row["answers"]]
    shared = _shared(requests)
    losses = ", ".join(f"[{name}](losses/{name}.md)" for name in row["losses"])
    return join(
        f"## {_heading(row)}",
        f"{row['why']} Loss: {losses}." if losses else row["why"],
        table(
            ("who", "request", "answer"),
            [
                (one["says"], _request(one["request"], shared), _value(one))
                for one in row["answers"]
            ],
        ),
        f"Data: {_tensors(shared)}." if shared else "",
    )


def _shared(requests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The inputs that are the same in all requests."""
    first, *others = (request["inputs"] for request in requests)
    return {k: x for k, x in first.items() if all(other.get(k) == x for other in others)}


def _request(request: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    settings = [
        f"{name} {code(literal(request[name]))}"
        for name in ("params", "reduction", "options")
        if request.get(name)
    ]
    own = {name: x for name, x in request["inputs"].items() if name not in shared}
    return ", ".join([code(request["loss"]), *settings, *([_tensors(own)] if own else [])])


def _tensors(inputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{code(name)} {_tensor(x)}" for name, x in inputs.items())


def _tensor(x: Any) -> str:
    data = x["data"] if isinstance(x, dict) and "data" in x else x
    text = literal(data)
    kind = f" ({x['dtype']})" if isinstance(x, dict) and "dtype" in x else ""
    return code(text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…") + kind


def _value(answer: Mapping[str, Any]) -> str:
    if answer.get("error"):
        return f"refused: {code(answer['error'])}"
    return _number(answer["expected"])


def _number(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_number, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
