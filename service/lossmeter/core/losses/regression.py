"""Losses of real-valued targets and of counts."""

import math
from typing import Annotated

from annotated_types import Ge, Gt, Le

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import AboveMinusOne, NonNegative, RateOrLog, Real, Variance


@loss(
    source="Gauss (1809), Theoria motus corporum coelestium; doi:10.1017/CBO9780511841705",
    names=("mse", "l2", "mean_squared_error"),
    examples=[
        Example({"predictions": 3.0, "targets": 1.0}, 4.0),
        Example({"predictions": -0.5, "targets": 0.0}, 0.25),
    ],
)
def squared_error(xp: Namespace, predictions: Real, targets: Real) -> Array:
    r"""Square of the error.

    $$ \ell = (p - y)^2 $$

    The mean of it is least at the conditional mean.

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, unit ``u**2``.
    """
    return xp.square(predictions - targets)


@loss(
    source="Gauss (1809), Theoria motus corporum coelestium; doi:10.1017/CBO9780511841705",
    names=("l2_loss",),
    examples=[Example({"predictions": 4.0, "targets": 1.0}, 4.5)],
)
def half_squared_error(xp: Namespace, predictions: Real, targets: Real) -> Array:
    r"""Half the square of the error, so that its gradient is the error.

    $$ \ell = \tfrac12 (p - y)^2 $$

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, unit ``u**2``.
    """
    return 0.5 * xp.square(predictions - targets)


@loss(
    source="Gauss (1809), Theoria motus corporum coelestium; doi:10.1017/CBO9780511841705",
    names=("rmse",),
    examples=[Example({"predictions": [1.0, 5.0], "targets": [0.0, 2.0]}, [1.0, 9.0])],
    reduces_as="root",
)
def root_mean_squared_error(xp: Namespace, predictions: Real, targets: Real) -> Array:
    r"""Root of the mean square of the error, in the unit of the targets.

    $$ \ell = (p - y)^2, \qquad L = \sqrt{\frac{\sum w \ell}{\sum w}} $$

    The root is taken once, after the mean over everything, so batches merge exactly.

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.

    Returns:
        The squared error per element, shape ``(...)``, unit ``u**2``; its mean has the root taken.
    """
    return squared_error(xp, predictions, targets)


@loss(
    source="Laplace (1774), Mém. Acad. Sci. Paris 6; transl. doi:10.1214/ss/1177013621",
    names=("mae", "l1", "mean_absolute_error"),
    examples=[Example({"predictions": 1.0, "targets": 3.5}, 2.5)],
)
def absolute_error(xp: Namespace, predictions: Real, targets: Real) -> Array:
    r"""Size of the error.

    $$ \ell = |p - y| $$

    The mean of it is least at the conditional median.

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, unit ``u``.
    """
    return xp.abs(predictions - targets)


@loss(
    source="Armstrong (1985), Long-Range Forecasting, 2nd ed.; ISBN 978-0-471-82260-8",
    names=("mape",),
    examples=[
        Example({"predictions": 3.0, "targets": 2.0}, 0.5),
        Example({"predictions": 3.0, "targets": 2.0}, 50.0, {"scale": 100.0}),
    ],
)
def mean_absolute_percentage_error(
    xp: Namespace,
    predictions: Real,
    targets: Real,
    *,
    scale: Annotated[float, Gt(0)] = 1.0,
    epsilon: Annotated[float, Gt(0)] = 2.220446049250313e-16,
) -> Array:
    r"""Size of the error relative to the size of the target.

    $$ \ell = s\,\frac{|p - y|}{\max(|y|, \varepsilon)} $$

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.
        scale: 1 gives a fraction, 100 a percentage.
        epsilon: Floor of the size of the target, unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, dimensionless.
    """
    floor = xp.maximum(xp.abs(targets), epsilon)
    return scale * (xp.abs(predictions - targets) / floor)


@loss(
    source="scikit-learn, sklearn.metrics.mean_squared_log_error",
    names=("msle", "mean_squared_log_error"),
    examples=[
        Example({"predictions": math.e - 1.0, "targets": 0.0}, 1.0),
        Example({"predictions": 3.0, "targets": 3.0}, 0.0),
    ],
)
def squared_log_error(xp: Namespace, predictions: AboveMinusOne, targets: AboveMinusOne) -> Array:
    r"""Square of the error of the logarithms, for values that span orders of magnitude.

    $$ \ell = \left(\ln(1 + p) - \ln(1 + y)\right)^2 $$

    Args:
        predictions: Predicted values, shape ``(...)``, dimensionless.
        targets: Observed values, shape ``(...)``, dimensionless.

    Returns:
        One loss per element, shape ``(...)``, dimensionless.
    """
    # One logarithm of the quotient: the difference of two cancels where p is near y.
    least = xp.minimum(predictions, targets)
    return xp.square(xp.log1p(xp.abs(predictions - targets) / (1.0 + least)))


