"""The inputs of an exported graph: what each is called, its shape, and its way into the loss.

A graph takes what the symbol takes: the classes where the framework has them, CTC's steps first
in PyTorch. The nodes that lay them out become part of the graph.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op

from lossmeter.backends.tracing import PORTABLE
from lossmeter.core.arrays import Array
from lossmeter.core.declare import InputSpec
from lossmeter.core.program import INNER_FACTOR, TARGET_FACTOR, WHERE
from lossmeter.core.stable import sigmoid, softmax
from lossmeter.dialects import keras, optax, sklearn, tensorflow, torch
from lossmeter.dialects.symbols import Rule
from lossmeter.errors import BackendUnsupported, ParameterInvalid, TooLarge
from lossmeter.plan.batch import class_values
from lossmeter.plan.layout import ANY, moved_last, summed_axes
from lossmeter.plan.plan import Candidate, Plan
from lossmeter.plan.request import ExportSpec
from lossmeter.plan.tensors import candidate_for

Dims = tuple[str, ...]
Sizes = Mapping[str, int]
Arrays = dict[str, Array]
ROWS, CLASSES, LAST, STEPS = "N", "C", "D", "T"
# A graph has the nodes of every step: it takes long to build, and longer to load.
MOST_STEPS, MOST_COLUMNS = 32, 256
# What stands for a size that is free, where arrays are asked what they are.
FREE = 3
INT64 = np.dtype(np.int64)


@dataclass(frozen=True, slots=True)
class Given:
    """An input of the graph.

    Attributes:
        dims: Its axes: a size, a name where that is free, None where it may be 1 besides.
        dtype: Its dtype.
        description: What it is.
        default: What stands for it where it is left out; None if it is required.
    """

    dims: tuple[str | int | None, ...]
    dtype: np.dtype[np.generic]
    description: str
    default: Array | None = None


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
                x = ndx.permute_dims(x, _last(x.ndim, self.candidate.axis))
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
            places = np.argsort(_last(len(dims), self.candidate.axis))
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


class Arranged(NamedTuple):
    """How a framework's own way with its inputs is done in a graph.

    Attributes:
        takes: From the inputs of the loss to those of the symbol.
        gives: From the arrays of the symbol to those of the loss.
    """

    takes: Callable[[Form, dict[str, Given]], dict[str, Given]]
    gives: Callable[[Form, Arrays], Arrays]


def form_of(plan: Plan, spec: ExportSpec) -> Form:
    """The shapes of the inputs, and with them the loss that the symbol stands for.

    Where the shapes of the inputs choose between losses, it is the last of them, which takes class
    indices and one number a sample, unless ``stands_for`` or ``sizes`` say otherwise.

    Raises:
        ParameterInvalid: A rank, size or loss that the symbol does not have.
        BackendUnsupported: A size is needed and absent.
        TooLarge: There are too many steps.
    """
    named = [c for c in plan.candidates if spec.stands_for in (None, c.variant.loss.name)]
    if not named:
        known = ", ".join(dict.fromkeys(c.variant.loss.name for c in plan.candidates))
        raise ParameterInvalid(f"{plan.symbol.name} stands for {known}", field="stands_for")
    forms = [_form(candidate, spec) for candidate in reversed(named)]
    chosen = (form for form in forms if candidate_for(plan, _probe(form)) is form.candidate)
    form = next(chosen, forms[-1])
    _check(form, spec)
    return form


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
    if variant.keeps_axis and not -rank <= candidate.axis < rank:
        raise ParameterInvalid(f"axis is outside an array of {rank} axes", field="params.axis")
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


def _last(rank: int, axis: int) -> tuple[int, ...]:
    """The order of the axes that brings one of them last."""
    if rank == 1 and axis == 1:
        return (0,)  # torch's form without samples
    if not -rank <= axis < rank:
        raise ParameterInvalid(f"axis is outside an array of {rank} axes", field="params.axis")
    others = [place for place in range(rank) if place != axis % rank]
    return (*others, axis % rank)


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
    _check_many(form.sizes.get(STEPS, 0) if STEPS in axes else 0, MOST_STEPS, f"sizes.{STEPS}")
    columns = form.candidate.parameter.get("columns")
    _check_many(len(columns or ""), MOST_COLUMNS, "params.multioutput")
    variant = form.candidate.variant
    needed = {STEPS} & axes | ({CLASSES} if variant.arrange is optax.overlapping_classes else set())
    for axis in needed - {*form.sizes}:
        raise needs_size(axis)
    if variant.arrange is not None and variant.arrange not in ARRANGED:
        variant.arrange(_probe(form), form.candidate.settings)


def _check_many(actual: int, limit: int, field: str) -> None:
    if actual > limit:
        detail = "a graph has nodes for each of these, and they are too many"
        raise TooLarge(detail, field=field, limit=limit, actual=actual)


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


def _steps_first(form: Form, inputs: dict[str, Given]) -> dict[str, Given]:
    """Predictions with the steps first."""
    predictions = inputs["predictions"]
    rows, steps, classes = predictions.dims
    return {**inputs, "predictions": replace(predictions, dims=(steps, rows, classes))}


def _rows_first(_: Form, arrays: Arrays) -> Arrays:
    return {**arrays, "predictions": ndx.permute_dims(arrays["predictions"], (1, 0, 2))}


def _as_asked(form: Form, inputs: dict[str, Given]) -> dict[str, Given]:
    first = form.candidate.settings["logits_time_major"]
    return _steps_first(form, inputs) if first else inputs


def _as_asked_back(form: Form, arrays: Arrays) -> Arrays:
    first = form.candidate.settings["logits_time_major"]
    return _rows_first(form, arrays) if first else arrays


def _without_lengths(_: Form, inputs: dict[str, Given]) -> dict[str, Given]:
    return {name: one for name, one in inputs.items() if not name.endswith("_lengths")}


def _lengths_of_labels(_: Form, arrays: Arrays) -> Arrays:
    """Every step counts, and every label that is not 0."""
    labels, steps = arrays["targets"], arrays["predictions"].shape[1]
    counted = _count(labels != 0)
    return {
        **arrays,
        "input_lengths": ndx.zeros_like(counted) + steps,
        "target_lengths": counted,
    }


PADDINGS = {"input_lengths": "logit_paddings", "target_lengths": "label_paddings"}


def _paddings(form: Form, inputs: dict[str, Given]) -> dict[str, Given]:
    """Paddings in place of lengths."""
    rows, steps, _ = inputs["predictions"].dims
    shapes = {"input_lengths": (rows, steps), "target_lengths": inputs["targets"].dims}
    told = "0, then 1 past the end"
    padded = {PADDINGS[name]: Given(dims, form.dtype, told) for name, dims in shapes.items()}
    return {**_without_lengths(form, inputs), **padded}


def _lengths_of_paddings(_: Form, arrays: Arrays) -> Arrays:
    lengths = {name: _count(arrays[padding] == 0) for name, padding in PADDINGS.items()}
    return {"predictions": arrays["predictions"], "targets": arrays["targets"], **lengths}


def _count(true: Array) -> Array:
    """How many of the last axis are true."""
    return ndx.sum(ndx.astype(true, ndx.int64), axis=-1)


def _optional_targets(form: Form, inputs: dict[str, Given]) -> dict[str, Given]:
    """Targets that are 0 where they are left out."""
    targets = inputs["targets"]
    rank = len(targets.dims)
    zero = np.zeros((1,) * rank, form.dtype)
    return {**inputs, "targets": replace(targets, dims=(None,) * rank, default=zero)}


def _without_channel(_: Form, inputs: dict[str, Given]) -> dict[str, Given]:
    return {name: replace(one, dims=one.dims[:-1]) for name, one in inputs.items()}


def _one_channel(form: Form, arrays: Arrays) -> Arrays:
    """The probability of a foreground, in an axis of one channel."""
    p, y = (ndx.expand_dims(arrays[name], axis=-1) for name in ("predictions", "targets"))
    squashes = form.candidate.settings["apply_sigmoid"]
    return {"predictions": sigmoid(PORTABLE, p) if squashes else p, "targets": y}


def _of_classes(form: Form, arrays: Arrays) -> Arrays:
    """Class probabilities of logits; class 0 left out where that is asked."""
    p, y, settings = arrays["predictions"], arrays["targets"], form.candidate.settings
    if settings["apply_softmax"]:
        squash = sigmoid if form.sizes[CLASSES] == 1 else softmax
        p = squash(PORTABLE, p)
    if settings["ignore_background"] and form.sizes[CLASSES] > 1:
        p, y = p[..., 1:], y[..., 1:]
    return {"predictions": p, "targets": y}


def _same(_: Form, x: Any) -> Any:
    return x


ARRANGED: Mapping[Any, Arranged] = {
    torch.steps_second: Arranged(_steps_first, _rows_first),
    tensorflow.steps_second: Arranged(_as_asked, _as_asked_back),
    keras.lengths_of_labels: Arranged(_without_lengths, _lengths_of_labels),
    optax.lengths_of_paddings: Arranged(_paddings, _lengths_of_paddings),
    optax.zero_targets: Arranged(_optional_targets, _same),
    optax.overlapping_classes: Arranged(_same, _of_classes),
    optax.one_channel: Arranged(_without_channel, _one_channel),
}
