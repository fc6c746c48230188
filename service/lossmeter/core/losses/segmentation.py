"""Losses of images by the overlap of what is predicted and what is there."""

from typing import Annotated

from annotated_types import Ge

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import (
    ClassDistributionImage,
    ClassProbabilityImage,
    ProbabilityImage,
)
from lossmeter.core.stable import count

Share = Annotated[float, Ge(0)]
# Keeps the weight of a class that does not occur finite, as in Optax.
LEAST_COUNT = 1e-7


@loss(
    source="Milletari et al. (2016), V-Net, 3DV; doi:10.1109/3DV.2016.79",
    examples=[
        Example(
            {"predictions": [[0.5, 0.5, 0.0]], "targets": [[1.0, 0.0, 0.0]]},
            [0.5],
            {"epsilon": 0.0},
        ),
        Example({"predictions": [[0.0, 0.0]], "targets": [[0.0, 0.0]]}, [1.0]),
        Example(
            {"predictions": [[0.0, 0.0]], "targets": [[0.0, 0.0]]},
            [0.0],
            {"smooth": 1.0, "epsilon": 0.0},
        ),
    ],
    sums_axes=True,
)
def dice(
    xp: Namespace,
    predictions: ProbabilityImage,
    targets: ProbabilityImage,
    *,
    smooth: Share = 0.0,
    epsilon: Share = 1e-7,
) -> Array:
    r"""One minus the overlap relative to the mean of both areas.

    $$ \ell = 1 - \frac{2\sum y p + 2 s}{\sum y + \sum p + 2 s + \varepsilon} $$

    Args:
        predictions: Probabilities of each pixel, shape ``(N, ...)``, dimensionless.
        targets: Labels or probabilities, shape ``(N, ...)``, dimensionless.
        smooth: Added to the overlap, twice as often to the areas.
        epsilon: Added to the denominator.

    Returns:
        One loss per sample, shape ``(N,)``, dimensionless.
    """
    # (y + p − 2yp) = y(1 − p) + p(1 − y): the difference from 1 does not cancel.
    missed = xp.sum(targets * (1.0 - predictions) + predictions * (1.0 - targets), axis=-1)
    areas = xp.sum(targets + predictions, axis=-1) + (2.0 * smooth + epsilon)
    return (missed + epsilon) / areas


@loss(
    source="Salehi et al. (2017); doi:10.48550/arXiv.1706.05721",
    examples=[
        Example(
            {"predictions": [[1.0, 1.0, 0.0]], "targets": [[1.0, 0.0, 0.0]]},
            [0.5],
            {"alpha": 1.0, "beta": 0.0, "epsilon": 0.0},
        ),
        Example(
            {"predictions": [[1.0, 0.0, 0.0]], "targets": [[1.0, 0.0, 0.0]]},
            [0.0],
            {"epsilon": 0.0},
        ),
    ],
    sums_axes=True,
)
def tversky(
    xp: Namespace,
    predictions: ProbabilityImage,
    targets: ProbabilityImage,
    *,
    alpha: Share = 0.5,
    beta: Share = 0.5,
    smooth: Share = 0.0,
    epsilon: Share = 1e-7,
) -> Array:
    r"""Dice's loss with a weight for what is found in vain and one for what is missed.

    $$ \ell = 1 - \frac{I + s}{I + \alpha F_+ + \beta F_- + s + \varepsilon}, \qquad
       I = \sum y p,\ F_+ = \sum (1 - y)\,p,\ F_- = \sum y\,(1 - p) $$

    Args:
        predictions: Probabilities of each pixel, shape ``(N, ...)``, dimensionless.
        targets: Labels or probabilities, shape ``(N, ...)``, dimensionless.
        alpha: Weight of false positives.
        beta: Weight of false negatives.
        smooth: Added above and below.
        epsilon: Added to the denominator.

    Returns:
        One loss per sample, shape ``(N,)``, dimensionless.
    """
    in_vain = alpha * xp.sum((1.0 - targets) * predictions, axis=-1)
    missed = in_vain + beta * xp.sum(targets * (1.0 - predictions), axis=-1) + epsilon
    return missed / (xp.sum(targets * predictions, axis=-1) + missed + smooth)


@loss(
    source="Sudre et al. (2017), DLMIA; doi:10.1007/978-3-319-67558-9_28",
    examples=[
        Example({"predictions": [[[0.5, 0.5]]], "targets": [[[0.5, 0.5]]]}, 0.25, {"smooth": 0.5}),
    ],
    output="batch",
)
def generalized_dice(
    xp: Namespace,
    predictions: ClassProbabilityImage,
    targets: ClassDistributionImage,
    *,
    smooth: Share = 1.0,
    drops_first: Annotated[bool, Guard()] = False,
) -> Array:
    r"""Mean over samples and classes of Dice's loss, rare classes counted for more.

    $$ L = \operatorname*{mean}_{n, c}\, w_c \left(1 - \frac{2\sum y p + 2 s}
       {\sum y + \sum p + 2 s}\right), \qquad w_c \propto \frac{1}{n_c^2 + 10^{-7}},
       \quad \sum_c w_c = C $$

    The count n of a class is its sum of targets over the whole batch.

    Args:
        predictions: Class probabilities of each pixel, shape ``(N, ..., C)``, dimensionless.
        targets: One-hot labels or class probabilities, shape ``(N, ..., C)``, dimensionless.
        smooth: Added to the overlap, twice as often to the areas.
        drops_first: Whether class 0 is left out of the mean, in a framework that does.

    Returns:
        One loss for the batch, shape ``()``, dimensionless.
    """
    missed = targets * (1.0 - predictions) + predictions * (1.0 - targets)
    areas = xp.sum(targets + predictions, axis=1) + 2.0 * smooth
    shares = 1.0 / (xp.square(xp.sum(targets, axis=(0, 1))) + LEAST_COUNT)
    weights = shares * (count(xp, predictions) / xp.sum(shares))
    losses = weights * (xp.sum(missed, axis=1) / areas)
    if drops_first:
        losses = losses[:, 1:]
    return xp.sum(losses) / xp.sum(xp.ones_like(losses))