@loss(
    source="Huber (1964), Ann. Math. Statist. 35(1); doi:10.1214/aoms/1177703732",
    examples=[
        Example({"predictions": 1.5, "targets": 1.0}, 0.125),
        Example({"predictions": 5.0, "targets": 1.0}, 7.5, {"delta": 3.0}),
    ],
)
def huber(
    xp: Namespace, predictions: Real, targets: Real, *, delta: Annotated[float, Gt(0)] = 1.0
) -> Array:
    r"""Squared error near zero, absolute error in the tails.

    $$ \ell = \tfrac12 e^2 \text{ if } |e| \le \delta,
       \text{ else } \delta(|e| - \tfrac12\delta), \qquad e = p - y $$

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.
        delta: Error at which the tails begin, unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, unit ``u**2``.
    """
    error = xp.abs(predictions - targets)
    # One expression of the clipped error serves both branches, so that the branch not taken
    # cannot overflow, as squaring an error above 1e154 would.
    near = xp.minimum(error, delta)
    return near * (error - 0.5 * near)


@loss(
    source="Girshick (2015), Fast R-CNN; doi:10.1109/ICCV.2015.169",
    names=("smooth_l1_loss",),
    examples=[
        Example({"predictions": 3.0, "targets": 0.0}, 2.0, {"beta": 2.0}),
        Example({"predictions": 1.0, "targets": 0.0}, 0.25, {"beta": 2.0}),
        Example({"predictions": 3.0, "targets": 0.0}, 3.0, {"beta": 0.0}),
    ],
)
def smooth_l1(
    xp: Namespace, predictions: Real, targets: Real, *, beta: Annotated[float, Ge(0)] = 1.0
) -> Array:
    r"""Absolute error with its corner rounded off: the Huber loss with δ = β, divided by β.

    $$ \ell = \frac{e^2}{2\beta} \text{ if } |e| < \beta,
       \text{ else } |e| - \tfrac12\beta, \qquad e = p - y $$

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.
        beta: Error at which the line begins, unit ``u``; 0 is the absolute error.

    Returns:
        One loss per element, shape ``(...)``, unit ``u``.
    """
    error = xp.abs(predictions - targets)
    if beta == 0.0:
        return error
    near = xp.minimum(error, beta)
    return (near / beta) * (error - 0.5 * near)


@loss(
    source="Saleh and Saleh (2022); doi:10.48550/arXiv.2208.04564",
    names=("logcosh",),
    examples=[
        Example({"predictions": 1.0, "targets": 0.0}, 0.4337808304830271),
        Example({"predictions": 1000.0, "targets": 0.0}, 999.3068528194401),
        Example({"predictions": 1e-8, "targets": 0.0}, 5e-17),
    ],
)
def log_cosh(
    xp: Namespace,
    predictions: Real,
    targets: Real,
    *,
    ln2: Annotated[float | None, Guard()] = None,
    naive: Annotated[bool, Guard()] = False,
) -> Array:
    r"""Logarithm of the hyperbolic cosine of the error: smooth, and linear in the tails.

    $$ \ell = \ln\cosh(p - y) $$

    Args:
        predictions: Predicted values, shape ``(...)``, dimensionless.
        targets: Observed values, shape ``(...)``, dimensionless.
        ln2: The constant that a framework subtracts for ln 2.
        naive: Whether the cosh itself is computed, which overflows, as a framework does.

    Returns:
        One loss per element, shape ``(...)``, dimensionless.
    """
    error = xp.abs(predictions - targets)
    if naive:
        return xp.log((xp.exp(error) + xp.exp(-error)) / 2.0)
    tail = error + xp.log1p(xp.exp(-2.0 * error)) - (math.log(2.0) if ln2 is None else ln2)
    if ln2 is not None:
        return tail
    # cosh e - 1 = m²/(2(1 + m)) with m = expm1(e): near 0 the tail's form loses every digit.
    grown = xp.expm1(xp.minimum(error, 1.0))
    near = xp.log1p(grown * grown / (2.0 * (1.0 + grown)))
    return xp.where(error < 1.0, near, tail)


