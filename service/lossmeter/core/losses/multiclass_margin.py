"""Losses of the scores of classes by how far the right one leads; the class axis is used up."""

import math
from typing import Annotated, Literal

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import ClassIndex, ClassList, ClassScores, Distribution
from lossmeter.core.stable import count, is_class, pick, powered

SCORES = [0.25, 0.5, -2.0]


@loss(
    source="Keras, keras.losses.CategoricalHinge",
    examples=[
        Example({"predictions": SCORES, "targets": [1.0, 0.0, 0.0]}, 1.25),
        Example({"predictions": [3.0, 1.0], "targets": [1.0, 0.0]}, 0.0),
    ],
    weighs_classes=True,
)
def categorical_hinge(xp: Namespace, predictions: ClassScores, targets: Distribution) -> Array:
    r"""How far the right class falls short of leading the best other one by 1.

    $$ \ell = \max\left(0,\ \max_c (1 - y_c)\,x_c - \sum_c y_c x_c + 1\right) $$

    The right class enters the maximum as 0, so that its score has to reach 1.

    Args:
        predictions: Scores, shape ``(..., C)``, dimensionless.
        targets: One-hot labels or class probabilities, shape ``(..., C)``, dimensionless.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    others = xp.max((1.0 - targets) * predictions, axis=-1)
    return xp.maximum(others - xp.sum(targets * predictions, axis=-1) + 1.0, 0.0)


@loss(
    source="Crammer and Singer (2001), J. Mach. Learn. Res. 2; jmlr.org/papers/v2/crammer01a.html",
    names=("multiclass_hinge",),
    examples=[
        Example({"predictions": SCORES, "targets": 0}, 1.25),
        Example({"predictions": [3.0, 1.0], "targets": 0}, 0.0),
    ],
    weighs_classes=True,
)
def crammer_singer_hinge(
    xp: Namespace,
    predictions: ClassScores,
    targets: ClassIndex,
    *,
    squared: Annotated[bool, Guard()] = False,
) -> Array:
    r"""How far the right class falls short of leading every other one by 1.

    $$ \ell = \max\left(0,\ 1 + \max_{c \ne y} x_c - x_y\right) $$

    Args:
        predictions: Scores, shape ``(..., C)``, dimensionless.
        targets: Class indices, shape ``(...)``.
        squared: Whether each value is squared, in a framework that can.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    lead = predictions - xp.expand_dims(pick(xp, predictions, targets), axis=-1)
    others = xp.where(is_class(xp, predictions, targets), -math.inf, lead)
    short = xp.maximum(1.0 + xp.max(others, axis=-1), 0.0)
    return xp.square(short) if squared else short


@loss(
    source="PyTorch, torch.nn.MultiMarginLoss",
    names=("multi_margin_loss",),
    examples=[
        Example({"predictions": [0.25, 0.5, -2.0], "targets": 0}, 1.25 / 3.0),
        Example({"predictions": [0.25, 0.5, -2.0], "targets": 0}, 1.5625 / 3.0, {"p": 2}),
        Example({"predictions": [0.25, 0.5, -2.0], "targets": 1}, 0.25 / 3.0, {"margin": 0.5}),
    ],
    weighs_classes=True,
)
def multi_margin(
    xp: Namespace,
    predictions: ClassScores,
    targets: ClassIndex,
    *,
    p: Literal[1, 2] = 1,
    margin: float = 1.0,
) -> Array:
    r"""Mean over the classes of how far the right one falls short of leading each by a margin.

    $$ \ell = \frac1C \sum_{c \ne y} \max(0,\ m - x_y + x_c)^p $$

    Args:
        predictions: Scores, shape ``(..., C)``, dimensionless.
        targets: Class indices, shape ``(...)``.
        p: Power of each term.
        margin: Lead asked of the right class.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    lead = predictions - xp.expand_dims(pick(xp, predictions, targets), axis=-1)
    short = xp.maximum(margin + lead, 0.0)
    short = xp.where(is_class(xp, predictions, targets), 0.0, short)
    terms = powered(xp, short, 2.0) if p == 2 else short
    return xp.sum(terms, axis=-1) / count(xp, predictions)


@loss(
    source="PyTorch, torch.nn.MultiLabelMarginLoss",
    names=("multilabel_margin_loss",),
    examples=[
        Example({"predictions": [0.125, 0.25, 0.5, 0.75], "targets": [3, 0, -1, 1]}, 0.9375),
        Example({"predictions": [1.0, 2.0], "targets": [-1, 0]}, 0.0),
    ],
)
def multilabel_margin(xp: Namespace, predictions: ClassScores, targets: ClassList) -> Array:
    r"""How far each of the right classes falls short of leading each of the others by 1.

    $$ \ell = \frac1C \sum_{t \in Y} \sum_{c \notin Y} \max(0,\ 1 - x_t + x_c) $$

    Args:
        predictions: Scores, shape ``(..., C)``, dimensionless.
        targets: Right classes, shape ``(..., C)``; the first −1 ends them.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    listed = xp.cumulative_sum(xp.astype(targets == -1, xp.int64), axis=-1) == 0
    # What follows the list may be no class at all.
    right = xp.where(listed, targets, xp.zeros_like(targets))
    scores = xp.expand_dims(xp.take_along_axis(predictions, right, axis=-1), axis=-1)
    named = is_class(xp, predictions, right) & xp.expand_dims(listed, axis=-1)
    short = xp.maximum(1.0 - scores + xp.expand_dims(predictions, axis=-2), 0.0)
    wrong = xp.expand_dims(~xp.any(named, axis=-2), axis=-2) & xp.expand_dims(listed, axis=-1)
    terms = xp.where(wrong, short, xp.zeros_like(short))
    return xp.sum(xp.sum(terms, axis=-1), axis=-1) / count(xp, predictions)


@loss(
    source="Optax, optax.losses.multiclass_perceptron_loss",
    names=("multiclass_perceptron_loss",),
    examples=[
        Example({"predictions": SCORES, "targets": 0}, 0.25),
        Example({"predictions": SCORES, "targets": 1}, 0.0),
    ],
    weighs_classes=True,
)
def multiclass_perceptron(xp: Namespace, predictions: ClassScores, targets: ClassIndex) -> Array:
    r"""How far the right class lies behind the first.

    $$ \ell = \max_c x_c - x_y $$

    Args:
        predictions: Scores, shape ``(..., C)``, dimensionless.
        targets: Class indices, shape ``(...)``.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    return xp.max(predictions, axis=-1) - pick(xp, predictions, targets)
