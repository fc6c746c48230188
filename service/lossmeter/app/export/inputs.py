"""The inputs of an exported graph: what each is called, its shape, and its way into the loss.

A graph takes what the symbol takes: the classes where the framework has them, CTC's steps first
in PyTorch. The nodes that lay them out become part of the graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op

from lossmeter.app.export.arrangements import ARRANGED, CLASSES, Arrays, Dims, Given
from lossmeter.app.export.surveys import PAIR
from lossmeter.core.arrays import Array
from lossmeter.core.declare import InputSpec
from lossmeter.core.program import INNER_FACTOR, TARGET_FACTOR, WHERE
from lossmeter.dialects import optax, sklearn
from lossmeter.dialects.symbols import Rule
from lossmeter.errors import BackendUnsupported, ParameterInvalid, TooLarge
from lossmeter.plan.batch import class_values
from lossmeter.plan.layout import ANY, check_axis, moved_last, order_last, summed_axes
from lossmeter.plan.plan import Candidate, Plan
from lossmeter.plan.request import ExportSpec
from lossmeter.plan.tensors import candidate_for

Sizes = Mapping[str, int]
ROWS, LAST = "N", "D"
# A graph has nodes for each output's weight.
MOST_COLUMNS = 256
# What stands for a size that is free, where arrays are asked what they are.
FREE = 3
INT64 = np.dtype(np.int64)


@dataclass(frozen=True, slots=True)
class Form:
    """The shapes of a loss's inputs.

    Attributes:
        candidate: The loss.
        lead: The axes of the samples, as the kernel finds them.
        own: The axes of each input that follow those.
        body: The axes of samples and image, where a loss sums axes.
        sizes: Sizes of the axes that are fixed.
        dtype: Dtype of the inputs that are values.
    """

    candidate: Candidate
    lead: Dims
    own: Mapping[str, Dims]
    body: Dims
    sizes: Sizes
    dtype: np.dtype[np.generic]

    @property
    def rank(self) -> int:
        """Number of axes of the loss values, or of the samples that have one together."""
        return len(self.lead) + self.candidate.variant.keeps_axis

    def given(self) -> dict[str, Given]:
        """The inputs of the graph besides weights and mask."""
        inputs = {}
        for spec in self.candidate.variant.loss.inputs:
            integers = self.candidate.domains[spec.name].integers
            dtype = INT64 if integers else self.dtype
            inputs[spec.name] = Given(self._dims(spec), dtype, spec.description)
        arranged = ARRANGED.get(self.candidate.variant.arrange)
        return arranged.takes(self, inputs) if arranged else inputs

    def laid_out(self, arrays: Arrays) -> Arrays:
        """Inputs of the graph as the kernel finds them."""
        arranged = ARRANGED.get(self.candidate.variant.arrange)
        arrays = arranged.gives(self, arrays) if arranged else arrays
        laid = {}
        for spec in self.candidate.variant.loss.inputs:
            x = arrays[spec.name]
            if self.body:
                x = self._summed_last(x)
            elif self._moves(spec):
                x = ndx.permute_dims(x, order_last(x.ndim, self.candidate.axis))
            laid[spec.name] = x
        first = next(iter(laid.values()))
        loose = {name for name, one in self.given().items() if None in one.dims}
        return {
            name: spread(x, first.dynamic_shape) if name in loose else x for name, x in laid.items()
        }

    def _dims(self, spec: InputSpec) -> tuple[str | int | None, ...]:
        """The axes of an input as the symbol takes it."""
        dims = (*(self.lead if spec.kind.lead else ()), *self.own[spec.name])
        if self.body:
            dims = self.body
        elif spec.kind.broadcast:
            return (None,) * len(dims)
        elif self._moves(spec):
            places = np.argsort(order_last(len(dims), self.candidate.axis))
            dims = tuple(dims[place] for place in places)
        return tuple(self.sizes.get(axis, axis) for axis in dims)

    def _moves(self, spec: InputSpec) -> bool:
        """Whether the axis that is used up lies elsewhere than last."""
        candidate = self.candidate
        inner = candidate.program.inner and Rule.MEAN_AXIS in candidate.rules
        return candidate.axis != -1 and bool(inner or (self.own[spec.name] and spec.kind.core))

    def _summed_last(self, x: Array) -> Array:
        """The axes summed made one and moved last, before that of the classes."""
        variant, rank = self.candidate.variant, x.ndim
        classes = len(variant.loss.inputs[0].kind.core) - 1
        body = rank - (1 if variant.by_class else classes)
        axes = summed_axes(self.candidate, body, rank)
        kept = [axis for axis in range(body) if axis not in axes]
        lead = [*kept, *([body] if variant.by_class else [])]
        order = (*lead, *axes, *range(rank - classes, rank))
        moved = x if order == (*range(rank),) else ndx.permute_dims(x, order)
        if not axes:
            return ndx.expand_dims(moved, axis=len(lead))
        if len(axes) == 1:
            return moved
        shape, end = moved.dynamic_shape, len(lead) + len(axes)
        pixels = ndx.prod(shape[len(lead) : end], keepdims=True)
        return ndx.reshape(moved, ndx.concat([shape[: len(lead)], pixels, shape[end:]]))


def form_of(plan: Plan, spec: ExportSpec) -> Form:
    """The shapes of the inputs, and with them the loss that the symbol stands for.

    Where the shapes of the inputs choose between losses, it is the last of them, which takes class
    indices and one number a sample, unless ``stands_for``, ``sizes`` or more labels than two say
    otherwise.

    Raises:
        ParameterInvalid: A rank, size or loss that the symbol does not have.
        BackendUnsupported: A size is needed and absent.
        TooLarge: There are too many outputs.
    """
    named = [c for c in plan.candidates if spec.stands_for in (None, c.variant.loss.name)]
    if not named:
        known = ", ".join(dict.fromkeys(c.variant.loss.name for c in plan.candidates))
        raise ParameterInvalid(f"{plan.symbol.name} stands for {known}", field="stands_for")
    forms = [_form(candidate, spec) for candidate in reversed(named)]
    chosen = (
        form
        for form in forms
        if _tells_apart(form.candidate) and candidate_for(plan, _probe(form)) is form.candidate
    )
    form = next(chosen, forms[-1])
    _check(form, spec)
    return form


def _tells_apart(candidate: Candidate) -> bool:
    """Whether what it takes of a sample is enough for the labels that are named."""
    one = candidate.variant.survey in (sklearn.LARGER, sklearn.POSITIVE)
    return not one or len({*(candidate.settings.get("labels") or ())}) <= PAIR


def _form(candidate: Candidate, spec: ExportSpec) -> Form:
    loss, sizes = candidate.variant.loss, {**spec.sizes, **_fixed(candidate, spec.sizes)}
    body = _body(candidate, spec)
    lead = _lead(candidate, spec, sizes, body)
    own: dict[str, Dims] = {}
    for one in loss.inputs:
        core = one.kind.core
        without = CLASSES not in sizes or candidate.domains[one.name].index
        if one.kind.lead and (loss.output == "elementwise" or (one.kind.optional and without)):
            core = ()
        last = CLASSES if CLASSES in one.kind.core or candidate.variant.by_class else LAST
        own[one.name] = (*((last,) if candidate.program.inner else ()), *core)
    for axes, shape in _numbers(candidate, lead, own):
        if len(shape) > len(axes) or 0 in shape:
            raise ParameterInvalid(
                f"an array of shape {list(shape)} does not lie along {len(axes)} axes",
                field="params",
            )
        sizes |= {axis: n for axis, n in zip(axes[::-1], shape[::-1], strict=False) if n > 1}
    return Form(candidate, lead, own, body, sizes, np.dtype(spec.dtype))


def _lead(candidate: Candidate, spec: ExportSpec, sizes: Sizes, body: Dims) -> Dims:
    """The axes of the samples."""
    loss, variant = candidate.variant.loss, candidate.variant
    if body:
        pixels = len(body) - (variant.by_class or len(loss.inputs[0].kind.core) - 1)
        axes = summed_axes(candidate, pixels, len(body))
        kept = tuple(body[axis] for axis in range(pixels) if axis not in axes)
        return (*kept, CLASSES) if variant.by_class and not candidate.program.inner else kept
    if any(one.kind.lead == "N" for one in loss.inputs):
        if spec.rank not in (None, 1):
            raise ParameterInvalid(f"{loss.name} has one axis of samples", field="rank")
        rows = loss.output == "elementwise" and CLASSES in sizes and not candidate.program.inner
        return (ROWS, CLASSES) if rows else (ROWS,)
    rank = variant.keeps_axis + 1 if spec.rank is None else spec.rank
    if variant.keeps_axis:
        check_axis(rank, candidate.axis)
    return _names(rank - variant.keeps_axis)


def _body(candidate: Candidate, spec: ExportSpec) -> Dims:
    """The axes of samples, image and classes, of a loss that sums axes."""
    variant = candidate.variant
    core = variant.loss.inputs[0].kind.core
    if ANY not in core:
        return ()
    if spec.rank == 0:
        raise ParameterInvalid("there is an axis for the samples", field="rank")
    pixels = _names(2 if spec.rank is None else spec.rank)
    return (*pixels, CLASSES) if variant.by_class or len(core) > 1 else pixels


def _names(axes: int) -> Dims:
    return (ROWS, *(f"d{axis}" for axis in range(1, axes)))[: max(axes, 0)]


def _fixed(candidate: Candidate, asked: Sizes) -> Sizes:
    """The sizes that parameters fix, and those of axes that are numbers: a box's corners."""
    variant, settings = candidate.variant, candidate.settings
    first = variant.loss.inputs[0].kind
    of_class: list[Any] = list(candidate.per_class.values())
    if CLASSES in first.core and (CLASSES in asked or not first.optional):
        of_class.append(candidate.class_weight)
    if variant.survey is sklearn.COLUMNS:
        of_class.append(settings["labels"] and {*settings["labels"]})
    if variant.by_class:
        of_class.append(candidate.around.get(INNER_FACTOR))
    of_class.append(candidate.parameter.get("columns"))
    many = [len(x) for x in of_class if isinstance(x, list | set | np.ndarray)]
    if isinstance(classes := settings.get("num_classes"), int):
        many.append(classes)
    joined = candidate.columns
    outputs = len(joined) if isinstance(joined, list) else candidate.rules.get(Rule.OUTPUTS, 1)
    return {
        **{axis: int(axis) for axis in first.core if axis.isdecimal()},
        **({CLASSES: many[0]} if many else {}),
        **({"d1": outputs} if outputs > 1 else {}),
        # Each loss value has one target, whose class has the weight.
        **({LAST: 1} if candidate.class_weight is not None and candidate.program.inner else {}),
    }


