"""Errors that are finished otherwise than by their mean, or set in relation."""

import math
from typing import Annotated

from annotated_types import Gt

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import AboveMinusOne, Real, RealImage
from lossmeter.core.losses.regression import absolute_error, squared_log_error
from lossmeter.core.stable import count

EPSILON = 2.220446049250313e-16


@loss(
    source="TensorFlow, tf.nn.l2_loss",
    examples=[Example({"predictions": [3.0, 4.0]}, [4.5, 8.0])],
    reduces_as="sum",
)
def l2_penalty(xp: Namespace, predictions: Real) -> Array:
    r"""Half the square of each value, to be summed: a penalty on the size of weights.

    $$ \ell = \tfrac12 t^2, \qquad L = \sum \ell $$

    Args:
        predictions: Values t, shape ``(...)``, any unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, unit ``u**2``.
    """
    return 0.5 * xp.square(predictions)


@loss(
    source="Armstrong (1985), Long-Range Forecasting, 2nd ed.; ISBN 978-0-471-82260-8",
    names=("smape",),
    examples=[
        Example({"predictions": 3.0, "targets": 2.0}, 0.4),
        Example({"predictions": -1.0, "targets": 2.0}, 2.0),
        Example({"predictions": 0.0, "targets": 0.0}, 0.0),
    ],
)
def symmetric_mean_absolute_percentage_error(
    xp: Namespace,
    predictions: Real,
    targets: Real,
    *,
    epsilon: Annotated[float, Gt(0)] = EPSILON,
) -> Array:
    r"""Size of the error relative to the mean size of prediction and target, from 0 to 2.

    $$ \ell = \frac{2\,|p - y|}{\max(|y| + |p|, \varepsilon)} $$

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.
        epsilon: Floor of the denominator, unit ``u``.

    Returns:
        One loss per element, shape ``(...)``, dimensionless.
    """
    sizes = xp.maximum(xp.abs(targets) + xp.abs(predictions), epsilon)
    return 2.0 * (xp.abs(predictions - targets) / sizes)


@loss(
    source="TorchMetrics, torchmetrics.functional.weighted_mean_absolute_percentage_error",
    names=("wmape",),
    examples=[Example({"predictions": [3.0, 1.0], "targets": [2.0, 4.0]}, [1.0, 3.0])],
    reduces_as="ratio",
)
def weighted_mean_absolute_percentage_error(
    xp: Namespace,
    predictions: Real,
    targets: Real,
    *,
    epsilon: Annotated[float, Gt(0)] = EPSILON,
) -> Array:
    r"""Sum of the errors relative to the sum of the targets, both by size.

    $$ \ell = |p - y|, \qquad L = \frac{\sum w\,|p - y|}{\max(\sum w\,|y|, \varepsilon)} $$

    It is a ratio of sums, never a mean of ratios, so that batches merge exactly.

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.
        epsilon: Floor of the sum of the targets, unit ``u``.

    Returns:
        The absolute error per element, shape ``(...)``, unit ``u``; its sum is divided.
    """
    del epsilon  # the ratio has it, and no single value
    return absolute_error(xp, predictions, targets)


@loss(
    source="scikit-learn, sklearn.metrics.root_mean_squared_log_error",
    names=("rmsle",),
    examples=[Example({"predictions": [math.e - 1.0, 3.0], "targets": [0.0, 3.0]}, [1.0, 0.0])],
    reduces_as="root",
)
def root_mean_squared_log_error(
    xp: Namespace, predictions: AboveMinusOne, targets: AboveMinusOne
) -> Array:
    r"""Root of the mean square of the error of the logarithms.

    $$ \ell = \left(\ln(1 + p) - \ln(1 + y)\right)^2, \qquad
       L = \sqrt{\frac{\sum w \ell}{\sum w}} $$

    Args:
        predictions: Predicted values, shape ``(...)``, dimensionless.
        targets: Observed values, shape ``(...)``, dimensionless.

    Returns:
        The squared log error per element, shape ``(...)``, dimensionless; its mean has the root
        taken.
    """
    return squared_log_error(xp, predictions, targets)


@loss(
    source="scikit-learn, sklearn.metrics.median_absolute_error",
    examples=[Example({"predictions": [1.0, 2.0], "targets": [0.0, 4.0]}, [1.0, 2.0])],
    reduces_as="median",
)
def median_absolute_error(xp: Namespace, predictions: Real, targets: Real) -> Array:
    r"""Median size of the errors, which outliers do not move.

    $$ \ell = |p - y|, \qquad L = \operatorname{median} \ell $$

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.

    Returns:
        The absolute error per element, shape ``(...)``, unit ``u``; their median is the loss.
    """
    return absolute_error(xp, predictions, targets)


@loss(
    source="scikit-learn, sklearn.metrics.max_error",
    examples=[Example({"predictions": [1.0, 2.0], "targets": [0.0, 4.0]}, [1.0, 2.0])],
    reduces_as="max",
)
def max_error(xp: Namespace, predictions: Real, targets: Real) -> Array:
    r"""Size of the worst error.

    $$ \ell = |p - y|, \qquad L = \max \ell $$

    Args:
        predictions: Predicted values, shape ``(...)``, any unit ``u``.
        targets: Observed values, shape ``(...)``, unit ``u``.

    Returns:
        The absolute error per element, shape ``(...)``, unit ``u``; the greatest is the loss.
    """
    return absolute_error(xp, predictions, targets)


@loss(
    source="TensorFlow, tf.compat.v1.losses.mean_pairwise_squared_error",
    examples=[
        Example({"predictions": [[1.0, 2.0, 4.0]], "targets": [[0.0, 0.0, 0.0]]}, [14.0 / 3.0]),
        Example({"predictions": [[5.0, 6.0]], "targets": [[1.0, 2.0]]}, [0.0]),
    ],
)
def mean_pairwise_squared_error(
    xp: Namespace,
    predictions: RealImage,
    targets: RealImage,
    *,
    elements: Annotated[int | None, Guard()] = None,
) -> Array:
    r"""Mean squared difference of the errors of two elements of a sample, over all pairs.

    $$ \ell = \frac{2}{n - 1} \sum_i (e_i - \bar e)^2, \qquad e = p - y $$

    An error common to all elements costs nothing. A sample of one element has no pair and NaN.

    Args:
        predictions: Predicted values, shape ``(N, ...)``, any unit ``u``.
        targets: Observed values, shape ``(N, ...)``, unit ``u``.
        elements: Stands for the number of a sample's elements in both divisors, in a framework
            that counts those of the whole batch.

    Returns:
        One loss per sample, shape ``(N,)``, unit ``u**2``.
    """
    errors = predictions - targets
    size = count(xp, errors)
    total = xp.sum(errors, axis=-1, keepdims=True)
    # Centred first: the difference of two sums of squares cancels.
    squares = xp.sum(xp.square(errors - total / size), axis=-1)
    if elements is None:
        return 2.0 * squares / (size - 1)
    apart = xp.square(xp.squeeze(total, axis=-1)) * (1.0 / size - 1.0 / elements)
    return 2.0 * (squares + apart) / (elements - 1)
