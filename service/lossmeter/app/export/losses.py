"""The loss values of an exported graph, with their weights and which of them are kept."""

from dataclasses import dataclass, replace
from typing import Any

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op

from lossmeter.app.export.arrangements import CLASSES
from lossmeter.app.export.inputs import Form, moved_constant, needs_size, spread
from lossmeter.app.export.surveys import beside, surveyed
from lossmeter.backends.tracing import PORTABLE, counted
from lossmeter.core.arrays import Array
from lossmeter.core.program import FACTOR, TARGET_FACTOR, WHERE, Program
from lossmeter.errors import BackendUnsupported
from lossmeter.plan.batch import class_values, constants_of, smoothed_by_last, smooths_elsewhere
from lossmeter.plan.class_weights import HALF, given_classes, given_labels

Arrays = dict[str, Array]
NO_SAMPLES = ndx.asarray(np.int64(0))


@dataclass(frozen=True, slots=True)
class Block:
    """The loss values of a batch in their shape, and what is reduced with them.

    Attributes:
        losses: Loss values, float64; anything where they are not kept.
        weights: Their weights, broadcast to them.
        kept: Which of them are kept.
        rows: Number of samples.
        dropped: Number of samples left out that have no value of their own.
        weight_shape: Shape of weights and mask before they are broadcast.
        own: What a dialect's own mean divides by or sums; None if it has none.
    """

    losses: Array
    weights: Array
    kept: Array
    rows: Array
    dropped: Array
    weight_shape: Array
    own: Array | None = None


def block_of(form: Form, given: Arrays, weights: Array, mask: Array) -> Block:
    """Trace the loss values.

    Args:
        form: The shapes of the inputs.
        given: Inputs of the graph besides weights and mask.
        weights: Sample weights, each axis 1 or as the loss values have it.
        mask: Mask, the same.

    Raises:
        BackendUnsupported: The graph needs a size or a parameter that is not given.
        ParameterInvalid: A parameter does not fit the others.
    """
    candidate, arrays = form.candidate, form.laid_out(given)
    shape = _shape(form, arrays)
    kept = spread(mask, shape)
    if candidate.ignore_index is not None:
        kept &= arrays["targets"] != candidate.ignore_index
    if candidate.variant.loss.output == "batch":
        return _of_batch(form, arrays, weights, kept)
    inside = ndx.squeeze(kept, axis=candidate.axis) if candidate.variant.keeps_axis else kept
    arrays, unknown = _safe(form, surveyed(candidate, arrays, inside), inside)
    values = _run(form, given, arrays, weights)
    if candidate.variant.keeps_axis:
        values = ndx.expand_dims(values, axis=candidate.axis)
    losses = _double(values)
    if unknown is not None:
        losses = ndx.where(unknown, np.nan, losses)
    spread_weights = spread(_double(weights), shape)
    if candidate.class_weight is not None:
        spread_weights *= _class_weights(form, arrays["targets"])
    own = _own(form, arrays, losses)
    # What leaves the loss by its value makes a mask of the whole shape.
    whole = not form.rank or candidate.ignore_index is not None
    return Block(
        losses,
        spread_weights,
        kept,
        rows=shape[0] if form.rank else ndx.asarray(np.int64(1)),
        dropped=NO_SAMPLES,
        weight_shape=shape if whole else _broadcast(weights, mask),
        own=None if own is None else spread_weights * own,
    )


def _of_batch(form: Form, arrays: Arrays, weights: Array, kept: Array) -> Block:
    """Loss values that the batch defines, of the samples that are kept alone."""
    loss, shape = form.candidate.variant.loss, kept.dynamic_shape
    chosen = {spec.name: arrays[spec.name] for spec in loss.inputs}
    chosen |= {s.name: _taken(arrays[s.name], kept) for s in loss.inputs if s.kind.lead}
    constants = {}
    if loss.weighs_samples is not None:
        given = _taken(spread(weights, shape), kept)
        constants[loss.weighs_samples] = ndx.astype(given, _dtype(form))
        weights = ndx.asarray(np.float64(1.0))
    losses, many, rows = _double(_run(form, {}, chosen, weights, constants)), _count(kept), shape[0]
    if loss.collapses:
        losses = ndx.reshape(losses, (-1,))
        shape = losses.dynamic_shape
        weights = spread(_double(weights), shape)
        return Block(losses, weights, spread(many > 0, shape), rows, rows - many, shape)
    losses = _put_back(losses, kept)
    if form.candidate.variant.drops_zeros:
        kept &= losses != 0.0
    return Block(
        losses, spread(_double(weights), shape), kept, rows, NO_SAMPLES, weights.dynamic_shape
    )