def _numbers(
    candidate: Candidate, lead: Dims, own: Mapping[str, Dims]
) -> list[tuple[Dims, tuple[int, ...]]]:
    """The axes that arrays among the parameters lie along, and their shapes."""
    first = candidate.variant.loss.inputs[0]
    elements = (*lead, *own[first.name][:1]) if candidate.program.inner else lead
    found = [(elements, x.shape) for x in candidate.per_output.values()]
    if candidate.factor is not None:
        found.append((lead, candidate.factor.shape))
    if (weights := class_values(candidate)) is not None and not candidate.program.inner:
        found.append((lead, weights.shape))
    for name in (WHERE, TARGET_FACTOR):
        if name in candidate.around:
            axes = (*lead, *own[first.name])
            found.append((axes, moved_constant(candidate, name, len(axes)).shape))
    return found


def moved_constant(candidate: Candidate, name: str, rank: int) -> Array:
    """An array among the parameters, given along the predictions, with the axis used up last."""
    x = candidate.around[name]
    if x.ndim > rank or (name == WHERE) != (x.dtype == np.bool_):
        kind = "booleans" if name == WHERE else "numbers"
        raise ParameterInvalid(f"must be {kind} in at most {rank} axes", field=f"params.{name}")
    return moved_last(x.reshape((1,) * (rank - x.ndim) + x.shape), candidate.axis)


