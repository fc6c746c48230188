"""Losses of labels that are right or wrong, and of probabilities by their square."""

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, loss
from lossmeter.core.domains import BinaryOrClassProbability, ClassIndex, LabelRow
from lossmeter.core.stable import fixed_size, is_class

FEW = 3


@loss(
    source="Brier (1950), Mon. Weather Rev. 78(1); "
    "doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    names=("brier", "brier_score_loss"),
    examples=[
        Example({"predictions": [0.5, 0.25], "targets": [1, 0]}, [0.25, 0.0625]),
        Example({"predictions": 0.5, "targets": 1}, 0.5, {"scale_by_half": False}),
        Example({"predictions": [0.5, 0.25, 0.25], "targets": 0}, 0.375),
        Example({"predictions": [0.5, 0.25, 0.25], "targets": 0}, 0.1875, {"scale_by_half": True}),
    ],
    weighs_classes=True,
    ignores_classes=False,
    output="per_sample",
)
def brier_score(
    xp: Namespace,
    predictions: BinaryOrClassProbability,
    targets: ClassIndex,
    *,
    scale_by_half: bool | None = None,
) -> Array:
    r"""Squared distance of predicted probabilities from what came true.

    $$ \ell = \sum_c ([y = c] - p_c)^2 $$

    Of one probability, that of class 1, both classes' terms are equal; halved, it is (p − y)².

    Args:
        predictions: Probabilities of class 1, shape ``(...)``, or of each class, ``(..., C)``.
        targets: Class indices, shape ``(...)``.
        scale_by_half: Whether the sum is halved; none halves it below 3 classes.

    Returns:
        One loss per sample, shape ``(...)``, dimensionless.
    """
    if predictions.ndim == targets.ndim:
        total = 2.0 * xp.square(xp.where(targets == 1, predictions - 1.0, predictions))
        few = True
    else:
        true = is_class(xp, predictions, targets)
        total = xp.sum(xp.square(xp.where(true, predictions - 1.0, predictions)), axis=-1)
        few = scale_by_half is None and fixed_size(predictions, -1) < FEW
    halved = few if scale_by_half is None else scale_by_half
    return 0.5 * total if halved else total


@loss(
    source="scikit-learn, sklearn.metrics.zero_one_loss",
    names=("zero_one_loss",),
    examples=[
        Example({"predictions": [1, 2], "targets": [1, 3]}, [0.0, 1.0]),
        Example({"predictions": [[0, 1], [1, 1]], "targets": [[0, 0], [1, 1]]}, [1.0, 0.0]),
    ],
    weighs_classes=True,
    output="per_sample",
)
def zero_one(xp: Namespace, predictions: LabelRow, targets: LabelRow) -> Array:
    r"""Whether a label is wrong, or any label of a row.

    $$ \ell = [p \ne y] $$

    Args:
        predictions: Predicted labels, shape ``(N,)``, or rows of them, ``(N, C)``.
        targets: True labels, shape of the predictions.

    Returns:
        One loss per sample, shape ``(N,)``, dimensionless.
    """
    wrong = predictions != targets
    return xp.astype(wrong if wrong.ndim < 2 else xp.any(wrong, axis=-1), xp.float32)


@loss(
    source="Hamming (1950), Bell Syst. Tech. J. 29(2); doi:10.1002/j.1538-7305.1950.tb00463.x",
    names=("hamming_loss",),
    examples=[Example({"predictions": [1, 2], "targets": [1, 3]}, [0.0, 1.0])],
    output="elementwise",
)
def hamming(xp: Namespace, predictions: LabelRow, targets: LabelRow) -> Array:
    r"""Whether a label is wrong, each label of a row by itself.

    $$ \ell = [p \ne y] $$

    Args:
        predictions: Predicted labels, shape ``(N,)``, or rows of them, ``(N, C)``.
        targets: True labels, shape of the predictions.

    Returns:
        One loss per label, shape of the predictions, dimensionless.
    """
    return xp.astype(predictions != targets, xp.float32)
