"""Losses of class scores by a convex function of them and its projection on distributions."""

import math
from typing import Literal

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, loss
from lossmeter.core.domains import ClassIndex, ClassLogits, ClassScores
from lossmeter.core.stable import is_class, pick


@loss(
    source="Martins and Astudillo (2016), ICML; doi:10.48550/arXiv.1602.02068",
    names=("multiclass_sparsemax_loss",),
    examples=[
        Example({"predictions": [0.25, 0.5, -2.0], "targets": 0}, 0.390625),
        Example({"predictions": [2.0, 1.0, 0.0], "targets": 0}, 0.0),
        Example({"predictions": [1000.0, 0.0], "targets": 1}, 1000.0),
    ],
    weighs_classes=True,
)
def multiclass_sparsemax(xp: Namespace, predictions: ClassLogits, targets: ClassIndex) -> Array:
    r"""Cross-entropy's counterpart for probabilities that may be 0.

    $$ \ell = \sum_c P_c (x_c - x_y) + \tfrac12 \left(1 - \sum_c P_c^2\right) $$

    P is the distribution nearest to the scores. The loss is 0 from a lead of 1 on.

    Args:
        predictions: Logits, shape ``(..., C)``, dimensionless.
        targets: Class indices, shape ``(...)``.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    shifted = predictions - xp.max(predictions, axis=-1, keepdims=True)
    threshold = _threshold(xp, shifted)
    projected = xp.maximum(shifted - threshold, 0.0)
    true = is_class(xp, predictions, targets)
    # ½|e_y − P|² + max(τ − x_y, 0) is the same, of terms that do not cancel.
    squares = xp.square(xp.where(true, projected - 1.0, projected))
    behind = xp.squeeze(threshold, axis=-1) - pick(xp, shifted, targets)
    return 0.5 * xp.sum(squares, axis=-1) + xp.maximum(behind, 0.0)


@loss(
    source="Blondel, Martins and Niculae (2020), J. Mach. Learn. Res. 21; "
    "doi:10.48550/arXiv.1901.02324",
    examples=[
        Example({"predictions": [0.0, 0.0], "targets": [1.0, 0.0]}, math.log(2.0)),
        Example({"predictions": [1000.0, 0.0], "targets": [0.0, 1.0]}, 1000.0),
        Example({"predictions": [3.0, 1.0], "targets": [0.0, 1.0]}, 2.0, {"max_fun": "max"}),
        Example(
            {"predictions": [0.5, 0.0], "targets": [1.0, 0.0]}, -0.4375, {"max_fun": "sparsemax"}
        ),
    ],
)
def fenchel_young(
    xp: Namespace,
    predictions: ClassLogits,
    targets: ClassScores,
    *,
    max_fun: Literal["logsumexp", "max", "sparsemax"] = "logsumexp",
) -> Array:
    r"""How much a regularised maximum of the scores exceeds their value at the target.

    $$ \ell = \Omega^*(x) - \langle y, x \rangle $$

    The term Ω(y), which would make its minimum 0, is left out.

    Args:
        predictions: Logits, shape ``(..., C)``, dimensionless.
        targets: Weights of the classes, shape ``(..., C)``, dimensionless.
        max_fun: Ω*: ln Σ eˣ, max x, or the maximum over distributions p of ⟨p, x⟩ − ½|p|².

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    top = xp.max(predictions, axis=-1, keepdims=True)
    shifted = predictions - top
    above = _above_max(xp, shifted, max_fun) - xp.sum(targets * shifted, axis=-1)
    # The largest score leaves by itself, so that it cancels exactly for targets that sum to 1.
    return above + (1.0 - xp.sum(targets, axis=-1)) * xp.squeeze(top, axis=-1)


def _above_max(xp: Namespace, shifted: Array, max_fun: str) -> Array:
    """Ω* of scores whose largest is 0."""
    if max_fun == "logsumexp":
        return xp.log(xp.sum(xp.exp(shifted), axis=-1))
    if max_fun == "max":
        return xp.max(shifted, axis=-1)
    projected = xp.maximum(shifted - _threshold(xp, shifted), 0.0)
    scores = xp.where(projected > 0.0, shifted, 0.0)
    return xp.sum(projected * (scores - 0.5 * projected), axis=-1)


def _threshold(xp: Namespace, shifted: Array) -> Array:
    """What the projection on distributions takes off each score, the last axis kept.

    Of the k largest scores alone it would be (their sum − 1)/k; the true one is the greatest.
    """
    sums = xp.cumulative_sum(-xp.sort(-shifted, axis=-1), axis=-1)
    counts = xp.cumulative_sum(xp.ones_like(shifted), axis=-1)
    return xp.max((sums - 1.0) / counts, axis=-1, keepdims=True)
