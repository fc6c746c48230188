"""What a batch leaves behind, each kind of sum apart, so that a request pays only for its own.

A part is made of one block, and two parts add up. Addition is associative and commutative, so
blocks, batches and machines can be joined in any order to the same bits. ``Values`` is the
exception: it keeps the numbers themselves, for answers that no sum can give, and never leaves
the process.
"""

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

import numpy as np

from lossmeter.core.block import Block, Ints
from lossmeter.core.exact import UNIT_BITS, ZERO, ExactSum, Floats, exact_product, exact_sum
from lossmeter.core.exact import exact_sums as exact_sums_of


class Part(Protocol):
    """One kind of sum."""

    key: ClassVar[str]

    @classmethod
    def of(cls, block: Block) -> Self:
        """What one block leaves."""

    def __add__(self, other: Self, /) -> Self: ...


@dataclass(frozen=True, slots=True)
class Linear:
    """What every mean over kept entries needs.

    A block of kept entries gives the sums and counts; entries under the mask are added as counts
    alone, rows and weights once a batch.

    Attributes:
        total: Σwℓ.
        weight: Σw.
        divisor: Sum of a dialect's own divisor.
        count: Number of kept entries n.
        nonzero: Number of kept entries with w ≠ 0.
        entries: Number of entries, masked ones included.
        nonzero_entries: Number of those with w ≠ 0.
        rows: Size N of axis 0.
        weight_entries: Number of weights before they were broadcast; 0 for a group.
    """

    key: ClassVar[str] = "linear"

    total: ExactSum = ZERO
    weight: ExactSum = ZERO
    divisor: ExactSum = ZERO
    count: int = 0
    nonzero: int = 0
    entries: int = 0
    nonzero_entries: int = 0
    rows: int = 0
    weight_entries: int = 0

    @classmethod
    def of(cls, block: Block) -> Self:
        count, weight = block.losses.size, ExactSum.of_int(block.losses.size)
        nonzero = count
        if (weights := block.own_weights) is not None:
            nonzero = int(np.count_nonzero(weights)) * block.repeat
            weight = exact_sum(weights).times(block.repeat)
        return cls(
            total=exact_sum(block.weighted(block.losses)),
            weight=weight,
            divisor=ZERO if block.divisors is None else exact_sum(block.divisors),
            count=count,
            nonzero=nonzero,
            entries=count,
            nonzero_entries=nonzero,
        )

    @classmethod
    def of_groups(cls, block: Block, codes: Ints, groups: int) -> list[Self]:
        """What a block leaves in each group, all groups at once."""
        counts = np.bincount(codes, minlength=groups).tolist()
        totals = exact_sums_of(block.weighted(block.losses), codes, groups)
        weights, nonzero = [ExactSum.of_int(n) for n in counts], counts
        if (own := block.weights) is not None:
            weights = exact_sums_of(own, codes, groups)
            nonzero = np.bincount(codes[own != 0.0], minlength=groups).tolist()
        divisors = [ZERO] * groups
        if block.divisors is not None:
            divisors = exact_sums_of(block.divisors, codes, groups)
        return [
            cls(t, w, d, count=n, nonzero=z, entries=n, nonzero_entries=z)
            for t, w, d, n, z in zip(totals, weights, divisors, counts, nonzero, strict=True)
        ]

    def counts(self) -> tuple[int, ...]:
        """All that is counted, in the order of the fields."""
        return (
            self.count,
            self.nonzero,
            self.entries,
            self.nonzero_entries,
            self.rows,
            self.weight_entries,
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.total + other.total,
            self.weight + other.weight,
            self.divisor + other.divisor,
            *map(operator.add, self.counts(), other.counts()),
        )


@dataclass(frozen=True, slots=True)
class Moments:
    """Σwℓ, Σwℓ² and Σw² of the exact products, so that a variance does not cancel."""

    key: ClassVar[str] = "moments"

    first: ExactSum = ZERO
    second: ExactSum = ZERO
    squared_weight: ExactSum = ZERO

    @classmethod
    def of(cls, block: Block) -> Self:
        losses, weights = block.losses, block.weights
        if weights is None:
            return cls(
                exact_sum(losses), _sum_all(*exact_product(losses, losses)), _count(losses.size)
            )
        high, low = exact_product(weights, losses)
        squares = exact_product(high, losses)
        # What is infinite is so by its high part; its low one could be infinite the other way.
        fits = np.isfinite(squares[0])
        rest = exact_product(np.where(fits, low, 0.0), np.where(fits, losses, 0.0))
        return cls(
            _sum_all(high, low),
            _sum_all(*squares, *rest),
            _sum_all(*exact_product(weights, weights)),
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.first + other.first,
            self.second + other.second,
            self.squared_weight + other.squared_weight,
        )


