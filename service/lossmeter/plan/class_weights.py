"""Weights picked by the class of each target."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.exact import ZERO, exact_sums
from lossmeter.errors import EmptyReduction, ParameterInvalid
from lossmeter.plan.batch import Batch
from lossmeter.plan.plan import Candidate, ClassWeight

FIELD = "params.class_weight"
HALF = 0.5


def class_of(candidate: Candidate, targets: Array) -> Array:
    """The class of each target: its index, the greatest of a distribution, or y > ½."""
    loss = candidate.variant.loss
    spec = next(spec for spec in loss.inputs if spec.name == "targets")
    if candidate.domains["targets"].integers:
        return targets
    if spec.kind.core:
        return targets.argmax(axis=-1)
    return (targets > HALF).astype(np.int64)


def class_table(batch: Batch, inputs: Mapping[str, Array], omit: bool) -> Array | None:
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
    return _given(asked, batch.classes)


def _given(asked: ClassWeight, classes: int) -> Array:
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


def _balanced(batch: Batch, inputs: Mapping[str, Array], omit: bool) -> Array:
    """scikit-learn's formula over the kept samples: Σs / (classes present · Σs of the class)."""
    keep = _counted(batch, omit)
    targets = inputs["targets"][keep]
    classes = class_of(batch.candidate, targets).astype(np.int64)
    if classes.size and not (classes.min() >= 0 and classes.max() < batch.classes):
        return np.ones(batch.classes)  # the domain check of the block names the fault
    weights = np.ones(batch.shape) if batch.weights is None else batch.weights
    sums = exact_sums(weights[keep].astype(np.float64), classes, batch.classes)
    present = [number for number, total in enumerate(sums) if total != ZERO]
    if not present:
        raise EmptyReduction("no entry is kept to balance the classes by", field="inputs.mask")
    total = sum(sums, start=ZERO)
    table = np.ones(batch.classes)
    for number in present:
        shared = replace(sums[number], units=sums[number].units * len(present))
        table[number] = total / shared
    return table


def _counted(batch: Batch, omit: bool) -> Array:
    """The entries whose classes are counted: those kept, with a target that is a number."""
    keep = np.ones(batch.shape, dtype=bool) if batch.mask is None else batch.mask
    if batch.candidate.ignore_index is not None:
        keep = keep & (batch.inputs["targets"] != batch.candidate.ignore_index)
    for name, x in batch.inputs.items():
        if x.dtype.kind == "f" and (omit or name == "targets"):
            odd = ~np.isfinite(x) if omit else np.isnan(x)
            keep = keep & ~odd.reshape(*batch.shape, -1).any(axis=-1)
    if omit and batch.weights is not None:
        keep = keep & np.isfinite(batch.weights)
    return keep
