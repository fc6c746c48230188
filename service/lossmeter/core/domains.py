"""What the values of an input may be, as data.

A domain is read three ways: inputs are checked against it, the documentation prints it, and
property tests draw from it. The aliases at the end annotate the inputs of a loss.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

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
        given: The domain that holds under the parameters of the loss, in place of this one.
        members: The only admissible values, if they are few.
        holds: What must be true of the array as a whole, if no bound of its entries says it.
        index: Values count classes: whole numbers from 0 to the number of classes.
        whole: Values are whole numbers that a kernel takes as integers: labels, lengths.
        sums_to_one: Entries of the last axis should sum to 1; a sum that does not is a warning.
        logits: Values are before a sigmoid or softmax, and a temperature divides them.
    """

    name: str
    words: str
    interval: Interval = REALS
    given: "Callable[[Mapping[str, object]], Domain] | None" = None
    members: tuple[float, ...] = ()
    holds: Callable[[Array], bool] | None = None
    index: bool = False
    whole: bool = False
    sums_to_one: bool = False
    logits: bool = False

    @property
    def integers(self) -> bool:
        """Whether a kernel takes the values as integers, not in the computing dtype."""
        return self.index or self.whole

    def under(self, params: Mapping[str, object]) -> "Domain":
        """The domain that holds under these parameters."""
        return self.given(params).under(params) if self.given else self

    def check(self, x: Array, field_name: str) -> None:
        """Refuse values outside.

        Raises:
            OutOfDomain: A value that is not NaN lies outside.
        """
        if not self.admits(x):
            raise OutOfDomain(f"{field_name} must be {self.words}", field=f"inputs.{field_name}")

    def admits(self, x: Array) -> bool:
        """Whether every value that is not NaN lies inside."""
        if self.members:
            inside = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, dtype=bool)
            for member in self.members:
                inside |= x == member
            return bool(inside.all())
        if (self.whole or self.index) and x.dtype.kind == "f":
            known = x[~np.isnan(x)]
            if not (np.isfinite(known).all() and np.array_equal(np.floor(known), known)):
                return False
        return self.interval.holds(x) and (self.holds is None or self.holds(x))

    def check_index(self, x: Array, field_name: str, classes: int) -> Array:
        """Class indices as int64, NaN standing for class 0.

        Raises:
            OutOfDomain: A value is not whole, or not in [0, classes).
        """
        where = f"inputs.{field_name}"
        if x.dtype.kind == "f":
            x = np.where(np.isnan(x), 0.0, x)
            if not np.array_equal(np.floor(x), x) or not np.isfinite(x).all():
                raise OutOfDomain(
                    f"{field_name} must be whole numbers in [0, {classes})", field=where
                )
        if x.size and not (x.min() >= 0 and x.max() < classes):
            raise OutOfDomain(f"{field_name} must be in [0, {classes})", field=where)
        return x.astype(np.int64, copy=False)


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
# A linear map makes logits of features, and it is one to divide those or these.
FEATURES = Domain("real", "any number", logits=True)
CLASS_INDEX = Domain("class_index", "a whole number in [0, C)", index=True)
BINARY = Domain("binary", "0 or 1", members=(0.0, 1.0))
SIGN = Domain("sign", "-1 or +1", members=(-1.0, 1.0))
LABEL = Domain("label", "whole numbers; only equality counts", whole=True)
CLASS_LIST = Domain(
    "class_list",
    "class indices; the first -1 ends the list and what follows is not read",
    whole=True,
)
LENGTHS = Domain(
    "lengths",
    "whole numbers from 0 to the size of the axis they count",
    Interval(low=0.0),
    whole=True,
)


def _upright(boxes: Array) -> bool:
    x1, y1, x2, y2 = (boxes[..., corner] for corner in range(4))
    return not bool(((x2 < x1) | (y2 < y1)).any())


BOX = Domain("box_xyxy", "x1, y1, x2, y2 with x1 <= x2 and y1 <= y2", holds=_upright)


def _rate_or_log(params: Mapping[str, object]) -> Domain:
    if params["log_input"]:
        return REAL
    return POSITIVE if params["epsilon"] == 0.0 else NONNEGATIVE


RATE_OR_LOG = Domain(
    "rate_or_log",
    "any number when log_input, else > 0 (>= 0 when epsilon > 0)",
    given=_rate_or_log,
)


def _mean_of_power(params: Mapping[str, object]) -> Domain:
    return REAL if params["power"] == 0.0 else POSITIVE


def _target_of_power(params: Mapping[str, object]) -> Domain:
    power = params["power"]
    assert isinstance(power, int | float)
    if power <= 0.0:
        return REAL
    return NONNEGATIVE if power < 2.0 else POSITIVE


POWER_MEAN = Domain("by_power", "any number for power 0, else > 0", given=_mean_of_power)
POWER_TARGET = Domain(
    "by_power",
    "any number for power <= 0, >= 0 for power < 2, > 0 from there on",
    given=_target_of_power,
)


def _distribution_or_log(params: Mapping[str, object]) -> Domain:
    return LOG_PROBABILITY if params["log_target"] else DISTRIBUTION


DISTRIBUTION_OR_LOG = Domain(
    "distribution_or_log",
    "in [0, 1], summing to 1 over the last axis; with log_target logarithms of that, <= 0",
    given=_distribution_or_log,
)


