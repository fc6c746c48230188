"""A batch and a block of it while they are evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lossmeter.app.blocks import Cut
from lossmeter.core.arrays import Array
from lossmeter.core.parts import Linear
from lossmeter.core.program import FACTOR, WHERE
from lossmeter.core.state import Key, State
from lossmeter.plan.batch import Batch
from lossmeter.plan.class_weights import ClassTable


@dataclass(slots=True)
class Work:
    """A batch being evaluated.

    Attributes:
        batch: The batch.
        inputs: Its inputs, labels as the loss takes them.
        table: Weight of each class; None if there is none.
    """

    batch: Batch
    inputs: Mapping[str, Array]
    table: ClassTable | None

    @property
    def simple(self) -> bool:
        """Whether every entry is kept, and nothing but its sample weight weighs it."""
        batch, variant = self.batch, self.batch.candidate.variant
        return (
            variant.loss.output == "elementwise"
            and variant.loss.weighs_samples is None
            and not (variant.drops_zeros or batch.candidate.own)
            and batch.candidate.ignore_index is None
            and batch.mask is None
            and batch.groups.codes is None
            and self.table is None
        )


@dataclass(slots=True)
class Running:
    """The kept entries of a block that is being computed.

    Attributes:
        cut: Where it lies.
        operands: The inputs of the loss.
        extras: Array parameters with a number for each entry.
        weights: Sample weights; None if all are 1, or if they are the kernel's.
        repeat: For how many entries in a row each of them stands.
        codes: Group of each entry; None if there is one group.
        keep: Which entries of the cut these are; None if all.
        unknown: Which of them have no value.
    """

    cut: Cut
    operands: dict[str, Array]
    extras: dict[str, Array]
    weights: Array | None
    repeat: int
    codes: Array | None
    keep: Array | None
    unknown: Array | None


def own_terms(
    batch: Batch, operands: Mapping[str, Array], extras: Mapping[str, Array], losses: Array
) -> Array | None:
    """What a dialect's own mean divides by, or sums in place of the loss values."""
    match batch.candidate.own:
        case "factor":
            return extras[FACTOR].astype(np.float64)
        case "class_factor":
            return batch.constants["class_factor"][operands["targets"]]
        case "lists":
            return extras[WHERE].any(axis=-1).astype(np.float64)
        case "ratio":
            return np.abs(operands["targets"].astype(np.float64))
        case "lengths":
            return losses / np.maximum(operands["target_lengths"], 1)
    return None


def count_dropped(
    state: State, keys: list[Key], dropped: Array, weights: Array | None, codes: Array | None
) -> None:
    """Count the entries under the mask, which some divisors count too."""
    codes = np.zeros(dropped.size, dtype=np.int64) if codes is None else codes
    entries = nonzero = np.bincount(codes[dropped], minlength=len(keys))
    if weights is not None:
        nonzero = np.bincount(codes[dropped & (weights != 0.0)], minlength=len(keys))
    for key, many, weighed in zip(keys, entries.tolist(), nonzero.tolist(), strict=True):
        state.add(key, [Linear(entries=many, nonzero_entries=weighed)])


def lost(batch: Batch, losses: Array, unknown: Array | None) -> Array:
    """The values, NaN where a class is; all of them where the batch as a whole defines them."""
    if unknown is None:
        return losses
    whole = batch.candidate.variant.loss.output == "batch"
    return np.where(unknown.any() if whole else unknown, np.nan, losses)
