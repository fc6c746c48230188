"""What a state keeps of a group: sums and counts, of which any two of a kind add up.

Addition is exact, so that blocks, batches and machines may be joined in any order to the same bits.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, Self, TypeVar

from lossmeter_client.exact import ZERO, ExactSum
from lossmeter_client.v1 import state_pb2 as pb

T = TypeVar("T")


class Part(Protocol):
    """One kind of sum, and how its message is written and read."""

    def __add__(self, other: Self, /) -> Self: ...

    def message(self) -> Any: ...

    @classmethod
    def read(cls, message: Any) -> Self:
        """The part in a message.

        Raises:
            ValueError: No service writes such a message.
        """


@dataclass(frozen=True, slots=True)
class Linear:
    """What every mean needs; ℓ are the kept loss values, w their weights.

    Attributes:
        total: Σwℓ.
        weight: Σw.
        divisor: Sum of a framework's own divisor, where its mean has one.
        count: Number of kept entries.
        nonzero: Number of kept entries with w ≠ 0.
        entries: Number of entries, masked ones included.
        nonzero_entries: Number of those with w ≠ 0.
        rows: Size of axis 0.
        weight_entries: Number of weights before they were broadcast; 0 for a group.
    """

    total: ExactSum = ZERO
    weight: ExactSum = ZERO
    divisor: ExactSum = ZERO
    count: int = 0
    nonzero: int = 0
    entries: int = 0
    nonzero_entries: int = 0
    rows: int = 0
    weight_entries: int = 0

    def __add__(self, other: Self, /) -> Self:
        return _added(self, other)

    def message(self) -> pb.Linear:
        return pb.Linear(**_written(self))

    @classmethod
    def read(cls, message: pb.Linear) -> Self:
        return _read(cls, message)


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums of the exact products.

    Attributes:
        first: Σwℓ.
        second: Σwℓ².
        squared_weight: Σw².
    """

    first: ExactSum = ZERO
    second: ExactSum = ZERO
    squared_weight: ExactSum = ZERO

    def __add__(self, other: Self, /) -> Self:
        return _added(self, other)

    def message(self) -> pb.Moments:
        return pb.Moments(**_written(self))

    @classmethod
    def read(cls, message: pb.Moments) -> Self:
        return _read(cls, message)


@dataclass(frozen=True, slots=True)
class Exponentials:
    """Σw·e^ℓ in bands of 512 binades, of which the four highest are kept.

    Attributes:
        bands: Σw·e^ℓ·2^(−512 b) of the entries of each band b.
        special: Entries that are not finite, which have no band.
    """

    KEPT: ClassVar[int] = 4

    bands: Mapping[int, ExactSum] = field(default_factory=dict)
    special: ExactSum = ZERO

    def __add__(self, other: Self, /) -> Self:
        bands = _joined(self.bands, other.bands, ZERO)
        # The highest of a union are among the highest of its members, so nothing is lost.
        top = sorted(band for band, total in bands.items() if total != ZERO)[-self.KEPT :]
        return type(self)({band: bands[band] for band in top}, self.special + other.special)

    def message(self) -> pb.Exponentials:
        bands = [
            pb.Exponentials.Band(number=number, total=total.message())
            for number, total in sorted(self.bands.items())
        ]
        return pb.Exponentials(bands=bands, special=self.special.message())

    @classmethod
    def read(cls, message: pb.Exponentials) -> Self:
        if len(message.bands) > cls.KEPT:
            raise ValueError("more bands than are kept")
        bands = {int(band.number): ExactSum.read(band.total) for band in message.bands}
        return cls(bands, ExactSum.read(message.special))


@dataclass(frozen=True, slots=True)
class Extreme:
    """The least or greatest loss value and the first sample that has it.

    Attributes:
        value: The loss value; NaN if any is; None if nothing was kept.
        batch_id: Batch that holds it.
        row: Position of its sample in that batch.
    """

    sign: ClassVar[float]

    value: float | None = None
    batch_id: str = ""
    row: int = 0

    def __add__(self, other: Self, /) -> Self:
        if self.value is None or other.value is None:
            return other if self.value is None else self
        return min(self, other, key=type(self)._order)

    def _order(self) -> tuple[bool, float, str, int]:
        value = math.nan if self.value is None else self.value
        place = (self.batch_id, self.row)
        return (False, 0.0, *place) if math.isnan(value) else (True, self.sign * value, *place)

    def message(self) -> pb.Extreme:
        return pb.Extreme(value=self.value, batch_id=self.batch_id, row=self.row)

    @classmethod
    def read(cls, message: pb.Extreme) -> Self:
        value = message.value if message.HasField("value") else None
        return cls(value, message.batch_id, message.row)


