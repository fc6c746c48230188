"""What frameworks do to their inputs before the formula, each rule once.

They are written over the array namespace like kernels, so that they are traced with them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lossmeter.core.arrays import Array, Namespace

Guard = Callable[[Namespace, dict[str, Array], Any], dict[str, Array]]


def clip_epsilon(xp: Namespace, inputs: dict[str, Array], epsilon: float) -> dict[str, Array]:
    """Predictions kept in [ε, 1 − ε], bounds in the computing dtype; Keras's way."""
    clipped = xp.clip(inputs["predictions"], epsilon, 1.0 - epsilon)
    return {**inputs, "predictions": clipped}


def clip_range(
    xp: Namespace, inputs: dict[str, Array], bounds: tuple[float, float]
) -> dict[str, Array]:
    """Both inputs kept in [low, high]; Keras's divergence."""
    return {name: xp.clip(x, *bounds) for name, x in inputs.items()}


def clamp_low(xp: Namespace, inputs: dict[str, Array], low: float) -> dict[str, Array]:
    """Both inputs raised to at least ``low``; Keras's logarithmic error."""
    return {name: xp.maximum(x, low) for name, x in inputs.items()}


def renormalise(xp: Namespace, inputs: dict[str, Array], _: None) -> dict[str, Array]:
    """Predictions divided by their sum over the classes; Keras's categorical losses."""
    p = inputs["predictions"]
    return {**inputs, "predictions": p / xp.sum(p, axis=-1, keepdims=True)}


GUARDS: Mapping[str, Guard] = MappingProxyType(
    {guard.__name__: guard for guard in (clip_epsilon, clip_range, clamp_low, renormalise)}
)
