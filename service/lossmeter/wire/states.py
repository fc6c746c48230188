"""States as bytes: canonical protobuf, so that equal states have equal bytes in every language."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
from google.protobuf.message import DecodeError

from lossmeter.core.exact import UNIT_BITS, ExactSum
from lossmeter.core.parts import (
    Exponentials,
    Extreme,
    Greatest,
    Histogram,
    Least,
    Linear,
    Logarithms,
    Moments,
    Part,
    Reciprocals,
)
from lossmeter.core.state import Key, Specification, State, order
from lossmeter.errors import MalformedRequest
from lossmeter.plan.groups import MOST_GROUPS
from lossmeter.v1 import state_pb2 as pb
from lossmeter.wire.tensors import MOST_AXES

FORMAT = 1
# The widest sum: 2^64 terms of the greatest float64.
MOST_BITS = 2200
COUNTS = ("count", "nonzero", "entries", "nonzero_entries", "rows", "weight_entries")


def state_bytes(state: State) -> bytes:
    """The canonical bytes of a state.

    Raises:
        MalformedRequest: It counts more than a message can tell, as only made-up states do.
    """
    try:
        message = _message(state)
    except ValueError:
        raise MalformedRequest("the states count more than 2^64 entries", field="states") from None
    message.checksum = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
    return message.SerializeToString(deterministic=True)


def state_hash(state: State) -> str:
    """SHA-256 of the specification and the sums; batches' ids do not enter."""
    anonymous = replace(
        state, batches={}, cells={key: dict(cell) for key, cell in state.sums().items()}
    )
    return hashlib.sha256(state_bytes(anonymous)).hexdigest()


def _message(state: State) -> pb.State:
    return pb.State(
        format=FORMAT,
        specification=pb.Specification(**_spec_fields(state.spec)),
        specification_hash=state.spec.hash(),
        batches=[pb.Batch(id=name, rows=rows) for name, rows in sorted(state.batches.items())],
        cells=[_cell(key, state.cells[key]) for key in sorted(state.cells, key=order)],
        shape=state.shape,
    )


def _spec_fields(spec: Specification) -> dict[str, str]:
    return {name: getattr(spec, name) for name in Specification.__slots__}


def _cell(key: Key, parts: Mapping[str, Part]) -> pb.Cell:
    cell = pb.Cell()
    if isinstance(key, str):
        cell.label = key
    elif key is not None:
        cell.position = key
    for name, part in parts.items():
        getattr(cell, name).CopyFrom(CODECS[name].write(part))
    return cell


def _linear(part: Linear) -> pb.Linear:
    counts = {name: getattr(part, name) for name in COUNTS}
    total, weight, divisor = map(_sum, (part.total, part.weight, part.divisor))
    return pb.Linear(total=total, weight=weight, divisor=divisor, **counts)


def _read_linear(message: pb.Linear) -> Linear:
    total, weight, divisor = map(_read_sum, (message.total, message.weight, message.divisor))
    return Linear(total, weight, divisor, *(getattr(message, name) for name in COUNTS))


def _moments(part: Moments) -> pb.Moments:
    first, second, squared = map(_sum, (part.first, part.second, part.squared_weight))
    return pb.Moments(first=first, second=second, squared_weight=squared)


def _read_moments(message: pb.Moments) -> Moments:
    return Moments(*map(_read_sum, (message.first, message.second, message.squared_weight)))


def _exponentials(part: Exponentials) -> pb.Exponentials:
    bands = [
        pb.Exponentials.Band(number=number, total=_sum(total))
        for number, total in sorted(part.bands.items())
    ]
    return pb.Exponentials(bands=bands, special=_sum(part.special))


def _read_exponentials(message: pb.Exponentials) -> Exponentials:
    if len(message.bands) > Exponentials.KEPT:
        raise ValueError("more bands than are kept")
    bands = {int(band.number): _read_sum(band.total) for band in message.bands}
    return Exponentials(bands, _read_sum(message.special))


def _extreme(part: Extreme) -> pb.Extreme:
    return pb.Extreme(value=part.value, batch_id=part.batch_id, row=part.row)


def _reader_of_extreme(kind: type[Extreme]) -> Callable[[pb.Extreme], Extreme]:
    def read(message: pb.Extreme) -> Extreme:
        value = message.value if message.HasField("value") else None
        return kind(value, message.batch_id, message.row)

    return read


def _histogram(part: Histogram) -> pb.Histogram:
    numbers = sorted(part.bins)
    weights = [_sum(ExactSum(part.bins[number])) for number in numbers]
    return pb.Histogram(numbers=numbers, weights=weights, nan=part.nan)


def _read_histogram(message: pb.Histogram) -> Histogram:
    weights = [_read_sum(weight).units for weight in message.weights]
    if not all(Histogram.holds(number) for number in message.numbers):
        raise ValueError("a bin that no number falls into")
    return Histogram(dict(zip(message.numbers, weights, strict=True)), message.nan)


