"""Requests as JSON; tensors go straight to arrays and never through a model."""

import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import orjson
import pybase64

from lossmeter.core.arrays import Array
from lossmeter.core.spelling import NON_FINITE
from lossmeter.core.state import State
from lossmeter.errors import (
    DtypeUnsupported,
    LossmeterError,
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
from lossmeter.wire.states import read_state
from lossmeter.wire.tensors import MOST_AXES, NAMES, NUMPY, check_labels, from_bytes
from lossmeter.wire.text import Json, check_keys, cut, filled, marks_in, parse

# A specification up to this long is remembered: what asks again differs in its tensors.
MOST_REMEMBERED = 4096
REMEMBERED = 512


def read_request(body: bytes | bytearray | memoryview) -> tuple[EvaluateSpec, Tensors]:
    """An evaluation: its specification and its tensors.

    Raises:
        LossmeterError: The body is no request.
    """
    text = bytes(body) if isinstance(body, memoryview) else body
    found = cut(text)
    if found is not None:
        read_envelope = _envelope if len(found.text) <= MOST_REMEMBERED else _envelope.__wrapped__
        envelope = read_envelope(found.text, len(found.values))
        if envelope is not None and not (envelope.labels and found.named):
            inputs = filled(envelope.inputs, found.values)
            # An input of the name base64 is a string like any other.
            if bytes not in map(type, inputs.values()):
                return envelope.spec, _tensors(inputs, envelope.labels)
    return read_fields(parse(text))


class _Envelope(NamedTuple):
    """A request with marks for tensors."""

    spec: EvaluateSpec
    labels: frozenset[str]
    inputs: Json


@lru_cache(REMEMBERED)
def _envelope(text: bytes, count: int) -> _Envelope | None:
    """What is around tensors that are cut out.

    Args:
        text: The request without them.
        count: How many there are.

    Returns:
        It, to be changed by nobody; None where the whole body has to be parsed.
    """
    try:
        fields = dict(parse(text))
    except LossmeterError:
        return None
    inputs = fields.pop("inputs", {})
    if sorted(marks_in(inputs)) != list(range(count)):
        return None
    spec = read_evaluate(fields)
    return _Envelope(spec, group_inputs(spec), inputs)


def read_fields(request: Json) -> tuple[EvaluateSpec, Tensors]:
    """The same from a request that is parsed already.

    Raises:
        LossmeterError: It is no request.
    """
    fields = dict(request)
    inputs = fields.pop("inputs", {})
    spec = read_evaluate(fields)
    return spec, _tensors(inputs, group_inputs(spec))


def _tensors(inputs: Any, labels: frozenset[str]) -> Tensors:
    if not isinstance(inputs, dict):
        raise MalformedRequest("inputs must be an object of tensors", field="inputs")
    arrays = {
        name: tensor(value, f"inputs.{name}", name in labels) for name, value in inputs.items()
    }
    plain = frozenset(name for name, value in inputs.items() if not isinstance(value, dict))
    return Tensors(arrays, plain)


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
        read_state(_base64(text, f"states.{at}"), f"states.{at}") for at, text in enumerate(states)
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
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"not JSON: {error.msg}", field=field) from None
    check_keys(text.encode(), parsed, field)
    return parsed


def tensor(value: Any, field: str, labels: bool = False) -> Array:
    """A tensor in any of its forms.

    Args:
        value: A nested list or number, or an object with ``dtype`` and ``data``, or with
            ``dtype``, ``shape`` and ``base64``; an array in the place of lists, and bytes in the
            place of base64, are taken as they are.
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
    if not isinstance(text, str | bytes) or "data" in value:
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


def _base64(text: str | bytes, field: str) -> bytes:
    """The bytes behind a text; bytes are decoded already."""
    if isinstance(text, bytes):
        return text
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRequest("not base64", field=field) from None


def _nested(value: Any, field: str, labels: bool) -> Array:
    if isinstance(value, np.ndarray):
        return value
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
