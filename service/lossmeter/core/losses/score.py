"""Scores of a batch against the best constant prediction; 1 is the best."""

import math
from typing import Annotated, Literal

from annotated_types import Ge, Le

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, Kernel, PerSample, loss
from lossmeter.core.domains import CLASS_FAMILIES, FamilyPrediction, FamilyTarget
from lossmeter.core.losses.binary import binary_cross_entropy
from lossmeter.core.losses.binary_labels import brier_score
from lossmeter.core.losses.multiclass import multiclass_log_loss
from lossmeter.core.losses.regression import pinball
from lossmeter.core.losses.regression_deviance import Power, tweedie_deviance
from lossmeter.core.stable import count, is_class

Family = Literal["tweedie", "pinball", "absolute_error", "log_loss", "brier"]
Columns = Literal["uniform_average", "raw_values"] | list[float]
QUANTILE_FAMILIES = ("pinball", "absolute_error")
FEWEST = 2


@loss(
    source="scikit-learn, sklearn.metrics.d2_tweedie_score and its kin; "
    "Hastie, Tibshirani and Wainwright (2015), doi:10.1201/b18401",
    names=("d2",),
    examples=[
        Example({"predictions": [1.0, 2.0, 4.0], "targets": [1.0, 2.0, 3.0]}, 0.5),
        Example(
            {"predictions": [2.0, 2.0, 2.0], "targets": [1.0, 2.0, 3.0]},
            0.0,
            {"family": "absolute_error"},
        ),
        Example(
            {"predictions": [0.5, 0.5, 1.0, 0.0], "targets": [1, 0, 1, 0]},
            0.5,
            {"family": "brier"},
        ),
    ],
    output="batch",
)
def d2_score(
    xp: Namespace,
    predictions: FamilyPrediction,
    targets: FamilyTarget,
    *,
    family: Family = "tweedie",
    power: Power = 0.0,
    quantile: Annotated[float, Ge(0), Le(1)] = 0.5,
    columns: Annotated[Columns, Guard()] = "uniform_average",
    least: Annotated[float, Guard()] = 0.0,
    sample_weight: Annotated[Array | None, Guard(), PerSample()] = None,
) -> Array:
    r"""Share of a loss that predictions save over the best constant one: higher is better.

    $$ D^2 = 1 - \frac{\sum w\,\ell(y, p)}{\sum w\,\ell(y, c)} $$

    The constant c is the weighted mean of the targets, their quantile, or the share of each
    class. Fewer than two samples have no score and give NaN.

    Args:
        predictions: Predictions as the loss of the family takes them, shape ``(N,)`` or ``(N, C)``.
        targets: Its targets, shape ``(N,)``, or ``(N, C)`` where each column is an output.
        family: The loss underneath.
        power: Variance power of the Tweedie deviance.
        quantile: Level of the pinball loss.
        columns: How the scores of several outputs become one, or the weight of each.
        least: How far the shares of the classes are kept from 0 and 1, in a framework that clips
            them.
        sample_weight: Weight of each sample.

    Returns:
        One score for the batch, shape ``()``, dimensionless.
    """
    weights = xp.ones_like(predictions) if sample_weight is None else sample_weight
    if sample_weight is None and predictions.ndim > 1:
        weights = weights[:, 0]
    if family in CLASS_FAMILIES:
        rate = _brier if family == "brier" else _log_loss
        constant = _shares(xp, predictions, targets, weights)
        if least:
            constant = xp.clip(constant, least, 1.0 - least)
    else:
        if predictions.ndim > 1:
            weights = xp.expand_dims(weights, axis=1)
        level = 0.5 if family == "absolute_error" else quantile
        rate = _tweedie(power) if family == "tweedie" else _pinball(level)
        constant = _mean(xp, targets, weights)
        if family != "tweedie":
            constant = _quantile(xp, targets, weights, level)
    lowest = rate(xp, constant + xp.zeros_like(predictions), targets)
    # 1 - least may be 1 in the computing dtype; its logarithm is -least.
    best = xp.sum(weights * xp.maximum(lowest, least), axis=0)
    # A 0 of either sign: divided by, it decides the sign of infinity.
    best = xp.where(best == 0.0, xp.zeros_like(best), best)
    missed = xp.sum(weights * rate(xp, predictions, targets), axis=0)
    scores = 1.0 - missed / best
    if family in QUANTILE_FAMILIES:
        perfect = xp.where(missed == 0.0, xp.ones_like(missed), xp.zeros_like(missed))
        scores = xp.where(best == 0.0, perfect, scores)
    scores = xp.where(xp.sum(xp.ones_like(weights), axis=0) < FEWEST, math.nan, scores)
    return _joined(xp, scores, columns)


def _brier(xp: Namespace, predictions: Array, targets: Array) -> Array:
    """Not halved: of two classes or of many, half of both sums is the same share."""
    return brier_score(xp, predictions, targets, scale_by_half=False)


def _log_loss(xp: Namespace, predictions: Array, targets: Array) -> Array:
    if predictions.ndim > 1:
        return multiclass_log_loss(xp, predictions, targets)
    return binary_cross_entropy(xp, predictions, xp.astype(targets, predictions.dtype))


def _tweedie(power: float) -> Kernel:
    return lambda xp, p, y: tweedie_deviance(xp, p, y, power=power)


def _pinball(level: float) -> Kernel:
    return lambda xp, p, y: pinball(xp, p, y, quantile=level)


def _mean(xp: Namespace, targets: Array, weights: Array) -> Array:
    total = xp.sum(weights, axis=0)
    near = xp.sum(weights * targets, axis=0) / total
    # Once more for the rounding: equal targets are their own mean, which leaves nothing to save.
    return near + xp.sum(weights * (targets - near), axis=0) / total


def _shares(xp: Namespace, predictions: Array, targets: Array, weights: Array) -> Array:
    """Share of each class in the weights, or of class 1 where it alone is predicted."""
    if predictions.ndim > 1:
        true = is_class(xp, predictions, targets)
        of_class = xp.where(true, xp.expand_dims(weights, axis=1), xp.zeros_like(predictions))
        return xp.sum(of_class, axis=0) / xp.sum(weights)
    return xp.sum(xp.where(targets == 1, weights, xp.zeros_like(weights))) / xp.sum(weights)


def _quantile(xp: Namespace, targets: Array, weights: Array, level: float) -> Array:
    """The weighted quantile of each output, averaged inverted CDF."""
    order = xp.argsort(targets, axis=0)
    values = xp.take_along_axis(targets, order, axis=0)
    spread = weights + xp.zeros_like(targets)
    reached = xp.cumulative_sum(xp.take_along_axis(spread, order, axis=0), axis=0)
    asked = level * reached[-1:, ...]
    last = xp.sum(xp.astype(reached < reached[-1:, ...], xp.int64), axis=0, keepdims=True)
    at = [
        xp.minimum(xp.sum(xp.astype(below, xp.int64), axis=0, keepdims=True), last)
        for below in (reached < asked, reached <= asked)
    ]
    low, high = (xp.take_along_axis(values, place, axis=0) for place in at)
    return 0.5 * (low + high)[0, ...]


def _joined(xp: Namespace, scores: Array, columns: Columns) -> Array:
    if columns == "raw_values":
        return scores if scores.ndim else xp.expand_dims(scores, axis=0)
    if scores.ndim == 0:
        return scores
    if columns == "uniform_average":
        return xp.sum(scores) / count(xp, scores)
    return sum(a * scores[d] for d, a in enumerate(columns)) / sum(columns)
