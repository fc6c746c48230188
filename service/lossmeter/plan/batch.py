"""A plan met by its tensors: shapes, dtypes and alignments made valid, nothing computed yet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.declare import Loss
from lossmeter.core.guards import RECODING
from lossmeter.core.program import FACTOR, INNER_FACTOR, TARGET_FACTOR, WHERE, Program
from lossmeter.dialects.symbols import Rule, align_leading
from lossmeter.errors import EmptyReduction, ParameterInvalid, TooLarge
from lossmeter.plan.groups import Groups, groups_of
from lossmeter.plan.layout import FLAT, Layout, lay_out, moved_last
from lossmeter.plan.plan import Candidate, Plan
from lossmeter.plan.tensors import Tensors, candidate_for, inputs_of
from lossmeter.plan.weights import aligned, beside_of, repeated, weight_entries

# Of samples, classes, or steps and labels that a loss compares.
MOST_PAIRS = 2**26
# Of what an expression makes of one entry by crossing its axes.
MOST_CROSSED = 2**18
# What the frameworks call their parameters of a number a class.
CLASS_KEYWORDS = {"class_factor": "weight", INNER_FACTOR: "class_weights"}


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

    def blocks(self, numbers: int, multiple: int) -> Iterator[tuple[slice, ...]]:
        """Indices that cut the loss values into runs, in C order.

        Args:
            numbers: How many numbers a run has, about.
            multiple: Of what the entries of a run are a multiple, where the shape lets them be.
        """
        if self.candidate.variant.loss.output == "batch":
            return iter([(slice(0, self.rows),)])
        per_value = max((prod(x.shape[len(self.shape) :]) for x in self.inputs.values()), default=1)
        # A linear map makes as many scores of a sample as it has rows.
        per_value = max([per_value, *(x.shape[0] for x in self.shared.values() if x.ndim)])
        per_value = max([per_value, *crossed(self.candidate.variant.loss, self.sizes)])
        entries = numbers // max(1, per_value)
        return _runs(self.shape, max(multiple, entries - entries % multiple))


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
    given = tensors.arrays
    candidate = candidate_for(plan, given)
    arrays = inputs_of(plan, candidate, tensors)
    dialect, variant = plan.symbol.dialect, candidate.variant
    dtype = np.dtype(np.float32) if variant.narrow else _dtype(candidate, arrays)
    if dialect.squeeze is not None and not tensors.laid_out:
        arrays = dialect.squeeze(variant, arrays)
    layout = lay_out(candidate, arrays, canonical=tensors.laid_out)
    beside = beside_of(plan, variant, given)
    weights, mask, shape = aligned(plan, beside, layout.shape)
    own = [x.shape for x in beside.values()]
    # What leaves the loss by its value makes a mask of the whole shape.
    drops = candidate.ignore_index is not None or variant.drops_zeros
    grown = {name: repeated(x, layout.shape, shape) for name, x in layout.arrays.items()}
    program, counted = _on_this_batch(candidate, arrays, layout, given.get("sample_weight"))
    if tensors.laid_out:
        guards = tuple(guard for guard in program.guards if guard[0] not in RECODING)
        program = replace(program, guards=guards)
    classes = layout.sizes.get("C", 2)
    if "S" in layout.sizes:
        _check_blank(candidate, classes)
    _check_pairs(candidate, layout)
    _check_wide(candidate, layout)
    _check_columns(candidate, layout)
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
        constants=constants_of(candidate, layout.sizes),
        weights=weights,
        mask=mask,
        groups=groups_of(plan, candidate, shape, given.get(by) if by else None),
        shape=shape,
        sizes=layout.sizes,
        dtype=dtype,
        classes=classes,
        weight_entries=weight_entries(plan, own) if own and not drops else prod(shape),
        whole=layout.whole or counted or next((why for why, true in reasons.items() if true), None),
        flat=flat,
    )


def _check_pairs(candidate: Candidate, layout: Layout) -> None:
    """Refuse what is compared pair by pair, where there are too many pairs.

    Raises:
        TooLarge: There are.
    """
    if candidate.variant.loss.output == "elementwise":
        return
    names = {domain.name for domain in candidate.domains.values()}
    sizes, rows = layout.sizes, layout.shape[0] if layout.shape else 1
    pairs = {
        "samples": rows**2 if candidate.variant.loss.output == "batch" and "label" in names else 0,
        "classes": sizes.get("C", 0) ** 2 if "class_list" in names else 0,
        "steps and labels": sizes.get("T", 0) * sizes.get("S", 0),
    }
    for what, many in pairs.items():
        if many > MOST_PAIRS:
            raise TooLarge(
                f"there are too many pairs of {what}",
                field="inputs.predictions",
                limit=MOST_PAIRS,
                actual=many,
            )


def crossed(loss: Loss, sizes: Mapping[str, int]) -> list[int]:
    """How many values there are of one entry in the steps that cross its axes."""
    return [prod(sizes[axis] for axis in axes) for axes in loss.wide]


def _check_wide(candidate: Candidate, layout: Layout) -> None:
    """Refuse an expression that makes too much of one entry.

    Raises:
        TooLarge: It does.
    """
    most = max(crossed(candidate.variant.loss, layout.sizes), default=0)
    if most > MOST_CROSSED:
        raise TooLarge(
            "the expression crosses axes of an entry to too many values",
            field="loss.expression",
            limit=MOST_CROSSED,
            actual=most,
        )


def _check_blank(candidate: Candidate, classes: int) -> None:
    """Refuse a blank that is no class; below 0 it counts from the last, where a dialect says so."""
    blank = candidate.parameter.get("blank")
    if blank is not None and not -classes <= blank < classes:
        raise ParameterInvalid(f"blank must be in [0, {classes})", field="params.blank")


def _check_columns(candidate: Candidate, layout: Layout) -> None:
    """Refuse weights of other outputs than there are, or that sum to 0."""
    weights = candidate.parameter.get("columns")
    if not isinstance(weights, list):
        return
    columns = prod(layout.arrays["predictions"].shape[1:])
    if len(weights) != columns:
        raise ParameterInvalid(
            f"multioutput has {len(weights)} numbers for {columns} outputs",
            field="params.multioutput",
        )
    if not sum(weights):
        raise EmptyReduction("the weights of the outputs sum to 0", field="params.multioutput")


def _on_this_batch(
    candidate: Candidate, arrays: Mapping[str, Array], layout: Layout, weights: Array | None
) -> tuple[Program, str | None]:
    """The program with what a framework reads off the arrays' shapes, and why that is all rows."""
    program, params = candidate.program, dict(candidate.program.params)
    if candidate.variant.counts_batch and (weights is None or not weights.ndim):
        params["elements"] = prod(layout.shape) * layout.sizes[FLAT]
        why = "this framework counts the elements of all samples, unless each has a weight"
        return replace(program, params=tuple(sorted(params.items()))), why
    predictions = arrays.get("predictions")
    if predictions is not None and smooths_elsewhere(candidate, predictions.ndim):
        program = smoothed_by_last(program, predictions.shape[-1])
    return program, None


