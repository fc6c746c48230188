"""Variants of the cross-entropy of classes: faded, bent or bounded."""

import math
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, PerClass, loss
from lossmeter.core.domains import ClassIndex, ClassLogits, Distribution
from lossmeter.core.stable import count, log_softmax, pick, powered, smooth, xlogy

Share = Annotated[float, Ge(0)]


@loss(
    source="Lin et al. (2017), ICCV; doi:10.1109/ICCV.2017.324",
    names=("categorical_focal_crossentropy",),
    examples=[
        Example({"predictions": [0.5, 0.5], "targets": [1.0, 0.0]}, 0.0625 * math.log(2.0)),
        Example(
            {"predictions": [0.25, 0.75], "targets": [0.0, 1.0]},
            -0.5 * math.log(0.75),
            {"gamma": 0.0, "alpha": [1.0, 0.5]},
        ),
        Example({"predictions": [0.0, 1.0], "targets": [0.0, 1.0]}, 0.0),
    ],
    weighs_classes=True,
)
def categorical_focal_cross_entropy(
    xp: Namespace,
    predictions: Distribution,
    targets: Distribution,
    *,
    alpha: Annotated[Share | list[Share], PerClass()] = 0.25,
    gamma: Annotated[float, Ge(0)] = 2.0,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Array:
    r"""Cross-entropy of class probabilities, each term faded out where the prediction is good.

    $$ \ell = -\sum_c \alpha_c (1 - p_c)^\gamma\, y_c \ln p_c, \qquad 0 \ln 0 = 0 $$

    Args:
        predictions: Class probabilities, shape ``(..., C)``, dimensionless.
        targets: One-hot labels or class probabilities, shape ``(..., C)``, dimensionless.
        alpha: Factor on each class's term, a number or one per class.
        gamma: Focusing power; 0 is the cross-entropy times α.
        label_smoothing: Targets become y(1 − s) + s/C.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    targets = smooth(xp, targets, label_smoothing, count(xp, predictions))
    missed = powered(xp, 1.0 - predictions, gamma)
    terms = alpha * (missed * xlogy(xp, targets, xp.log(predictions)))
    return -xp.sum(terms, axis=-1)


@loss(
    source="Leng et al. (2022), PolyLoss, ICLR; doi:10.48550/arXiv.2204.12511",
    names=("poly_loss",),
    examples=[
        Example({"predictions": [0.0, 0.0], "targets": [1.0, 0.0]}, math.log(2.0) + 1.0),
        Example(
            {"predictions": [0.0, 0.0], "targets": [1.0, 0.0]},
            math.log(2.0) + 0.5,
            {"epsilon": 1.0},
        ),
    ],
    weighs_classes=True,
)
def poly_cross_entropy(
    xp: Namespace,
    predictions: ClassLogits,
    targets: Distribution,
    *,
    epsilon: float = 2.0,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Array:
    r"""Cross-entropy with the first coefficient of its series in 1 − p changed.

    $$ \ell = \sum_c y_c \left(-\ln p_c + \varepsilon (1 - p_c)\right), \qquad
       p = \operatorname{softmax} x $$

    Args:
        predictions: Logits, shape ``(..., C)``, dimensionless.
        targets: One-hot labels or class probabilities, shape ``(..., C)``, dimensionless.
        epsilon: Coefficient of 1 − p.
        label_smoothing: Targets become y(1 − s) + s/C.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    targets = smooth(xp, targets, label_smoothing, count(xp, predictions))
    log_p = log_softmax(xp, predictions)
    return -xp.sum(targets * (log_p + epsilon * xp.expm1(log_p)), axis=-1)


@loss(
    source="Zhang and Sabuncu (2018), NeurIPS; doi:10.48550/arXiv.1805.07836",
    names=("gce",),
    examples=[
        Example({"predictions": [0.25, 0.75], "targets": 0}, 1.0),
        Example({"predictions": [0.0, 1.0], "targets": 0}, 2.0),
        Example({"predictions": [0.0, 1.0], "targets": 1}, 0.0),
    ],
    weighs_classes=True,
)
def generalized_cross_entropy(
    xp: Namespace,
    predictions: Distribution,
    targets: ClassIndex,
    *,
    q: Annotated[float, Gt(0), Lt(1)] = 0.5,
) -> Array:
    r"""A loss between cross-entropy and absolute error, bounded by 1/q.

    $$ \ell = \frac{1 - p_y^q}{q} $$

    Args:
        predictions: Class probabilities, shape ``(..., C)``, dimensionless.
        targets: Class indices, shape ``(...)``.
        q: Exponent; towards 0 the cross-entropy, towards 1 the absolute error.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    return -xp.expm1(q * xp.log(pick(xp, predictions, targets))) / q