def _probe(form: Form) -> dict[str, Array]:
    """Arrays of the shapes, to ask what they choose and whether they are taken."""
    return {
        name: np.zeros([n if isinstance(n, int) else FREE for n in one.dims], one.dtype)
        for name, one in form.given().items()
    }


def _check(form: Form, spec: ExportSpec) -> None:
    """Refuse sizes that no axis has, that contradict parameters, are missing, or too large."""
    axes = {*form.lead, *form.body, *(axis for own in form.own.values() for axis in own)}
    for name, size in spec.sizes.items():
        if name not in axes:
            known = ", ".join(sorted(axis for axis in axes if not axis.isdecimal()))
            raise ParameterInvalid(f"no such axis; there are {known}", field=f"sizes.{name}")
        if form.sizes[name] != size:
            raise ParameterInvalid(
                f"a parameter holds numbers for {form.sizes[name]}", field=f"sizes.{name}"
            )
    columns = len(form.candidate.parameter.get("columns") or "")
    if columns > MOST_COLUMNS:
        detail = "a graph has nodes for each of these, and they are too many"
        field = "params.multioutput"
        raise TooLarge(detail, field=field, limit=MOST_COLUMNS, actual=columns)
    variant = form.candidate.variant
    if variant.arrange is optax.overlapping_classes and CLASSES not in form.sizes:
        raise needs_size(CLASSES)
    if variant.arrange is not None and variant.arrange not in ARRANGED:
        variant.arrange(_probe(form), form.candidate.settings)


def needs_size(axis: str) -> BackendUnsupported:
    """The refusal of a loss whose graph is another for each size of an axis."""
    return BackendUnsupported(
        f"the graph of this loss is another for each size of {axis}; "
        f'give it in sizes, as {{"{axis}": {FREE}}}',
        field="sizes",
    )


def spread(x: Array, shape: Array) -> Array:
    """An array broadcast to a shape, and no further than that."""
    dims = shape.unwrap_spox()
    # The second node refuses what the first would have let grow.
    return ndx.asarray(op.reshape(op.expand(x.unwrap_spox(), dims), dims, allowzero=True))
