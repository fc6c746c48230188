"""Losses of vectors by their labels, each against the rest of the batch."""

import math
from typing import Annotated

from annotated_types import Ge, Gt, Le

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, loss
from lossmeter.core.domains import EmbeddingBatch, Labels
from lossmeter.core.stable import log_sum_exp, softplus


@loss(
    source="Sun et al. (2020), Circle Loss, CVPR; doi:10.1109/CVPR42600.2020.00643",
    examples=[
        Example(
            {"predictions": [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], "targets": [0, 0, 1]},
            [math.log1p(math.exp(-25.6)), math.log1p(math.exp(-25.6)), 0.0],
        ),
        Example(
            {"predictions": [[1.0, 0.0], [0.0, 1.0]], "targets": [0, 0]},
            [0.0, 0.0],
            {"remove_diagonal": False, "margin": 1.0, "gamma": 1e4},
        ),
    ],
    output="batch",
    output_shape="(N,)",
)
def circle(
    xp: Namespace,
    predictions: EmbeddingBatch,
    targets: Labels,
    *,
    gamma: Annotated[float, Gt(0)] = 80.0,
    margin: Annotated[float, Ge(0), Le(1)] = 0.4,
    remove_diagonal: bool = True,
) -> Array:
    r"""How far an anchor's distances to its like and to the others are out of order.

    $$ \ell_i = \operatorname{softplus}\left(
       \operatorname*{LSE}_{y_j = y_i} \left(-\gamma\,(m + d)_+ (m - d)\right)
       + \operatorname*{LSE}_{y_j \ne y_i} \left(\gamma\,(1 + m - d)_+ (1 - m - d)\right)\right),
       \qquad d = \max(0,\ 1 - e_i \cdot e_j) $$

    Nothing is normalised. An anchor without its like, or without others, has loss 0.

    Args:
        predictions: Vectors of unit length, shape ``(N, D)``, dimensionless.
        targets: Labels, shape ``(N,)``.
        gamma: Scale.
        margin: Relaxation m.
        remove_diagonal: Whether an anchor is left out of its like.

    Returns:
        One loss per anchor, shape ``(N,)``, dimensionless; the batch defines it.
    """
    away = xp.maximum(1.0 - _products(xp, predictions), 0.0)
    like = _like(targets)
    near = -gamma * (margin + away) * (margin - away)
    far = gamma * xp.maximum(1.0 + margin - away, 0.0) * (1.0 - margin - away)
    others = xp.where(like, -math.inf, far)
    if remove_diagonal:
        like = like & ~_diagonal(xp, targets)
    same = xp.where(like, near, -math.inf)
    return softplus(xp, log_sum_exp(xp, same) + log_sum_exp(xp, others))


@loss(
    source="Chen et al. (2020), ICML; doi:10.48550/arXiv.2002.05709",
    names=("nt_xent",),
    examples=[
        Example(
            {"predictions": [[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]], "targets": [0, 0, 1]},
            math.log1p(math.exp(-1.0)),
            {"temperature": 1.0},
        ),
        Example({"predictions": [[2.0, 0.0], [0.0, 1.0]], "targets": [0, 0]}, 0.0),
    ],
    output="batch",
)
def ntxent(
    xp: Namespace,
    predictions: EmbeddingBatch,
    targets: Labels,
    *,
    temperature: Annotated[float, Gt(0)] = 0.07,
) -> Array:
    r"""Cross-entropy of finding a sample's like among the others, by cosine.

    $$ L = \operatorname*{mean}_{i \ne j,\ y_i = y_j} \left(-\frac{s_{ij}}{\tau} + \ln\left(
       e^{s_{ij}/\tau} + \sum_{k: y_k \ne y_i} e^{s_{ik}/\tau}\right)\right) $$

    The mean is over ordered pairs; a batch without a pair has none and gives NaN.

    Args:
        predictions: Vectors, shape ``(N, D)``, any unit.
        targets: Labels, shape ``(N,)``; equal ones make a pair.
        temperature: Divides the cosines.

    Returns:
        One loss for the batch, shape ``()``, nats.
    """
    lengths = xp.sqrt(xp.sum(xp.square(predictions), axis=-1, keepdims=True))
    scores = _products(xp, predictions / lengths) / temperature
    like = _like(targets)
    others = log_sum_exp(xp, xp.where(like, -math.inf, scores))
    terms = softplus(xp, xp.expand_dims(others, axis=1) - scores)
    pairs = like & ~_diagonal(xp, targets)
    total = xp.sum(xp.where(pairs, terms, xp.zeros_like(terms)))
    return total / xp.sum(xp.where(pairs, xp.ones_like(terms), xp.zeros_like(terms)))


def _products(xp: Namespace, x: Array) -> Array:
    """Inner products of all pairs of rows, shape ``(N, N)``."""
    return xp.matmul(x, xp.matrix_transpose(x))


def _like(labels: Array) -> Array:
    """Which pairs share their label, shape ``(N, N)``."""
    return labels[:, None] == labels[None, :]


def _diagonal(xp: Namespace, labels: Array) -> Array:
    """Which pairs are a sample with itself; counted, as a traced batch does not know its size."""
    place = xp.cumulative_sum(xp.ones_like(labels), axis=0)
    return place[:, None] == place[None, :]
