"""How a framework's symbol is told: which loss, which parameters, which rules.

A dialect is data and small rules, never a second copy of a formula.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.declare import REGISTRY, Loss
from lossmeter.core.reductions import RULES, Reduction
from lossmeter.errors import ShapeMismatch

# A weight or mask, broadcast to the shape of the loss values; the shape may grow, in Keras.
Align = Callable[[Array, tuple[int, ...], str], Array]


class Rule(Enum):
    """What a keyword means that is no parameter of the canonical loss."""

    SWITCH = auto()
    """Chooses the canonical loss (``from_logits``)."""
    CLASS_AXIS = auto()
    """The axis that holds the classes."""
    MEAN_AXIS = auto()
    """The axis that the dialect averages."""
    FACTOR = auto()
    """Multiplies the loss values, broadcast from the right."""
    WEIGHT = auto()
    """The same, and the mean divides by its sum."""
    CLASS_FACTOR = auto()
    """One number a class, on the term of that class; with indices the mean divides by their sum."""
    ONLY_NEGATIVE = auto()
    """Below 0 it has no effect, else it is refused."""


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
        squeezes: Whether a last axis of 1 is dropped where the other input lacks it.
    """

    name: str
    version: str
    words: Mapping[str, Reduction]
    empty: float | None = None
    align: Align = align_leading
    checks: bool = False
    masked: float | None = None
    squeezes: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """One canonical loss that a symbol can stand for.

    Attributes:
        loss: The canonical loss.
        keywords: The framework's keywords: a canonical parameter, or a rule.
        defaults: The framework's defaults of canonical parameters, where they differ.
        annotations: Types and bounds of keywords that the framework checks otherwise.
        fixed: Parameters and guards of the kernel that the framework does not let anyone change.
        guards: What is done to the inputs first.
        when: Keyword and value that choose this variant.
        index_targets: Whether this variant is for class indices; None if targets do not choose.
        class_axis: Where the framework puts the classes.
        inner_mean: Whether the last axis of the values is averaged.
        as_binary: Turns targets into 0 and 1 by a look at all kept ones of the batch.
        domains: Inputs that are checked even so, with the canonical domain.
    """

    loss: Loss
    keywords: Mapping[str, str | Rule] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    guards: tuple[tuple[str, Any], ...] = ()
    when: tuple[str, bool] | None = None
    index_targets: bool | None = None
    class_axis: int = -1
    inner_mean: bool = False
    as_binary: Callable[[Array, Array], Array] | None = None
    domains: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that a request may give as its loss."""

    name: str
    dialect: Dialect
    variants: tuple[Variant, ...]
    default_reduction: str
    words: Mapping[str, Reduction] = field(default_factory=dict)

    def reduction_words(self) -> Mapping[str, Reduction]:
        """The reduction words of this symbol."""
        return {**self.dialect.words, **self.words}


# The reduction of a loss whose values are not averaged, if a request names none.
REDUCED = {"root": "weighted_mean", "median": "median", "max": "max", "sum": "sum"}
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
    for name, default in names.items():
        SYMBOLS[name] = Symbol(name, dialect, variants, default, words)


def canonical(loss: Loss) -> Symbol:
    """A canonical loss as the symbol of no framework."""
    keywords = {param.name: param.name for param in loss.open_params}
    default = REDUCED[loss.reduces_as] if loss.reduces_as else "mean"
    return Symbol(loss.name, CANONICAL, (Variant(loss, keywords),), default)


def loss_named(name: str) -> Loss:
    """A declared loss, for a dialect's table."""
    return REGISTRY[name]
