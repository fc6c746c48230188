"""Frameworks' own ways with their inputs, as nodes of a graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import ndonnx as ndx
import numpy as np

from lossmeter.backends.tracing import PORTABLE
from lossmeter.core.arrays import Array
from lossmeter.core.stable import sigmoid, softmax
from lossmeter.dialects import keras, optax, tensorflow, torch
from lossmeter.plan.plan import Candidate

Dims = tuple[str, ...]
Arrays = dict[str, Array]
CLASSES = "C"


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


class Shapes(Protocol):
    """What is known of the shapes of a loss's inputs."""

    @property
    def candidate(self) -> Candidate: ...

    @property
    def sizes(self) -> Mapping[str, int]: ...

    @property
    def dtype(self) -> np.dtype[np.generic]: ...


class Arranged(NamedTuple):
    """How a framework's own way with its inputs is done in a graph.

    Attributes:
        takes: From the inputs of the loss to those of the symbol.
        gives: From the arrays of the symbol to those of the loss.
    """

    takes: Callable[[Shapes, dict[str, Given]], dict[str, Given]]
    gives: Callable[[Shapes, Arrays], Arrays]


def _steps_first(_: Shapes, inputs: dict[str, Given]) -> dict[str, Given]:
    """Predictions with the steps first."""
    predictions = inputs["predictions"]
    rows, steps, classes = predictions.dims
    return {**inputs, "predictions": replace(predictions, dims=(steps, rows, classes))}


def _rows_first(_: Shapes, arrays: Arrays) -> Arrays:
    return {**arrays, "predictions": ndx.permute_dims(arrays["predictions"], (1, 0, 2))}


def _as_asked(form: Shapes, inputs: dict[str, Given]) -> dict[str, Given]:
    first = form.candidate.settings["logits_time_major"]
    return _steps_first(form, inputs) if first else inputs


def _as_asked_back(form: Shapes, arrays: Arrays) -> Arrays:
    first = form.candidate.settings["logits_time_major"]
    return _rows_first(form, arrays) if first else arrays


def _without_lengths(_: Shapes, inputs: dict[str, Given]) -> dict[str, Given]:
    return {name: one for name, one in inputs.items() if not name.endswith("_lengths")}


def _lengths_of_labels(_: Shapes, arrays: Arrays) -> Arrays:
    """Every step counts, and every label that is not 0."""
    counted = _count(arrays["targets"] != 0)
    return {
        **arrays,
        "input_lengths": ndx.zeros_like(counted) + arrays["predictions"].dynamic_shape[1],
        "target_lengths": counted,
    }


PADDINGS = {"input_lengths": "logit_paddings", "target_lengths": "label_paddings"}


def _paddings(form: Shapes, inputs: dict[str, Given]) -> dict[str, Given]:
    """Paddings in place of lengths."""
    rows, steps, _ = inputs["predictions"].dims
    shapes = {"input_lengths": (rows, steps), "target_lengths": inputs["targets"].dims}
    told = "0, then 1 past the end"
    padded = {PADDINGS[name]: Given(dims, form.dtype, told) for name, dims in shapes.items()}
    return {**_without_lengths(form, inputs), **padded}


def _lengths_of_paddings(_: Shapes, arrays: Arrays) -> Arrays:
    lengths = {name: _count(arrays[padding] == 0) for name, padding in PADDINGS.items()}
    return {"predictions": arrays["predictions"], "targets": arrays["targets"], **lengths}


def _count(true: Array) -> Array:
    """How many of the last axis are true."""
    return ndx.sum(ndx.astype(true, ndx.int64), axis=-1)


def _optional_targets(form: Shapes, inputs: dict[str, Given]) -> dict[str, Given]:
    """Targets that are 0 where they are left out."""
    targets = inputs["targets"]
    rank = len(targets.dims)
    zero = np.zeros((1,) * rank, form.dtype)
    return {**inputs, "targets": replace(targets, dims=(None,) * rank, default=zero)}


def _without_channel(_: Shapes, inputs: dict[str, Given]) -> dict[str, Given]:
    return {name: replace(one, dims=one.dims[:-1]) for name, one in inputs.items()}


def _one_channel(form: Shapes, arrays: Arrays) -> Arrays:
    """The probability of a foreground, in an axis of one channel."""
    p, y = (ndx.expand_dims(arrays[name], axis=-1) for name in ("predictions", "targets"))
    squashes = form.candidate.settings["apply_sigmoid"]
    return {"predictions": sigmoid(PORTABLE, p) if squashes else p, "targets": y}


def _of_classes(form: Shapes, arrays: Arrays) -> Arrays:
    """Class probabilities of logits; class 0 left out where that is asked."""
    p, y, settings = arrays["predictions"], arrays["targets"], form.candidate.settings
    if settings["apply_softmax"]:
        squash = sigmoid if form.sizes[CLASSES] == 1 else softmax
        p = squash(PORTABLE, p)
    if settings["ignore_background"] and form.sizes[CLASSES] > 1:
        p, y = p[..., 1:], y[..., 1:]
    return {"predictions": p, "targets": y}


def _same(_: Shapes, x: Any) -> Any:
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
