"""How far one distribution is from another; the class axis is last and used up."""

import math

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, loss
from lossmeter.core.domains import Distribution
from lossmeter.core.stable import xlogy


@loss(
    source="Kullback and Leibler (1951), Ann. Math. Statist. 22(1); doi:10.1214/aoms/1177729694",
    names=("kld",),
    examples=[
        Example({"predictions": [0.5, 0.5], "targets": [0.0, 1.0]}, math.log(2.0)),
        Example({"predictions": [0.25, 0.75], "targets": [0.25, 0.75]}, 0.0),
    ],
)
def kl_divergence(xp: Namespace, predictions: Distribution, targets: Distribution) -> Array:
    r"""Kullback–Leibler divergence of the predicted distribution from the target.

    $$ \ell = \sum_c y_c \ln\frac{y_c}{p_c}, \qquad 0 \ln 0 = 0 $$

    Args:
        predictions: Class probabilities, shape ``(..., C)``, dimensionless.
        targets: Class probabilities, shape ``(..., C)``, dimensionless.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    # A quotient of the roots, as that of the numbers overflows where a prediction is subnormal.
    log_ratio = 2.0 * xp.log(xp.sqrt(targets) / xp.sqrt(predictions))
    return xp.sum(xlogy(xp, targets, log_ratio), axis=-1)
