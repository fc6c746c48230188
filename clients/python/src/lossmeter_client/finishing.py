"""How the sums of a group become a number: the canonical reductions that need no exp and no log."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TypeVar

from lossmeter_client.errors import InvalidRequest, invalid, unfit
from lossmeter_client.exact import UNIT_BITS, ZERO, ExactSum, divide
from lossmeter_client.parts import Cell, Extreme, Linear

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a reduction makes of a group.

    Attributes:
        value: The number, in the unit of the loss (of ``variance``, its square).
        batch_id: Batch that holds the extreme, for min and max.
        row: Position of the extreme's sample in that batch.
    """

    value: float
    batch_id: str | None = None
    row: int | None = None

    def __float__(self) -> float:
        return self.value


Finish = Callable[[Cell, float], Finished]


def finish(cell: Cell, reduction: str, ddof: float) -> Finished:
    """Reduce a group to a number.

    Args:
        cell: Its parts.
        reduction: A name of ``FINISHES``.
        ddof: What a variance takes off its divisor.

    Raises:
        InvalidRequest: Nothing is kept or the divisor is 0 (``EMPTY_REDUCTION``), or the reduction
            is none of these (``UNKNOWN_REDUCTION``).
        FailedPrecondition: The state was made without what it reads (``NOT_MERGEABLE``).
    """
    if reduction not in FINISHES:
        known = ", ".join(FINISHES)
        raise invalid(
            "UNKNOWN_REDUCTION",
            "reduction",
            f"finished here are {known}; ask the service for others",
        )
    return FINISHES[reduction](cell, ddof)


def _there(part: T | None, name: str) -> T:
    if part is None:
        raise unfit(
            "NOT_MERGEABLE",
            "reduction",
            f"the state holds no {name}; ask for the reduction by name when the state is made, as "
            'in "state": ["min", "max"]',
        )
    return part


def _nothing() -> InvalidRequest:
    return invalid(
        "EMPTY_REDUCTION",
        "reduction",
        "a mean of nothing: no entry is kept, or the divisor is 0; keep an entry, or take the sum",
    )


def _ratio(above: ExactSum, below: ExactSum) -> float:
    try:
        return above / below
    except ZeroDivisionError:
        raise _nothing() from None


def _root(x: float) -> float:
    return math.sqrt(x) if x >= 0.0 else math.nan


def _sum(cell: Cell, _: float) -> Finished:
    return Finished(float(cell.linear.total))


def _mean_over(divisor: Callable[[Linear], ExactSum]) -> Finish:
    def mean(cell: Cell, _: float) -> Finished:
        if not cell.linear.count:
            raise _nothing()
        return Finished(_ratio(cell.linear.total, divisor(cell.linear)))

    return mean


def _rms(cell: Cell, _: float) -> Finished:
    second = _there(cell.moments, "moments").second
    return Finished(_root(_ratio(second, cell.linear.weight)))


def _harmonic_mean(cell: Cell, _: float) -> Finished:
    weight, below = cell.linear.weight, _there(cell.reciprocals, "reciprocals")
    if weight == ZERO:
        raise _nothing()
    try:
        return Finished(weight / below)
    except ZeroDivisionError:
        return Finished(math.copysign(math.inf, float(weight)))


def _variance(cell: Cell, ddof: float) -> Finished:
    moments = _there(cell.moments, "moments")
    sums = (cell.linear.weight, moments.first, moments.second, moments.squared_weight)
    if any(total.special is not None for total in sums):
        return Finished(math.nan)
    w, wl, wl2, w2 = (Fraction(total.units, 1 << UNIT_BITS) for total in sums)
    if not w:
        raise _nothing()
    below = w - Fraction(ddof) * w2 / w
    if not below:
        raise invalid(
            "EMPTY_REDUCTION",
            "reduction",
            f"a variance with ddof {ddof:g} needs more than one kept entry",
        )
    return Finished(divide(*((wl2 - wl * wl / w) / below).as_integer_ratio()))


def _std(cell: Cell, ddof: float) -> Finished:
    return Finished(_root(_variance(cell, ddof).value))


def _extreme(found: Extreme) -> Finished:
    if found.value is None:
        raise _nothing()
    return Finished(found.value, found.batch_id, found.row)


FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "sum": _sum,
        "mean": _mean_over(lambda linear: ExactSum.of_int(linear.count)),
        "weighted_mean": _mean_over(lambda linear: linear.weight),
        "nonzero_mean": _mean_over(lambda linear: ExactSum.of_int(linear.nonzero)),
        "batch_mean": _mean_over(lambda linear: ExactSum.of_int(linear.rows)),
        "rms": _rms,
        "harmonic_mean": _harmonic_mean,
        "variance": _variance,
        "std": _std,
        "min": lambda cell, _: _extreme(_there(cell.least, "least")),
        "max": lambda cell, _: _extreme(_there(cell.greatest, "greatest")),
    }
)