@dataclass(frozen=True, slots=True)
class Logarithms:
    """Σw·ln ℓ."""

    key: ClassVar[str] = "logarithms"

    total: ExactSum = ZERO

    @classmethod
    def of(cls, block: Block) -> Self:
        return cls(exact_sum(block.weighted(np.log(block.losses))))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.total + other.total)


@dataclass(frozen=True, slots=True)
class Reciprocals:
    """Σw/ℓ."""

    key: ClassVar[str] = "reciprocals"

    total: ExactSum = ZERO

    @classmethod
    def of(cls, block: Block) -> Self:
        weights = block.weights
        return cls(exact_sum((1.0 if weights is None else weights) / block.losses))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.total + other.total)


@dataclass(frozen=True, slots=True)
class Exponentials:
    """Σw·e^ℓ for losses of any size: exact sums of w·e^ℓ·2^(−512 b), for each band b.

    Only the four highest bands are kept, the rest being at least 2^1536 times smaller; the four
    highest of a union are among the four highest of its members, so merging loses nothing.
    """

    key: ClassVar[str] = "exponentials"
    BAND_BITS: ClassVar[int] = 512
    BAND: ClassVar[float] = 512 * math.log(2.0)
    KEPT: ClassVar[int] = 4

    bands: Mapping[int, ExactSum] = field(default_factory=dict)
    special: ExactSum = ZERO

    @classmethod
    def of(cls, block: Block) -> Self:
        losses, weights = block.losses, block.weights
        finite = np.isfinite(losses)
        if finite.all():
            return cls._bands(losses, weights)
        # e^NaN and e^inf have no band, and e^-inf is nothing.
        odd = np.exp(losses[~finite])
        odd = odd if weights is None else odd * weights[~finite]
        rest = cls._bands(losses[finite], None if weights is None else weights[finite])
        return cls(special=exact_sum(odd)) + rest

    @classmethod
    def _bands(cls, losses: Floats, weights: Floats | None) -> Self:
        band = np.floor(losses / cls.BAND)
        # Beyond 2^52 the last digit of ℓ is worth more than its place in the band.
        inside = np.where(np.abs(losses) < 2.0**52, losses, 0.0)
        binade = np.where(inside == losses, np.rint(inside / math.log(2.0)), 0.0)
        # ln 2 in two parts, the first short enough that its product with the binade is exact.
        rest = (inside - binade * 0.6931471803691238) - binade * 1.9082149292705877e-10
        terms = np.exp(rest) if weights is None else weights * np.exp(rest)
        place = np.where(inside == losses, binade - band * cls.BAND_BITS, 0.0)
        terms = np.ldexp(terms, place.astype(np.int64))
        present, codes = np.unique(band, return_inverse=True)
        sums = exact_sums_of(terms, codes, present.size)
        return cls(cls._highest(dict(zip(map(int, present.tolist()), sums, strict=True))))

    @classmethod
    def _highest(cls, bands: dict[int, ExactSum]) -> dict[int, ExactSum]:
        top = sorted(band for band, total in bands.items() if total != ZERO)[-cls.KEPT :]
        return {band: bands[band] for band in top}

    def __add__(self, other: Self) -> Self:
        bands = dict(self.bands)
        for band, total in other.bands.items():
            bands[band] = bands.get(band, ZERO) + total
        return type(self)(self._highest(bands), self.special + other.special)


@dataclass(frozen=True, slots=True)
class Extreme:
    """The least loss value and where it first occurs; ``Greatest`` mirrors it.

    Attributes:
        value: The loss value; NaN if any is; None if nothing was kept.
        batch_id: Batch that holds it.
        row: Position of its sample in that batch.
    """

    key: ClassVar[str] = "least"
    sign: ClassVar[float] = 1.0

    value: float | None = None
    batch_id: str = ""
    row: int = 0

    @classmethod
    def of(cls, block: Block) -> Self:
        if not block.losses.size:
            return cls()
        # argmin and argmax stop at the first NaN, as the answer must.
        at = int(block.losses.argmin() if cls.sign > 0 else block.losses.argmax())
        row = 0 if block.rows is None else int(block.rows[at])
        # One NaN and one 0 of the many, so that equal extremes have equal bits.
        value = float(block.losses[at]) + 0.0
        return cls(math.nan if math.isnan(value) else value, block.batch_id, row)

    def __add__(self, other: Self) -> Self:
        if self.value is None or other.value is None:
            return other if self.value is None else self
        return min(self, other, key=type(self)._order)

    def _order(self) -> tuple[bool, float, str, int]:
        value = self.value if self.value is not None else math.nan
        if math.isnan(value):
            return (False, 0.0, self.batch_id, self.row)
        return (True, self.sign * value, self.batch_id, self.row)


