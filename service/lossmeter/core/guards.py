"""What frameworks do to their inputs before the formula, each rule once.

They are written over the array namespace like kernels, so that they are traced with them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lossmeter.core import stable
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


def unit_sum(xp: Namespace, inputs: dict[str, Array], _: None) -> dict[str, Array]:
    """Both inputs divided by their sums over the classes; TorchMetrics's divergence."""
    return {name: x / xp.sum(x, axis=-1, keepdims=True) for name, x in inputs.items()}


def clip_machine_epsilon(xp: Namespace, inputs: dict[str, Array], _: None) -> dict[str, Array]:
    """Predictions kept in [ε, 1 − ε], ε that of the computing dtype; scikit-learn's log loss."""
    return clip_epsilon(xp, inputs, float(xp.finfo(inputs["predictions"].dtype).eps))


def softmax(xp: Namespace, inputs: dict[str, Array], _: None) -> dict[str, Array]:
    """Predictions are logits: their softmax over the classes."""
    return {**inputs, "predictions": stable.softmax(xp, inputs["predictions"])}


def log_probabilities(xp: Namespace, inputs: dict[str, Array], _: None) -> dict[str, Array]:
    """Predictions are logits: the logarithm of their softmax over the classes."""
    return {**inputs, "predictions": stable.log_softmax(xp, inputs["predictions"])}


def exponential(xp: Namespace, inputs: dict[str, Array], _: None) -> dict[str, Array]:
    """Both inputs are logarithms; TorchMetrics's divergence."""
    return {name: xp.exp(x) for name, x in inputs.items()}


def sign_labels(xp: Namespace, inputs: dict[str, Array], _: None) -> dict[str, Array]:
    """Targets −1 and +1 as 0 and 1."""
    return {**inputs, "targets": (inputs["targets"] + 1.0) / 2.0}


def smooth_targets(
    xp: Namespace, inputs: dict[str, Array], setting: tuple[float, int]
) -> dict[str, Array]:
    """Targets y(1 − s) + s/C for a C that is not the number of classes; Keras off the last axis."""
    return {**inputs, "targets": stable.smooth(xp, inputs["targets"], *setting)}


# Those that do not change a number's meaning, only how it is told: canonical inputs need none.
RECODING = frozenset({"softmax", "log_probabilities", "exponential", "sign_labels"})

GUARDS: Mapping[str, Guard] = MappingProxyType(
    {
        guard.__name__: guard
        for guard in (
            clip_epsilon,
            clip_machine_epsilon,
            clip_range,
            clamp_low,
            renormalise,
            unit_sum,
            softmax,
            log_probabilities,
            exponential,
            sign_labels,
            smooth_targets,
        )
    }
)
