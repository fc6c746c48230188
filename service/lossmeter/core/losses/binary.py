"""Losses of labels that are 0 or 1, or probabilities of 1."""

import math
from typing import Annotated

from annotated_types import Ge, Le

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, PerClass, PerOutput, loss
from lossmeter.core.domains import ClassLogits, Logits, Probability, VectorBinary
from lossmeter.core.stable import count, log1p_exp_minus_abs, smooth, xlogy

Share = Annotated[float, Ge(0)]


@loss(
    source="Good (1952), J. R. Stat. Soc. B 14(1); doi:10.1111/j.2517-6161.1952.tb00104.x",
    names=("bce", "binary_crossentropy"),
    examples=[
        Example({"predictions": 0.5, "targets": 1.0}, math.log(2.0)),
        Example({"predictions": 0.0, "targets": 0.0}, 0.0),
        Example({"predictions": 0.25, "targets": 0.0}, -math.log(0.75)),
    ],
    weighs_classes=True,
)
def binary_cross_entropy(
    xp: Namespace,
    predictions: Probability,
    targets: Probability,
    *,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
    log_clamp: Annotated[float | None, Guard()] = None,
    log_add: Annotated[float, Guard()] = 0.0,
) -> Array:
    r"""Cross-entropy of a predicted probability.

    $$ \ell = -\left(y \ln p + (1 - y) \ln(1 - p)\right), \qquad 0 \ln 0 = 0 $$

    Args:
        predictions: Predicted probabilities, shape ``(...)``, dimensionless.
        targets: Labels or probabilities, shape ``(...)``, dimensionless.
        label_smoothing: Targets become y(1 − s) + s/2.
        log_clamp: Lower bound of each logarithm in a framework that clamps it.
        log_add: Added inside each logarithm in a framework that does.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    # Each side is smoothed apart, as 1 − y of a smoothed y near 1 would cancel.
    positive = smooth(xp, targets, label_smoothing, 2)
    negative = smooth(xp, 1.0 - targets, label_smoothing, 2)
    if log_add:
        log_p, log_q = xp.log(predictions + log_add), xp.log(1.0 - predictions + log_add)
        return -(positive * log_p + negative * log_q)
    log_p, log_q = xp.log(predictions), xp.log1p(-predictions)
    if log_clamp is not None:
        log_p, log_q = xp.maximum(log_p, log_clamp), xp.maximum(log_q, log_clamp)
    return -(xlogy(xp, positive, log_p) + xlogy(xp, negative, log_q))


@loss(
    source="Good (1952), J. R. Stat. Soc. B 14(1); doi:10.1111/j.2517-6161.1952.tb00104.x",
    names=("bce_with_logits",),
    examples=[
        Example({"predictions": 0.0, "targets": 1.0}, math.log(2.0)),
        Example({"predictions": 1000.0, "targets": 0.0}, 1000.0),
        Example({"predictions": -1000.0, "targets": 0.0}, 0.0),
        Example({"predictions": 0.0, "targets": 1.0}, 3 * math.log(2.0), {"pos_weight": 3.0}),
    ],
    weighs_classes=True,
)
def binary_cross_entropy_with_logits(
    xp: Namespace,
    predictions: Logits,
    targets: Probability,
    *,
    pos_weight: Annotated[Share | list[Share] | None, PerOutput()] = None,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Array:
    r"""Cross-entropy of a probability given as its logit, accurate for logits of any size.

    $$ \ell = \pi\, y \ln(1 + e^{-x}) + (1 - y) \ln(1 + e^{x}) $$

    Args:
        predictions: Logits, shape ``(...)``, dimensionless.
        targets: Labels or probabilities, shape ``(...)``, dimensionless.
        pos_weight: Factor π on the term of the positive class, a number or one for each entry
            of the last axis.
        label_smoothing: Targets become y(1 − s) + s/2.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    positive = smooth(xp, targets, label_smoothing, 2)
    negative = smooth(xp, 1.0 - targets, label_smoothing, 2)
    curve = log1p_exp_minus_abs(xp, predictions)
    if pos_weight is None:
        # Both terms are non-negative: the usual max(x, 0) - x·y + curve cancels for soft targets.
        share = xp.where(predictions > 0.0, negative, positive)
        return curve + xp.abs(predictions) * share
    rise, fall = xp.maximum(predictions, 0.0) + curve, xp.maximum(-predictions, 0.0) + curve
    return pos_weight * (positive * fall) + negative * rise


@loss(
    source="PyTorch, torch.nn.MultiLabelSoftMarginLoss",
    names=("multilabel_soft_margin_loss",),
    examples=[
        Example({"predictions": [0.0, 0.0], "targets": [1.0, 0.0]}, math.log(2.0)),
        Example({"predictions": [1000.0, 1000.0], "targets": [1.0, 0.0]}, 500.0),
        Example(
            {"predictions": [0.5, -0.5], "targets": [1.0, 0.0]},
            1.5 * 0.4740769841801067,
            {"output_weight": [2.0, 1.0]},
        ),
    ],
)
def multilabel_soft_margin(
    xp: Namespace,
    predictions: ClassLogits,
    targets: VectorBinary,
    *,
    output_weight: Annotated[list[float] | None, PerClass()] = None,
) -> Array:
    r"""Mean over the labels of the cross-entropy of each, given as its logit.

    $$ \ell = \frac1C \sum_c w_c \ln(1 + e^{-s_c x_c}), \qquad s = 2y - 1 $$

    Args:
        predictions: Logits, shape ``(..., C)``, dimensionless.
        targets: Labels 0 or 1, shape ``(..., C)``.
        output_weight: Factor on the term of each label; the mean divides by C all the same.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    terms = binary_cross_entropy_with_logits(xp, predictions, targets)
    if output_weight is not None:
        terms = terms * output_weight
    return xp.sum(terms, axis=-1) / count(xp, predictions)