@dataclass(frozen=True, slots=True)
class Least(Extreme):
    """The least loss value."""


@dataclass(frozen=True, slots=True)
class Greatest(Extreme):
    """The greatest loss value."""

    key: ClassVar[str] = "greatest"
    sign: ClassVar[float] = -1.0


@dataclass(frozen=True, slots=True)
class Histogram:
    """Σw in bins of loss values, 128 to a binade, for quantiles within 2^-8 relative.

    A bin's number is the top 19 bits of its values' float64 form, negated below 0, so that bins
    are ordered like values. Source: Masson, Rim and Lee (2019), doi:10.14778/3352063.3352135,
    with linear bins in each binade in place of the logarithm.

    Attributes:
        bins: Weight of each bin, in units of 2^-1074.
        nan: How many loss values were NaN.
    """

    key: ClassVar[str] = "histogram"
    SHIFT: ClassVar[int] = 45
    RELATIVE_ERROR: ClassVar[float] = 2.0**-8

    bins: Mapping[int, int] = field(default_factory=dict)
    nan: int = 0

    @classmethod
    def of(cls, block: Block) -> Self:
        keep = ~np.isnan(block.losses)
        bins = cls.numbers(block.losses[keep])
        present, codes = np.unique(bins, return_inverse=True)
        if (own := block.weights) is None:
            weights = [int(n) << UNIT_BITS for n in np.bincount(codes, minlength=present.size)]
        else:
            sums = exact_sums_of(own[keep], codes, present.size)
            weights = [total.units for total in sums]
        return cls(dict(zip(present.tolist(), weights, strict=True)), int((~keep).sum()))

    @classmethod
    def numbers(cls, losses: Floats) -> Ints:
        """The bin of each loss value."""
        bits = np.ascontiguousarray(losses + 0.0).view(np.int64)
        return np.where(
            bits >= 0, bits >> cls.SHIFT, ~((bits & np.int64(0x7FFF_FFFF_FFFF_FFFF)) >> cls.SHIFT)
        )

    @classmethod
    def holds(cls, number: int) -> bool:
        """Whether any number but NaN falls into a bin."""
        infinite = 0x7FF << 52 - cls.SHIFT
        return ~infinite <= number <= infinite

    @classmethod
    def middle(cls, number: int) -> float:
        """The value that stands for a bin."""
        if number < 0:
            return -cls.middle(~number)
        edges = np.array([number << cls.SHIFT, (number + 1) << cls.SHIFT]).view(np.float64)
        if number == 0 or not math.isfinite(edges[0]):
            return float(edges[0])
        # The last bin before infinity has no finite upper edge.
        return (
            float(edges[0] + (edges[1] - edges[0]) / 2)
            if math.isfinite(edges[1])
            else float(edges[0])
        )

    def __add__(self, other: Self) -> Self:
        bins = dict(self.bins)
        for number, weight in other.bins.items():
            bins[number] = bins.get(number, 0) + weight
        return type(self)(bins, self.nan + other.nan)


@dataclass(frozen=True, slots=True)
class Values:
    """The loss values and weights themselves."""

    key: ClassVar[str] = "values"

    losses: tuple[Floats, ...] = ()
    weights: tuple[Floats, ...] = ()

    @classmethod
    def of(cls, block: Block) -> Self:
        weights = block.weights
        return cls((block.losses,), (np.ones(block.losses.size) if weights is None else weights,))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.losses + other.losses, self.weights + other.weights)


PARTS: Mapping[str, type[Part]] = {
    part.key: part
    for part in (
        Linear,
        Moments,
        Logarithms,
        Reciprocals,
        Exponentials,
        Least,
        Greatest,
        Histogram,
        Values,
    )
}


def _sum_all(*arrays: Floats) -> ExactSum:
    return sum(map(exact_sum, arrays), start=ZERO)


def _count(n: int) -> ExactSum:
    return ExactSum.of_int(n)
