"""How a framework's symbol is told: which loss, which parameters, which rules.

A dialect is data and small rules, never a second copy of a formula.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.declare import AXIS, CLASS_WEIGHT, REGISTRY, TEMPERATURE, Loss
from lossmeter.core.reductions import RULES, Reduction
from lossmeter.errors import ShapeMismatch

# A weight or mask, broadcast to the shape of the loss values; the shape may grow, in Keras.
Align = Callable[[Array, tuple[int, ...], str], Array]
# Weights and a mask, brought to one rank.
Pair = Callable[[Array, Array], tuple[Array, Array]]
Arrays = dict[str, Array]
Settings = Mapping[str, Any]
Inner = Literal["", "mean", "sum"]
# What a dialect's own mean is made of, and whether that is its divisor or its numerator.
Own = Literal["", "factor", "class_factor", "lists", "ratio", "lengths"]


class Rule(Enum):
    """What a keyword means that is no parameter of the canonical loss."""

    SWITCH = auto()
    """Chooses the canonical loss (``from_logits``)."""
    SETTLED = auto()
    """Read together with other keywords, by the variant's ``settle``."""
    CLASS_AXIS = auto()
    """The axis that holds the classes, or whatever the loss uses up."""
    MEAN_AXIS = auto()
    """The axis that the dialect averages."""
    SUMMED_AXES = auto()
    """The axes summed, that of the samples possibly among them."""
    FACTOR = auto()
    """Multiplies the loss values, broadcast from the right."""
    WEIGHT = auto()
    """The same, and the mean divides by its sum."""
    CLASS_FACTOR = auto()
    """One number a class, on the term of that class; with indices the mean divides by their sum."""
    TARGET_FACTOR = auto()
    """Multiplies the targets."""
    INNER_FACTOR = auto()
    """One number a class, on the values that the dialect then averages."""
    INNER = auto()
    """How the values of the classes are joined."""
    WHERE = auto()
    """Which entries of the axis used up take part."""
    NORMALIZE = auto()
    """Whether the default is the weighted mean, or the weighted sum."""
    REDUCTION = auto()
    """The name of the default reduction."""
    COLUMNS = auto()
    """How the values of several outputs are joined."""
    OUTPUTS = auto()
    """How many outputs there are; more than one have a value each."""
    LABELS = auto()
    """The classes, in place of those that the batch holds."""
    POSITIVE = auto()
    """The label counted as 1."""
    SOFTMAX = auto()
    """Whether a softmax comes first."""
    DROP_FIRST = auto()
    """Whether class 0 is left out."""
    IGNORE_INDEX = auto()
    """Entries of that target are left out."""
    ONLY_NEGATIVE = auto()
    """Below 0 it has no effect, else it is refused."""
    ONLY_NULL = auto()
    """Only null is taken."""
    NO_EFFECT = auto()
    """Taken, and changes no number."""


