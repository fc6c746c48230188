"""What frameworks read off the whole batch before a number is computed, as nodes of a graph."""

from collections.abc import Callable, Mapping
from typing import Any

import ndonnx as ndx
import numpy as np

from lossmeter.backends.tracing import PORTABLE
from lossmeter.core.arrays import Array
from lossmeter.core.stable import sigmoid, softmax
from lossmeter.dialects import keras, sklearn, torchmetrics
from lossmeter.dialects.symbols import Settings
from lossmeter.errors import BackendUnsupported, ParameterInvalid
from lossmeter.plan.plan import Candidate
from lossmeter.plan.tensors import NUMERIC

Arrays = dict[str, Array]
# From the inputs, which entries are kept, and the settings to the inputs.
Survey = Callable[[Arrays, Array, Settings], Arrays]
PAIR = 2
LABELS = (
    "this framework reads {} before it takes one, which a graph does not; "
    "name them in the parameter {}"
)


def surveyed(candidate: Candidate, arrays: Arrays, kept: Array) -> Arrays:
    """The inputs after the framework's look at all entries that the mask keeps.

    Raises:
        BackendUnsupported: A parameter has to say what it would see.
    """
    survey = candidate.variant.survey
    if survey is None:
        return arrays
    traced, keyword = SURVEYS[survey.read]
    if keyword and candidate.settings.get(keyword) is None:
        raise BackendUnsupported(LABELS.format(survey.why, keyword), field=f"params.{keyword}")
    return traced(arrays, kept, candidate.settings)


def beside(kept: Array, x: Array) -> Array:
    """Which entries are kept, with as many axes as an array that has some of its own."""
    for _ in range(x.ndim - kept.ndim):
        kept = ndx.expand_dims(kept, axis=-1)
    return kept


def _zero_one_if_all_are(arrays: Arrays, kept: Array, _: Settings) -> Arrays:
    """Labels y as they are where all are 0 or 1, else (y + 1)/2."""
    targets = arrays["targets"]
    other = (targets != 0.0) & (targets != 1.0) & beside(kept, targets)
    return {**arrays, "targets": ndx.where(_any(other), (targets + 1.0) / 2.0, targets)}


def _squashed(arrays: Arrays, kept: Array, _: Settings) -> Arrays:
    """Probabilities of scores, if any lies outside [0, 1]."""
    scores = arrays["predictions"]
    squash = softmax if scores.ndim > arrays["targets"].ndim else sigmoid
    off = ((scores < 0.0) | (scores > 1.0)) & beside(kept, scores)
    return {**arrays, "predictions": ndx.where(_any(off), squash(PORTABLE, scores), scores)}


def _as_columns(arrays: Arrays, _: Array, settings: Settings) -> Arrays:
    """Labels as numbers of the columns."""
    classes, targets = _numbers(settings["labels"], "labels"), arrays["targets"]
    above = ndx.expand_dims(targets, axis=-1) > ndx.asarray(classes[:-1])
    return {**arrays, "targets": ndx.sum(ndx.astype(above, ndx.int64), axis=-1)}


def _larger_is_one(arrays: Arrays, _: Array, settings: Settings) -> Arrays:
    labels = _numbers(settings["labels"], "labels", PAIR)
    if labels.size > PAIR:
        raise ParameterInvalid("one number a sample needs two labels", field="params.labels")
    return _is(arrays, labels[-1])


def _named_is_one(arrays: Arrays, _: Array, settings: Settings) -> Arrays:
    return _is(arrays, _numbers([settings["pos_label"]], "pos_label")[0])


def _numbers(labels: Any, keyword: str, least: int = 1) -> Array:
    """The labels in order.

    Raises:
        BackendUnsupported: They are text.
        ParameterInvalid: There are too few.
    """
    found = np.unique(np.asarray(labels))
    if found.dtype.kind not in NUMERIC:
        raise BackendUnsupported("a graph takes labels that are numbers", field=f"params.{keyword}")
    if found.size < least:
        raise ParameterInvalid(f"name {least} labels", field=f"params.{keyword}")
    return found


def _larger_is_positive(arrays: Arrays, kept: Array, _: Settings) -> Arrays:
    """The larger of two labels as 1; one label alone counts as the smaller."""
    targets = arrays["targets"]
    low, high = (ndx.where(kept, targets, far) for far in (np.inf, -np.inf))
    least = -PORTABLE.max(_ended(-low))
    most = PORTABLE.max(_ended(high))
    return {**arrays, "targets": ndx.astype((targets == most) & (most > least), targets.dtype)}


def _ended(x: Array) -> Array:
    """Numbers in one axis and −∞ after them, so that there is a greatest."""
    return ndx.concat([ndx.reshape(x, (-1,)), ndx.asarray([-np.inf], dtype=x.dtype)])


def _is(arrays: Arrays, label: Any) -> Arrays:
    targets = arrays["targets"]
    return {**arrays, "targets": ndx.astype(targets == label, targets.dtype)}


def _any(true: Array) -> Array:
    """Whether one entry is true; of none, not."""
    return ndx.sum(ndx.astype(true, ndx.int64)) > 0


# What each framework's look is as nodes, and the keyword without which it has to be done.
SURVEYS: Mapping[Any, tuple[Survey, str]] = {
    keras.zero_one_if_all_are: (_zero_one_if_all_are, ""),
    torchmetrics.squashed: (_squashed, ""),
    sklearn.as_columns: (_as_columns, "labels"),
    sklearn.larger_is_one: (_larger_is_one, "labels"),
    sklearn.named_is_one: (_named_is_one, "pos_label"),
    sklearn.larger_is_positive: (_larger_is_positive, ""),
}
