"""How far one distribution is from another; the class axis is last and used up."""

import math
from typing import Annotated

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import (
    ClassAmounts,
    ClassLogProbability,
    Distribution,
    DistributionOrLog,
)
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


@loss(
    source="PyTorch, torch.nn.KLDivLoss",
    names=("kl_div",),
    examples=[
        Example(
            {"predictions": [math.log(0.25), -1.0], "targets": [0.5, 0.0]},
            [0.5 * math.log(2.0), 0.0],
        ),
        Example(
            {"predictions": [-1.0, -1.0], "targets": [0.0, -math.inf]},
            [1.0, 0.0],
            {"log_target": True},
        ),
    ],
    output="elementwise",
)
def kl_divergence_log_input(
    xp: Namespace,
    predictions: ClassLogProbability,
    targets: DistributionOrLog,
    *,
    log_target: bool = False,
    zero_products: Annotated[bool, Guard()] = False,
) -> Array:
    r"""Each class's term of the Kullback–Leibler divergence, predictions given as logarithms.

    $$ \ell_c = y_c (\ln y_c - x_c), \qquad 0 \ln 0 = 0 $$

    Args:
        predictions: Logarithms of class probabilities, shape ``(..., C)``, nats.
        targets: Class probabilities or their logarithms, shape ``(..., C)``.
        log_target: Whether targets are logarithms.
        zero_products: Whether 0 · ∞ is NaN, as it is in a framework that multiplies.

    Returns:
        One loss per class, shape ``(..., C)``, nats.
    """
    share, log_share = (xp.exp(targets), targets) if log_target else (targets, _log(xp, targets))
    return _terms(xp, share, log_share - predictions, zero_products)


def _terms(xp: Namespace, share: Array, gain: Array, zero_products: bool) -> Array:
    """y (ln y − x), which is 0 where y is 0, unless the product is taken as it comes."""
    return share * gain if zero_products else xlogy(xp, share, gain)


def _log(xp: Namespace, amounts: Array) -> Array:
    """The logarithm of amounts, and 0 of 0."""
    return xp.log(xp.where(amounts == 0.0, xp.ones_like(amounts), amounts))


@loss(
    source="Optax, optax.losses.generalized_kl_divergence",
    names=("convex_kl_divergence",),
    examples=[
        Example({"predictions": [0.0, -math.inf], "targets": [0.0, 0.0]}, 1.0),
        Example({"predictions": [0.0, 0.0], "targets": [2.0, 1.0]}, 2.0 * math.log(2.0) - 1.0),
    ],
)
def generalized_kl_divergence(
    xp: Namespace,
    predictions: ClassLogProbability,
    targets: ClassAmounts,
    *,
    zero_products: Annotated[bool, Guard()] = False,
) -> Array:
    r"""Kullback–Leibler divergence of amounts that need not sum to 1.

    $$ \ell = \sum_c \left(y_c (\ln y_c - x_c) + e^{x_c} - y_c\right), \qquad 0 \ln 0 = 0 $$

    It is the divergence itself where both sides sum to 1.

    Args:
        predictions: Logarithms of the predicted amounts, shape ``(..., C)``, nats.
        targets: Amounts, shape ``(..., C)``, dimensionless.
        zero_products: Whether 0 · ∞ is NaN, as it is in a framework that multiplies.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    terms = _terms(xp, targets, _log(xp, targets) - predictions, zero_products)
    return xp.sum(terms + (xp.exp(predictions) - targets), axis=-1)