def _shape(form: Form, arrays: Arrays) -> Array:
    """Shape of the loss values, of the samples where those have one together."""
    first = form.candidate.variant.loss.inputs[0].name
    lead = arrays[first].dynamic_shape[: len(form.lead)]
    if not form.candidate.variant.keeps_axis:
        return lead
    at = form.candidate.axis % form.rank
    return ndx.concat([lead[:at], ndx.asarray(np.ones(1, np.int64)), lead[at:]])


def _broadcast(weights: Array, mask: Array) -> Array:
    """Shape of weights and mask together."""
    return ndx.maximum(weights.dynamic_shape, mask.dynamic_shape)


def _taken(x: Array, kept: Array) -> Array:
    """The samples that are kept; if none is, one of zeros, as a kernel has to have something."""
    one = ndx.asarray(np.ones(1, np.int64))
    zeros = ndx.broadcast_to(ndx.asarray(0, dtype=x.dtype), ndx.concat([one, x.dynamic_shape[1:]]))
    chosen = ndx.concat([kept, ndx.reshape(_count(kept) == 0, (1,))])
    samples = ndx.concat([x, zeros], axis=0)
    return ndx.asarray(op.compress(samples.unwrap_spox(), chosen.unwrap_spox(), axis=0))


def _put_back(values: Array, kept: Array) -> Array:
    """Values of the kept samples at their places; NaN at the others."""
    ended = ndx.concat([values, ndx.asarray([np.nan], dtype=values.dtype)])
    place = ndx.cumulative_sum(ndx.astype(kept, ndx.int64)) - 1
    return ndx.take(ended, ndx.where(kept, place, _count(kept)), axis=0)


def _safe(form: Form, arrays: Arrays, kept: Array) -> tuple[Arrays, Array | None]:
    """Integers that a graph can look up whatever lies under the mask, and which are no class."""
    candidate, safe, unknown = form.candidate, dict(arrays), None
    for spec in candidate.variant.loss.inputs:
        domain, x = candidate.domains[spec.name], arrays[spec.name]
        if spec.kind.core == ("S",):
            # Labels past the end of a sequence are not read.
            place = PORTABLE.cumulative_sum(ndx.ones_like(x), axis=-1)
            x = ndx.where(place <= ndx.expand_dims(arrays["target_lengths"], axis=-1), x, 0)
        if domain.index and candidate.variant.wraps:
            classes = arrays["predictions"].dynamic_shape[-1]
            x = ndx.where(x < 0, x + classes, x)
            unknown = (x < 0) | (x >= classes)
            x = ndx.where(unknown, 0, x)
        if domain.integers:
            x = ndx.where(beside(kept, x), x, 0)
        safe[spec.name] = x
    return safe, unknown


def _run(
    form: Form, given: Arrays, arrays: Arrays, weights: Array, constants: Arrays | None = None
) -> Array:
    """The loss values, in the computing dtype."""
    candidate, dtype = form.candidate, _dtype(form)
    operands = {
        spec.name: arrays[spec.name]
        if candidate.domains[spec.name].integers
        else ndx.astype(arrays[spec.name], dtype)
        for spec in candidate.variant.loss.inputs
    }
    sizes = {**form.sizes, "inner": _inner(form)}
    numbers = {
        name: ndx.asarray(x, dtype=dtype) for name, x in constants_of(candidate, sizes).items()
    }
    extras = {
        **_extras(form, operands["predictions"] if WHERE in candidate.around else None),
        **numbers,
        **(constants or {}),
    }
    program = _on_this_batch(form, given, operands, weights)
    try:
        return program(counted(PORTABLE), operands, extras)
    except BackendUnsupported:
        raise needs_size(CLASSES) from None


def _inner(form: Form) -> int:
    """Size of the axis that is averaged, as far as a number for each of it is given."""
    weights = class_values(form.candidate)
    return 0 if weights is None else len(weights)