def _sum(total: ExactSum) -> pb.ExactSum:
    units, exponent = total.units, 0
    if units:
        zeros = (units & -units).bit_length() - 1
        units >>= zeros
        exponent = zeros - UNIT_BITS
    size = 0 if not units else (units if units > 0 else ~units).bit_length() // 8 + 1
    return pb.ExactSum(
        exponent=exponent,
        mantissa=units.to_bytes(size, "little", signed=True),
        nan=total.nan,
        positive_infinity=total.positive_infinity,
        negative_infinity=total.negative_infinity,
    )


def read_state(data: bytes, field: str = "states") -> State:
    """The state in these bytes.

    Raises:
        MalformedRequest: They are no state, not in canonical form, or contradict themselves.
    """
    message = pb.State()
    try:
        message.ParseFromString(data)
        if message.format != FORMAT:
            raise ValueError(f"format {FORMAT} is read here")
        state = _state(message)
        if state_bytes(state) != data:
            raise ValueError("the bytes are not in canonical form")
    except (DecodeError, ValueError, OverflowError, KeyError, TypeError):
        raise MalformedRequest(
            "not a state of this service: the bytes are foreign, damaged or inconsistent",
            field=field,
        ) from None
    return state


def _state(message: pb.State) -> State:
    fields = {name: getattr(message.specification, name) for name in Specification.__slots__}
    spec = Specification(**fields)
    _check_specification(spec, message.specification_hash)
    state = State(
        spec,
        {batch.id: batch.rows for batch in message.batches},
        {_key(cell): _parts(cell) for cell in message.cells},
        tuple(message.shape),
    )
    if len(state.cells) != len(message.cells):
        raise ValueError("a group is there twice")
    _check_groups(state)
    for cell in state.cells.values():
        _check_parts(cell, state)
    return state


def _check_specification(spec: Specification, told: bytes) -> None:
    params = orjson.loads(spec.params)
    good = spec.hash() == told and isinstance(params, dict) and isinstance(params["loss"], str)
    good = good and spec.dtype in ("float32", "float64")
    if spec.axis:
        axes, rank = orjson.loads(spec.axis)
        named = axes if isinstance(axes, list) else [0]
        good = good and (axes == sorted(set(named)) or spec.joins_outputs)
        good = good and all(0 <= axis < rank for axis in named)
    if not (good and spec.nonfinite in ("propagate", "omit", "error")):
        raise ValueError("no service has this specification")


def _check_groups(state: State) -> None:
    grouped = bool(state.spec.by or state.shape)
    good = bool(state.batches) and grouped != (None in state.cells)
    good = good and len({frozenset(cell) for cell in state.cells.values()}) <= 1
    if state.shape:
        # Counted, not listed: the shape is not to be believed.
        cells = math.prod(state.shape)
        places = math.prod(max(size, 1) for size in state.shape)
        good = good and len(state.shape) <= MOST_AXES and places <= MOST_GROUPS
        keys = [key for key in state.cells if isinstance(key, int) and key < cells]
        good = good and len(keys) == len(state.cells) == cells
    if not good:
        raise ValueError("the groups are not those of the specification")


def _check_parts(cell: Mapping[str, Part], state: State) -> None:
    rows, linear = sum(state.batches.values()), cell[Linear.key]
    if not isinstance(linear, Linear):
        raise TypeError("a group without counts")
    good = linear.nonzero <= linear.count <= linear.entries
    good = good and linear.nonzero <= linear.nonzero_entries <= linear.entries
    good = good and (linear.rows == rows if None in state.cells else linear.rows <= rows)
    for part in cell.values():
        if isinstance(part, Extreme) and part.value is not None:
            good = good and part.row < state.batches.get(part.batch_id, 0)
    if not good:
        raise ValueError("the counts contradict each other")


def _key(cell: pb.Cell) -> Key:
    which = cell.WhichOneof("key")
    if which is None:
        return None
    return cell.label if which == "label" else cell.position


def _parts(cell: pb.Cell) -> dict[str, Part]:
    return {
        name: codec.read(getattr(cell, name))
        for name, codec in CODECS.items()
        if cell.HasField(name)  # type: ignore[arg-type]  # a part's key is its field's name
    }


def _read_sum(message: pb.ExactSum) -> ExactSum:
    units = int.from_bytes(message.mantissa, "little", signed=True)
    shift = message.exponent + UNIT_BITS if units else 0
    if not 0 <= shift <= MOST_BITS or units.bit_length() + shift > MOST_BITS:
        raise ValueError("a sum beyond what float64 terms can reach")
    return ExactSum(
        units << shift, message.nan, message.positive_infinity, message.negative_infinity
    )


class Codec(NamedTuple):
    """A part as a message, and back."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Part]


CODECS: Mapping[str, Codec] = {
    Linear.key: Codec(_linear, _read_linear),
    Moments.key: Codec(_moments, _read_moments),
    Logarithms.key: Codec(lambda part: _sum(part.total), lambda m: Logarithms(_read_sum(m))),
    Reciprocals.key: Codec(lambda part: _sum(part.total), lambda m: Reciprocals(_read_sum(m))),
    Exponentials.key: Codec(_exponentials, _read_exponentials),
    Least.key: Codec(_extreme, _reader_of_extreme(Least)),
    Greatest.key: Codec(_extreme, _reader_of_extreme(Greatest)),
    Histogram.key: Codec(_histogram, _read_histogram),
}
