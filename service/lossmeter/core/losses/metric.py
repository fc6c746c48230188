"""Losses of vectors by their distance or angle; the last axis is used up."""

import math
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import Embedding, Real, Sign

EUCLIDEAN = 2.0
Distance = Literal["euclidean", "squared_euclidean", "manhattan", "cosine"]


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
    power_add: Annotated[float, Guard()] = 0.0,
    signed_powers: Annotated[bool, Guard()] = False,
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
        power_add: Added to the sum of the powers before the root, in a framework that does.
        signed_powers: Whether the powers are those of the differences, not of their sizes.

    Returns:
        One loss per sample, shape ``(...)``, unit ``u``.
    """

    def distance(a: Array, b: Array) -> Array:
        if power_add or signed_powers:
            powers = a - b + epsilon if signed_powers else xp.abs(a - b + epsilon)
            return xp.pow(xp.sum(xp.pow(powers, p), axis=-1) + power_add, 1.0 / p)
        return _norm(xp, a - b + epsilon, p)

    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = xp.minimum(far, distance(positive, negative))
    return xp.maximum(margin + near - far, 0.0)


@loss(
    source="Keras, keras.losses.CosineSimilarity",
    names=("cosine_similarity",),
    examples=[
        Example({"predictions": [1.0, 1.0], "targets": [1.0, 0.0]}, -math.sqrt(0.5)),
        Example({"predictions": [-2.0, 0.0], "targets": [1.0, 0.0]}, 1.0),
        Example({"predictions": [0.0, 0.0], "targets": [1.0, 0.0]}, 0.0, {"epsilon": 1e-6}),
    ],
)
def cosine_similarity_loss(
    xp: Namespace,
    predictions: Embedding,
    targets: Embedding,
    *,
    epsilon: Annotated[float, Ge(0)] = 0.0,
    sign: Annotated[float, Guard()] = -1.0,
) -> Array:
    r"""Negative cosine of the angle between two vectors: −1 is the best.

    $$ \ell = -\frac{p \cdot y}{\lVert p\rVert\,\lVert y\rVert} $$

    A vector of length 0 has no direction and gives NaN, unless ``epsilon`` is set.

    Args:
        predictions: Vectors, shape ``(..., D)``, any unit.
        targets: Vectors, shape ``(..., D)``, any unit.
        epsilon: Floor of each squared norm.
        sign: Of the value, in a framework where 1 is the best.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    cosine = xp.sum(_unit(xp, predictions, epsilon) * _unit(xp, targets, epsilon), axis=-1)
    return sign * cosine


