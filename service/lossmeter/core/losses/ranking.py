"""Losses of lists of items by the order of their scores; the axis of the items is used up."""

import math

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, loss
from lossmeter.core.domains import ClassAmounts, ClassLogits
from lossmeter.core.stable import log_softmax, xlogy


@loss(
    source="Cao et al. (2007), Learning to rank, ICML; doi:10.1145/1273496.1273513",
    names=("ranking_softmax_loss",),
    examples=[
        Example({"predictions": [0.0, 0.0], "targets": [2.0, 1.0]}, 3.0 * math.log(2.0)),
        Example({"predictions": [0.0, -math.inf], "targets": [1.0, 0.0]}, 0.0),
        Example({"predictions": [1000.0, 0.0], "targets": [0.0, 2.0]}, 2000.0),
    ],
)
def ranking_softmax(xp: Namespace, predictions: ClassLogits, targets: ClassAmounts) -> Array:
    r"""Cross-entropy of the items' softmax, each counted by its relevance.

    $$ \ell = -\sum_i y_i \left(x_i - \ln\sum_k e^{x_k}\right) $$

    An item with score −∞ takes no part, if its relevance is 0.

    Args:
        predictions: Scores of the items, shape ``(..., C)``, dimensionless.
        targets: Relevance of the items, shape ``(..., C)``, dimensionless.

    Returns:
        One loss per list, shape ``(...)``, nats.
    """
    return -xp.sum(xlogy(xp, targets, log_softmax(xp, predictions)), axis=-1)
