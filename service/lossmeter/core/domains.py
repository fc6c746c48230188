"""What the values of an input may be, as data.

A domain is read three ways: inputs are checked against it, the documentation prints it, and
property tests draw from it. The aliases at the end annotate the inputs of a loss.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.errors import OutOfDomain


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of the number line; an end is excluded where ``open_`` says so."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False

    def holds(self, x: Array) -> bool:
        """Whether every entry lies inside; NaN counts as inside, it is the caller's policy."""
        if x.size == 0 or (self.low == -math.inf and self.high == math.inf):
            return True
        low, high = x.min(), x.max()
        if (low > self.low or (not self.open_low and low == self.low)) and high <= self.high:
            return True
        # A NaN hides the extremes; look again without it.
        below = x <= self.low if self.open_low else x < self.low
        return not bool((below | (x > self.high)).any())


REALS = Interval()


@dataclass(frozen=True, slots=True)
class Domain:
    """A named set of admissible values.

    Attributes:
        name: The word used in the catalogue.
        words: What is admissible, for messages and documentation.
        interval: Bounds of the values.
        given: Bounds that depend on the parameters of the loss, in place of ``interval``.
        members: The only admissible values, if they are few.
        index: Values count classes: whole numbers from 0 to the number of classes.
        sums_to_one: Entries of the last axis should sum to 1; a sum that does not is a warning.
        logits: Values are before a sigmoid or softmax, and a temperature divides them.
    """

    name: str
    words: str
    interval: Interval = REALS
    given: Callable[[Mapping[str, object]], Interval] | None = None
    members: tuple[float, ...] = ()
    index: bool = False
    sums_to_one: bool = False
    logits: bool = False

    def check(self, x: Array, field_name: str, params: Mapping[str, object]) -> None:
        """Refuse values outside.

        Raises:
            OutOfDomain: A value that is not NaN lies outside.
        """
        if self.members:
            inside = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, dtype=bool)
            for member in self.members:
                inside |= x == member
            good = bool(inside.all())
        else:
            good = (self.given(params) if self.given else self.interval).holds(x)
        if not good:
            raise OutOfDomain(f"{field_name} must be {self.words}", field=f"inputs.{field_name}")

    def check_index(self, x: Array, field_name: str, classes: int) -> Array:
        """Class indices as int64, NaN standing for class 0.

        Raises:
            OutOfDomain: A value is not whole, or not in [0, classes).
        """
        where = f"inputs.{field_name}"
        if x.dtype.kind == "f":
            x = np.where(np.isnan(x), 0.0, x)
            if not np.array_equal(np.floor(x), x) or not np.isfinite(x).all():
                raise OutOfDomain(f"{field_name} must be whole numbers: {self.words}", field=where)
        if x.size and not (x.min() >= 0 and x.max() < classes):
            raise OutOfDomain(f"{field_name} must be in [0, {classes})", field=where)
        return x.astype(np.int64, copy=False)


def _rate_or_log(params: Mapping[str, object]) -> Interval:
    if params["log_input"]:
        return REALS
    return Interval(low=0.0, open_low=params["epsilon"] == 0.0)


REAL = Domain("real", "any number")
POSITIVE = Domain("positive", "> 0", Interval(low=0.0, open_low=True))
NONNEGATIVE = Domain("nonnegative", ">= 0", Interval(low=0.0))
ABOVE_MINUS_ONE = Domain("above_minus_one", "> -1", Interval(low=-1.0, open_low=True))
PROBABILITY = Domain("probability", "in [0, 1]", Interval(0.0, 1.0))
DISTRIBUTION = Domain(
    "distribution",
    "in [0, 1], summing to 1 over the last axis",
    Interval(0.0, 1.0),
    sums_to_one=True,
)
# 1e-3 above 0 is the rounding of a logarithm, not a probability above 1.
LOG_PROBABILITY = Domain(
    "log_probability", "<= 0, logarithms of a distribution over the last axis", Interval(high=1e-3)
)
LOGITS = Domain("logits", "any number, before sigmoid or softmax", logits=True)
CLASS_INDEX = Domain("class_index", "a whole number in [0, C)", index=True)
BINARY = Domain("binary", "0 or 1", members=(0.0, 1.0))
SIGN = Domain("sign", "-1 or +1", members=(-1.0, 1.0))
RATE_OR_LOG = Domain(
    "rate_or_log",
    "any number when log_input, else > 0 (>= 0 when epsilon > 0)",
    given=_rate_or_log,
)


@dataclass(frozen=True, slots=True)
class Input:
    """How an input of a loss is annotated.

    Attributes:
        domain: Its admissible values.
        core: Names of the axes that the loss uses up, last axes of the array; the same name is
            the same size in every input.
        broadcast: It may lack the last axis, have it as 1, or be a single number.
    """

    domain: Domain
    core: tuple[str, ...] = field(default=())
    broadcast: bool = False


Real: TypeAlias = Annotated[Array, Input(REAL)]
NonNegative: TypeAlias = Annotated[Array, Input(NONNEGATIVE)]
AboveMinusOne: TypeAlias = Annotated[Array, Input(ABOVE_MINUS_ONE)]
Probability: TypeAlias = Annotated[Array, Input(PROBABILITY)]
Logits: TypeAlias = Annotated[Array, Input(LOGITS)]
Binary: TypeAlias = Annotated[Array, Input(BINARY)]
RateOrLog: TypeAlias = Annotated[Array, Input(RATE_OR_LOG)]
Variance: TypeAlias = Annotated[Array, Input(POSITIVE, broadcast=True)]
ClassIndex: TypeAlias = Annotated[Array, Input(CLASS_INDEX)]
ClassLogits: TypeAlias = Annotated[Array, Input(LOGITS, ("C",))]
ClassLogProbability: TypeAlias = Annotated[Array, Input(LOG_PROBABILITY, ("C",))]
Distribution: TypeAlias = Annotated[Array, Input(DISTRIBUTION, ("C",))]
Embedding: TypeAlias = Annotated[Array, Input(REAL, ("D",))]
