"""The array program of a plan: temperature, guards, kernel and inner mean in one function."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Loss
from lossmeter.core.guards import GUARDS
from lossmeter.core.stable import count

# Extras that the program applies itself; the kernel gets the others.
FACTOR, INNER_FACTOR, TARGET_FACTOR, WHERE = "factor", "inner_factor", "target_factor", "where"
OWN_EXTRAS = frozenset({FACTOR, INNER_FACTOR, TARGET_FACTOR, WHERE})


@dataclass(frozen=True, slots=True)
class Program:
    """From the inputs of a block to its loss values, over any array namespace.

    Attributes:
        loss: The loss whose kernel runs.
        params: Constants of the kernel.
        guards: What a dialect does to the inputs first, in order.
        temperature: Divides the predictions before anything else.
        inner: How the last axis of the values is joined: not, by the mean, as Keras does, or sum.
        fill: What stands for entries of predictions and targets that take no part.
        nothing: The value where no entry takes part, if the kernel gives another.
    """

    loss: Loss
    params: tuple[tuple[str, Any], ...] = ()
    guards: tuple[tuple[str, Any], ...] = ()
    temperature: float = 1.0
    inner: Literal["", "mean", "sum"] = ""
    fill: tuple[float, float] = (0.0, 0.0)
    nothing: float | None = None

    @property
    def key(self) -> Hashable:
        """What tells this program from others."""
        settings = (self.params, self.guards, self.temperature, self.inner, self.fill, self.nothing)
        return self.loss, repr(settings)

    def __call__(
        self, xp: Namespace, operands: Mapping[str, Array], extras: Mapping[str, Array]
    ) -> Array:
        """Loss values of one block.

        Args:
            xp: The namespace of the arrays.
            operands: The inputs of the loss, each of shape ``(n, *core)``.
            extras: Parameters that are arrays (``pos_weight`` broadcast to the entries, a
                factor a class); ``where`` entries take part and ``target_factor``, both broadcast
                to the targets; ``inner_factor`` and ``factor``, which multiply the values before
                and after the last axis is joined.
        """
        inputs = self.guarded(xp, operands, extras)
        arrays = {name: x for name, x in extras.items() if name not in OWN_EXTRAS}
        values = self.loss.kernel(xp, **inputs, **dict(self.params), **arrays)
        if WHERE in extras and self.nothing is not None:
            values = xp.where(xp.any(extras[WHERE], axis=-1), values, self.nothing)
        if INNER_FACTOR in extras:
            values = values * extras[INNER_FACTOR]
        if self.inner:
            total = xp.sum(values, axis=-1)
            values = total / count(xp, values) if self.inner == "mean" else total
        return values * extras[FACTOR] if FACTOR in extras else values

    def guarded(
        self, xp: Namespace, operands: Mapping[str, Array], extras: Mapping[str, Array]
    ) -> dict[str, Array]:
        """What the kernel is given: the inputs after the temperature and the dialect's guards."""
        inputs = dict(operands)
        if self.temperature != 1.0:
            inputs["predictions"] = inputs["predictions"] / self.temperature
        if WHERE in extras:
            for name, stands in zip(("predictions", "targets"), self.fill, strict=True):
                if inputs[name].shape == extras[WHERE].shape:
                    inputs[name] = xp.where(extras[WHERE], inputs[name], stands)
        if TARGET_FACTOR in extras:
            inputs["targets"] = inputs["targets"] * extras[TARGET_FACTOR]
        for name, setting in self.guards:
            inputs = GUARDS[name](xp, inputs, setting)
        return inputs
