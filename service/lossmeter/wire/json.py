"""Requests and answers as JSON; tensors go straight to arrays and never through a model."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.explain import Explanation, Opinion
from lossmeter.core.arrays import Array
from lossmeter.core.spelling import NON_FINITE, number
from lossmeter.core.state import State
from lossmeter.errors import (
    DtypeUnsupported,
    MalformedRequest,
    OutOfDomain,
    ShapeMismatch,
    TooLarge,
    UnknownField,
)
from lossmeter.plan.request import (
    EvaluateSpec,
    ExportSpec,
    MergeSpec,
    ReductionBody,
    read,
    read_evaluate,
)
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.states import read_state, state_bytes, state_hash
from lossmeter.wire.tensors import MOST_AXES, NAMES, NUMPY, check_labels, from_bytes

MOST_DEPTH = 1024
# Whole groups of four.
BASE64_CHARACTERS = 2**16
Json = Mapping[str, Any]


def parse(body: bytes | bytearray | memoryview) -> Json:
    """The object in a body.

    Raises:
        MalformedRequest: The body is no JSON object.
        TooLarge: Brackets are nested too deep.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # orjson names the fault and its place, and nothing of the text.
        if "depth limit" in error.msg:
            raise TooLarge(
                "brackets are nested too deep", limit=MOST_DEPTH, actual=_depth(bytes(body))
            ) from None
        raise MalformedRequest(f"the body is not JSON: {error.msg}, at byte {error.pos}") from None
    if not isinstance(parsed, dict):
        raise MalformedRequest("the body must be a JSON object")
    return parsed


def _depth(body: bytes) -> int:
    steps = np.zeros(256, dtype=np.int32)
    steps[list(b"[{")], steps[list(b"]}")] = 1, -1
    return int(np.cumsum(steps[np.frombuffer(body, np.uint8)]).max())


def read_request(body: bytes | bytearray | memoryview) -> tuple[EvaluateSpec, Tensors]:
    """An evaluation: its specification and its tensors.

    Raises:
        LossmeterError: The body is no request.
    """
    return read_fields(parse(body))


def read_fields(request: Json) -> tuple[EvaluateSpec, Tensors]:
    """The same from a request that is parsed already.

    Raises:
        LossmeterError: It is no request.
    """
    fields = dict(request)
    inputs = fields.pop("inputs", {})
    spec = read_evaluate(fields)
    if not isinstance(inputs, dict):
        raise MalformedRequest("inputs must be an object of tensors", field="inputs")
    labels = group_inputs(spec)
    arrays = {
        name: tensor(value, f"inputs.{name}", name in labels) for name, value in inputs.items()
    }
    plain = frozenset(name for name, value in inputs.items() if not isinstance(value, dict))
    return spec, Tensors(arrays, plain)


def group_inputs(spec: EvaluateSpec) -> frozenset[str]:
    """The tensors that name groups, so that strings in them are labels."""
    names: set[str | None] = set()
    if isinstance(spec.reduction, ReductionBody):
        names.add(spec.reduction.by)
    for one in (spec.losses or {}).values():
        if isinstance(one.reduction, ReductionBody) and one.reduction.by is not None:
            names.add(one.inputs.get(one.reduction.by, one.reduction.by))
    return frozenset(name for name in names if name is not None)


def read_merge(body: bytes | bytearray | memoryview) -> tuple[list[State], MergeSpec]:
    """A merge: its states and what to do with them.

    Raises:
        LossmeterError: The body is no such request, or a state is none.
    """
    fields = dict(parse(body))
    states = fields.pop("states", None)
    if not isinstance(states, list) or not all(isinstance(s, str) for s in states):
        raise MalformedRequest("states must be a list of base64 strings", field="states")
    spec = read(MergeSpec, fields)
    return [
        read_state(bytes(_base64(text, f"states.{at}")), f"states.{at}")
        for at, text in enumerate(states)
    ], spec


# Fields of an export that are text as they stand; the others are JSON.
TEXT = ("dtype", "stands_for", "expression")


def read_export(fields: Mapping[str, str]) -> ExportSpec:
    """What a query or a command line asks to be exported.

    Raises:
        LossmeterError: It is no such request.
    """
    found = {}
    for name, text in fields.items():
        word = name in TEXT or (name == "reduction" and not text.startswith("{"))
        found[name] = text if word or name not in ExportSpec.model_fields else json_of(text, name)
    return read(ExportSpec, found)