def align_leading(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """A leading part of the loss values' shape, or all of it; nothing else is broadcast.

    Raises:
        ShapeMismatch: The shape is neither.
    """
    if x.shape != shape[: x.ndim]:
        raise ShapeMismatch(
            f"{name} has shape {list(x.shape)}; it must be a leading part of the loss values' "
            f"shape {list(shape)}",
            field=f"inputs.{name}",
        )
    return np.broadcast_to(x.reshape(x.shape + (1,) * (len(shape) - x.ndim)), shape)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What all symbols of a framework share.

    Attributes:
        name: The framework, ``""`` for the canonical losses.
        version: The version whose rules these are.
        words: The framework's words for reductions, and the canonical reduction of each.
        empty: What a mean of nothing is; None if it is an error.
        align: How weights and masks meet the loss values.
        checks: Whether the domains of the canonical losses are enforced.
        masked: What ``none`` holds where masked; None if it has no value.
        squeeze: Drops or adds a last axis of 1 where the ranks of the inputs differ.
        finite: Whether NaN and infinities are refused.
        pair: Brings weights and mask to one rank before they meet the loss values.
    """

    name: str
    version: str
    words: Mapping[str, Reduction]
    empty: float | None = None
    align: Align = align_leading
    checks: bool = False
    masked: float | None = None
    squeeze: "Callable[[Variant, Arrays], Arrays] | None" = None
    finite: bool = False
    pair: Pair | None = None

    @property
    def called(self) -> str:
        """The framework's name, or that the loss is of none."""
        return self.name or "the canonical loss"


@dataclass(frozen=True, slots=True)
class Variant:
    """One canonical loss that a symbol can stand for.

    Attributes:
        loss: The canonical loss.
        keywords: The framework's keywords: a canonical parameter, or a rule.
        defaults: The framework's default of a keyword, where it differs; ``...`` if it has none.
        annotations: Types and bounds of keywords that the framework checks otherwise.
        spellings: Other spellings of keywords.
        fixed: Parameters and guards of the kernel that the framework does not let anyone change.
        settle: Parameters of the kernel that follow from several keywords, or from odd ones.
        guards: What is done to the inputs first.
        when: Keywords and values that choose this variant; empty if it is taken otherwise.
        fits: Whether the inputs are such as this variant takes, if they choose.
        aliases: The framework's names of inputs.
        beside: Inputs that the framework takes besides.
        lacks: Inputs of the loss that may be absent; ``arrange`` makes them.
        arrange: From the framework's inputs to those of the loss.
        survey: Changes the inputs by a look at all kept entries of the batch.
        class_axis: Where the framework puts the classes.
        keeps_axis: Whether the axis used up stays, with size 1.
        sums_samples: Whether the axis of the samples may be summed too.
        all_axes: Whether the axes summed are all of them, if none are named.
        by_class: Whether the last axis holds classes, each with its own value.
        by_column: Whether each column is an output with a value of its own.
        inner: How the last axis of the values is joined.
        own: What the dialect's own mean divides by, or sums.
        fill: What stands for entries of predictions and targets that ``where`` leaves out.
        nothing: The value where it leaves out all, if the kernel gives another.
        drops_zeros: Whether values of 0 leave the loss like masked ones.
        smooths_by_last: Whether smoothing divides by the size of the last axis, whatever it holds.
        counts_batch: Whether the elements of all samples are counted, unless samples have weights.
        wraps: Whether class indices below 0 count from the last, and others outside give NaN.
        narrow: Whether it computes in float32 whatever it is given.
        domains: Inputs that are checked even so, with the domain.
    """

    loss: Loss
    keywords: Mapping[str, str | Rule] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, Any] = field(default_factory=dict)
    spellings: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    settle: Callable[[Settings], Settings] | None = None
    guards: tuple[tuple[str, Any], ...] = ()
    when: Mapping[str, Any] = field(default_factory=dict)
    fits: Callable[[Mapping[str, Array]], bool] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    arrange: Callable[[Arrays, Settings], Arrays] | None = None
    survey: "Survey | None" = None
    class_axis: int = -1
    keeps_axis: bool = False
    sums_samples: bool = False
    all_axes: bool = False
    by_class: bool = False
    by_column: bool = False
    inner: Inner = ""
    own: Own = ""
    fill: tuple[float, float] = (0.0, 0.0)
    nothing: float | None = None
    drops_zeros: bool = False
    smooths_by_last: bool = False
    counts_batch: bool = False
    wraps: bool = False
    narrow: bool = False
    domains: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Survey:
    """A look at all kept entries of a batch before a number is computed.

    Attributes:
        read: The inputs changed, from the inputs, which entries are kept, and the settings.
        why: What is looked at, for the refusal of streams and states.
        settled_by: Keyword that, if given, makes the look unnecessary.
    """

    read: Callable[[Arrays, Array | None, Settings], Arrays]
    why: str
    settled_by: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """A name that a request may give as its loss; one that is made anew is another."""

    name: str
    dialect: Dialect
    variants: tuple[Variant, ...]
    default_reduction: str
    words: Mapping[str, Reduction] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """What messages call it."""
        return self.name if self.dialect.name else self.variants[0].loss.called

    def reduction_words(self) -> Mapping[str, Reduction]:
        """The reduction words of this symbol."""
        return {**self.dialect.words, **self.words}


# The reduction of a loss whose values are not averaged, if a request names none.
REDUCED = {
    "root": "weighted_mean",
    "median": "median",
    "max": "max",
    "sum": "sum",
    "ratio": "weighted_mean",
}
CANONICAL = Dialect(
    name="",
    version="",
    words=MappingProxyType({name: Reduction(name) for name in RULES}),
    checks=True,
)
SYMBOLS: dict[str, Symbol] = {}


def declare_symbols(
    dialect: Dialect, names: Mapping[str, str], *variants: Variant, **words: Reduction
) -> None:
    """Declare the names under which a framework offers the same loss.

    Args:
        dialect: The framework.
        names: Name to its default reduction.
        variants: The canonical losses they stand for, in the order in which they are tried.
        words: Reduction words that only these symbols have.
    """
    complete = tuple(_with_common(variant) for variant in variants)
    for name, default in names.items():
        SYMBOLS[name] = Symbol(name, dialect, complete, default, words)


def _with_common(variant: Variant) -> Variant:
    """The variant, taking what is applied around every kernel too."""
    known = {*variant.keywords, *variant.keywords.values(), *variant.fixed}
    common = {
        param.name: param.name
        for param in (TEMPERATURE, CLASS_WEIGHT)
        if param in variant.loss.params and param.name not in known
    }
    return replace(variant, keywords={**variant.keywords, **common})


@lru_cache(maxsize=1024)
def canonical(loss: Loss) -> Symbol:
    """A canonical loss as the symbol of no framework."""
    keywords: dict[str, str | Rule] = {param.name: param.name for param in loss.open_params}
    if AXIS in loss.params:
        keywords[AXIS.name] = Rule.SUMMED_AXES
    default = REDUCED[loss.reduces_as] if loss.reduces_as else "mean"
    own: Own = "ratio" if loss.reduces_as == "ratio" else ""
    annotations = {AXIS.name: AXIS.annotation}
    return Symbol(
        loss.name, CANONICAL, (Variant(loss, keywords, annotations=annotations, own=own),), default
    )


def loss_named(name: str) -> Loss:
    """A declared loss, for a dialect's table."""
    return REGISTRY[name]
