"""Sums of float64 numbers that are not rounded before they are read."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from lossmeter_client.v1 import state_pb2 as pb

UNIT_BITS = 1074
# The widest sum: 2^64 terms of the greatest float64.
MOST_BITS = 2200


@dataclass(frozen=True, slots=True)
class ExactSum:
    """A sum that has not been rounded, whatever the order and the grouping of its terms.

    ``float(total)`` rounds it once, ``above / below`` the ratio of two; sums add up with ``+``.

    Attributes:
        units: Sum of the finite terms in units of 2^-1074, the smallest float64.
        nan: How many terms were NaN.
        positive_infinity: How many terms were +∞.
        negative_infinity: How many terms were −∞.
    """

    units: int = 0
    nan: int = 0
    positive_infinity: int = 0
    negative_infinity: int = 0

    @classmethod
    def of(cls, terms: Iterable[float]) -> Self:
        """Add up numbers, such as those of a list or of a one-dimensional array."""
        numbers = [float(x) for x in terms]
        return cls(
            sum(_units(x) for x in numbers if math.isfinite(x)),
            sum(map(math.isnan, numbers)),
            numbers.count(math.inf),
            numbers.count(-math.inf),
        )

    @classmethod
    def of_int(cls, count: int) -> Self:
        """A whole number of any size."""
        return cls(count << UNIT_BITS)

    def __add__(self, other: Self, /) -> Self:
        return type(self)(
            self.units + other.units,
            self.nan + other.nan,
            self.positive_infinity + other.positive_infinity,
            self.negative_infinity + other.negative_infinity,
        )

    @property
    def special(self) -> float | None:
        """NaN or an infinity if that is what the terms make; None if all were finite."""
        if self.nan or (self.positive_infinity and self.negative_infinity):
            return math.nan
        if self.positive_infinity:
            return math.inf
        return -math.inf if self.negative_infinity else None

    def __float__(self) -> float:
        """The sum, rounded once; infinite where it is beyond float64."""
        return divide(self.units, 1 << UNIT_BITS) if self.special is None else self.special

    def __truediv__(self, divisor: "ExactSum") -> float:
        """The ratio of two sums, rounded once.

        Raises:
            ZeroDivisionError: The divisor is 0.
        """
        if self.special is None and divisor.special is None:
            return divide(self.units, divisor.units)
        return float(self) / float(divisor)

    def message(self) -> pb.ExactSum:
        """The sum in its canonical form."""
        zeros = (self.units & -self.units).bit_length() - 1 if self.units else 0
        odd = self.units >> zeros
        size = (odd if odd > 0 else ~odd).bit_length() // 8 + 1 if odd else 0
        return pb.ExactSum(
            exponent=zeros - UNIT_BITS if odd else 0,
            mantissa=odd.to_bytes(size, "little", signed=True),
            nan=self.nan,
            positive_infinity=self.positive_infinity,
            negative_infinity=self.negative_infinity,
        )

    @classmethod
    def read(cls, message: pb.ExactSum) -> Self:
        """The sum in a message, canonical or not.

        Raises:
            ValueError: It is beyond what float64 terms can reach.
        """
        odd = int.from_bytes(message.mantissa, "little", signed=True)
        shift = message.exponent + UNIT_BITS if odd else 0
        if not 0 <= shift <= MOST_BITS or odd.bit_length() + shift > MOST_BITS:
            raise ValueError("a sum beyond what float64 terms can reach")
        infinities = message.positive_infinity, message.negative_infinity
        return cls(odd << shift, message.nan, *infinities)


ZERO = ExactSum()


def divide(above: int, below: int) -> float:
    """Whole numbers divided and rounded once, to ±∞ where the quotient is beyond float64."""
    try:
        return above / below
    except OverflowError:
        return math.inf if (above > 0) == (below > 0) else -math.inf


def _units(x: float) -> int:
    above, below = x.as_integer_ratio()
    return above << UNIT_BITS + 1 - below.bit_length()
