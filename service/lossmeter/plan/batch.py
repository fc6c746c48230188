"""A plan met by its tensors: shapes, dtypes and alignments made valid, nothing computed yet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.guards import RECODING
from lossmeter.core.parts import Ints
from lossmeter.core.program import FACTOR, INNER_FACTOR, TARGET_FACTOR, WHERE, Program
from lossmeter.core.state import Key
from lossmeter.dialects.symbols import Rule, Variant, align_leading
from lossmeter.errors import (
    DtypeUnsupported,
    MissingInput,
    OutOfDomain,
    ParameterInvalid,
    ShapeMismatch,
    TooLarge,
    UnknownInput,
)
from lossmeter.plan.layout import Layout, lay_out, moved_last
from lossmeter.plan.plan import Candidate, Plan

BLOCK = 32_768
# As often as Keras may repeat loss values under larger weights, and as many groups as may be kept.
MOST_REPEATED = 2**28
MOST_GROUPS = 2**24
NUMERIC, WHOLE = "biuf", "biu"
SHARED = ("sample_weight", "mask")
MOST_AXES = 2
# What frameworks call the inputs.
SPELLINGS = {
    **dict.fromkeys(("y_pred", "y_score", "y_proba", "input", "output", "logits"), "predictions"),
    **dict.fromkeys(("y_true", "target", "labels", "label"), "targets"),
}
# What the frameworks call their parameters of a number a class.
CLASS_KEYWORDS = {"class_factor": "weight", INNER_FACTOR: "class_weights"}


@dataclass(frozen=True, slots=True)
class Tensors:
    """The named arrays of a request.

    Attributes:
        arrays: Array of each name.
        plain: Names whose numbers came without a dtype: they are float64, whole ones too.
        laid_out: Whether they are in canonical layout and encoding whatever the symbol's are.
    """

    arrays: Mapping[str, Array]
    plain: frozenset[str] = frozenset()
    laid_out: bool = False

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
        joined: Whether the groups are outputs, which the dialect joins.
    """

    keys: list[Key]
    codes: Array | None
    rows: list[int]
    shape: tuple[int, ...] = ()
    axes: tuple[int, ...] = ()
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors in canonical layout, the loss's own axes last.

    Attributes:
        candidate: The loss that the targets chose.
        program: Its array program on this batch.
        inputs: Inputs of the loss, each of shape ``(*shape, *core)``.
        shared: Inputs that all samples share.
        extras: Array parameters and factors, broadcast to the entries.
        constants: Array parameters of one number a class.
        weights: Sample weights, broadcast to ``shape``; None if none were given.
        mask: Mask, broadcast to ``shape``; None if none was given.
        groups: The groups of the reduction.
        shape: Shape of the loss values; of the samples, where they have one value together.
        sizes: Sizes of the axes that the loss uses up.
        dtype: Dtype they are computed in.
        classes: Number of classes, where the loss has a class axis.
        weight_entries: Number of weights before they were broadcast.
        whole: Why the values depend on all rows at once, if they do.
        flat: Whether the only axis is averaged, so that all samples have one value.
    """

    candidate: Candidate
    program: Program
    inputs: Mapping[str, Array]
    shared: Mapping[str, Array]
    extras: Mapping[str, Array]
    constants: Mapping[str, Array]
    weights: Array | None
    mask: Array | None
    groups: Groups
    shape: tuple[int, ...]
    sizes: Mapping[str, int]
    dtype: np.dtype[np.floating]
    classes: int
    weight_entries: int
    whole: str | None
    flat: bool = False

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

    def blocks(self) -> Iterator[tuple[slice, ...]]:
        """Indices that cut the loss values into runs of about 32,768 numbers, in C order."""
        if self.candidate.variant.loss.output == "batch":
            return iter([(slice(0, self.rows),)])
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
    given = _paired(plan, tensors.arrays)
    candidate = _candidate_for(plan, given)
    arrays = inputs_of(plan, candidate, tensors)
    dialect, variant = plan.symbol.dialect, candidate.variant
    dtype = np.dtype(np.float32) if variant.narrow else _dtype(candidate, arrays)
    if dialect.squeeze is not None and not tensors.laid_out:
        arrays = dialect.squeeze(variant, arrays)
    layout = lay_out(candidate, arrays, canonical=tensors.laid_out)
    weights, mask, shape = _weights_and_mask(plan, variant, given, layout.shape)
    own = [given[name].shape for name in SHARED if name in given]
    grown = {name: _repeated(x, layout.shape, shape) for name, x in layout.arrays.items()}
    program, counted = _on_this_batch(candidate, arrays, layout, given.get("sample_weight"))
    if tensors.laid_out:
        guards = tuple(guard for guard in program.guards if guard[0] not in RECODING)
        program = replace(program, guards=guards)
    classes = layout.sizes.get("C", 2)
    if candidate.parameter.get("blank", 0) >= classes:
        raise ParameterInvalid(f"blank must be in [0, {classes})", field="params.blank")
    along_rows = dialect.align is align_leading or not any(0 < len(s) < len(shape) for s in own)
    flat = bool(program.inner) and not layout.shape and not tensors.laid_out
    reasons = {
        "a weight or mask lies along another axis than the samples": not along_rows,
        "a parameter has a number for each sample": _by_row(candidate, len(shape), arrays),
    }
    by = plan.reduction.by
    return Batch(
        candidate=candidate,
        program=program,
        inputs=grown,
        shared=layout.shared,
        extras=_extras(candidate, shape, grown, arrays),
        constants=_constants(candidate, layout.sizes),
        weights=weights,
        mask=mask,
        groups=_groups(plan, candidate, shape, given.get(by) if by else None),
        shape=shape,
        sizes=layout.sizes,
        dtype=dtype,
        classes=classes,
        weight_entries=_weight_entries(plan, own) if own else prod(shape),
        whole=layout.whole or counted or next((why for why, true in reasons.items() if true), None),
        flat=flat,
    )


def _paired(plan: Plan, given: Mapping[str, Array]) -> Mapping[str, Array]:
    """The tensors, weights and mask of the rank that the dialect gives them together."""
    pair = plan.symbol.dialect.pair
    if pair is None or not all(name in given for name in SHARED):
        return given
    weights, mask = pair(given["sample_weight"], given["mask"])
    try:
        np.broadcast_shapes(weights.shape, mask.shape)
    except ValueError:
        raise ShapeMismatch(
            f"mask has shape {list(mask.shape)}, which does not fit sample_weight of shape "
            f"{list(weights.shape)}",
            field="inputs.mask",
        ) from None
    return {**given, "sample_weight": weights, "mask": mask}


def _candidate_for(plan: Plan, arrays: Mapping[str, Array]) -> Candidate:
    """The candidate that takes inputs such as these.

    Raises:
        ParameterInvalid: It does not take a parameter's value.
    """
    fitting = (
        candidate
        for candidate in plan.candidates
        if candidate.variant.fits is None or candidate.variant.fits(arrays)
    )
    candidate = next(fitting, plan.candidates[0])
    if candidate.refused is not None:
        raise ParameterInvalid(
            f"{candidate.refused} must be below 0 with targets that are no class indices",
            field=f"params.{candidate.refused}",
        )
    return candidate


def inputs_of(plan: Plan, candidate: Candidate, tensors: Tensors) -> dict[str, Array]:
    """The inputs of the loss, from those that the symbol takes."""
    variant = candidate.variant
    names = {variant.aliases.get(name, name): name for name in tensors.arrays}
    _check_names(plan, candidate, names)
    arrays = {}
    for spec_name in (*(spec.name for spec in variant.loss.inputs), *variant.beside):
        if spec_name not in names:
            continue
        given = names[spec_name]
        x = tensors.arrays[given]
        labels = variant.survey is not None and x.dtype.kind in "US"
        if not labels:
            _numeric(x, given)
        domain = candidate.domains.get(spec_name)
        if given in tensors.plain and x.dtype.kind in "iu" and domain and not domain.integers:
            x = x.astype(np.float64)
        arrays[spec_name] = x
    if variant.arrange is None or tensors.laid_out:
        return arrays
    return variant.arrange(arrays, candidate.settings)


def _check_names(plan: Plan, candidate: Candidate, given: Mapping[str, str]) -> None:
    variant, by = candidate.variant, plan.reduction.by
    specs = [spec.name for spec in variant.loss.inputs]
    wanted = [*(name for name in specs if name not in variant.lacks), *([by] if by else [])]
    for name in wanted:
        if name not in given:
            meant = next((other for other in given if SPELLINGS.get(other) == name), None)
            hint = f", here given as {meant}" if meant else ""
            raise MissingInput(
                f"{plan.symbol.name} needs the input {name}{hint}", field=f"inputs.{name}"
            )
    takes = [*specs, *variant.beside]
    for name, written in given.items():
        if name not in (*takes, *wanted, *SHARED):
            raise UnknownInput(
                f"{plan.symbol.name} takes {', '.join(takes)}, sample_weight and mask"
                + (
                    ""
                    if by
                    else "; a group input is named by the reduction, as in "
                    '{"name": "mean", "by": "country"}'
                ),
                field=f"inputs.{written}",
            )


def _weights_and_mask(
    plan: Plan, variant: Variant, given: Mapping[str, Array], shape: tuple[int, ...]
) -> tuple[Array | None, Array | None, tuple[int, ...]]:
    """Weights and mask broadcast to the loss values, and the shape that those grow to."""
    align = plan.symbol.dialect.align
    weights, mask = given.get("sample_weight"), given.get("mask")
    if weights is not None:
        _numeric(weights, "sample_weight")
        if variant.loss.collapses and variant.loss.weighs_samples is None and weights.ndim:
            raise ShapeMismatch(
                f"{variant.loss.name} has one value for the batch, which one number can weigh",
                field="inputs.sample_weight",
            )
        weights = align(weights, shape, "sample_weight")
    if mask is not None:
        mask = align(_boolean(mask), shape, "mask")
    # What is aligned has the shape of the loss values, or the larger one they are repeated to.
    aligned = [x.shape for x in (weights, mask) if x is not None]
    grown = np.broadcast_shapes(*aligned) if aligned else shape
    return (
        None if weights is None else np.broadcast_to(weights, grown),
        None if mask is None else np.broadcast_to(mask, grown),
        grown,
    )


def _weight_entries(plan: Plan, own: list[tuple[int, ...]]) -> int:
    """How many weights there are, those of a mask among them, before they meet the loss values."""
    if plan.symbol.dialect.pair is None:
        rank = max(len(shape) for shape in own)
        own = [shape + (1,) * (rank - len(shape)) for shape in own]
    return prod(np.broadcast_shapes(*own))


def _repeated(x: Array, shape: tuple[int, ...], grown: tuple[int, ...]) -> Array:
    """Keras lets weights be larger than the loss values, which are then repeated."""
    if grown == shape:
        return x
    more = (1,) * (len(grown) - len(shape))
    lead = (*shape, *more) if grown[: len(shape)] == shape else (*more, *shape)
    own = x.shape[len(shape) :]
    repeated = np.broadcast_to(x.reshape(*lead, *own), (*grown, *own))
    if repeated.size > MOST_REPEATED:
        raise TooLarge(
            "weights repeat the loss values too often",
            field="inputs.sample_weight",
            limit=MOST_REPEATED,
            actual=repeated.size,
        )
    return repeated


def _on_this_batch(
    candidate: Candidate, arrays: Mapping[str, Array], layout: Layout, weights: Array | None
) -> tuple[Program, str | None]:
    """The program with what a framework reads off the arrays' shapes, and why that is all rows."""
    program, params = candidate.program, dict(candidate.program.params)
    if candidate.variant.counts_batch and (weights is None or not weights.ndim):
        params["elements"] = prod(layout.shape) * layout.sizes["M"]
        why = "this framework counts the elements of all samples, unless each has a weight"
        return replace(program, params=tuple(sorted(params.items()))), why
    predictions = arrays.get("predictions")
    if candidate.variant.smooths_by_last and predictions is not None:
        amount = params.get("label_smoothing", 0.0)
        if amount and candidate.axis not in (-1, predictions.ndim - 1):
            params["label_smoothing"] = 0.0
            smoothing = ("smooth_targets", (amount, predictions.shape[-1]))
            guards = (smoothing, *program.guards)
            return replace(program, params=tuple(sorted(params.items())), guards=guards), None
    return program, None


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


