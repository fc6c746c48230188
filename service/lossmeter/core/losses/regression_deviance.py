"""Deviances and likelihoods of targets whose variance is a power of their mean."""

import math
from typing import Annotated

from annotated_types import Ge, Le

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, loss
from lossmeter.core.domains import NonNegative, Positive, PowerMean, PowerTarget, Real
from lossmeter.core.stable import log_ratio, xlogy

# No distribution has a variance with a power between 0 and 1.
Power = Annotated[float, Le(0)] | Annotated[float, Ge(1)]
JORGENSEN_1987 = (
    "Jørgensen (1987), J. R. Stat. Soc. B 49(2); doi:10.1111/j.2517-6161.1987.tb01685.x"
)
NORMAL, POISSON, GAMMA = 0.0, 1.0, 2.0
NEAR = 0.5


@loss(
    source=JORGENSEN_1987,
    names=("mean_tweedie_deviance",),
    examples=[
        Example({"predictions": 3.0, "targets": 2.0}, 1.0),
        Example({"predictions": 3.0, "targets": 0.0}, 6.0, {"power": 1.0}),
        Example(
            {"predictions": 3.0, "targets": 2.0},
            2.0 * (math.log(1.5) + 2.0 / 3.0 - 1.0),
            {"power": 2.0},
        ),
        Example({"predictions": 3.0, "targets": 2.0}, 1.0 / 18.0, {"power": 3.0}),
        Example({"predictions": 3.0, "targets": 2.0}, 8.0 / 3.0, {"power": -1.0}),
    ],
)
def tweedie_deviance(
    xp: Namespace, predictions: PowerMean, targets: PowerTarget, *, power: Power = 0.0
) -> Array:
    r"""Deviance of values whose variance is a power q of their mean.

    $$ \ell = 2\left(\frac{\max(y, 0)^{2-q}}{(1-q)(2-q)} - \frac{y\,p^{1-q}}{1-q}
       + \frac{p^{2-q}}{2-q}\right) $$

    Power 0 is the squared error; 1 and 2 are the limits, Poisson's and gamma's deviance.

    Args:
        predictions: Predicted means, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.
        power: Power q of the variance.

    Returns:
        One loss per element, shape ``(...)``, unit ``u**(2 - q)``.
    """
    if power == NORMAL:
        return xp.square(predictions - targets)
    if power == POISSON:
        return poisson_deviance(xp, predictions, targets)
    if power == GAMMA:
        return gamma_deviance(xp, predictions, targets)
    a, b = 1.0 - power, 2.0 - power
    of_mean = xp.pow(predictions, b)
    above = xp.pow(xp.maximum(targets, 0.0), b) / (a * b)
    far = above - targets * xp.pow(predictions, a) / a + of_mean / b
    # Near the mean these terms cancel: ((y/p)^b - 1 - b(y/p - 1)) p^b / (ab) has less to lose.
    excess = (targets - predictions) / predictions
    grown = xp.expm1(b * xp.log1p(xp.clip(excess, -NEAR, NEAR)))
    near = (grown - b * excess) * (of_mean / (a * b))
    return 2.0 * xp.where(xp.abs(excess) < NEAR, near, far)


@loss(
    source="scikit-learn, sklearn.metrics.mean_poisson_deviance",
    names=("mean_poisson_deviance",),
    examples=[
        Example({"predictions": 3.0, "targets": 0.0}, 6.0),
        Example({"predictions": 3.0, "targets": 2.0}, 2.0 * (1.0 - 2.0 * math.log(1.5))),
        Example({"predictions": 3.0, "targets": 3.0}, 0.0),
    ],
)
def poisson_deviance(xp: Namespace, predictions: Positive, targets: NonNegative) -> Array:
    r"""Deviance of counts from a Poisson rate.

    $$ \ell = 2\left(y \ln\frac{y}{p} - y + p\right), \qquad 0 \ln 0 = 0 $$

    It is twice the Poisson likelihood, so shifted that a perfect prediction has loss 0.

    Args:
        predictions: Predicted rates, shape ``(...)``, dimensionless.
        targets: Observed counts, shape ``(...)``, dimensionless.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    return 2.0 * (xlogy(xp, targets, log_ratio(xp, targets, predictions)) - (targets - predictions))


@loss(
    source="scikit-learn, sklearn.metrics.mean_gamma_deviance",
    names=("mean_gamma_deviance",),
    examples=[
        Example({"predictions": 2.0, "targets": 1.0}, 2.0 * math.log(2.0) - 1.0),
        Example({"predictions": 3.0, "targets": 3.0}, 0.0),
    ],
)
def gamma_deviance(xp: Namespace, predictions: Positive, targets: Positive) -> Array:
    r"""Deviance of positive values from a gamma distribution's mean; only their ratio counts.

    $$ \ell = 2\left(\ln\frac{p}{y} + \frac{y}{p} - 1\right) $$

    Args:
        predictions: Predicted means, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    excess = (targets - predictions) / predictions
    return 2.0 * (excess - log_ratio(xp, targets, predictions))


@loss(
    source="scikit-learn, sklearn._loss.HalfGammaLoss",
    examples=[
        Example({"predictions": 0.0, "targets": 2.0}, 2.0),
        Example({"predictions": math.log(3.0), "targets": 2.0}, math.log(3.0) + 2.0 / 3.0),
    ],
)
def half_gamma_nll_log(xp: Namespace, predictions: Real, targets: Positive) -> Array:
    r"""Negative log-likelihood of a gamma distribution given the logarithm of its mean.

    $$ \ell = x + y\,e^{-x} $$

    It is half the gamma deviance up to terms of the target alone.

    Args:
        predictions: Logarithms of the predicted means, shape ``(...)``, dimensionless.
        targets: Observed values, shape ``(...)``, dimensionless.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    # In two factors, as one overflows where the product with a small target does not.
    half = xp.exp(-0.5 * predictions)
    return predictions + (targets * half) * half


@loss(
    source="scikit-learn, sklearn._loss.HalfTweedieLoss",
    examples=[
        Example({"predictions": 0.0, "targets": 2.0}, 6.0),
        Example({"predictions": math.log(4.0), "targets": 2.0}, 6.0),
        Example({"predictions": 0.0, "targets": 2.0}, 1.0, {"power": 1.0}),
        Example({"predictions": 0.0, "targets": 2.0}, 2.0, {"power": 2.0}),
    ],
)
def half_tweedie_nll_log(
    xp: Namespace, predictions: Real, targets: PowerTarget, *, power: float = 1.5
) -> Array:
    r"""Negative log-likelihood of a Tweedie distribution given the logarithm of its mean.

    $$ \ell = \frac{e^{(2-q) x}}{2-q} - \frac{y\,e^{(1-q) x}}{1-q} $$

    Powers 1 and 2 are the limits, Poisson's and the gamma's likelihood.

    Args:
        predictions: Logarithms of the predicted means, shape ``(...)``, dimensionless.
        targets: Observed values, shape ``(...)``, dimensionless.
        power: Power q of the variance.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    if power == POISSON:
        return xp.exp(predictions) - targets * predictions
    if power == GAMMA:
        return half_gamma_nll_log(xp, predictions, targets)
    mean = xp.exp((2.0 - power) * predictions) / (2.0 - power)
    return mean - xlogy(xp, targets, xp.exp((1.0 - power) * predictions) / (1.0 - power))
