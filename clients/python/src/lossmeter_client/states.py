"""States: what is kept of batches so that they can be finished together, exactly.

A state is read, merged and finished here as by a service, to the same bytes and bits, without one.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any, Self, TypeAlias

from google.protobuf.message import DecodeError

from lossmeter_client.errors import invalid, unfit
from lossmeter_client.finishing import Finished, finish
from lossmeter_client.parts import Cell, Extreme, Greatest, Least
from lossmeter_client.v1 import state_pb2 as pb

# Label of a group, its position where an axis is kept, None where there is one group.
Key: TypeAlias = str | int | None
FORMAT = 1
FIELD = "states"
MOST_AXES = 32
MOST_GROUPS = 2**24
DTYPES = ("float32", "float64")
POLICIES = ("propagate", "omit", "error")
FAULTS = (DecodeError, ValueError, OverflowError, KeyError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Specification:
    """What was computed; states of different specifications never mix.

    Attributes:
        loss: Canonical name or symbol, as asked for.
        params: Parameters in force, as JSON with sorted keys.
        dtype: Dtype of the loss values.
        nonfinite: What was done with entries that are not finite.
        by: Input that named the groups; empty if none did.
        axis: Axes that were reduced and their number, as JSON; empty where none were named.
        profile: What computed the loss values: backend, library versions, instruction set, device.
    """

    loss: str
    params: str
    dtype: str
    nonfinite: str
    by: str
    axis: str
    profile: str

    def hash(self) -> bytes:
        """SHA-256 over the fields, each after its length."""
        texts = (getattr(self, name).encode() for name in SPECIFIED)
        lengthy = (len(text).to_bytes(4, "little") + text for text in texts)
        return hashlib.sha256(b"".join(lengthy)).digest()

    def message(self) -> pb.Specification:
        return pb.Specification(**{name: getattr(self, name) for name in SPECIFIED})


SPECIFIED = tuple(each.name for each in fields(Specification))


@dataclass(frozen=True, slots=True)
class State:
    """What batches leave behind. ``bytes(state)`` is its canonical form, ``State.read`` reads it.

    Attributes:
        specification: What was computed.
        batches: Number of rows of each batch, by its id.
        cells: Parts of each group: by label, by row-major position where axes are kept, by None
            where there is one group.
        shape: Shape of the answer where axes are kept.
    """

    specification: Specification
    batches: Mapping[str, int]
    cells: Mapping[Key, Cell]
    shape: tuple[int, ...] = ()

    @classmethod
    def read(cls, data: bytes, field: str = FIELD) -> Self:
        """The state in bytes.

        Args:
            data: What an answer holds as ``state``, or ``merge_states`` gave.
            field: Where the bytes come from, for the error.

        Raises:
            InvalidRequest: They are no state, not in canonical form, or contradict themselves
                (``MALFORMED_REQUEST``).
        """
        try:
            state = cls._read(pb.State.FromString(data))
            _check_specification(state.specification)
            _check_groups(state)
            for cell in state.cells.values():
                _check_counts(cell, state)
            # Whatever has no place in a state, or another than this one, shows here.
            if bytes(state) != data:
                raise ValueError("the bytes are not in canonical form")
        except FAULTS:
            raise invalid(
                "MALFORMED_REQUEST",
                field,
                "not a state of a service: the bytes are foreign, damaged or inconsistent",
            ) from None
        return state

    @classmethod
    def _read(cls, message: pb.State) -> Self:
        told = message.specification
        return cls(
            Specification(**{name: getattr(told, name) for name in SPECIFIED}),
            {batch.id: batch.rows for batch in message.batches},
            {_key(cell): Cell.read(cell) for cell in message.cells},
            tuple(message.shape),
        )

    def __bytes__(self) -> bytes:
        message = pb.State(
            format=FORMAT,
            specification=self.specification.message(),
            specification_hash=self.specification.hash(),
            batches=[pb.Batch(id=name, rows=rows) for name, rows in sorted(self.batches.items())],
            cells=[_cell(key, self.cells[key]) for key in sorted(self.cells, key=_order)],
            shape=self.shape,
        )
        message.checksum = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
        return message.SerializeToString(deterministic=True)

    def hash(self) -> str:
        """SHA-256 of specification and sums in hexadecimal, an answer's ``state_hash``.

        The ids of batches do not enter.
        """
        cells = {key: _anonymous(cell) for key, cell in self.cells.items()}
        return hashlib.sha256(bytes(replace(self, batches={}, cells=cells))).hexdigest()

    def merge(self, other: "State", *, any_profile: bool = False) -> "State":
        """Both as one, as if their batches had been evaluated together.

        Args:
            other: A state of the same specification and of other batches.
            any_profile: Whether it may come of other library versions or another machine; the
                profile of this one is kept.

        Raises:
            FailedPrecondition: They were made by different specifications or keep different parts
                (``STATE_MISMATCH``), or a batch is in both (``DUPLICATE_BATCH``).
        """
        self._refuse_unlike(other, any_profile)
        if self.shape != other.shape:
            raise unfit("STATE_MISMATCH", FIELD, "the states keep axes of different sizes")
        if self.batches.keys() & other.batches.keys():
            raise unfit(
                "DUPLICATE_BATCH", FIELD, "a batch is in two of the states; merge each batch once"
            )
        if len(kinds := self._kinds() | other._kinds()) > 1:
            every = ", ".join(sorted(frozenset.union(*kinds)))
            raise unfit(
                "STATE_MISMATCH", FIELD, f"the states hold different parts; all must hold {every}"
            )
        cells = dict(self.cells)
        for key, cell in other.cells.items():
            cells[key] = cells[key] + cell if key in cells else cell
        return replace(self, batches={**self.batches, **other.batches}, cells=cells)

    def _refuse_unlike(self, other: "State", any_profile: bool) -> None:
        ours, theirs = self.specification, other.specification
        different = [name for name in SPECIFIED if getattr(ours, name) != getattr(theirs, name)]
        if different == ["profile"] and any_profile:
            return
        if different:
            hint = (
                " (any_profile=True merges them all the same)" if different == ["profile"] else ""
            )
            raise unfit(
                "STATE_MISMATCH", FIELD, f"the states differ in {', '.join(different)}{hint}"
            )

    def _kinds(self) -> set[frozenset[str]]:
        """Which parts the groups hold; all hold the same."""
        return {frozenset(cell.parts) for cell in self.cells.values()}

    def finish(self, reduction: str, group: Key = None, *, ddof: float = 1.0) -> Finished:
        """What a reduction makes of a group, to the service's bits for a canonical loss.

        What a framework's own ``mean`` divides by is the service's business, as are all reductions
        that need exp or log; ``Client.merge_states`` asks for them.

        Args:
            reduction: ``sum``, ``mean``, ``weighted_mean``, ``nonzero_mean``, ``batch_mean``,
                ``rms``, ``harmonic_mean``, ``variance``, ``std``, ``min`` or ``max``.
            group: A key of ``cells``.
            ddof: Delta degrees of freedom of ``variance`` and ``std``.

        Raises:
            KeyError: There is no such group.
            InvalidRequest: A mean of nothing (``EMPTY_REDUCTION``), or another reduction
                (``UNKNOWN_REDUCTION``).
            FailedPrecondition: The state was made without what the reduction reads
                (``NOT_MERGEABLE``).
        """
        return finish(self.cells[group], reduction, ddof)


def merge_states(states: Iterable[bytes], *, any_profile: bool = False) -> bytes:
    """Merge states here, to the bytes that a service gives.

    Args:
        states: What answers hold as ``state``, or earlier merges gave; the order does not matter.
        any_profile: Whether they may come of different library versions or machines; losses with
            exp or log then need not have the bits of one evaluation, and the first one's profile
            is kept.

    Raises:
        InvalidRequest: There are none, or one is no state (``MALFORMED_REQUEST``, with its
            position).
        FailedPrecondition: They do not belong together (``STATE_MISMATCH``), or a batch is in two
            (``DUPLICATE_BATCH``).
    """
    read = [State.read(data, f"{FIELD}.{place}") for place, data in enumerate(states)]
    if not read:
        raise invalid("MALFORMED_REQUEST", FIELD, "give at least one state")
    merged = reduce(lambda one, other: one.merge(other, any_profile=any_profile), read)
    try:
        return bytes(merged)
    except ValueError:
        raise invalid("MALFORMED_REQUEST", FIELD, "the counts are beyond 64 bits") from None


def _order(key: Key) -> tuple[str, int]:
    """Groups by label or position."""
    return ("", key) if isinstance(key, int) else (key or "", 0)


def _key(cell: pb.Cell) -> Key:
    which = cell.WhichOneof("key")
    if which is None:
        return None
    return cell.label if which == "label" else cell.position


def _cell(key: Key, cell: Cell) -> pb.Cell:
    named: dict[str, Any] = {name: part.message() for name, part in cell.parts.items()}
    if key is not None:
        named["label" if isinstance(key, str) else "position"] = key
    return pb.Cell(**named)


def _anonymous(cell: Cell) -> Cell:
    """The parts without the names of batches."""
    least, greatest = cell.least, cell.greatest
    return replace(
        cell,
        least=None if least is None else Least(least.value),
        greatest=None if greatest is None else Greatest(greatest.value),
    )


def _check_specification(told: Specification) -> None:
    params = json.loads(told.params, parse_constant=_refuse)
    good = isinstance(params, dict) and isinstance(params["loss"], str) and told.dtype in DTYPES
    if told.axis:
        axes, rank = json.loads(told.axis, parse_constant=_refuse)
        # A framework's outputs, which the service joins, are told by that word.
        good = good and (axes == "outputs" or _are_of(axes, rank))
    if not (good and told.nonfinite in POLICIES):
        raise ValueError("no service has this specification")


def _are_of(axes: list[int], rank: int) -> bool:
    """Whether axes are told in order, each once."""
    return axes == sorted({*axes}) and all(0 <= axis < rank for axis in axes)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _check_groups(state: State) -> None:
    grouped = bool(state.specification.by or state.shape)
    good = bool(state.batches) and grouped != (None in state.cells) and len(state._kinds()) <= 1
    if state.shape:
        # Counted, not listed: the shape is not to be believed.
        places = math.prod(max(size, 1) for size in state.shape)
        good = good and len(state.shape) <= MOST_AXES and places <= MOST_GROUPS
        cells = math.prod(state.shape)
        inside = [key for key in state.cells if isinstance(key, int) and key < cells]
        good = good and len(inside) == len(state.cells) == cells
    if not good:
        raise ValueError("the groups are not those of the specification")


def _check_counts(cell: Cell, state: State) -> None:
    linear, rows = cell.linear, sum(state.batches.values())
    good = linear.nonzero <= linear.count <= linear.entries
    good = good and linear.nonzero <= linear.nonzero_entries <= linear.entries
    good = good and (linear.rows == rows if None in state.cells else linear.rows <= rows)
    found = [part for part in (cell.least, cell.greatest) if part is not None]
    good = good and all(_is_inside(part, state.batches) for part in found)
    if not good:
        raise ValueError("the counts contradict each other")


def _is_inside(part: Extreme, batches: Mapping[str, int]) -> bool:
    return part.value is None or part.row < batches.get(part.batch_id, 0)
