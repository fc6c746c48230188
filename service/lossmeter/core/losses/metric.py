"""Losses of vectors by their distance or angle; the last axis is used up."""

import math
from typing import Annotated

from annotated_types import Ge, Gt

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, loss
from lossmeter.core.domains import Embedding

EUCLIDEAN = 2.0


@loss(
    source="Optax, optax.losses.cosine_distance",
    examples=[
        Example({"predictions": [1.0, 1.0], "targets": [1.0, 0.0]}, 1.0 - math.sqrt(0.5)),
        Example({"predictions": [3.0, 0.0], "targets": [1.0, 0.0]}, -2.0, {"normalize": False}),
    ],
)
def cosine_distance(
    xp: Namespace,
    predictions: Embedding,
    targets: Embedding,
    *,
    epsilon: Annotated[float, Ge(0)] = 0.0,
    normalize: bool = True,
) -> Array:
    r"""One minus the cosine of the angle between two vectors.

    $$ \ell = 1 - \frac{p \cdot y}{\lVert p\rVert\,\lVert y\rVert} $$

    A vector of length 0 has no direction and gives NaN, unless ``epsilon`` is set.

    Args:
        predictions: Vectors, shape ``(..., D)``, any unit.
        targets: Vectors, shape ``(..., D)``, any unit.
        epsilon: Floor of each squared norm.
        normalize: Divide by the norms; false trusts that both are of unit length.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    if normalize:
        predictions = _unit(xp, predictions, epsilon)
        targets = _unit(xp, targets, epsilon)
    return 1.0 - xp.sum(predictions * targets, axis=-1)


@loss(
    source="Balntas et al. (2016), BMVC; doi:10.5244/C.30.119",
    names=("triplet_margin_loss",),
    examples=[
        Example(
            {"anchor": [0.0, 0.0], "positive": [3.0, 4.0], "negative": [0.0, 1.0]},
            4.5,
            {"margin": 0.5},
        ),
        Example({"anchor": [0.0, 0.0], "positive": [0.0, 0.0], "negative": [3.0, 4.0]}, 0.0),
    ],
)
def triplet_margin(
    xp: Namespace,
    anchor: Embedding,
    positive: Embedding,
    negative: Embedding,
    *,
    margin: Annotated[float, Ge(0)] = 1.0,
    p: Annotated[float, Gt(0)] = EUCLIDEAN,
    epsilon: Annotated[float, Ge(0)] = 0.0,
    swap: bool = False,
) -> Array:
    r"""How far the negative falls short of being ``margin`` further off than the positive.

    $$ \ell = \max(0,\ m + d(a, p) - d(a, n)), \qquad
       d(a, b) = \lVert a - b + \varepsilon\rVert_p $$

    Args:
        anchor: Vectors, shape ``(..., D)``, any unit ``u``.
        positive: Vectors that should be near the anchor, shape ``(..., D)``, unit ``u``.
        negative: Vectors that should be far from it, shape ``(..., D)``, unit ``u``.
        margin: Lead asked of the negative, unit ``u``.
        p: Order of the norm.
        epsilon: Added to every coordinate difference, unit ``u``.
        swap: Use the lesser of the negative's distances to anchor and positive.

    Returns:
        One loss per sample, shape ``(...)``, unit ``u``.
    """
    near = _norm(xp, anchor - positive + epsilon, p)
    far = _norm(xp, anchor - negative + epsilon, p)
    if swap:
        far = xp.minimum(far, _norm(xp, positive - negative + epsilon, p))
    return xp.maximum(margin + near - far, 0.0)


def _unit(xp: Namespace, x: Array, epsilon: float) -> Array:
    squared = xp.sum(xp.square(x), axis=-1, keepdims=True)
    return x / xp.sqrt(xp.maximum(squared, epsilon))


def _norm(xp: Namespace, x: Array, p: float) -> Array:
    if p == EUCLIDEAN:
        return xp.sqrt(xp.sum(xp.square(x), axis=-1))
    if p == 1.0:
        return xp.sum(xp.abs(x), axis=-1)
    return xp.pow(xp.sum(xp.pow(xp.abs(x), p), axis=-1), 1.0 / p)
