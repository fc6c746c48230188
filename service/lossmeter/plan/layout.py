"""Inputs brought into canonical layout: samples first, the loss's own axes last."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.declare import InputSpec, Loss
from lossmeter.dialects.symbols import Rule
from lossmeter.errors import ParameterInvalid, ShapeMismatch
from lossmeter.plan.encodings import told
from lossmeter.plan.plan import Candidate

ANY, FLAT = "...", "M"
# What the axes of a core are called in messages.
AXES = {"C": "classes", "D": "features", "F": "features", "4": "corners", "T": "steps"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the axes of a batch lie.

    Attributes:
        arrays: Inputs of the loss, each of shape ``(*shape, *core)``.
        shared: Inputs that all samples share.
        shape: Shape of the loss values.
        sizes: Size of each axis that the loss uses up.
        whole: Why the values depend on all rows at once, if they do.
    """

    arrays: Mapping[str, Array]
    shared: Mapping[str, Array]
    shape: tuple[int, ...]
    sizes: Mapping[str, int]
    whole: str | None


def lay_out(candidate: Candidate, arrays: dict[str, Array], *, canonical: bool = False) -> Layout:
    """Bring the inputs of a loss into canonical layout.

    Args:
        candidate: The loss.
        arrays: Its inputs, as the symbol takes them.
        canonical: Whether the classes are last already, wherever the symbol has them.

    Raises:
        ShapeMismatch: Shapes that do not fit each other.
        ParameterInvalid: An axis that is not there.
    """
    rank = max((x.ndim for x in arrays.values()), default=0)
    specs = candidate.variant.loss.inputs
    moved, lead, whole = dict(arrays), None, None
    if any(ANY in spec.kind.core for spec in specs):
        moved, lead, whole = _summed_last(candidate, arrays)
    elif candidate.axis != -1 and not canonical:
        moved = _axis_last(candidate, arrays)
    layout = _shaped(candidate, moved, arrays, lead)
    if (candidate.program.inner and not layout.shape) or (
        rank > 1 and candidate.axis in (0, -rank) and not canonical
    ):
        whole = "the axis of the samples is used up"
    shape, kept = layout.shape, layout.arrays
    if candidate.variant.keeps_axis:
        shape, kept = _with_axis(candidate, layout, rank)
    return Layout(kept, layout.shared, shape, layout.sizes, whole or layout.whole)


def moved_last(x: Array, axis: int) -> Array:
    """The axis moved last.

    Raises:
        ParameterInvalid: There is no such axis.
    """
    return x.transpose(order_last(x.ndim, axis))


def order_last(rank: int, axis: int) -> tuple[int, ...]:
    """The order of an array's axes that brings one of them last.

    Raises:
        ParameterInvalid: There is no such axis.
    """
    if rank == 1 and axis == 1:
        return (0,)  # torch's unbatched form: the only axis holds the classes
    check_axis(rank, axis)
    others = [place for place in range(rank) if place != axis % rank]
    return (*others, axis % rank)


def check_axis(rank: int, axis: int) -> None:
    """Refuse an axis that an array of this rank does not have.

    Raises:
        ParameterInvalid: It does not have it.
    """
    if not -rank <= axis < rank:
        raise ParameterInvalid(f"axis is outside an array of {rank} axes", field="params.axis")