def _dtype(candidate: Candidate, arrays: Mapping[str, Array]) -> np.dtype[np.floating]:
    """float64 if a value input is, else float32; indices, weights and masks do not decide."""
    values = [arrays[name] for name, domain in candidate.domains.items() if not domain.integers]
    wide = any(x.dtype == np.float64 for x in values)
    return np.dtype(np.float64 if wide else np.float32)


def _extras(
    candidate: Candidate,
    shape: tuple[int, ...],
    inputs: Mapping[str, Array],
    given: Mapping[str, Array],
) -> dict[str, Array]:
    """Array parameters with a number for each entry."""
    first = next(iter(inputs.values()))
    elements = first.shape[: len(shape) + 1] if candidate.program.inner else shape
    extras = {name: _broadcast(x, elements, name) for name, x in candidate.per_output.items()}
    if candidate.factor is not None:
        extras[FACTOR] = _broadcast(candidate.factor, shape, "weight")
    if (weights := _class_values(candidate)) is not None and not candidate.program.inner:
        extras[FACTOR] = _broadcast(weights, shape, "class_weights")
    for name in (WHERE, TARGET_FACTOR):
        if (numbers := candidate.around.get(name)) is not None:
            if name == WHERE and numbers.dtype != np.bool_:
                raise ParameterInvalid("where must be booleans", field="params.where")
            spread = _broadcast(numbers, given["predictions"].shape, name)
            extras[name] = moved_last(spread, candidate.axis)
    return extras


