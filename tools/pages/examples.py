"""The declared examples as interactive sessions, which the tests run.

What a session prints comes of the declaration, not of a run, and is rounded where a logarithm's
last bit may differ from machine to machine: the pages are the same wherever they are made.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pprint import pformat
from typing import Any

import numpy as np

from lossmeter.core.declare import Example, Loss
from lossmeter.core.spelling import numbers

WIDTH = 76
DIGITS = 6
# A multiple of this is no rounded result.
GRAIN = 2.0**-20


def session(loss: Loss) -> str:
    """All examples, as one fenced block."""
    lines = ["```python", ">>> from lossmeter import evaluate"]
    for example in loss.examples:
        lines += _call(loss, example)
    return "\n".join([*lines, "```"])


def request(loss: Loss) -> str:
    """The shortest example, as the request that REST takes."""
    example = min(loss.examples, key=lambda one: len(_text(one.inputs)))
    whole = {
        "loss": loss.name,
        "inputs": {name: numbers(x) for name, x in example.inputs.items()},
        **({"params": dict(example.params)} if example.params else {}),
        **({"reduction": "none"} if not _is_number(loss, example) else {}),
    }
    fields = [f'"{name}": {_text(value)},' for name, value in whole.items()]
    lines = ["evaluate({", *(line for field in fields for line in _indented(field)), "})"]
    call, shown = _rounded(lines, loss, example)
    return "\n".join(["```python", *_prompted(call), shown, "```"])


def _call(loss: Loss, example: Example) -> list[str]:
    arguments = [f'"{loss.name}"', *_assigned(example.inputs)]
    if example.params:
        arguments.append(f"params={_text(dict(example.params))}")
    if not _is_number(loss, example):
        arguments.append('reduction="none"')
    call, shown = _rounded(_written(arguments), loss, example)
    return [*_prompted(call), shown]


def _written(arguments: list[str]) -> list[str]:
    """The call, on one line if it fits."""
    on_one_line = f"evaluate({', '.join(arguments)})"
    if len(on_one_line) <= WIDTH and "\n" not in on_one_line:
        return [on_one_line]
    *most, last = arguments
    texts = [*(f"{text}," for text in most), last]
    return ["evaluate(", *(line for text in texts for line in _indented(text)), ")"]


def _assigned(inputs: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}={_text(value)}" for name, value in inputs.items())


def _is_number(loss: Loss, example: Example) -> bool:
    """Whether the mean of the example's loss values is its one value."""
    return loss.reduces_as is None and not isinstance(example.expected, list)


def _text(value: Any) -> str:
    """A value as Python is written."""
    text = pformat(value, width=WIDTH, compact=True, sort_dicts=False).replace("'", '"')
    return re.sub(r'(?<!")-?\b(?:inf|nan)\b', lambda found: f'float("{found[0]}")', text)


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]


def _prompted(lines: list[str]) -> list[str]:
    return [f"{'>>>' if at == 0 else '...'} {line}" for at, line in enumerate(lines)]


def _rounded(call: list[str], loss: Loss, example: Example) -> tuple[list[str], str]:
    """The call that prints what the second says."""
    expected = example.expected
    places = _places(np.atleast_1d(np.asarray(expected, np.float64)))
    if _is_number(loss, example):
        if places is None:
            return [*call[:-1], f"{call[-1]}.value"], repr(float(expected))
        call = [f"round({call[0]}", *call[1:]]
        return [*call[:-1], f"{call[-1]}.value, {places})"], repr(round(float(expected), places))
    rounds = "" if places is None else f".round({places})"
    shown = np.asarray(expected, np.float64)
    shown = shown if places is None else shown.round(places)
    return [*call[:-1], f"{call[-1]}.value{rounds}.tolist()"], repr(shown.tolist())


def _places(expected: Any) -> int | None:
    """Decimal places that show enough of each number; None where all are short anyhow."""
    finite = expected[np.isfinite(expected)]
    if np.array_equal(finite, np.round(finite / GRAIN) * GRAIN):
        return None
    least = np.abs(finite[finite != 0.0]).min()
    return max(DIGITS, DIGITS - 1 - math.floor(math.log10(least)))
