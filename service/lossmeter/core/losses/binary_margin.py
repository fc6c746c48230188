"""Losses of a score on the side of a label that is 0 or 1."""

import math
from typing import Annotated

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import Binary, Logits, Real
from lossmeter.core.stable import sign_of, softplus


@loss(
    source="Cortes and Vapnik (1995), Mach. Learn. 20; doi:10.1007/BF00994018",
    examples=[
        Example({"predictions": 0.5, "targets": 1.0}, 0.5),
        Example({"predictions": 0.5, "targets": 0.0}, 1.5),
        Example({"predictions": 2.0, "targets": 1.0}, 0.0),
    ],
    weighs_classes=True,
)
def hinge(xp: Namespace, predictions: Real, targets: Binary) -> Array:
    r"""How far a score falls short of the margin 1 on the side of its label.

    $$ \ell = \max(0,\ 1 - s\,x), \qquad s = 2y - 1 $$

    Args:
        predictions: Scores, shape ``(...)``, dimensionless.
        targets: Labels 0 or 1, shape ``(...)``.

    Returns:
        One loss per element, shape ``(...)``, dimensionless.
    """
    return xp.maximum(1.0 - sign_of(targets) * predictions, 0.0)


@loss(
    source="Keras, keras.losses.SquaredHinge",
    examples=[
        Example({"predictions": 0.5, "targets": 1.0}, 0.25),
        Example({"predictions": 0.5, "targets": 0.0}, 2.25),
        Example({"predictions": 2.0, "targets": 1.0}, 0.0),
    ],
    weighs_classes=True,
)
def squared_hinge(xp: Namespace, predictions: Real, targets: Binary) -> Array:
    r"""Square of the hinge: no corner at the margin, and far misses count more.

    $$ \ell = \max(0,\ 1 - s\,x)^2, \qquad s = 2y - 1 $$

    Args:
        predictions: Scores, shape ``(...)``, dimensionless.
        targets: Labels 0 or 1, shape ``(...)``.

    Returns:
        One loss per element, shape ``(...)``, dimensionless.
    """
    return xp.square(hinge(xp, predictions, targets))


@loss(
    source="Rosenblatt (1958), Psychol. Rev. 65(6); doi:10.1037/h0042519",
    names=("perceptron_loss",),
    examples=[
        Example({"predictions": 0.5, "targets": 1.0}, 0.0),
        Example({"predictions": 0.5, "targets": 0.0}, 0.5),
    ],
    weighs_classes=True,
)
def perceptron(xp: Namespace, predictions: Real, targets: Binary) -> Array:
    r"""How far a score lies on the wrong side of 0.

    $$ \ell = \max(0,\ -s\,x), \qquad s = 2y - 1 $$

    Args:
        predictions: Scores, shape ``(...)``, dimensionless.
        targets: Labels 0 or 1, shape ``(...)``.

    Returns:
        One loss per element, shape ``(...)``, dimensionless.
    """
    return xp.maximum(-sign_of(targets) * predictions, 0.0)


@loss(
    source="PyTorch, torch.nn.SoftMarginLoss",
    names=("soft_margin_loss",),
    examples=[
        Example({"predictions": 0.0, "targets": 1.0}, math.log(2.0)),
        Example({"predictions": -1000.0, "targets": 1.0}, 1000.0),
        Example({"predictions": 1000.0, "targets": 1.0}, 0.0),
    ],
    weighs_classes=True,
)
def soft_margin(
    xp: Namespace,
    predictions: Logits,
    targets: Binary,
    *,
    naive: Annotated[bool, Guard()] = False,
) -> Array:
    r"""Logistic loss of a score on the side of its label.

    $$ \ell = \ln(1 + e^{-s x}), \qquad s = 2y - 1 $$

    It equals the binary cross-entropy of the score as a logit.

    Args:
        predictions: Logits, shape ``(...)``, dimensionless.
        targets: Labels 0 or 1, shape ``(...)``.
        naive: Whether the exponential itself is computed, which overflows, as a framework does.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    wrong = -sign_of(targets) * predictions
    return xp.log(xp.exp(wrong) + 1.0) if naive else softplus(xp, wrong)


@loss(
    source="Friedman, Hastie and Tibshirani (2000), Ann. Statist. 28(2); "
    "doi:10.1214/aos/1016218223",
    examples=[
        Example({"predictions": 0.5, "targets": 1.0}, math.exp(-0.5)),
        Example({"predictions": 0.5, "targets": 0.0}, math.exp(0.5)),
    ],
    weighs_classes=True,
)
def exponential_loss(xp: Namespace, predictions: Real, targets: Binary) -> Array:
    r"""Exponential of a score on the wrong side of its label, as boosting takes it.

    $$ \ell = y\,e^{-x} + (1 - y)\,e^{x} $$

    Its probability is the sigmoid of 2x.

    Args:
        predictions: Scores, shape ``(...)``, dimensionless.
        targets: Labels 0 or 1, shape ``(...)``.

    Returns:
        One loss per element, shape ``(...)``, dimensionless.
    """
    return xp.exp(-sign_of(targets) * predictions)


@loss(
    source="Martins and Astudillo (2016), ICML; doi:10.48550/arXiv.1602.02068",
    names=("sparsemax_loss",),
    examples=[
        Example({"predictions": 0.5, "targets": 1.0}, 0.0625),
        Example({"predictions": 0.5, "targets": 0.0}, 0.5625),
        Example({"predictions": 3.0, "targets": 0.0}, 3.0),
    ],
    weighs_classes=True,
)
def sparsemax_binary(xp: Namespace, predictions: Logits, targets: Binary) -> Array:
    r"""Sparsemax loss of two classes: 0 from a margin of 1 on, a parabola, then a line.

    $$ \ell = \tfrac14 (1 + u)^2 \text{ if } |u| < 1, \text{ else } \max(0, u), \qquad
       u = (1 - 2y)\,x $$

    Args:
        predictions: Logits, shape ``(...)``, dimensionless.
        targets: Labels 0 or 1, shape ``(...)``.

    Returns:
        One loss per element, shape ``(...)``, dimensionless.
    """
    wrong = -sign_of(targets) * predictions
    # The parabola of the clipped score is finite wherever the line is taken.
    near = 0.25 * xp.square(1.0 + xp.clip(wrong, -1.0, 1.0))
    return xp.where(wrong > 1.0, wrong, near)
