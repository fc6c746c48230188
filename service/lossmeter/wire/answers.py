"""Answers as JSON: strict, with the names of numbers that JSON cannot hold."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import orjson

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.explain import Explanation, Opinion
from lossmeter.core.arrays import Array
from lossmeter.core.spelling import number
from lossmeter.wire.states import state_bytes, state_hash

NAMES = np.array([b"null", b'"NaN"', b'"Infinity"', b'"-Infinity"'], dtype=object)
# Numbers that are spelt at once.
BLOCK = 128 * 1024


# How an array is spelt; which of its numbers have no value is told beside it.
Spell: TypeAlias = Callable[[Array, Array], Any]


def as_lists(x: Array, hidden: Array) -> Any:
    """Numbers as nested lists; as they are where lists would say the same."""
    return x if x.ndim and np.isfinite(x).all() else orjson.loads(_text(x, hidden))


def as_text(x: Array, hidden: Array) -> orjson.Fragment:
    """Numbers as a part of a JSON text."""
    return orjson.Fragment(_text(x, hidden))


def _text(x: Array, hidden: Array) -> bytes:
    """Numbers as JSON, some rows at a time, so that other threads come between.

    Args:
        x: Numbers, row-major.
        hidden: Which of them have no value, and are NaN.
    """
    if not x.ndim:
        return orjson.dumps(None if hidden else number(float(x)))
    rows = max(1, BLOCK * len(x) // max(x.size, 1))
    parts = [b"["]
    for at in range(0, len(x), rows):
        parts += [_rows(x[at : at + rows], hidden[at : at + rows]), b","]
    parts[-1] = b"]" if len(x) else b"[]"
    return b"".join(parts)


def _rows(x: Array, hidden: Array) -> bytes:
    text = orjson.dumps(x, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    odd = ~np.isfinite(x)
    if np.array_equal(odd, hidden):
        return text
    # orjson writes null for what is not finite.
    parts, values = text.split(b"null"), x[odd]
    which = np.where(hidden[odd], 0, np.where(np.isnan(values), 1, np.where(values > 0, 2, 3)))
    spelt = [b""] * (2 * len(parts) - 1)
    spelt[::2], spelt[1::2] = parts, NAMES[which].tolist()
    return b"".join(spelt)


def answer_body(answer: Answer | Answers) -> bytes:
    """An answer as a body."""
    return orjson.dumps(answer_fields(answer), option=orjson.OPT_SERIALIZE_NUMPY)


def explanation_body(explanation: Explanation | Mapping[str, Explanation]) -> bytes:
    """An explanation as a body."""
    return orjson.dumps(explanation_fields(explanation), option=orjson.OPT_SERIALIZE_NUMPY)


def explanation_fields(explanation: Explanation | Mapping[str, Explanation]) -> dict[str, Any]:
    """An explanation as the object that JSON carries: the answer, and what is beside it."""
    if isinstance(explanation, Mapping):
        return {"results": {name: explanation_fields(e) for name, e in explanation.items()}}
    return {
        **answer_fields(explanation.answer),
        "symbol": explanation.symbol,
        "framework": explanation.framework,
        "steps": [
            {
                "step": step.step,
                "says": step.says,
                "numbers": {
                    name: number(x) if isinstance(x, float) else x
                    for name, x in step.numbers.items()
                },
            }
            for step in explanation.steps
        ],
        "dialects": [_opinion(opinion) for opinion in explanation.dialects],
    }


def _opinion(opinion: Opinion) -> dict[str, Any]:
    value = {} if opinion.answer is None else {"value": _value(opinion.answer, as_text)}
    return {
        "symbol": opinion.symbol,
        "framework": opinion.framework,
        "version": opinion.version,
        "reduction": opinion.reduction,
        **value,
        **_present(opinion, "numerator", "denominator"),
        "divisor": opinion.divisor,
        "agrees": opinion.agrees,
        "why": list(opinion.why),
        "note": opinion.note,
    }


def answer_fields(answer: Answer | Answers, spell: Spell = as_text) -> dict[str, Any]:
    """An answer as the object that JSON carries."""
    if isinstance(answer, Answers):
        results = {name: answer_fields(one, spell) for name, one in answer.results.items()}
        skipped = {"skipped": list(answer.skipped)} if answer.skipped else {}
        return {"results": results, **_present(answer, "total"), **skipped}
    fields: dict[str, Any] = {
        "value": _value(answer, spell),
        "loss": answer.loss,
        "reduction": answer.reduction,
        "count": answer.count,
        "weight": number(answer.weight),
        **_present(answer, "denominator"),
    }
    fields |= {"backend": answer.backend, "device": answer.device, "dtype": answer.dtype}
    fields |= _present(answer, "index", "batch_id", "relative_error", "omitted")
    if answer.groups is not None:
        fields["groups"] = {
            label: _present(group, "value", "count", "weight", "denominator")
            for label, group in answer.groups.items()
        }
    if answer.state is not None:
        fields["state"] = base64.b64encode(state_bytes(answer.state)).decode()
        fields["state_hash"] = state_hash(answer.state)
    if answer.warnings:
        fields["warnings"] = list(answer.warnings)
    return fields


def _present(source: object, *names: str) -> dict[str, Any]:
    """The fields that have a value."""
    values = {name: getattr(source, name) for name in names}
    return {
        name: number(value) if isinstance(value, float) else value
        for name, value in values.items()
        if value is not None
    }


def _value(answer: Answer, spell: Spell) -> Any:
    value = answer.value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return {label: number(x) for label, x in value.items()}
    # float32 values are spelt as the float64 they are, so that a reader gets the same bits.
    wide = np.asarray(value, dtype=np.float64, order="C")
    hidden = np.zeros(wide.shape, np.bool_)
    if answer.kept is not None and answer.masked is None:
        hidden[~answer.kept] = True
        wide = np.where(hidden, np.nan, wide)
    return spell(wide, hidden)
