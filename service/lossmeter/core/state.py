"""A state: what must be kept of batches so that they can be finished together, exactly."""

import hashlib
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import reduce

from lossmeter.core.block import Block, Ints
from lossmeter.core.parts import Extreme, Linear, Part
from lossmeter.core.reductions import Parts
from lossmeter.errors import DuplicateBatch, MalformedRequest, StateMismatch

# The key of a group: a label of `by`, a position where an axis is kept, None for everything.
Key = str | int | None
# What a count may be in a message.
MOST_COUNTED = 2**64 - 1
# How an axis of outputs that are joined is told in a specification.
OUTPUTS = '["outputs"'


@dataclass(frozen=True, slots=True)
class Specification:
    """What was computed; states of different specifications never mix.

    Attributes:
        loss: Canonical name or symbol, as asked for.
        params: Parameters in force, as JSON with sorted keys.
        dtype: Dtype of the loss values.
        nonfinite: What was done with entries that are not finite.
        by: Input that named the groups, or nothing.
        axis: Axes that were reduced and their number, as JSON, or that the columns are outputs;
            nothing where none were named.
        profile: What computed the loss values: backend, device, library versions and instruction
            set. Losses with exp or log have the same bits only within one profile.
    """

    loss: str
    params: str
    dtype: str
    nonfinite: str
    by: str
    axis: str
    profile: str

    @property
    def backend(self) -> str:
        """What computed the loss values, first in the profile."""
        return self.profile.partition("-")[0]

    @property
    def device(self) -> str:
        """Where it did, last in the profile."""
        return self.profile.rpartition("/")[2]

    @property
    def joins_outputs(self) -> bool:
        """Whether the groups are outputs that the dialect joins."""
        return self.axis.startswith(OUTPUTS)

    def hash(self) -> bytes:
        """SHA-256 over the fields, each length-prefixed."""
        digest = hashlib.sha256()
        for spec_field in fields(self):
            text = getattr(self, spec_field.name).encode()
            digest.update(len(text).to_bytes(4, "little") + text)
        return digest.digest()

    def differences(self, other: "Specification") -> list[str]:
        """Names of the fields that differ."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]


@dataclass(slots=True)
class State:
    """Parts of each group, with the specification they were made by and the batches they hold.

    Attributes:
        spec: What was computed.
        batches: Number of rows of each batch, by its id.
        cells: Parts of each group.
        shape: Shape of the answer where axes are kept; the groups are its positions.
    """

    spec: Specification
    batches: dict[str, int] = field(default_factory=dict)
    cells: dict[Key, dict[str, Part]] = field(default_factory=dict)
    shape: tuple[int, ...] = ()

    def add(self, key: Key, parts: Iterable[Part]) -> None:
        """Add parts to a group."""
        cell = self.cells.setdefault(key, {})
        for part in parts:
            known = cell.get(part.key)
            cell[part.key] = part if known is None else known + part

    def add_block(
        self, block: Block, kinds: tuple[type[Part], ...], keys: list[Key], codes: Ints | None
    ) -> None:
        """Add one block of a batch.

        Args:
            block: The kept entries.
            kinds: The parts to keep.
            keys: The groups; one that is None for everything.
            codes: Position in ``keys`` of each entry's group; None where there is one group.
        """
        if codes is None:
            self.add(keys[0], [kind.of(block) for kind in kinds])
            return
        blocks = block.groups(codes, len(keys)) if any(k is not Linear for k in kinds) else []
        linears = Linear.of_groups(block, codes, len(keys))
        for at, key in enumerate(keys):
            others = [kind.of(blocks[at]) for kind in kinds if kind is not Linear]
            self.add(key, [linears[at], *others])

    def merge(self, other: "State", *, any_profile: bool = False) -> "State":
        """Both states as one, exactly; neither is changed.

        Raises:
            StateMismatch: They were made by different specifications, or keep different parts.
            DuplicateBatch: A batch is in both.
            MalformedRequest: They count more than there can be.
        """
        spec = replace(other.spec, profile=self.spec.profile) if any_profile else other.spec
        if different := self.spec.differences(spec):
            hint = ' (options {"profiles": "any"} merges them all the same)'
            raise StateMismatch(
                f"the states differ in {', '.join(different)}"
                + (hint if different == ["profile"] else ""),
                field="states",
            )
        if self.shape != other.shape:
            raise StateMismatch("the states keep axes of different sizes", field="states")
        if self.batches.keys() & other.batches.keys():
            raise DuplicateBatch(
                "a batch is in two of the states; merge each batch once", field="states"
            )
        self._refuse_other_parts(other)
        merged = State(
            self.spec,
            self.batches | other.batches,
            {key: dict(cell) for key, cell in self.cells.items()},
            self.shape,
        )
        for key, cell in other.cells.items():
            merged.add(key, cell.values())
        if max(*merged.linear.counts(), sum(merged.batches.values())) > MOST_COUNTED:
            raise MalformedRequest("the states count more than 2^64 entries", field="states")
        return merged

    def _refuse_other_parts(self, other: "State") -> None:
        """Refuse what would be finished from the parts of some of its batches."""
        held = [cell.keys() for state in (self, other) for cell in state.cells.values()]
        if any(parts != held[0] for parts in held):
            every = sorted({part for parts in held for part in parts})
            raise StateMismatch(
                f"the states hold different parts; all must hold {', '.join(every)}",
                field="states",
            )

    @property
    def linear(self) -> Linear:
        """The linear sums over all groups."""
        parts = (cell["linear"] for cell in self.cells.values())
        found = [part for part in parts if isinstance(part, Linear)]
        return reduce(operator.add, found) if found else Linear()

    def sums(self) -> Mapping[Key, Parts]:
        """The groups in order, without the names of batches."""
        return {key: self._anonymous(self.cells[key]) for key in sorted(self.cells, key=order)}

    @staticmethod
    def _anonymous(cell: Mapping[str, Part]) -> Parts:
        return {
            name: replace(part, batch_id="", row=0) if isinstance(part, Extreme) else part
            for name, part in sorted(cell.items())
        }


def order(key: Key) -> tuple[str, int]:
    """Groups by label or position."""
    return ("", key) if isinstance(key, int) else (key or "", 0)
