"""What is asked, before any wire has spelt it: settings as JSON has them, inputs as arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from lossmeter_client.arrays import Arrays, arrays_of

Loss: TypeAlias = str | Mapping[str, Any]
Losses: TypeAlias = Mapping[str, Mapping[str, Any]]
Params: TypeAlias = Mapping[str, Any]
Reduction: TypeAlias = str | Mapping[str, Any]
Options: TypeAlias = Mapping[str, Any]
Inputs: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One loss or several on one batch.

    Attributes:
        settings: ``loss`` or ``losses``, ``params``, ``reduction``, ``options``.
        labels: Inputs that name groups.
        arrays: The inputs; empty where they follow in a stream.
    """

    settings: Mapping[str, Any]
    labels: frozenset[str]
    arrays: Arrays

    @classmethod
    def of(
        cls,
        inputs: Inputs,
        *,
        loss: Loss | None,
        losses: Losses | None,
        params: Params | None,
        reduction: Reduction | None,
        options: Options | None,
    ) -> "Evaluation":
        """The request that a caller's words make.

        Raises:
            InvalidRequest: An input is no array.
        """
        given = {
            "loss": loss,
            "losses": losses,
            "params": params,
            "reduction": reduction,
            "options": options,
        }
        settings = stated(given)
        labels = frozenset(_labels(settings))
        return cls(settings, labels, arrays_of(inputs, labels))

    def on(self, arrays: Arrays) -> "Evaluation":
        """The same of other inputs."""
        return replace(self, arrays=arrays)

    def batch(self, inputs: Inputs) -> Arrays:
        """The next rows of a stream as arrays."""
        return arrays_of(inputs, self.labels)


def stated(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is not None, as JSON has it."""
    return {name: plain(x) for name, x in given.items() if x is not None}


def plain(x: Any) -> Any:
    """Settings as JSON has them: NumPy's numbers as Python's, keys as strings."""
    if isinstance(x, Mapping):
        return {str(name): plain(inner) for name, inner in x.items()}
    if isinstance(x, np.ndarray | np.generic):
        return x.tolist()
    return [plain(inner) for inner in x] if isinstance(x, Sequence) and type(x) is not str else x


def _labels(settings: Mapping[str, Any]) -> Iterator[str]:
    """The inputs that name groups, by the names of the shared arrays."""
    for one in (settings.get("losses") or {"": settings}).values():
        reduction = one.get("reduction") if isinstance(one, Mapping) else None
        if isinstance(reduction, Mapping) and isinstance(by := reduction.get("by"), str):
            yield one.get("inputs", {}).get(by, by)