def _axis_last(candidate: Candidate, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The framework's class axis, or the axis it averages, moved last."""
    specs = {spec.name: spec for spec in candidate.variant.loss.inputs}
    inner = candidate.program.inner and Rule.MEAN_AXIS in candidate.rules
    return {
        name: moved_last(x, candidate.axis) if inner or specs[name].kind.core else x
        for name, x in arrays.items()
    }


def _summed_last(
    candidate: Candidate, arrays: Mapping[str, Array]
) -> tuple[dict[str, Array], int, str | None]:
    """The axes summed made one and moved last, before that of the classes; and the others' number.

    Raises:
        ParameterInvalid: An axis is not there, or named twice, or holds the samples or classes.
    """
    specs = candidate.variant.loss.inputs
    classes = len(specs[0].kind.core) - 1
    first = arrays[specs[0].name]
    by_class = candidate.variant.by_class
    body = first.ndim - (1 if by_class else classes)
    if body < 1:
        raise ShapeMismatch(
            f"{specs[0].name} needs an axis for the samples", field=f"inputs.{specs[0].name}"
        )
    axes = summed_axes(candidate, body, first.ndim)
    kept = [axis for axis in range(body) if axis not in axes]
    order = [*kept, *([body] if by_class else []), *axes, *range(first.ndim - classes, first.ndim)]
    moved = {}
    for spec in specs:
        x = arrays[spec.name]
        if x.shape != first.shape:
            raise _mismatch(spec, candidate.variant.loss, arrays)
        lead = [x.shape[axis] for axis in order[: len(kept) + by_class]]
        own = [prod(x.shape[a] for a in axes), *x.shape[x.ndim - classes :]]
        moved[spec.name] = x.transpose(order).reshape(*lead, *own)
    rank = len(kept) + (by_class and not candidate.program.inner)
    return moved, rank, "the axis of the samples is summed" if 0 in axes else None


def summed_axes(candidate: Candidate, body: int, rank: int) -> list[int]:
    asked = candidate.rules.get(Rule.SUMMED_AXES)
    if asked is None:
        return list(range(0 if candidate.variant.all_axes else 1, body))
    given = [asked] if isinstance(asked, int) else list(asked)
    axes = [axis + rank if axis < 0 else axis for axis in given]
    # Without an axis of the samples there would be nothing to weigh, mask or merge by.
    lowest = 0 if candidate.variant.sums_samples else 1
    if len(set(axes)) != len(axes) or not all(lowest <= axis < body for axis in axes):
        raise ParameterInvalid(
            f"axis must name different axes from {lowest} to {body - 1}", field="params.axis"
        )
    return axes


def _shaped(
    candidate: Candidate,
    moved: Mapping[str, Array],
    given: Mapping[str, Array],
    lead_rank: int | None,
) -> Layout:
    """The loss values' shape, the sizes of the loss's own axes, and arrays that agree on both."""
    loss = candidate.variant.loss
    sizes: dict[str, int] = {}
    shape: tuple[int, ...] | None = None
    shaped: dict[str, Array] = {}
    shared: dict[str, Array] = {}
    cores = _cores(candidate, moved)
    for spec in loss.inputs:
        x, core = moved[spec.name], cores[spec.name]
        sizes |= {axis: int(axis) for axis in core if axis.isdecimal()}
        if core and x.ndim == 1 and x.size == 0:
            x = x.reshape(0, *(0 for _ in core))  # an empty list has no inner axes to show
        if x.ndim < len(core):
            wanted = AXES.get(core[-1], "values")
            raise ShapeMismatch(
                f"{spec.name} has no axis for the {wanted}; it needs at least {len(core)}"
                + _class_hint(candidate, given, spec.name),
                field=f"inputs.{spec.name}",
            )
        if spec.kind.broadcast and shape is not None:
            x = _spread(x, next(iter(shaped.values())).shape, spec.name)
        lead, own = x.shape[: x.ndim - len(core)], x.shape[x.ndim - len(core) :]
        if spec.kind.lead:
            shape = lead if shape is None else shape
            rows = {"...": len(lead), "N": 1 if lead_rank is None else lead_rank}[spec.kind.lead]
            left = _left_in_place(candidate, spec)
            fits = lead == shape and len(lead) in (rows, rows + left)
            shaped[spec.name] = x
        else:
            fits = not lead
            shared[spec.name] = x
        fits = fits and all(sizes.setdefault(c, n) == n for c, n in zip(core, own, strict=True))
        if not fits:
            raise _mismatch(spec, loss, given, _class_hint(candidate, given, spec.name))
        if prod(lead) and any(n == 0 and c != "S" for c, n in zip(core, own, strict=True)):
            raise ShapeMismatch(
                f"{spec.name} has samples, but nothing in its last axis",
                field=f"inputs.{spec.name}",
            )
    return Layout(shaped, shared, shape or (), sizes, None)


def _left_in_place(candidate: Candidate, spec: InputSpec) -> int:
    """How many axes of its own an input may have that the loss does not use up."""
    kept = candidate.variant.loss.output == "elementwise" and not candidate.program.inner
    return len(spec.kind.core) if kept and spec.kind.optional else 0


def _cores(candidate: Candidate, arrays: Mapping[str, Array]) -> dict[str, tuple[str, ...]]:
    """The axes of each input that are used up, as they lie last."""
    loss = candidate.variant.loss
    inner = ("inner",) if candidate.program.inner else ()
    required = [arrays[s.name].ndim for s in loss.inputs if not s.kind.optional]
    least = min(required, default=1)
    cores = {}
    for spec in loss.inputs:
        # A loss that gives a value per element leaves the axes it names in place.
        own = () if loss.output == "elementwise" else spec.kind.core
        if spec.kind.optional and arrays[spec.name].ndim <= least:
            own = ()
        cores[spec.name] = (*inner, *(FLAT if axis == ANY else axis for axis in own))
    optional = [s for s in loss.inputs if s.kind.optional]
    alike = [s for s in optional if not candidate.domains[s.name].index]
    if loss.output != "elementwise" and len({cores[s.name] for s in alike}) > 1:
        raise _mismatch(alike[-1], loss, arrays)
    return cores


def _class_hint(candidate: Candidate, arrays: Mapping[str, Array], name: str) -> str:
    """Which loss takes class indices where this takes distributions, or the other way round."""
    targets, predictions = arrays.get("targets"), arrays.get("predictions")
    if name != "targets" or targets is None or predictions is None:
        return ""
    domain = candidate.domains[name]
    if domain.index and targets.shape == predictions.shape:
        return f"; {told(candidate, name, 'distribution')}"
    lacks_axis = targets.ndim == predictions.ndim - 1
    if domain.name == "distribution" and lacks_axis:
        return f"; {told(candidate, name, 'class_index')}"
    return ""


def _mismatch(
    spec: InputSpec, loss: Loss, arrays: Mapping[str, Array], hint: str = ""
) -> ShapeMismatch:
    first = loss.inputs[0].name
    shape = list(arrays[spec.name].shape)
    if spec.name == first:
        return ShapeMismatch(
            f"{first} has shape {shape}; {loss.called} takes {spec.kind.shape}",
            field=f"inputs.{first}",
        )
    return ShapeMismatch(
        f"{spec.name} has shape {shape}, which does not fit {first} of "
        f"shape {list(arrays[first].shape)}; nothing is broadcast{hint}",
        field=f"inputs.{spec.name}",
    )


def _spread(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """An input that may lack the last axis, or have it as 1, or be one number."""
    if x.shape == shape[:-1] and shape:
        x = x[..., None]
    if x.shape not in ((), shape, (*shape[:-1], *(1 for _ in shape[-1:]))):
        raise ShapeMismatch(
            f"{name} has shape {list(x.shape)}; it must have the shape {list(shape)} of the "
            "predictions, or lack its last axis, or have 1 there, or be a number",
            field=f"inputs.{name}",
        )
    return np.broadcast_to(x, shape)


def _with_axis(
    candidate: Candidate, layout: Layout, rank: int
) -> tuple[tuple[int, ...], dict[str, Array]]:
    """The axis used up left in the shape with size 1, as TensorFlow 1 leaves it."""
    at = candidate.axis % rank
    shape = (*layout.shape[:at], 1, *layout.shape[at:])
    return shape, {name: x.reshape(*shape, x.shape[-1]) for name, x in layout.arrays.items()}
