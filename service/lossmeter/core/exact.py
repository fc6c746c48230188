"""Sums of float64 numbers without rounding, in any order and any split.

A sum is one Python integer counting units of 2^-1074, the smallest float64. Numbers reach it by
pre-rounding: with σ a power of two at least 64 times the greatest size, ``q = (x + σ) - σ`` and
``r = x - q`` are both exact, 64 of the q add up in float64 without rounding, and their sums are
whole multiples of 2^-53 σ that fit int64. The remainders r go round again until they are empty.
Two rounds hold 94 bits, which is everything for ordinary losses.

Source: Rump, Ogita and Oishi (2008), doi:10.1137/050645671, for the splitting;
Kulisch (2013), doi:10.1515/9783110301793, for the fixed-point accumulator.
"""

import math
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

UNIT_BITS = 1074
_UNIT = 1 << UNIT_BITS
_BLOCK = 32_768
# 64 numbers a column, not more: 32 columns' worth of rows would let the int64 total of a constant
# block one ulp below a power of two reach 2^63.
_ROWS = 64
_ROW_BITS = 6
# Each step costs more than its arithmetic: so few numbers are one column, a handful are no array.
_HANDFUL = 64
_FEW = 4096
_FEW_BITS = 12
# A group of a block may hold all its numbers, so a grouped σ leaves room for 2^15 of them.
_BLOCK_BITS = 15
_SMALL_EXPONENT = -900
_BIG_EXPONENT = 960
_SCALE = 512


@dataclass(frozen=True, slots=True)
class ExactSum:
    """A sum that has not been rounded.

    Attributes:
        units: The sum of the finite terms, in units of 2^-1074.
        nan: How many terms were NaN.
        positive_infinity: How many terms were +∞.
        negative_infinity: How many terms were −∞.
    """

    units: int = 0
    nan: int = 0
    positive_infinity: int = 0
    negative_infinity: int = 0

    def __add__(self, other: "ExactSum") -> "ExactSum":
        if self is ZERO or other is ZERO:
            return other if self is ZERO else self
        return ExactSum(
            self.units + other.units,
            self.nan + other.nan,
            self.positive_infinity + other.positive_infinity,
            self.negative_infinity + other.negative_infinity,
        )

    def times(self, count: int) -> "ExactSum":
        """The sum of so many times the terms."""
        if count == 1:
            return self
        parts = (self.units, self.nan, self.positive_infinity, self.negative_infinity)
        return ExactSum(*(part * count for part in parts))

    @property
    def special(self) -> float | None:
        """NaN or an infinity if a term was one, else None."""
        if self.nan or (self.positive_infinity and self.negative_infinity):
            return math.nan
        if self.positive_infinity:
            return math.inf
        return -math.inf if self.negative_infinity else None

    def __float__(self) -> float:
        """The sum, rounded once; infinite if it is beyond float64."""
        return divide(self.units, _UNIT) if self.special is None else self.special

    def __truediv__(self, divisor: "ExactSum") -> float:
        """The ratio of two exact sums, rounded once.

        Raises:
            ZeroDivisionError: The divisor is zero.
        """
        if self.special is None and divisor.special is None:
            return divide(self.units, divisor.units)
        above, below = float(self), float(divisor)
        if math.isinf(above) and math.isinf(below):
            return math.nan
        return above / below

    def at_least(self, floor: float) -> "ExactSum":
        """The sum, or the floor if that is more."""
        low = ExactSum.of_float(floor)
        return low if self.special is None and self.units < low.units else self

    @classmethod
    def of_int(cls, count: int) -> "ExactSum":
        """A whole number as a sum, to divide by."""
        return cls(count << UNIT_BITS)

    @classmethod
    def of_float(cls, x: float) -> "ExactSum":
        """One number as a sum."""
        return exact_sum(np.asarray([x], dtype=np.float64))


ZERO = ExactSum()