def _by_row(candidate: Candidate, rank: int, given: Mapping[str, Array]) -> bool:
    """Whether a parameter holds a number for each sample."""
    around, elements = candidate.around, rank + bool(candidate.program.inner)
    full = [(x, elements) for x in candidate.per_output.values()]
    full += [(x, given["predictions"].ndim) for name, x in around.items() if name != INNER_FACTOR]
    if candidate.factor is not None:
        full.append((candidate.factor, rank))
    return any(x.ndim >= axes > 0 and x.shape[0] > 1 for x, axes in full)


def _class_values(candidate: Candidate) -> Array | None:
    """The factor on the value of each class that is kept."""
    weights = candidate.around.get(INNER_FACTOR)
    if weights is None or not candidate.rules.get(Rule.DROP_FIRST):
        return weights
    return weights[1:]


def _broadcast(numbers: Array, shape: tuple[int, ...], name: str) -> Array:
    try:
        return np.broadcast_to(numbers, shape)
    except ValueError:
        raise ParameterInvalid(
            f"{name} has shape {list(numbers.shape)}, which does not broadcast to {list(shape)}",
            field=f"params.{name}",
        ) from None


def _constants(candidate: Candidate, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Array parameters with a number for each class."""
    constants = dict(candidate.per_class)
    sized = {name: sizes.get("C", 2) for name in constants}
    if (weights := _class_values(candidate)) is not None and candidate.program.inner:
        constants[INNER_FACTOR] = weights
        sized[INNER_FACTOR] = sizes["inner"]
    for name, numbers in constants.items():
        if numbers.shape != (sized[name],):
            keyword = CLASS_KEYWORDS.get(name, name)
            raise ParameterInvalid(
                f"{keyword} has {numbers.size} numbers for {sized[name]} classes",
                field=f"params.{keyword}",
            )
    return constants


def _groups(
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