def smooths_elsewhere(candidate: Candidate, rank: int) -> bool:
    """Whether a framework smooths labels by the size of another axis than that of the classes."""
    smoothing = dict(candidate.program.params).get("label_smoothing", 0.0)
    by_last = candidate.variant.smooths_by_last and smoothing != 0.0
    return by_last and candidate.axis not in (-1, rank - 1)


def smoothed_by_last(program: Program, size: Any) -> Program:
    """The program with its smoothing by the size of the last axis, a number or a node."""
    params = dict(program.params)
    smoothing = ("smooth_targets", (params["label_smoothing"], size))
    params["label_smoothing"] = 0.0
    return replace(
        program, params=tuple(sorted(params.items())), guards=(smoothing, *program.guards)
    )


def _dtype(candidate: Candidate, arrays: Mapping[str, Array]) -> np.dtype[np.floating]:
    """float64 if a value input is, else float32; indices, weights and masks do not decide."""
    if candidate.variant.loss.dtype:
        return np.dtype(candidate.variant.loss.dtype)
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
    if (weights := class_values(candidate)) is not None and not candidate.program.inner:
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


def class_values(candidate: Candidate) -> Array | None:
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


def constants_of(candidate: Candidate, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Array parameters with a number for each class."""
    constants = dict(candidate.per_class)
    sized = {name: sizes.get("C", 2) for name in constants}
    if (weights := class_values(candidate)) is not None and candidate.program.inner:
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
