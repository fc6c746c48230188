"""Weights picked by the class of each target."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.exact import ZERO, exact_sums
from lossmeter.errors import EmptyReduction, ParameterInvalid
from lossmeter.plan.batch import Batch
from lossmeter.plan.plan import Candidate, ClassWeight

FIELD = "params.class_weight"
HALF = 0.5
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class ClassTable:
    """The weight of each class.

    Attributes:
        weights: Weight of each class.
        labels: The classes, sorted, where they are labels; None where they are counted from 0.
        closed: Whether there are no other labels; else those weigh 1.
    """

    weights: Array
    labels: Array | None = None
    closed: bool = False

    def picked(self, classes: Array) -> Array:
        """The weight of each of these classes.

        Raises:
            ParameterInvalid: A label has no weight.
        """
        if self.labels is None:
            return self.weights[classes]
        place = np.searchsorted(self.labels, classes)
        found = np.append(self.labels, 0)[place] == classes
        found &= place < self.labels.size
        if self.closed and not found.all():
            raise ParameterInvalid(
                f"class_weight has {self.weights.size} numbers, and targets hold labels that are "
                "no places among them; map labels to weights",
                field=FIELD,
            )
        return np.where(found, np.append(self.weights, 1.0)[place], 1.0)


def class_of(candidate: Candidate, targets: Array) -> Array:
    """The class of each target: its index, the greatest of a distribution, or y > ½.

    Raises:
        ParameterInvalid: A loss value is of several targets, which have no one class.
    """
    loss = candidate.variant.loss
    spec = next(spec for spec in loss.inputs if spec.name == "targets")
    integers = candidate.domains["targets"].integers
    if spec.kind.core and not integers:
        return targets.argmax(axis=-1) if targets.size else np.zeros(targets.shape[:-1], np.int64)
    if targets.ndim > 1:
        if targets.shape[-1] != 1:
            raise ParameterInvalid(
                f"class_weight needs one target for each loss value; {candidate.symbol.name} makes "
                f"one of {targets.shape[-1]} in the last axis",
                field=FIELD,
            )
        targets = targets[..., 0]
    return targets if integers else (targets > HALF).astype(np.int64)


def class_table(batch: Batch, inputs: Mapping[str, Array], omit: bool) -> ClassTable | None:
    """The weight of each class; None if the request gives none.

    Args:
        batch: What is to be weighed.
        inputs: Its inputs, labels as the loss takes them.
        omit: Whether entries that are not finite are left out.

    Raises:
        ParameterInvalid: A list of the wrong length, or a mapping that names no class.
    """
    asked = batch.candidate.class_weight
    if asked is None:
        return None
    if asked == "balanced":
        return _balanced(batch, inputs, omit)
    if _of_labels(batch):
        return given_labels(asked)
    return ClassTable(given_classes(asked, batch.classes))


def _of_labels(batch: Batch) -> bool:
    """Whether the classes are labels, which are not counted from 0."""
    return batch.candidate.domains["targets"].whole


def given_classes(asked: ClassWeight, classes: int) -> Array:
    """The weight of each class from 0 on; 1 of those that a mapping leaves out.

    Raises:
        ParameterInvalid: A list of another length, or a mapping that names no such class.
    """
    if isinstance(asked, list):
        if len(asked) != classes:
            raise ParameterInvalid(
                f"class_weight has {len(asked)} numbers for {classes} classes", field=FIELD
            )
        return np.asarray(asked, dtype=np.float64)
    if not isinstance(asked, dict):
        raise ParameterInvalid('class_weight must be a list, a mapping or "balanced"', field=FIELD)
    table = np.ones(classes)
    for name, weight in asked.items():
        if not (name.isdecimal() and len(name) <= len(str(classes)) and int(name) < classes):
            raise ParameterInvalid(
                f"class_weight names a class that is not in [0, {classes})", field=FIELD
            )
        table[int(name)] = weight
    return table


def given_labels(asked: ClassWeight) -> ClassTable:
    """The weight of each label, of which a list names those from 0 on and no others.

    Raises:
        ParameterInvalid: A name in a mapping is no whole number.
    """
    if isinstance(asked, list):
        return ClassTable(np.asarray(asked, np.float64), np.arange(len(asked)), closed=True)
    assert isinstance(asked, dict)
    if not all(WHOLE_NUMBER.fullmatch(name) for name in asked):
        raise ParameterInvalid("class_weight names a label that is no whole number", field=FIELD)
    weights = {int(name): weight for name, weight in asked.items()}
    labels = sorted(weights)
    return ClassTable(
        np.asarray([weights[label] for label in labels], np.float64), np.asarray(labels, np.int64)
    )


def _balanced(batch: Batch, inputs: Mapping[str, Array], omit: bool) -> ClassTable:
    """scikit-learn's formula over the kept samples: Σs / (classes present · Σs of the class)."""
    keep = _counted(batch, omit)
    classes = class_of(batch.candidate, inputs["targets"][keep]).astype(np.int64)
    weights = np.ones(batch.shape) if batch.weights is None else batch.weights
    known = _known(batch, classes)
    labels, codes = np.unique(known, return_inverse=True)
    counted = weights[keep].astype(np.float64)
    if known.shape != counted.shape:
        return ClassTable(np.ones(batch.classes))  # the domain check of the block names the fault
    sums = exact_sums(counted, codes, labels.size)
    present = [number for number, total in enumerate(sums) if total != ZERO]
    if not present:
        raise EmptyReduction("no entry is kept to balance the classes by", field="inputs.mask")
    total = sum(sums, start=ZERO)
    table = np.ones(labels.size)
    for number in present:
        shared = replace(sums[number], units=sums[number].units * len(present))
        table[number] = total / shared
    return ClassTable(table, labels)


def _known(batch: Batch, classes: Array) -> Array:
    """The classes as they are counted; those outside are left out, for the block to judge."""
    if _of_labels(batch):
        return classes
    if batch.candidate.variant.wraps:
        classes = np.where(classes < 0, classes + batch.classes, classes)
    return classes[(classes >= 0) & (classes < batch.classes)]


def _counted(batch: Batch, omit: bool) -> Array:
    """The entries whose classes are counted: those kept, with a target that is a number."""
    keep = np.ones(batch.shape, dtype=bool) if batch.mask is None else batch.mask
    if batch.candidate.ignore_index is not None:
        keep = keep & (batch.inputs["targets"] != batch.candidate.ignore_index)
    for name, x in batch.inputs.items():
        if x.dtype.kind == "f" and (omit or name == "targets"):
            odd = ~np.isfinite(x) if omit else np.isnan(x)
            keep = keep & ~odd.any(axis=tuple(range(len(batch.shape), odd.ndim)))
    if omit and batch.weights is not None:
        keep = keep & np.isfinite(batch.weights)
    return keep