@dataclass(frozen=True, slots=True)
class Least(Extreme):
    """The least loss value."""

    sign: ClassVar[float] = 1.0


@dataclass(frozen=True, slots=True)
class Greatest(Extreme):
    """The greatest loss value."""

    sign: ClassVar[float] = -1.0


@dataclass(frozen=True, slots=True)
class Histogram:
    """Weights in bins of loss values, 128 to a binade.

    Attributes:
        bins: Σw of each bin, in units of 2^-1074. A bin's number is the upper 19 bits of its
            values' float64 form, complemented below 0.
        nan: How many loss values were NaN.
    """

    INFINITE: ClassVar[int] = 0x7FF << 7

    bins: Mapping[int, int] = field(default_factory=dict)
    nan: int = 0

    def __add__(self, other: Self, /) -> Self:
        return type(self)(_joined(self.bins, other.bins, 0), self.nan + other.nan)

    def message(self) -> pb.Histogram:
        numbers = sorted(self.bins)
        weights = [ExactSum(self.bins[number]).message() for number in numbers]
        return pb.Histogram(numbers=numbers, weights=weights, nan=self.nan)

    @classmethod
    def read(cls, message: pb.Histogram) -> Self:
        if not all(~cls.INFINITE <= number <= cls.INFINITE for number in message.numbers):
            raise ValueError("a bin that no number falls into")
        weights = (ExactSum.read(weight).units for weight in message.weights)
        return cls(dict(zip(message.numbers, weights, strict=True)), message.nan)


@dataclass(frozen=True, slots=True)
class Cell:
    """The parts of one group; a part that was not asked for is None.

    Attributes:
        linear: What every mean needs.
        moments: What rms, variance and std read.
        logarithms: Σw·ln ℓ, which a geometric mean reads.
        reciprocals: Σw/ℓ, which a harmonic mean reads.
        exponentials: What logsumexp reads.
        least: What min reads.
        greatest: What max reads.
        histogram: What median and quantile read.
    """

    linear: Linear
    moments: Moments | None = None
    logarithms: ExactSum | None = None
    reciprocals: ExactSum | None = None
    exponentials: Exponentials | None = None
    least: Least | None = None
    greatest: Greatest | None = None
    histogram: Histogram | None = None

    @property
    def parts(self) -> dict[str, Any]:
        """The parts that are there, by name."""
        named = ((name, getattr(self, name)) for name in KINDS)
        return {name: part for name, part in named if part is not None}

    def __add__(self, other: "Cell") -> "Cell":
        """The same parts of both, added up."""
        theirs = other.parts
        return Cell(**{name: part + theirs[name] for name, part in self.parts.items()})

    @classmethod
    def read(cls, message: pb.Cell) -> Self:
        """The parts in a message.

        Raises:
            ValueError: No service writes such parts.
        """
        there = {each.name: part for each, part in message.ListFields() if each.name in KINDS}
        if "linear" not in there:
            raise ValueError("a group without counts")
        read: dict[str, Any] = {name: KINDS[name].read(part) for name, part in there.items()}
        return cls(**read)


KINDS: Mapping[str, type[Part]] = {
    "linear": Linear,
    "moments": Moments,
    "logarithms": ExactSum,
    "reciprocals": ExactSum,
    "exponentials": Exponentials,
    "least": Least,
    "greatest": Greatest,
    "histogram": Histogram,
}


def _added(one: T, other: T) -> T:
    """Field by field."""
    names = [each.name for each in fields(one)]  # type: ignore[arg-type]  # both are dataclasses
    return type(one)(*(getattr(one, name) + getattr(other, name) for name in names))


def _joined(one: Mapping[int, Any], other: Mapping[int, Any], nothing: Any) -> dict[int, Any]:
    """Number by number."""
    numbers = one.keys() | other.keys()
    return {number: one.get(number, nothing) + other.get(number, nothing) for number in numbers}


def _written(part: Any) -> dict[str, Any]:
    """The fields of a part that are sums or counts, as its message has them."""
    given = {each.name: getattr(part, each.name) for each in fields(part)}
    return {name: x.message() if isinstance(x, ExactSum) else x for name, x in given.items()}


def _read(kind: type[T], message: Any) -> T:
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # it is a dataclass
    given = [getattr(message, name) for name in names]
    return kind(*(ExactSum.read(x) if isinstance(x, pb.ExactSum) else x for x in given))