def _extras(form: Form, predictions: Array | None) -> Arrays:
    """The parameters that are arrays."""
    candidate, dtype = form.candidate, _dtype(form)
    numbers = dict(candidate.per_output)
    if candidate.factor is not None:
        numbers[FACTOR] = candidate.factor
    if (weights := class_values(candidate)) is not None and not candidate.program.inner:
        numbers[FACTOR] = weights
    first = candidate.variant.loss.inputs[0].name
    rank = len(form.lead) + len(form.own[first])
    if TARGET_FACTOR in candidate.around:
        numbers[TARGET_FACTOR] = moved_constant(candidate, TARGET_FACTOR, rank)
    extras = {name: ndx.asarray(x, dtype=dtype) for name, x in numbers.items()}
    if predictions is not None:
        where = ndx.asarray(moved_constant(candidate, WHERE, rank))
        extras[WHERE] = (ndx.isnan(predictions) | True) & where
    return extras


def _on_this_batch(form: Form, given: Arrays, operands: Arrays, weights: Array) -> Program:
    """The program with what the framework reads off the shapes of a batch."""
    candidate, program = form.candidate, form.candidate.program
    if candidate.variant.counts_batch:
        # One weight for all is none for each.
        predictions = operands["predictions"]
        many = ndx.where(
            ndx.prod(weights.dynamic_shape) > 1,
            predictions.dynamic_shape[-1],
            ndx.prod(predictions.dynamic_shape),
        )
        params = {**dict(program.params), "elements": ndx.astype(many, predictions.dtype)}
        program = replace(program, params=tuple(params.items()))
    predictions = given.get("predictions")
    if predictions is not None and smooths_elsewhere(candidate, predictions.ndim):
        last = ndx.astype(predictions.dynamic_shape[-1], operands["predictions"].dtype)
        program = smoothed_by_last(program, last)
    return program


def _class_weights(form: Form, targets: Array) -> Array:
    """The weight of each target's class."""
    candidate = form.candidate
    asked, domain = candidate.class_weight, candidate.domains["targets"]
    spec = next(s for s in candidate.variant.loss.inputs if s.name == "targets")
    if asked == "balanced":
        raise BackendUnsupported(
            '"balanced" class weights are counted over all samples; give a number for each class',
            field="params.class_weight",
        )
    if not (domain.integers or spec.kind.core):
        given_classes(asked, 2)
        targets = ndx.astype(targets > HALF, ndx.int64)
    elif spec.kind.core and not domain.integers:
        targets = ndx.argmax(targets, axis=-1)
    if CLASSES in form.sizes and not domain.whole:
        given_classes(asked, form.sizes[CLASSES])
    if candidate.program.inner:
        targets = ndx.squeeze(targets, axis=-1)
    table = given_labels(asked)
    assert table.labels is not None
    same = ndx.expand_dims(targets, axis=-1) == ndx.asarray(table.labels)
    found = PORTABLE.sum(ndx.where(same, ndx.asarray(table.weights), 0.0), axis=-1)
    other = np.nan if table.closed else 1.0
    return ndx.where(PORTABLE.any(same, axis=-1), found, other)


def _own(form: Form, arrays: Arrays, losses: Array) -> Array | None:
    """What a dialect's own mean divides by, or sums in place of the loss values."""
    candidate = form.candidate
    match candidate.own:
        case "factor":
            # In the computing dtype first, as it multiplies the loss values.
            return _double(_extras(form, None)[FACTOR])
        case "class_factor":
            factor = ndx.asarray(candidate.per_class["class_factor"])
            flat = ndx.take(factor, ndx.reshape(arrays["targets"], (-1,)), axis=0)
            return ndx.reshape(flat, arrays["targets"].dynamic_shape)
        case "lists":
            extras = _extras(form, arrays["predictions"])
            return ndx.astype(PORTABLE.any(extras[WHERE], axis=-1), ndx.float64)
        case "ratio":
            return ndx.abs(_double(arrays["targets"]))
        case "lengths":
            return losses / _double(ndx.maximum(arrays["target_lengths"], 1))
    return None


def _dtype(form: Form) -> Any:
    """The computing dtype."""
    narrow = form.candidate.variant.narrow
    return ndx.float32 if narrow else ndx.from_numpy_dtype(form.dtype)


def _double(x: Array) -> Array:
    return ndx.astype(x, ndx.float64)


def _count(true: Array) -> Array:
    return ndx.sum(ndx.astype(true, ndx.int64))
