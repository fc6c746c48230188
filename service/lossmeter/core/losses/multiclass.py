"""Losses of one class out of several; the class axis is last and used up."""

import math
from typing import Annotated

from annotated_types import Ge, Le

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, PerClass, loss
from lossmeter.core.domains import (
    ClassIndex,
    ClassIndexRow,
    ClassLogits,
    ClassLogProbability,
    ClassWeights,
    Distribution,
    FeatureRow,
)
from lossmeter.core.stable import count, log_softmax, pick, smooth, xlogy

ClassFactor = Annotated[list[float] | None, Guard(), PerClass()]
GOOD_1952 = "Good (1952), J. R. Stat. Soc. B 14(1); doi:10.1111/j.2517-6161.1952.tb00104.x"


@loss(
    source=GOOD_1952,
    names=("categorical_crossentropy",),
    examples=[
        Example({"predictions": [0.25, 0.75], "targets": [0.0, 1.0]}, -math.log(0.75)),
        Example({"predictions": [0.0, 1.0], "targets": [0.0, 1.0]}, 0.0),
    ],
    weighs_classes=True,
)
def categorical_cross_entropy(
    xp: Namespace,
    predictions: Distribution,
    targets: Distribution,
    *,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Array:
    r"""Cross-entropy of predicted class probabilities.

    $$ \ell = -\sum_c y_c \ln p_c, \qquad 0 \ln 0 = 0 $$

    Nothing is clipped and nothing rescaled.

    Args:
        predictions: Class probabilities, shape ``(..., C)``, dimensionless.
        targets: One-hot labels or class probabilities, shape ``(..., C)``, dimensionless.
        label_smoothing: Targets become y(1 − s) + s/C.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    targets = smooth(xp, targets, label_smoothing, count(xp, predictions))
    return -xp.sum(xlogy(xp, targets, xp.log(predictions)), axis=-1)


@loss(
    source=GOOD_1952,
    examples=[
        Example({"predictions": [0.0, 0.0], "targets": [0.0, 1.0]}, math.log(2.0)),
        Example({"predictions": [1000.0, 0.0], "targets": [0.0, 1.0]}, 1000.0),
    ],
    weighs_classes=True,
)
def softmax_cross_entropy(
    xp: Namespace,
    predictions: ClassLogits,
    targets: Distribution,
    *,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
    class_factor: ClassFactor = None,
) -> Array:
    r"""Cross-entropy of class probabilities given as logits.

    $$ \ell = -\sum_c y_c \left(x_c - \ln\sum_k e^{x_k}\right) $$

    Args:
        predictions: Logits, shape ``(..., C)``, dimensionless.
        targets: One-hot labels or class probabilities, shape ``(..., C)``, dimensionless.
        label_smoothing: Targets become y(1 − s) + s/C.
        class_factor: Factor on the term of each class, in a framework that has one.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    targets = smooth(xp, targets, label_smoothing, count(xp, predictions))
    if class_factor is not None:
        targets = targets * class_factor
    return -xp.sum(targets * log_softmax(xp, predictions), axis=-1)


@loss(
    source=GOOD_1952,
    names=("sparse_categorical_crossentropy",),
    examples=[
        Example({"predictions": [0.25, 0.75], "targets": 1}, -math.log(0.75)),
        Example({"predictions": [0.0, 1.0], "targets": 1}, 0.0),
    ],
    weighs_classes=True,
)
def sparse_categorical_cross_entropy(
    xp: Namespace,
    predictions: Distribution,
    targets: ClassIndex,
    *,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Array:
    r"""Cross-entropy of predicted class probabilities, the target given as a class index.

    $$ \ell = -\ln p_y $$

    Args:
        predictions: Class probabilities, shape ``(..., C)``, dimensionless.
        targets: Class indices, shape ``(...)``.
        label_smoothing: Share of the target spread evenly over the classes.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    return _of_index(xp, xp.log(predictions), targets, label_smoothing, None)


@loss(
    source=GOOD_1952,
    names=("cross_entropy_with_integer_labels",),
    examples=[
        Example({"predictions": [0.0, 0.0], "targets": 1}, math.log(2.0)),
        Example({"predictions": [1000.0, 0.0], "targets": 1}, 1000.0),
        Example({"predictions": [2.0, 1.0, 0.0], "targets": 0}, 0.4076059644443803),
    ],
    weighs_classes=True,
)
def sparse_softmax_cross_entropy(
    xp: Namespace,
    predictions: ClassLogits,
    targets: ClassIndex,
    *,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
    class_factor: ClassFactor = None,
) -> Array:
    r"""Cross-entropy of class probabilities given as logits, the target as a class index.

    $$ \ell = \ln\sum_c e^{x_c} - x_y $$

    Args:
        predictions: Logits, shape ``(..., C)``, dimensionless.
        targets: Class indices, shape ``(...)``.
        label_smoothing: Share of the target spread evenly over the classes.
        class_factor: Factor on the term of each class, in a framework that has one.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    if label_smoothing == 0.0 and class_factor is None:
        shifted = predictions - xp.max(predictions, axis=-1, keepdims=True)
        return xp.log(xp.sum(xp.exp(shifted), axis=-1)) - pick(xp, shifted, targets)
    return _of_index(xp, log_softmax(xp, predictions), targets, label_smoothing, class_factor)


@loss(
    source="Optax, optax.losses.safe_softmax_cross_entropy",
    examples=[
        Example({"predictions": [0.0, 0.0], "targets": [0.0, 1.0]}, math.log(2.0)),
        Example({"predictions": [0.0, -math.inf], "targets": [1.0, 0.0]}, 0.0),
    ],
    weighs_classes=True,
)
def safe_softmax_cross_entropy(
    xp: Namespace,
    predictions: ClassLogits,
    targets: Distribution,
    *,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Array:
    r"""Cross-entropy of logits of which some may be −∞, where the target is 0.

    $$ \ell = -\sum_{y_c \ne 0} y_c \left(x_c - \ln\sum_k e^{x_k}\right) $$

    Args:
        predictions: Logits, shape ``(..., C)``, dimensionless.
        targets: One-hot labels or class probabilities, shape ``(..., C)``, dimensionless.
        label_smoothing: Targets become y(1 − s) + s/C.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    targets = smooth(xp, targets, label_smoothing, count(xp, predictions))
    return -xp.sum(xlogy(xp, targets, log_softmax(xp, predictions)), axis=-1)


@loss(
    source=GOOD_1952,
    names=("nll", "nll_loss"),
    examples=[Example({"predictions": [-0.25, -1.5], "targets": 1}, 1.5)],
    weighs_classes=True,
)
def negative_log_likelihood(
    xp: Namespace,
    predictions: ClassLogProbability,
    targets: ClassIndex,
    *,
    class_factor: ClassFactor = None,
) -> Array:
    r"""Negative logarithm of the probability of the right class, given as logarithms.

    $$ \ell = -x_y $$

    Args:
        predictions: Logarithms of class probabilities, shape ``(..., C)``, nats.
        targets: Class indices, shape ``(...)``.
        class_factor: Factor on the term of each class, in a framework that has one.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    return _of_index(xp, predictions, targets, 0.0, class_factor)


@loss(
    source="scikit-learn, sklearn.metrics.log_loss",
    examples=[
        Example({"predictions": [0.25, 0.75], "targets": 1}, -math.log(0.75)),
        Example({"predictions": [0.0, 1.0], "targets": 1}, 0.0),
    ],
    weighs_classes=True,
    ignores_classes=False,
)
def multiclass_log_loss(xp: Namespace, predictions: Distribution, targets: ClassIndex) -> Array:
    r"""Negative logarithm of the probability of the right class.

    $$ \ell = -\ln p_y $$

    Args:
        predictions: Class probabilities, shape ``(..., C)``, dimensionless.
        targets: Class indices, shape ``(...)``.

    Returns:
        One loss per sample, shape ``(...)``, nats.
    """
    return -xp.log(pick(xp, predictions, targets))


@loss(
    source="PyTorch, torch.nn.functional.linear_cross_entropy",
    examples=[
        Example(
            {
                "predictions": [[1.0, 0.0], [1000.0, 0.0]],
                "weight_scores": [[1.0, 5.0], [1.0, -5.0], [0.0, 0.0]],
                "targets": [0, 2],
            },
            [math.log(2.0 + math.exp(-1.0)), 1000.0 + math.log(2.0)],
        )
    ],
    weighs_classes=True,
)
def linear_cross_entropy(
    xp: Namespace,
    predictions: FeatureRow,
    weight_scores: ClassWeights,
    targets: ClassIndexRow,
    *,
    label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
    class_factor: ClassFactor = None,
) -> Array:
    r"""Cross-entropy of logits that are a linear map of features.

    $$ \ell = \ln\sum_c e^{z_c} - z_y, \qquad z = W x $$

    The logits are those of one block of samples at a time.

    Args:
        predictions: Features, shape ``(N, F)``, any unit ``u``.
        weight_scores: The map to logits, shape ``(C, F)``, unit ``1/u``.
        targets: Class indices, shape ``(N,)``.
        label_smoothing: Share of the target spread evenly over the classes.
        class_factor: Factor on the term of each class, in a framework that has one.

    Returns:
        One loss per sample, shape ``(N,)``, nats.
    """
    # A product for each sample: those of several at once round by how many there are.
    columns = xp.expand_dims(xp.matrix_transpose(weight_scores), axis=0)
    logits = xp.matmul(xp.expand_dims(predictions, axis=1), columns)
    logits = xp.squeeze(logits, axis=1)
    return sparse_softmax_cross_entropy(
        xp, logits, targets, label_smoothing=label_smoothing, class_factor=class_factor
    )


def _of_index(
    xp: Namespace, log_p: Array, targets: Array, label_smoothing: float, class_factor: Array
) -> Array:
    """−ln p_y, smoothed and weighed: (1 − s)·w_y·(−ln p_y) + (s/C)·Σ_c w_c·(−ln p_c)."""
    terms = -log_p if class_factor is None else -log_p * class_factor
    chosen = pick(xp, terms, targets)
    if label_smoothing == 0.0:
        return chosen
    spread = xp.sum(terms, axis=-1) / count(xp, log_p)
    if label_smoothing == 1.0:
        return spread
    return (1.0 - label_smoothing) * chosen + label_smoothing * spread