@loss(
    source="PyTorch, torch.nn.CosineEmbeddingLoss",
    names=("cosine_embedding_loss",),
    examples=[
        Example({"input1": [1.0, 1.0], "input2": [1.0, 0.0], "targets": 1.0}, 1.0 - math.sqrt(0.5)),
        Example({"input1": [1.0, 1.0], "input2": [1.0, 0.0], "targets": -1.0}, math.sqrt(0.5)),
        Example(
            {"input1": [1.0, 0.0], "input2": [1.0, 0.0], "targets": -1.0}, 0.75, {"margin": 0.25}
        ),
    ],
)
def cosine_embedding(
    xp: Namespace,
    input1: Embedding,
    input2: Embedding,
    targets: Sign,
    *,
    margin: Annotated[float, Ge(-1), Le(1)] = 0.0,
    epsilon: Annotated[float, Ge(0)] = 0.0,
) -> Array:
    r"""Cosine distance of a like pair, cosine above a margin of an unlike one.

    $$ \ell = 1 - c \text{ if } y = 1, \text{ else } \max(0,\ c - m), \qquad
       c = \frac{x_1 \cdot x_2}{\sqrt{(|x_1|^2 + \varepsilon)(|x_2|^2 + \varepsilon)}} $$

    A vector of length 0 has no direction and gives NaN, unless ``epsilon`` is set.

    Args:
        input1: Vectors, shape ``(..., D)``, any unit.
        input2: Vectors, shape ``(..., D)``, any unit.
        targets: 1 for a like pair, −1 for an unlike one, shape ``(...)``.
        margin: Cosine allowed to unlike pairs.
        epsilon: Added to each squared norm.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    cosine = xp.sum(_lengthened(xp, input1, epsilon) * _lengthened(xp, input2, epsilon), axis=-1)
    unlike = xp.where(targets == -1.0, xp.maximum(cosine - margin, 0.0), 0.0 * targets)
    return xp.where(targets == 1.0, 1.0 - cosine, unlike)


@loss(
    source="PyTorch, torch.nn.MarginRankingLoss",
    names=("margin_ranking_loss",),
    examples=[
        Example({"input1": 0.25, "input2": 0.5, "targets": 1.0}, 0.375, {"margin": 0.125}),
        Example({"input1": 0.25, "input2": 0.5, "targets": -1.0}, 0.0),
    ],
)
def margin_ranking(
    xp: Namespace, input1: Real, input2: Real, targets: Sign, *, margin: float = 0.0
) -> Array:
    r"""How far the first score falls short of leading the second, or the second the first.

    $$ \ell = \max(0,\ -y\,(x_1 - x_2) + m) $$

    Args:
        input1: Scores, shape ``(...)``, any unit ``u``.
        input2: Scores, shape ``(...)``, unit ``u``.
        targets: 1 if the first should lead, −1 if the second, shape ``(...)``.
        margin: Lead asked, unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, unit ``u``.
    """
    return xp.maximum(margin - targets * (input1 - input2), 0.0)


@loss(
    source="PyTorch, torch.nn.HingeEmbeddingLoss",
    names=("hinge_embedding_loss",),
    examples=[
        Example({"predictions": 0.25, "targets": 1.0}, 0.25),
        Example({"predictions": 0.25, "targets": -1.0}, 0.75),
        Example({"predictions": 3.0, "targets": -1.0}, 0.0),
    ],
)
def hinge_embedding(
    xp: Namespace, predictions: Real, targets: Sign, *, margin: float = 1.0
) -> Array:
    r"""Distance of a like pair, how far an unlike one falls short of a margin.

    $$ \ell = x \text{ if } y = 1, \text{ else } \max(0,\ m - x) $$

    Args:
        predictions: Distances of pairs, shape ``(...)``, any unit ``u``.
        targets: 1 for a like pair, −1 for an unlike one, shape ``(...)``.
        margin: Distance asked of unlike pairs, unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, unit ``u``.
    """
    unlike = xp.where(targets != 1.0, xp.maximum(margin - predictions, 0.0), 0.0 * targets)
    return xp.where(targets != -1.0, predictions + unlike, unlike)


@loss(
    source="Balntas et al. (2016), BMVC; doi:10.5244/C.30.119",
    names=("triplet_margin_with_distance_loss",),
    examples=[
        Example({"anchor": [0.0, 0.0], "positive": [3.0, 4.0], "negative": [0.0, 1.0]}, 5.0),
        Example(
            {"anchor": [0.0, 0.0], "positive": [3.0, 4.0], "negative": [0.0, 1.0]},
            7.0,
            {"distance_function": "manhattan"},
        ),
        Example(
            {"anchor": [1.0, 0.0], "positive": [0.0, 2.0], "negative": [3.0, 0.0]},
            2.0,
            {"distance_function": "cosine"},
        ),
    ],
)
def triplet_margin_with_distance(
    xp: Namespace,
    anchor: Embedding,
    positive: Embedding,
    negative: Embedding,
    *,
    distance_function: Distance = "euclidean",
    margin: Annotated[float, Gt(0)] = 1.0,
    swap: bool = False,
    difference_add: Annotated[float, Guard()] = 0.0,
) -> Array:
    r"""The triplet loss by a distance of choice.

    $$ \ell = \max(0,\ m + d(a, p) - d(a, n)) $$

    Args:
        anchor: Vectors, shape ``(..., D)``, any unit ``u``.
        positive: Vectors that should be near the anchor, shape ``(..., D)``, unit ``u``.
        negative: Vectors that should be far from it, shape ``(..., D)``, unit ``u``.
        distance_function: The distance d; cosine is one minus the cosine of the angle.
        margin: Lead asked of the negative, unit of the distance.
        swap: Use the lesser of the negative's distances to anchor and positive.
        difference_add: Added to every coordinate difference, in a framework that does.

    Returns:
        One loss per sample, shape ``(...)``, unit of the distance.
    """
    near = _distance(xp, anchor, positive, distance_function, difference_add)
    far = _distance(xp, anchor, negative, distance_function, difference_add)
    if swap:
        between = _distance(xp, positive, negative, distance_function, difference_add)
        far = xp.minimum(far, between)
    return xp.maximum(margin + near - far, 0.0)


def _distance(xp: Namespace, a: Array, b: Array, name: Distance, add: float) -> Array:
    if name == "cosine":
        return cosine_distance(xp, a, b)
    if name == "squared_euclidean":
        return xp.sum(xp.square(a - b + add), axis=-1)
    return _norm(xp, a - b + add, EUCLIDEAN if name == "euclidean" else 1.0)


def _lengthened(xp: Namespace, x: Array, epsilon: float) -> Array:
    return x / xp.sqrt(xp.sum(xp.square(x), axis=-1, keepdims=True) + epsilon)


def _unit(xp: Namespace, x: Array, epsilon: float) -> Array:
    squared = xp.sum(xp.square(x), axis=-1, keepdims=True)
    return x / xp.sqrt(xp.maximum(squared, epsilon))


def _norm(xp: Namespace, x: Array, p: float) -> Array:
    if p == EUCLIDEAN:
        return xp.sqrt(xp.sum(xp.square(x), axis=-1))
    if p == 1.0:
        return xp.sum(xp.abs(x), axis=-1)
    return xp.pow(xp.sum(xp.pow(xp.abs(x), p), axis=-1), 1.0 / p)
