"""States as bytes: canonical protobuf, so that equal states have equal bytes in every language."""

import hashlib
import math
from dataclasses import replace

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
from lossmeter.v1 import state_pb2 as pb

FORMAT = 1
# The widest sum: 2^64 terms of the greatest float64.
MOST_BITS = 2200
COUNTS = ("count", "nonzero", "entries", "nonzero_entries", "rows", "weight_entries")


def state_bytes(state: State) -> bytes:
    """The canonical bytes of a state."""
    message = _message(state)
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


def _cell(key: Key, parts: dict[str, Part]) -> pb.Cell:
    cell = pb.Cell()
    if isinstance(key, str):
        cell.label = key
    elif key is not None:
        cell.position = key
    for part in parts.values():
        _write(part, cell)
    return cell


def _write(part: Part, cell: pb.Cell) -> None:
    if isinstance(part, Linear):
        cell.linear.CopyFrom(
            pb.Linear(
                **{name: _sum(getattr(part, name)) for name in ("total", "weight", "divisor")},
                **{name: getattr(part, name) for name in COUNTS},
            )
        )
    elif isinstance(part, Moments):
        first, second, squared = part.first, part.second, part.squared_weight
        cell.moments.CopyFrom(
            pb.Moments(first=_sum(first), second=_sum(second), squared_weight=_sum(squared))
        )
    elif isinstance(part, Logarithms):
        cell.logarithms.CopyFrom(_sum(part.total))
    elif isinstance(part, Reciprocals):
        cell.reciprocals.CopyFrom(_sum(part.total))
    elif isinstance(part, Exponentials):
        cell.exponentials.CopyFrom(
            pb.Exponentials(
                bands=[
                    pb.Exponentials.Band(number=number, total=_sum(total))
                    for number, total in sorted(part.bands.items())
                ]
            )
        )
    elif isinstance(part, Extreme):
        extreme = pb.Extreme(value=part.value, batch_id=part.batch_id, row=part.row)
        (cell.least if isinstance(part, Least) else cell.greatest).CopyFrom(extreme)
    elif isinstance(part, Histogram):
        numbers = sorted(part.bins)
        weights = [_sum(ExactSum(part.bins[n])) for n in numbers]
        cell.histogram.CopyFrom(pb.Histogram(numbers=numbers, weights=weights, nan=part.nan))


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
    if spec.hash() != message.specification_hash or not isinstance(orjson.loads(spec.params), dict):
        raise ValueError("the hash is not that of the specification")
    state = State(
        spec,
        {batch.id: batch.rows for batch in message.batches},
        {_key(cell): _parts(cell) for cell in message.cells},
        tuple(message.shape),
    )
    _check_consistency(state, message)
    return state


def _check_consistency(state: State, message: pb.State) -> None:
    rows = sum(state.batches.values())
    grouped = bool(state.spec.by or state.spec.axis)
    kinds = {frozenset(cell) for cell in state.cells.values()}
    good = len(kinds) <= 1 and len(state.cells) == len(message.cells) and bool(state.batches)
    good = good and grouped != (None in state.cells)
    if state.shape:
        good = good and set(state.cells) == set(range(math.prod(state.shape)))
    for cell in state.cells.values():
        linear = cell["linear"]
        if not isinstance(linear, Linear):
            raise ValueError("a group without counts")
        good = good and linear.nonzero <= linear.count <= linear.entries
        good = good and linear.nonzero <= linear.nonzero_entries <= linear.entries
        good = good and linear.rows <= rows and (grouped or linear.rows == rows)
    if not good:
        raise ValueError("the counts contradict each other")


def _key(cell: pb.Cell) -> Key:
    which = cell.WhichOneof("key")
    if which is None:
        return None
    return cell.label if which == "label" else cell.position


def _parts(cell: pb.Cell) -> dict[str, Part]:
    parts: list[Part] = []
    if cell.HasField("linear"):
        sums = [_read_sum(getattr(cell.linear, n)) for n in ("total", "weight", "divisor")]
        parts.append(Linear(*sums, *(getattr(cell.linear, name) for name in COUNTS)))
    if cell.HasField("moments"):
        m = cell.moments
        parts.append(Moments(*map(_read_sum, (m.first, m.second, m.squared_weight))))
    if cell.HasField("logarithms"):
        parts.append(Logarithms(_read_sum(cell.logarithms)))
    if cell.HasField("reciprocals"):
        parts.append(Reciprocals(_read_sum(cell.reciprocals)))
    if cell.HasField("exponentials"):
        bands = {band.number: _read_sum(band.total) for band in cell.exponentials.bands}
        if len(bands) > Exponentials.KEPT:
            raise ValueError("more bands than are kept")
        parts.append(Exponentials(bands))
    for kind in (Least, Greatest):
        if cell.HasField(kind.key):  # type: ignore[arg-type]  # a part's key is its field's name
            extreme = getattr(cell, kind.key)
            value = extreme.value if extreme.HasField("value") else None
            parts.append(kind(value, extreme.batch_id, extreme.row))
    if cell.HasField("histogram"):
        h = cell.histogram
        weights = [_read_sum(weight).units for weight in h.weights]
        parts.append(Histogram(dict(zip(h.numbers, weights, strict=True)), h.nan))
    return {part.key: part for part in parts}


def _read_sum(message: pb.ExactSum) -> ExactSum:
    units = int.from_bytes(message.mantissa, "little", signed=True)
    shift = message.exponent + UNIT_BITS if units else 0
    if not 0 <= shift <= MOST_BITS or units.bit_length() + shift > MOST_BITS:
        raise ValueError("a sum beyond what float64 terms can reach")
    return ExactSum(
        units << shift, message.nan, message.positive_infinity, message.negative_infinity
    )