@loss(
    source="Koenker and Bassett (1978), Econometrica 46(1); doi:10.2307/1913643",
    names=("quantile_loss", "pinball_loss"),
    examples=[
        Example({"predictions": 0.0, "targets": 2.0}, 1.8, {"quantile": 0.9}),
        Example({"predictions": 2.0, "targets": 0.0}, 0.2, {"quantile": 0.9}),
    ],
)
def pinball(
    xp: Namespace,
    predictions: Real,
    targets: Real,
    *,
    quantile: Annotated[float, Ge(0), Le(1)] = 0.5,
) -> Array:
    r"""Error weighed by its side, least at a quantile.

    $$ \ell = \max\left(q\,(y - p),\ (q - 1)(y - p)\right) $$

    At 0.5 it is half the absolute error.

    Args:
        predictions: Predicted quantiles, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.
        quantile: Level of the quantile.

    Returns:
        One loss per element, shape ``(...)``, unit ``u``.
    """
    short = targets - predictions
    return xp.maximum(quantile * short, (quantile - 1.0) * short)


@loss(
    source="Cameron and Trivedi (2013), Regression Analysis of Count Data; "
    "doi:10.1017/CBO9781139013567",
    names=("poisson_nll_loss",),
    examples=[
        Example({"predictions": 0.0, "targets": 2.0}, 1.0),
        Example({"predictions": 3.0, "targets": 0.0}, 3.0, {"log_input": False}),
    ],
)
def poisson_nll(
    xp: Namespace,
    predictions: RateOrLog,
    targets: NonNegative,
    *,
    log_input: bool = True,
    full: bool = False,
    epsilon: Annotated[float, Ge(0)] = 0.0,
) -> Array:
    r"""Negative log-likelihood of counts under a Poisson rate, without the constant ln y!.

    $$ \ell = e^p - y\,p \quad\text{or}\quad \ell = p - y \ln(p + \varepsilon) $$

    Args:
        predictions: Logarithm of the rate, or the rate itself; shape ``(...)``, dimensionless.
        targets: Observed counts, shape ``(...)``, dimensionless.
        log_input: Whether predictions are logarithms.
        full: Add Stirling's approximation of ln y! where y > 1.
        epsilon: Added to the rate inside the logarithm.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    if log_input:
        value = xp.exp(predictions) - targets * predictions
    else:
        value = predictions - targets * xp.log(predictions + epsilon)
    if not full:
        return value
    above = xp.maximum(targets, 1.0)
    stirling = targets * xp.log(above) - targets + 0.5 * xp.log(2.0 * math.pi * above)
    return value + xp.where(targets > 1.0, stirling, xp.zeros_like(stirling))


@loss(
    source="Nix and Weigend (1994); doi:10.1109/ICNN.1994.374138",
    names=("gaussian_nll_loss",),
    examples=[
        Example({"predictions": 2.0, "targets": 0.0, "variance": 4.0}, 0.5 * (math.log(4.0) + 1.0)),
        Example(
            {"predictions": 0.0, "targets": 0.0, "variance": 1.0},
            0.5 * math.log(2.0 * math.pi),
            {"full": True},
        ),
    ],
)
def gaussian_nll(
    xp: Namespace,
    predictions: Real,
    targets: Real,
    variance: Variance,
    *,
    full: bool = False,
    epsilon: Annotated[float, Ge(0)] = 0.0,
) -> Array:
    r"""Negative log-likelihood of values under a predicted mean and variance.

    $$ \ell = \tfrac12\left(\ln v + \frac{(p - y)^2}{v}\right), \qquad
       v = \max(\sigma^2, \varepsilon) $$

    Args:
        predictions: Predicted means, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.
        variance: Predicted variances, unit ``u**2``; shape of predictions, or without the last
            axis, or with 1 there, or a single number.
        full: Add the constant ½ ln 2π.
        epsilon: Floor of the variance, unit ``u**2``.

    Returns:
        One loss per element, shape ``(...)``, nats.
    """
    floored = xp.maximum(variance, epsilon) if epsilon > 0.0 else variance
    error = predictions - targets
    value = 0.5 * xp.log(floored) + (0.5 * error / floored) * error
    return value + 0.5 * math.log(2.0 * math.pi) if full else value
