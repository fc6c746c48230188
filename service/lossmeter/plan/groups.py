"""Which entries of a batch are reduced together."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.block import Ints
from lossmeter.core.state import Key
from lossmeter.dialects.symbols import Rule
from lossmeter.errors import DtypeUnsupported, ParameterInvalid, ShapeMismatch, TooLarge
from lossmeter.plan.plan import Candidate, Plan

MOST_GROUPS = 2**24
MOST_AXES = 2


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group each entry belongs to.

    Attributes:
        keys: The groups.
        codes: Position of each entry's group in ``keys``, broadcast to the loss values' shape.
        rows: Number of samples of each group.
        shape: Shape of the answer where axes are kept.
        axes: The axes reduced, counted from the first, where the reduction names any.
        joined: Whether the groups are outputs, which the dialect joins.
    """

    keys: list[Key]
    codes: Array | None
    rows: list[int]
    shape: tuple[int, ...] = ()
    axes: tuple[int, ...] = ()
    joined: bool = False


def groups_of(
    plan: Plan, candidate: Candidate, shape: tuple[int, ...], labels: Array | None
) -> Groups:
    rows = shape[0] if shape else 1
    if candidate.variant.loss.collapses and (plan.reduction.by or plan.reduction.axis):
        raise ParameterInvalid(
            f"{candidate.variant.loss.name} has one value for the batch, which has no groups",
            field="reduction",
        )
    outputs = _outputs(plan, candidate, shape)
    if labels is not None:
        return _by_label(labels, shape, plan.reduction.by or "")
    if outputs and len(shape) == 1:
        return Groups([0], None, [rows], (1,), (0,), joined=True)
    if outputs:
        return replace(_by_axes((0,), shape), joined=True)
    if not plan.reduction.axis:
        return Groups([None], None, [rows])
    return _by_axes(axes_from_first(plan.reduction.axis, len(shape)), shape)


def _outputs(plan: Plan, candidate: Candidate, shape: tuple[int, ...]) -> bool:
    """Whether the columns are outputs that are reduced apart.

    Raises:
        ShapeMismatch: There are more axes than samples and outputs, or another number of outputs.
        ParameterInvalid: Weights for one output, or groups of several.
    """
    joining, reduction = candidate.columns, plan.reduction
    if joining is None or reduction.axis or reduction.name == "none":
        return False
    if not 1 <= len(shape) <= MOST_AXES:
        raise ShapeMismatch("one axis of samples and one of outputs", field="inputs.predictions")
    columns = shape[1] if len(shape) > 1 else 1
    if candidate.rules.get(Rule.OUTPUTS, columns) != columns:
        raise ShapeMismatch(f"there are {columns} outputs", field="inputs.predictions")
    if isinstance(joining, list) and (len(shape) == 1 or len(joining) != columns):
        raise ParameterInvalid(
            f"multioutput has {len(joining)} numbers for {columns} outputs",
            field="params.multioutput",
        )
    if reduction.by and columns > 1:
        raise ParameterInvalid(
            "groups are of samples with one output; take several by reduction none",
            field="reduction.by",
        )
    return not reduction.by and (len(shape) > 1 or joining == "raw_values")


def _by_axes(axes: tuple[int, ...], shape: tuple[int, ...]) -> Groups:
    rows = shape[0] if shape else 1
    kept = tuple(n for axis, n in enumerate(shape) if axis not in axes)
    cells = prod(kept)
    if not kept:
        return Groups([None], None, [rows], axes=axes)
    if cells > MOST_GROUPS:
        raise TooLarge(
            "the axes that are kept have too many positions",
            field="reduction.axis",
            limit=MOST_GROUPS,
            actual=cells,
        )
    places = np.arange(cells).reshape([1 if axis in axes else n for axis, n in enumerate(shape)])
    per_rows = rows if 0 in axes else 1
    return Groups(
        list(range(cells)),
        np.broadcast_to(places, shape),
        [per_rows] * cells,
        kept,
        axes,
    )


def axes_from_first(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Axes counted from the first, in order.

    Raises:
        ParameterInvalid: One is not there, or named twice.
    """
    found = {axis + rank if axis < 0 else axis for axis in axes}
    if len(found) != len(axes) or not all(0 <= axis < rank for axis in found):
        raise ParameterInvalid(
            f"axis must name different axes of the loss values, which have {rank}",
            field="reduction.axis",
        )
    return tuple(sorted(found))


def _by_label(labels: Array, shape: tuple[int, ...], name: str) -> Groups:
    if labels.dtype.kind not in "biuUS":
        raise DtypeUnsupported("a group input holds strings or integers", field=f"inputs.{name}")
    if not shape or labels.shape != shape[:1]:
        raise ShapeMismatch(
            f"{name} has shape {list(labels.shape)}; it needs one label for each of the "
            f"{shape[0] if shape else 1} samples",
            field=f"inputs.{name}",
        )
    present, codes = np.unique(labels, return_inverse=True)
    rows: Ints = np.bincount(codes, minlength=present.size)
    places = codes.reshape(shape[0], *(1 for _ in shape[1:]))
    return Groups(
        [str(label) for label in present.tolist()],
        np.broadcast_to(places, shape),
        rows.tolist(),
    )
