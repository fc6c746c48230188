"""What an evaluation answers, before any wire has spelt it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lossmeter.core.arrays import Array
from lossmeter.core.state import State

Value = float | Array | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Group:
    """One group's value and the sums behind it."""

    value: float
    count: int
    weight: float
    denominator: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one loss.

    Attributes:
        value: A number, an array where axes are kept, or a mapping of groups.
        loss: Canonical name.
        reduction: Canonical name.
        count: Number of kept entries.
        weight: Sum of their weights.
        backend: What computed the loss values.
        device: Where.
        dtype: Dtype of the loss values.
        denominator: What was divided by, if one number was.
        index: Position of the first sample with the extreme, for min and max.
        batch_id: The batch that ``index`` counts in, where several were merged.
        relative_error: Bound of the error of a quantile from a histogram.
        omitted: Number of entries left out by ``nonfinite: omit``.
        groups: The sums behind each group's value.
        kept: Which entries the mask kept, under ``none``.
        masked: What the dialect gives where masked; None if it has no value.
        state: The mergeable state, if asked for.
        warnings: What looks wrong but was computed.
    """

    value: Value
    loss: str
    reduction: str
    count: int
    weight: float
    backend: str
    device: str
    dtype: str
    denominator: float | None = None
    index: int | None = None
    batch_id: str | None = None
    relative_error: float | None = None
    omitted: int | None = None
    groups: Mapping[str, Group] | None = None
    kept: Array | None = None
    masked: float | None = None
    state: State | None = None
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        """The value, where it is one number."""
        if isinstance(self.value, Mapping):
            raise TypeError("the answer is a mapping of groups")
        return float(self.value)

    def __getitem__(self, name: str) -> Any:
        """A field by its name on the wires."""
        if name not in {known.name for known in fields(self)}:
            raise KeyError(name)
        return getattr(self, name)


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers for several losses over shared tensors.

    Attributes:
        results: Answer of each loss.
        total: Sum of the values times their ``loss_weight``; None if a value is no single number.
        skipped: Losses whose targets were absent.
    """

    results: Mapping[str, Answer]
    total: float | None
    skipped: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> Answer:
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)
