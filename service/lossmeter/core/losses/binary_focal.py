"""Cross-entropies of labels 0 and 1 that dwell on what is predicted badly."""

import math
from typing import Annotated

from annotated_types import Ge, Le

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import Logits, Probability
from lossmeter.core.losses.binary import binary_cross_entropy, binary_cross_entropy_with_logits
from lossmeter.core.stable import log1p_exp_minus_abs, log_add_exp, powered, smooth, xlogy

LIN_2017 = "Lin et al. (2017), ICCV; doi:10.1109/ICCV.2017.324"
Gamma = Annotated[float, Ge(0)]
Alpha = Annotated[float, Ge(0), Le(1)]


@loss(
    source=LIN_2017,
    names=("binary_focal_crossentropy",),
    examples=[
        Example({"predictions": 0.5, "targets": 1.0}, 0.25 * math.log(2.0)),
        Example({"predictions": 0.75, "targets": 1.0}, -0.0625 * math.log(0.75)),
        Example({"predictions": 0.5, "targets": 0.0}, 0.1875 * math.log(2.0), {"alpha": 0.25}),
        Example({"predictions": 1.0, "targets": 1.0}, 0.0),
    ],
    weighs_classes=True,
)
def binary_focal_cross_entropy(
    xp: Namespace,
    predictions: Probability,
    targets: Probability,
    *,
    gamma: Gamma = 2.0,
    alpha: Alpha | None = None,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
    log_clip: Annotated[float, Guard()] = 0.0,
) -> Array:
    r"""Cross-entropy of a predicted probability, faded out where the prediction is good.

    $$ \ell = a\,(1 - p_t)^\gamma \left(-y \ln p - (1 - y) \ln(1 - p)\right), \qquad
       p_t = y p + (1 - y)(1 - p), \quad a = \alpha y + (1 - \alpha)(1 - y) $$

    Args:
        predictions: Predicted probabilities, shape ``(...)``, dimensionless.
        targets: Labels or probabilities, shape ``(...)``, dimensionless.
        gamma: Focusing power; 0 is the cross-entropy.
        alpha: Weight of the positive class, 1 − α of the negative; none is 1 for both.
        label_smoothing: Targets become y(1 − s) + s/2.
        log_clip: Keeps p in [ε, 1 − ε] inside the logarithms, in a framework that does.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    positive = smooth(xp, targets, label_smoothing, 2)
    negative = smooth(xp, 1.0 - targets, label_smoothing, 2)
    missed = positive * (1.0 - predictions) + negative * predictions
    if log_clip:
        predictions = xp.clip(predictions, log_clip, 1.0 - log_clip)
    entropy = binary_cross_entropy(xp, predictions, targets, label_smoothing=label_smoothing)
    # An infinite entropy stays so where the power of what was missed is too small for a float.
    faded = powered(xp, missed, gamma) * entropy
    value = xp.where(entropy == math.inf, entropy, faded)
    return _balanced(xp, value, positive, negative, alpha)


@loss(
    source=LIN_2017,
    names=("sigmoid_focal_loss",),
    examples=[
        Example({"predictions": 0.0, "targets": 1.0}, 0.25 * math.log(2.0)),
        Example({"predictions": -1000.0, "targets": 1.0}, 1000.0),
        Example({"predictions": 1000.0, "targets": 1.0}, 0.0),
        Example({"predictions": 0.0, "targets": 0.0}, 0.1875 * math.log(2.0), {"alpha": 0.25}),
    ],
    weighs_classes=True,
)
def sigmoid_focal(
    xp: Namespace,
    predictions: Logits,
    targets: Probability,
    *,
    gamma: Gamma = 2.0,
    alpha: Alpha | None = None,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Array:
    r"""Focal cross-entropy of a probability given as its logit.

    $$ \ell = a\,(1 - p_t)^\gamma \left(y \ln(1 + e^{-x}) + (1 - y) \ln(1 + e^{x})\right), \qquad
       p = \frac{1}{1 + e^{-x}} $$

    Args:
        predictions: Logits, shape ``(...)``, dimensionless.
        targets: Labels or probabilities, shape ``(...)``, dimensionless.
        gamma: Focusing power; 0 is the cross-entropy.
        alpha: Weight of the positive class, 1 − α of the negative; none is 1 for both.
        label_smoothing: Targets become y(1 − s) + s/2.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    positive = smooth(xp, targets, label_smoothing, 2)
    negative = smooth(xp, 1.0 - targets, label_smoothing, 2)
    # 1 − p_t = y·σ(−x) + (1 − y)·σ(x), by its logarithm: a root of it may not underflow.
    log_sum = log_add_exp(
        xp,
        xp.log(positive) - xp.maximum(predictions, 0.0),
        xp.log(negative) - xp.maximum(-predictions, 0.0),
    )
    curve = log1p_exp_minus_abs(xp, predictions)
    missed = xp.exp(gamma * log_sum) * xp.exp(-gamma * curve)
    entropy = binary_cross_entropy_with_logits(
        xp, predictions, targets, label_smoothing=label_smoothing
    )
    return _balanced(xp, missed * entropy, positive, negative, alpha)


def _balanced(
    xp: Namespace, value: Array, positive: Array, negative: Array, alpha: float | None
) -> Array:
    if alpha is None:
        return value
    return xlogy(xp, alpha * positive + (1.0 - alpha) * negative, value)