def divide(above: int, below: int) -> float:
    """Integer division rounded once, to ±∞ where the quotient is beyond float64."""
    try:
        return above / below
    except OverflowError:
        return math.inf if (above > 0) == (below > 0) else -math.inf


def exact_sum(x: Floats) -> ExactSum:
    """Add up the entries of a one-dimensional float64 array."""
    if x.size <= _HANDFUL:
        with suppress(OverflowError, ValueError):
            return ExactSum(_handful(x.tolist()))
    units, nan, high, low = 0, 0, 0, 0
    scratch = _scratch()
    for start in range(0, x.size, _BLOCK):
        block = x[start : start + _BLOCK]
        size = _size(block)
        if not math.isfinite(size):
            nan += int(np.isnan(block).sum())
            high += int((block == math.inf).sum())
            low += int((block == -math.inf).sum())
            block = block[np.isfinite(block)]
            size = _size(block)
        units += _block_units(block, size, scratch)
    return ExactSum(units, nan, high, low)


def exact_sums(x: Floats, codes: NDArray[np.int64], groups: int) -> list[ExactSum]:
    """Add up the entries of each group.

    Args:
        x: Numbers, shape ``(n,)``.
        codes: Group of each, in [0, groups), shape ``(n,)``.
        groups: How many groups there are.
    """
    units = [0] * groups
    finite = np.isfinite(x)
    special = None
    if not finite.all():
        special = [
            np.bincount(codes[which], minlength=groups)
            for which in (np.isnan(x), x == math.inf, x == -math.inf)
        ]
        x, codes = x[finite], codes[finite]
    for start in range(0, x.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        _deposit(units, x[part], codes[part])
    if special is None:
        return [ExactSum(n) for n in units]
    return [ExactSum(n, *(int(count[g]) for count in special)) for g, n in enumerate(units)]


def _handful(numbers: list[float]) -> int:
    """The exact sum of a handful of numbers, as long as Python's correctly rounded one holds it.

    Raises:
        OverflowError: A number, or a sum of some, is infinite.
        ValueError: A number is NaN.
    """
    units = 0
    while total := math.fsum(numbers):
        mantissa, exponent = math.frexp(total)
        units += _shifted(int(math.ldexp(mantissa, 53)), exponent - 53 + UNIT_BITS)
        numbers.append(-total)
    return units


_local = threading.local()


def _scratch() -> Floats:
    """Two blocks of memory for each thread: fresh ones would cost more in page faults than sums."""
    if not hasattr(_local, "scratch"):
        _local.scratch = np.empty((2, _BLOCK))
    found: Floats = _local.scratch
    return found


def _size(x: Floats) -> float:
    """The greatest magnitude, NaN if there is one, 0 of nothing; without a temporary."""
    return max(float(np.maximum.reduce(x)), -float(np.minimum.reduce(x))) if x.size else 0.0


def _block_units(x: Floats, size: float, scratch: Floats) -> int:
    """The exact sum of at most a block of finite numbers, in units of 2^-1074.

    Args:
        x: The numbers.
        size: Their greatest magnitude.
        scratch: Two blocks of memory.
    """
    units = 0
    while size != 0.0:
        exponent = math.frexp(size)[1]
        if exponent > _BIG_EXPONENT:
            units += _big_units(x)
            x = x[np.abs(x) < 2.0 ** (_BIG_EXPONENT - 1)]
            size = _size(x)
            continue
        x, scale = _lift(x, exponent)
        exponent += scale
        if x.size <= _FEW:
            return units + _few_units(x, exponent, scale)
        width = -(-x.size // _ROWS)
        for again, buffer in zip((True, False), scratch, strict=True):
            columns, high = buffer[: _ROWS * width], buffer[: x.size]
            columns[x.size :] = 0.0
            sigma = math.ldexp(1.0, exponent + _ROW_BITS)
            np.add(x, sigma, out=high)
            np.subtract(high, sigma, out=high)
            shift = exponent + _ROW_BITS - 53
            sums = columns.reshape(_ROWS, width).sum(axis=0)
            total = int((sums * math.ldexp(1.0, -shift)).astype(np.int64).sum())
            units += _shifted(total, shift - scale + UNIT_BITS)
            # Comparing is cheaper than subtracting, and the second round is nearly always the last.
            if not again and np.array_equal(x, high):
                return units
            x = np.subtract(x, high, out=high)
            exponent = shift
        x = x[x != 0.0]
        if scale:
            x = np.ldexp(x, -scale)
        size = _size(x)
    return units


def _few_units(x: Floats, exponent: int, scale: int) -> int:
    """The same of so few numbers that their whole sum of q is exact in float64."""
    units = 0
    while True:
        sigma = math.ldexp(1.0, exponent + _FEW_BITS)
        high = (x + sigma) - sigma
        shift = exponent + _FEW_BITS - 53
        total = int(math.ldexp(float(np.add.reduce(high)), -shift))
        units += _shifted(total, shift - scale + UNIT_BITS)
        x = x - high
        if not np.count_nonzero(x):
            return units
        exponent = shift


def _deposit(units: list[int], x: Floats, codes: NDArray[np.int64]) -> None:
    """Add at most a block of finite numbers to the units of their groups."""
    while x.size:
        size = _size(x)
        if size == 0.0:
            break
        exponent = math.frexp(size)[1]
        if exponent > _BIG_EXPONENT - _BLOCK_BITS:
            big = np.abs(x) >= 2.0 ** (_BIG_EXPONENT - _BLOCK_BITS - 1)
            for code, number in zip(codes[big].tolist(), x[big].tolist(), strict=True):
                units[code] += int(number) << UNIT_BITS
            x, codes = x[~big], codes[~big]
            continue
        x, scale = _lift(x, exponent)
        sigma = math.ldexp(1.0, exponent + scale + _BLOCK_BITS)
        high = (x + sigma) - sigma
        shift = exponent + scale + _BLOCK_BITS - 53
        present, local = _local_codes(codes)
        sums = np.bincount(local, weights=high) * math.ldexp(1.0, -shift)
        for code, count in zip(present.tolist(), sums.astype(np.int64).tolist(), strict=True):
            units[code] += _shifted(count, shift - scale + UNIT_BITS)
        x = x - high
        left = x != 0.0
        x, codes = x[left], codes[left]
        if scale:
            x = np.ldexp(x, -scale)


def _lift(x: Floats, exponent: int) -> tuple[Floats, int]:
    """Tiny numbers scaled up by a power of two, exactly, so that their remainders exist."""
    return (np.ldexp(x, _SCALE), _SCALE) if exponent < _SMALL_EXPONENT else (x, 0)


def _big_units(x: Floats) -> int:
    """Units of the numbers so great that σ would overflow; they are whole numbers, and rare."""
    big = x[np.abs(x) >= 2.0 ** (_BIG_EXPONENT - 1)]
    return sum(map(int, big.tolist())) << UNIT_BITS


def _shifted(count: int, bits: int) -> int:
    # Scaling up by 2^512 leaves trailing zeros below 2^-1074, never digits.
    return count << bits if bits >= 0 else count >> -bits


def _local_codes(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The groups of a block and each number's place among them."""
    low = int(codes.min())
    span = int(codes.max()) - low + 1
    if span <= 2 * codes.size:
        return np.arange(low, low + span), codes - low
    present, local = np.unique(codes, return_inverse=True)
    return present, local


def exact_product(a: Floats, b: Floats) -> Sequence[Floats]:
    """The products a·b as pairs of float64 whose sum is exact, barring underflow.

    Source: Dekker (1971), doi:10.1007/BF01397083.
    """
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    # Where the product or a half overflowed the pair is the rounded product alone.
    return product, np.where(np.isfinite(error), error, 0.0)


def _halves(x: Floats) -> tuple[Floats, Floats]:
    scaled = x * 134_217_729.0
    high = scaled - (scaled - x)
    return high, x - high
