"""A plan met by its tensors: shapes, dtypes and alignments made valid, nothing computed yet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.declare import InputSpec
from lossmeter.core.parts import Ints
from lossmeter.core.state import Key
from lossmeter.dialects.symbols import align_leading
from lossmeter.errors import (
    DtypeUnsupported,
    MissingInput,
    OutOfDomain,
    ParameterInvalid,
    ShapeMismatch,
    TooLarge,
    UnknownInput,
)
from lossmeter.plan.plan import Candidate, Plan

BLOCK = 32_768
# As often as Keras may repeat loss values under larger weights, and as many groups as may be kept.
MOST_REPEATED = 2**28
MOST_GROUPS = 2**24
NUMERIC, WHOLE = "biuf", "biu"


@dataclass(frozen=True, slots=True)
class Tensors:
    """The named arrays of a request.

    Attributes:
        arrays: Array of each name.
        plain: Names whose numbers came without a dtype: they are float64, whole ones too.
    """

    arrays: Mapping[str, Array]
    plain: frozenset[str] = frozenset()

    def renamed(self, names: Mapping[str, str]) -> "Tensors":
        """The tensors under the names of a loss's inputs, absent ones left out."""
        here = {ours: theirs for ours, theirs in names.items() if theirs in self.arrays}
        return Tensors(
            {ours: self.arrays[theirs] for ours, theirs in here.items()},
            frozenset(ours for ours, theirs in here.items() if theirs in self.plain),
        )


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group each entry belongs to.

    Attributes:
        keys: The groups.
        codes: Position of each entry's group in ``keys``, broadcast to the loss values' shape.
        rows: Number of samples of each group.
        shape: Shape of the answer where axes are kept.
        axes: The axes reduced, counted from the first, where the reduction names any.
    """

    keys: list[Key]
    codes: Array | None
    rows: list[int]
    shape: tuple[int, ...] = ()
    axes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors in canonical layout, the loss's own axes last.

    Attributes:
        candidate: The loss that the targets chose.
        inputs: Inputs of the loss, each of shape ``(*shape, *core)``.
        extras: Array parameters and the factor, broadcast to the values before the inner mean.
        constants: Array parameters of one number a class.
        weights: Sample weights, broadcast to ``shape``; None if none were given.
        mask: Mask, broadcast to ``shape``; None if none was given.
        groups: The groups of the reduction.
        shape: Shape of the loss values.
        dtype: Dtype they are computed in.
        classes: Number of classes, where the loss has a class axis.
        weight_entries: Number of weights before they were broadcast.
        along_rows: Whether weights and mask lie along the samples, as far as they have axes.
    """

    candidate: Candidate
    inputs: Mapping[str, Array]
    extras: Mapping[str, Array]
    constants: Mapping[str, Array]
    weights: Array | None
    mask: Array | None
    groups: Groups
    shape: tuple[int, ...]
    dtype: np.dtype[np.floating]
    classes: int
    weight_entries: int
    along_rows: bool

    @property
    def rows(self) -> int:
        """Size of axis 0; a single sample is one row."""
        return self.shape[0] if self.shape else 1

    def own_weights(self, group: int) -> int:
        """How many weights a group had before they were broadcast; 0 where none can be said."""
        if self.groups.codes is None:
            return self.weight_entries
        by_row = not self.groups.shape and self.rows and self.weight_entries % self.rows == 0
        return self.groups.rows[group] * self.weight_entries // self.rows if by_row else 0

    @property
    def whole(self) -> str | None:
        """Why the values depend on all rows at once, if they do."""
        candidate, rank = self.candidate, max((x.ndim for x in self.inputs.values()), default=0)
        averaged = candidate.program.inner_mean and not self.shape
        if averaged or (rank > 1 and candidate.axis in (0, -rank)):
            return "the axis of the samples is used up"
        if not self.along_rows:
            return "a weight or mask lies along another axis than the samples"
        arrays = [*candidate.per_output.values(), candidate.factor]
        by_row = any(x is not None and x.ndim == len(self.shape) and x.shape[0] > 1 for x in arrays)
        return "a parameter has a number for each sample" if by_row else None

    def blocks(self) -> Iterator[tuple[slice, ...]]:
        """Indices that cut the loss values into runs of about 32,768 numbers, in C order."""
        per_value = max((prod(x.shape[len(self.shape) :]) for x in self.inputs.values()), default=1)
        return _runs(self.shape, max(1, BLOCK // max(1, per_value)))


def _runs(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    if not shape:
        yield ()
        return
    rows, inner = shape[0], prod(shape[1:])
    if inner <= most:
        step = max(1, most // max(1, inner))
        for start in range(0, rows if inner else 0, step):
            yield (slice(start, min(start + step, rows)),)
        return
    for row in range(rows):
        for rest in _runs(shape[1:], most):
            yield (slice(row, row + 1), *rest)


def bind(plan: Plan, tensors: Tensors) -> Batch:
    """Check tensors against a plan and bring them into canonical layout.

    Raises:
        InvalidRequest: An input is missing, unknown, or of a dtype or shape that does not fit.
    """
    by = plan.reduction.by
    candidate = _candidate_for(plan, tensors.arrays)
    specs = candidate.variant.loss.inputs
    if candidate.refused is not None:
        raise ParameterInvalid(
            f"{candidate.refused} must be below 0 with targets that are no class indices",
            field=f"params.{candidate.refused}",
        )
    _check_names(plan, specs, tensors.arrays, by)
    arrays = {spec.name: tensors.arrays[spec.name] for spec in specs}
    for spec in specs:
        _numeric(arrays[spec.name], spec.name)
    dtype = _dtype(specs, arrays, tensors.plain)
    arrays = _squeezed(plan, candidate, arrays)
    arrays = _class_axis_last(candidate, arrays)
    shape, sizes, arrays = _shaped(candidate, specs, arrays)
    weights, mask = tensors.arrays.get("sample_weight"), tensors.arrays.get("mask")
    own = [x.shape for x in (weights, mask) if x is not None]
    align = plan.symbol.dialect.align
    along_rows = align is align_leading or not any(0 < len(s) < len(shape) for s in own)
    if weights is not None:
        _numeric(weights, "sample_weight")
        weights = align(weights, shape, "sample_weight")
    if mask is not None:
        mask = align(_boolean(mask), shape, "mask")
    shape, arrays, weights, mask = _grown(shape, arrays, weights, mask)
    weight_entries = prod(np.broadcast_shapes(*own)) if own else prod(shape)
    elementwise = next(iter(arrays.values())).shape if candidate.program.inner_mean else shape
    return Batch(
        candidate=candidate,
        inputs=arrays,
        extras=_extras(candidate, shape, elementwise),
        constants=_constants(candidate, sizes.get("C", 0)),
        weights=weights,
        mask=mask,
        groups=_groups(plan, shape, tensors.arrays.get(by) if by else None),
        shape=shape,
        dtype=dtype,
        classes=sizes.get("C", 2),
        weight_entries=weight_entries,
        along_rows=along_rows,
    )


def _candidate_for(plan: Plan, arrays: Mapping[str, Array]) -> Candidate:
    """The candidate whose kind of targets these are: indices lack the class axis."""
    targets, predictions = arrays.get("targets"), arrays.get("predictions")
    for candidate in plan.candidates:
        wanted = candidate.variant.index_targets
        if wanted is None or targets is None or predictions is None:
            return candidate
        if wanted == (targets.ndim != predictions.ndim):
            return candidate
    return plan.candidates[0]


def _check_names(
    plan: Plan, specs: tuple[InputSpec, ...], arrays: Mapping[str, Array], by: str | None
) -> None:
    names = [spec.name for spec in specs]
    wanted = [*names, *([by] if by else [])]
    for name in wanted:
        if name not in arrays:
            raise MissingInput(f"{plan.symbol.name} needs the input {name}", field=f"inputs.{name}")
    for name in arrays:
        if name not in (*wanted, "sample_weight", "mask"):
            raise UnknownInput(
                f"{plan.symbol.name} takes {', '.join(names)}, sample_weight and mask"
                + (
                    ""
                    if by
                    else "; a group input is named by the reduction, as in "
                    '{"name": "mean", "by": "country"}'
                ),
                field=f"inputs.{name}",
            )


def _numeric(x: Array, name: str) -> None:
    if x.dtype.kind not in NUMERIC:
        raise DtypeUnsupported(f"{name} must be numbers", field=f"inputs.{name}")


def _boolean(mask: Array) -> Array:
    if mask.dtype.kind not in WHOLE:
        raise DtypeUnsupported(
            "mask must be booleans or the integers 0 and 1, True keeps", field="inputs.mask"
        )
    if mask.dtype != np.bool_ and mask.size and not (mask.min() >= 0 and mask.max() <= 1):
        raise OutOfDomain("mask must be booleans or the integers 0 and 1", field="inputs.mask")
    return mask.astype(np.bool_, copy=False)


def _dtype(
    specs: tuple[InputSpec, ...], arrays: Mapping[str, Array], plain: frozenset[str]
) -> np.dtype[np.floating]:
    """float64 if a value input is, else float32; indices, weights and masks do not decide."""
    values = [spec.name for spec in specs if not spec.kind.domain.integers]
    wide = any(
        arrays[name].dtype == np.float64 or (name in plain and arrays[name].dtype.kind != "b")
        for name in values
    )
    return np.dtype(np.float64 if wide else np.float32)


def _squeezed(plan: Plan, candidate: Candidate, arrays: dict[str, Array]) -> dict[str, Array]:
    """Keras's way with a last axis of 1 that the other array lacks."""
    if not plan.symbol.dialect.squeezes or set(arrays) != {"predictions", "targets"}:
        return arrays
    p, y = arrays["predictions"], arrays["targets"]
    sparse = candidate.variant.loss.inputs[1].kind.domain.index
    if sparse and y.ndim == p.ndim and y.shape[-1:] == (1,):
        y = y[..., 0]
    elif not sparse and p.ndim == y.ndim + 1 and p.shape[-1] == 1:
        p, y = (p, y[..., None]) if y.ndim == 1 else (p[..., 0], y)
    elif not sparse and y.ndim == p.ndim + 1 and y.shape[-1] == 1:
        p, y = (p[..., None], y) if p.ndim == 1 else (p, y[..., 0])
    return {"predictions": p, "targets": y}


def _class_axis_last(candidate: Candidate, arrays: dict[str, Array]) -> dict[str, Array]:
    """The framework's class axis, or the axis it averages, moved last."""
    axis = candidate.axis
    if axis == -1:
        return arrays
    specs = {spec.name: spec for spec in candidate.variant.loss.inputs}
    inner = candidate.program.inner_mean
    return {
        name: _moved(x, axis) if inner or specs[name].kind.core else x for name, x in arrays.items()
    }


def _moved(x: Array, axis: int) -> Array:
    if x.ndim == 1 and axis == 1:
        return x  # torch's unbatched form: the only axis holds the classes
    if not -x.ndim <= axis < x.ndim:
        raise ParameterInvalid(f"axis is outside an array of {x.ndim} axes", field="params.axis")
    return np.moveaxis(x, axis, -1)


def _shaped(
    candidate: Candidate, specs: tuple[InputSpec, ...], arrays: dict[str, Array]
) -> tuple[tuple[int, ...], dict[str, int], dict[str, Array]]:
    """The loss values' shape, the sizes of the loss's own axes, and arrays that agree on both."""
    sizes: dict[str, int] = {}
    shape: tuple[int, ...] | None = None
    shaped: dict[str, Array] = {}
    for spec in specs:
        x = arrays[spec.name]
        # A loss that gives a value per element leaves the axes it names in place.
        own_axes = () if candidate.variant.loss.output == "elementwise" else spec.kind.core
        core = (*own_axes, *(("mean",) if candidate.program.inner_mean else ()))
        sizes |= {axis: int(axis) for axis in core if axis.isdecimal()}
        if core and x.ndim == 1 and x.size == 0:
            x = x.reshape(0, *(0 for _ in core))  # an empty list has no inner axes to show
        if x.ndim < len(core):
            raise ShapeMismatch(
                f"{spec.name} has no axis for the {'classes' if 'C' in core else 'features'}; "
                f"it needs at least {len(core)}",
                field=f"inputs.{spec.name}",
            )
        if spec.kind.broadcast and shape is not None:
            x = _spread(x, next(iter(shaped.values())).shape, spec.name)
        lead, own = x.shape[: x.ndim - len(core)], x.shape[x.ndim - len(core) :]
        shape = lead if shape is None else shape
        if 0 in own and prod(lead):
            raise ShapeMismatch(
                f"{spec.name} has samples, but nothing in its last axis",
                field=f"inputs.{spec.name}",
            )
        same = lead == shape and all(
            sizes.setdefault(c, n) == n for c, n in zip(core, own, strict=True)
        )
        if not same:
            raise _mismatch(spec, specs, arrays)
        shaped[spec.name] = x
    return shape or (), sizes, shaped


def _mismatch(
    spec: InputSpec, specs: tuple[InputSpec, ...], arrays: Mapping[str, Array]
) -> ShapeMismatch:
    first = specs[0].name
    return ShapeMismatch(
        f"{spec.name} has shape {list(arrays[spec.name].shape)}, which does not fit {first} of "
        f"shape {list(arrays[first].shape)}; nothing is broadcast",
        field=f"inputs.{spec.name}",
    )


def _spread(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """An input that may lack the last axis, or have it as 1, or be one number."""
    if x.shape == shape[:-1] and shape:
        x = x[..., None]
    if x.shape not in ((), shape, (*shape[:-1], 1)):
        raise ShapeMismatch(
            f"{name} has shape {list(x.shape)}; it must have the shape {list(shape)} of the "
            "predictions, or lack its last axis, or have 1 there, or be a number",
            field=f"inputs.{name}",
        )
    return np.broadcast_to(x, shape)


def _grown(
    shape: tuple[int, ...], arrays: dict[str, Array], weights: Array | None, mask: Array | None
) -> tuple[tuple[int, ...], dict[str, Array], Array | None, Array | None]:
    """Keras lets weights be larger than the loss values, which are then repeated."""
    # What is aligned has the shape of the loss values, or the larger one they are repeated to.
    aligned = [x.shape for x in (weights, mask) if x is not None]
    grown = np.broadcast_shapes(*aligned) if aligned else shape
    if grown == shape:
        return shape, arrays, weights, mask
    more = (1,) * (len(grown) - len(shape))
    lead = (*shape, *more) if grown[: len(shape)] == shape else (*more, *shape)
    repeated = {}
    for name, x in arrays.items():
        own = x.shape[len(shape) :]
        repeated[name] = np.broadcast_to(x.reshape(*lead, *own), (*grown, *own))
        if repeated[name].size > MOST_REPEATED:
            raise TooLarge(
                "weights repeat the loss values too often",
                field="inputs.sample_weight",
                limit=MOST_REPEATED,
                actual=repeated[name].size,
            )
    return (
        grown,
        repeated,
        None if weights is None else np.broadcast_to(weights, grown),
        None if mask is None else np.broadcast_to(mask, grown),
    )


def _extras(
    candidate: Candidate, shape: tuple[int, ...], elementwise: tuple[int, ...]
) -> dict[str, Array]:
    extras = {
        name: _broadcast(numbers, elementwise, name)
        for name, numbers in candidate.per_output.items()
    }
    if candidate.factor is not None:
        extras["factor"] = _broadcast(candidate.factor, shape, "weight")
    return extras


def _broadcast(numbers: Array, shape: tuple[int, ...], name: str) -> Array:
    try:
        return np.broadcast_to(numbers, shape)
    except ValueError:
        raise ParameterInvalid(
            f"{name} has shape {list(numbers.shape)}, which does not broadcast to {list(shape)}",
            field=f"params.{name}",
        ) from None


def _constants(candidate: Candidate, classes: int) -> dict[str, Array]:
    factor = candidate.class_factor
    if factor is None:
        return {}
    if factor.shape != (classes,):
        raise ParameterInvalid(
            f"weight has {factor.size} numbers for {classes} classes", field="params.weight"
        )
    return {"class_factor": factor}


def _groups(plan: Plan, shape: tuple[int, ...], labels: Array | None) -> Groups:
    rows = shape[0] if shape else 1
    if labels is not None:
        return _by_label(labels, shape, plan.reduction.by or "")
    if not plan.reduction.axis:
        return Groups([None], None, [rows])
    axes = axes_from_first(plan.reduction.axis, len(shape))
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
