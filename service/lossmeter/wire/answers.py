"""Answers as JSON: strict, with the names of numbers that JSON cannot hold."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.explain import Explanation, Opinion
from lossmeter.core.spelling import number
from lossmeter.wire.states import state_bytes, state_hash


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
    value = {} if opinion.answer is None else {"value": _value(opinion.answer)}
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


def answer_fields(answer: Answer | Answers) -> dict[str, Any]:
    """An answer as the object that JSON carries."""
    if isinstance(answer, Answers):
        results = {name: answer_fields(one) for name, one in answer.results.items()}
        skipped = {"skipped": list(answer.skipped)} if answer.skipped else {}
        return {"results": results, **_present(answer, "total"), **skipped}
    fields: dict[str, Any] = {
        "value": _value(answer),
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


def _value(answer: Answer) -> Any:
    value = answer.value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return {label: number(x) for label, x in value.items()}
    # float32 values are spelt as the float64 they are, so that a reader gets the same bits.
    wide = np.asarray(value, dtype=np.float64, order="C")
    hidden = None if answer.kept is None or answer.masked is not None else ~answer.kept
    if np.isfinite(wide).all() and wide.ndim:
        return wide
    spelt = wide.astype(object)
    odd = ~np.isfinite(wide)
    spelt[odd] = [number(x) for x in wide[odd].tolist()]
    if hidden is not None:
        spelt[hidden] = None
    return spelt.tolist()