CLASS_FAMILIES = ("log_loss", "brier")


def _prediction_of_family(params: Mapping[str, object]) -> Domain:
    if params["family"] in CLASS_FAMILIES:
        return PROBABILITY
    return POWER_MEAN if params["family"] == "tweedie" else REAL


def _target_of_family(params: Mapping[str, object]) -> Domain:
    if params["family"] in CLASS_FAMILIES:
        return CLASS_INDEX
    return POWER_TARGET if params["family"] == "tweedie" else REAL


FAMILY_PREDICTION = Domain(
    "by_family",
    "as tweedie_deviance has them for tweedie, any number for pinball and absolute_error, "
    "probabilities for log_loss and brier",
    given=_prediction_of_family,
)
FAMILY_TARGET = Domain(
    "by_family",
    "as tweedie_deviance has them for tweedie, any number for pinball and absolute_error, "
    "class indices for log_loss and brier",
    given=_target_of_family,
)


@dataclass(frozen=True, slots=True)
class Input:
    """How an input of a loss is annotated.

    Attributes:
        domain: Its admissible values.
        core: Names of the axes that the loss uses up, last axes of the array; the same name is
            the same size in every input, a number is its own size. ``...`` is any axes, which a
            kernel finds as one.
        broadcast: It may lack the last axis, have it as 1, or be a single number.
        lead: The axes of the samples before those: ``...`` any number of them, ``N`` one, and
            none where all samples share the array.
        optional: It may come without its core axes.
        counts: Name of the axis whose size its values do not exceed.
    """

    domain: Domain
    core: tuple[str, ...] = field(default=())
    broadcast: bool = False
    lead: Literal["...", "N", ""] = "..."
    optional: bool = False
    counts: str = ""

    @property
    def shape(self) -> str:
        """Its shape as the catalogue writes it: ``(..., C)``, ``(N,) | (N, C)``."""
        full = shape_words(self.lead, *self.core)
        if self.broadcast:
            return f"{full} | (..., 1) | without the last axis | ()"
        return f"{shape_words(self.lead)} | {full}" if self.optional else full


def shape_words(*axes: str) -> str:
    """A shape in words; a single named axis has the comma of a tuple."""
    named = [axis for axis in axes if axis]
    return f"({', '.join(named)}{',' if len(named) == 1 and named != ['...'] else ''})"


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
VectorBinary: TypeAlias = Annotated[Array, Input(BINARY, ("C",))]
ClassScores: TypeAlias = Annotated[Array, Input(REAL, ("C",))]
ClassList: TypeAlias = Annotated[Array, Input(CLASS_LIST, ("C",))]
ClassAmounts: TypeAlias = Annotated[Array, Input(NONNEGATIVE, ("C",))]
Sign: TypeAlias = Annotated[Array, Input(SIGN)]
Positive: TypeAlias = Annotated[Array, Input(POSITIVE)]
PowerMean: TypeAlias = Annotated[Array, Input(POWER_MEAN)]
PowerTarget: TypeAlias = Annotated[Array, Input(POWER_TARGET)]
DistributionOrLog: TypeAlias = Annotated[Array, Input(DISTRIBUTION_OR_LOG, ("C",))]
Box: TypeAlias = Annotated[Array, Input(BOX, ("4",))]
Labels: TypeAlias = Annotated[Array, Input(LABEL, lead="N")]
LabelRow: TypeAlias = Annotated[Array, Input(LABEL, ("C",), lead="N", optional=True)]
BinaryOrClassProbability: TypeAlias = Annotated[Array, Input(PROBABILITY, ("C",), optional=True)]
RealImage: TypeAlias = Annotated[Array, Input(REAL, ("...",), lead="N")]
ProbabilityImage: TypeAlias = Annotated[Array, Input(PROBABILITY, ("...",), lead="N")]
ClassProbabilityImage: TypeAlias = Annotated[Array, Input(PROBABILITY, ("...", "C"), lead="N")]
ClassDistributionImage: TypeAlias = Annotated[Array, Input(DISTRIBUTION, ("...", "C"), lead="N")]
EmbeddingBatch: TypeAlias = Annotated[Array, Input(REAL, ("D",), lead="N")]
FeatureRow: TypeAlias = Annotated[Array, Input(FEATURES, ("F",), lead="N")]
ClassWeights: TypeAlias = Annotated[Array, Input(REAL, ("C", "F"), lead="")]
ClassIndexRow: TypeAlias = Annotated[Array, Input(CLASS_INDEX, lead="N")]
LogProbabilitySequence: TypeAlias = Annotated[Array, Input(LOG_PROBABILITY, ("T", "C"), lead="N")]
LabelSequence: TypeAlias = Annotated[Array, Input(CLASS_INDEX, ("S",), lead="N")]
StepCount: TypeAlias = Annotated[Array, Input(LENGTHS, lead="N", counts="T")]
LabelCount: TypeAlias = Annotated[Array, Input(LENGTHS, lead="N", counts="S")]
FamilyPrediction: TypeAlias = Annotated[
    Array, Input(FAMILY_PREDICTION, ("C",), lead="N", optional=True)
]
FamilyTarget: TypeAlias = Annotated[Array, Input(FAMILY_TARGET, ("C",), lead="N", optional=True)]
