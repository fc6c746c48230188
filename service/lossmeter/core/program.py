"""The array program of a plan: temperature, guards, kernel and inner mean in one function."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Loss
from lossmeter.core.guards import GUARDS

FACTOR = "factor"


@dataclass(frozen=True, slots=True)
class Program:
    """From the inputs of a block to its loss values, over any array namespace.

    Attributes:
        loss: The loss whose kernel runs.
        params: Constants of the kernel.
        guards: What a dialect does to the inputs first, in order.
        temperature: Divides the predictions before anything else.
        inner_mean: Whether the last axis of the values is averaged, as Keras does.
    """

    loss: Loss
    params: tuple[tuple[str, Any], ...] = ()
    guards: tuple[tuple[str, Any], ...] = ()
    temperature: float = 1.0
    inner_mean: bool = False

    def __call__(
        self, xp: Namespace, operands: Mapping[str, Array], extras: Mapping[str, Array]
    ) -> Array:
        """Loss values of one block.

        Args:
            xp: The namespace of the arrays.
            operands: The inputs of the loss, each of shape ``(n, *core)``.
            extras: Parameters that are arrays (``pos_weight`` broadcast to the entries, a
                factor a class), and ``factor``, which multiplies the values.
        """
        inputs = dict(operands)
        if self.temperature != 1.0:
            inputs["predictions"] = inputs["predictions"] / self.temperature
        for name, setting in self.guards:
            inputs = GUARDS[name](xp, inputs, setting)
        arrays = {name: x for name, x in extras.items() if name != FACTOR}
        values = self.loss.kernel(xp, **inputs, **dict(self.params), **arrays)
        if self.inner_mean:
            values = xp.sum(values, axis=-1) / values.shape[-1]
        return values * extras[FACTOR] if FACTOR in extras else values