def json_of(text: str, field: str) -> Any:
    """What is written as JSON in a query or a flag."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"not JSON: {error.msg}", field=field) from None


def tensor(value: Any, field: str, labels: bool = False) -> Array:
    """A tensor in any of its forms.

    Args:
        value: A nested list or number, or an object with ``dtype`` and ``data``, or with
            ``dtype``, ``shape`` and ``base64``.
        field: Where it stands.
        labels: Whether strings are labels; else only the names of non-finite numbers are taken.

    Raises:
        InvalidRequest: It is none of these.
    """
    if isinstance(value, dict):
        return _typed(value, field, labels)
    return _nested(value, field, labels)


def _typed(value: Json, field: str, labels: bool) -> Array:
    unknown = value.keys() - {"dtype", "data", "shape", "base64"}
    if unknown:
        raise UnknownField("a tensor has dtype and data, or dtype, shape and base64", field=field)
    dtype = value.get("dtype")
    if not isinstance(dtype, str) or dtype not in NAMES:
        raise DtypeUnsupported(f"dtype must be one of {', '.join(NAMES)}", field=f"{field}.dtype")
    if "data" in value and not value.keys() & {"shape", "base64"}:
        return _cast(_nested(value["data"], f"{field}.data", labels), dtype, f"{field}.data")
    shape, text = value.get("shape"), value.get("base64")
    if not isinstance(text, str) or "data" in value:
        raise MalformedRequest(
            "a tensor has dtype and data, or dtype, shape and base64", field=field
        )
    sizes = _sizes(shape, f"{field}.shape")
    return from_bytes(dtype, sizes, _base64(text, f"{field}.base64"), field)


def _sizes(shape: Any, field: str) -> list[int]:
    """Whole numbers; beyond 64 bits the parser gives floats, which are whole too."""
    whole = isinstance(shape, list) and all(
        type(n) is int or (type(n) is float and n.is_integer()) for n in shape
    )
    if not whole:
        raise MalformedRequest("shape must be a list of whole numbers", field=field)
    return [int(n) for n in shape]


def _base64(text: str, field: str) -> bytes | memoryview:
    try:
        if len(text) <= BASE64_CHARACTERS:
            return binascii.a2b_base64(text, strict_mode=True)
        return _long_base64(text)
    except ValueError:
        raise MalformedRequest("not base64", field=field) from None


def _long_base64(text: str) -> memoryview:
    """Piece by piece: the interpreter's lock is held for each, and other requests wait for it.

    Raises:
        ValueError: It is not base64.
    """
    found, at = bytearray(len(text) // 4 * 3), 0
    for start in range(0, len(text), BASE64_CHARACTERS):
        if at != start // 4 * 3:
            raise ValueError("padding within")
        piece = binascii.a2b_base64(text[start : start + BASE64_CHARACTERS], strict_mode=True)
        found[at : at + len(piece)] = piece
        at += len(piece)
    return memoryview(found)[:at].toreadonly()


def _nested(value: Any, field: str, labels: bool) -> Array:
    kinds = _leaf_types(value, field)
    if not kinds <= {int, float, bool, str}:
        raise _no_tensor(field)
    if str in kinds:
        return _with_strings(value, field, labels, kinds == {str})
    return _array(value, field)


def _no_tensor(field: str) -> MalformedRequest:
    return MalformedRequest(
        'a tensor holds numbers, booleans, or the strings "NaN", "Infinity" and "-Infinity"',
        field=field,
    )


def _array(value: Any, field: str) -> Array:
    try:
        return np.array(value)
    except ValueError:
        raise ShapeMismatch(
            "lists are ragged: all of an axis must be equally long", field=field
        ) from None


def _leaf_types(value: Any, field: str, depth: int = 0) -> set[type]:
    """The types of a tensor's elements: NumPy would make text of numbers beside a string."""
    if depth > MOST_AXES:
        raise TooLarge("lists are nested too deep", field=field, limit=MOST_AXES, actual=depth)
    if not isinstance(value, list):
        return {type(value)}
    kinds = set(map(type, value))
    if list in kinds:
        kinds.discard(list)
        for inner in value:
            if type(inner) is list:
                kinds |= _leaf_types(inner, field, depth + 1)
    return kinds


def _with_strings(value: Any, field: str, labels: bool, alone: bool) -> Array:
    """Strings: labels of groups, or the names of numbers that are not finite.

    Args:
        value: Nested lists with strings in them.
        field: Where they stand.
        labels: Whether the tensor names groups.
        alone: Whether there is nothing but strings.
    """
    if not labels:
        try:
            return _array(_numbers(value), field)
        except KeyError:
            pass
    if not alone or not isinstance(value, list):
        raise _no_tensor(field)
    # Labels, or text where numbers should be, which the loss refuses by name.
    check_labels(value, field)
    return _array(value, field)


def _numbers(x: Any) -> Any:
    """Nested lists with the names of numbers made numbers; KeyError at any other string."""
    if isinstance(x, list):
        return [_numbers(inner) for inner in x]
    return NON_FINITE[x] if isinstance(x, str) else float(x)


def _cast(x: Array, dtype: str, field: str) -> Array:
    """Numbers as written, in the dtype asked for; none may change by it but by rounding."""
    if dtype == "string":
        if x.dtype.kind != "U" and x.size:
            raise DtypeUnsupported("the data are no strings", field=field)
        return x.astype(str)
    target = NUMPY.get(dtype, np.dtype(np.float32))
    if x.dtype.kind == "U":
        raise DtypeUnsupported(f"strings are no {dtype}", field=field)
    with np.errstate(all="ignore"):
        made = x.astype(target)
    if target.kind == "f":
        fits = not bool((np.isinf(made) & np.isfinite(x)).any())
    else:
        fits = bool((made == x).all())
    if not fits:
        raise OutOfDomain(f"a number does not fit {dtype}", field=field)
    return _as_bfloat16(made) if dtype == "bfloat16" else made


def _as_bfloat16(x: Array) -> Array:
    """float32 rounded to 8 bits of mantissa, to nearest even."""
    bits = x.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), x, rounded.view(np.float32))


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
