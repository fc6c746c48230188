"""What other frameworks say of the data of a request, and why."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.integration.explainable import (
    COUNTRY,
    CTC,
    KEEP,
    LABELS,
    LOGITS,
    MAPS,
    ODD,
    OF_CLASSES,
    PIXELS,
    SUMS_TO_ONE,
    P,
    W,
    X,
    Y,
    request,
)
from tests.integration.explanations import floats, in_process
from tests.integration.forms import Request
from tests.integration.wires import in_process as evaluated

# The same data as each framework is asked for them by hand: symbol, parameters, other inputs.
Hand = tuple[str, Mapping[str, Any], Mapping[str, Any]]
ONE_HOT = np.eye(3)[LABELS]
COLUMN = {"sample_weight": W[:, None]}
WEIGHT: dict[str, Any] = {"sample_weight": W}
SIGNS = {"targets": 2.0 * Y - 1.0}
SWAPPED = {"predictions": CTC["predictions"].swapaxes(0, 1)}
TF1, TF = "tf.compat.v1.losses", "tf.nn"
LOGIT_SMOOTHED = {"from_logits": True, "label_smoothing": 0.1}
SMOOTHED, CLASS_WEIGHT = {"label_smoothing": 0.1}, {"class_weight": [1.0, 2.0, 3.0]}
HAND: Mapping[str, tuple[Request, list[Hand]]] = {
    "squared errors": (
        request("squared_error", predictions=X, targets=Y, **WEIGHT),
        [
            ("keras.losses.MeanSquaredError", {}, {}),
            ("torch.nn.MSELoss", {}, {}),
            (f"{TF1}.mean_squared_error", {}, COLUMN),
            ("optax.losses.squared_error", {}, {}),
            ("sklearn.metrics.mean_squared_error", {}, {}),
            ("torchmetrics.functional.mean_squared_error", {}, {}),
        ],
    ),
    "errors of one axis, which Keras averages": (
        request("keras.losses.MeanSquaredError", predictions=X[:, 0], targets=P[:, 0], **WEIGHT),
        [
            ("squared_error", {}, {}),
            ("torch.nn.MSELoss", {}, {}),
            (f"{TF1}.mean_squared_error", {}, {}),
            ("sklearn.metrics.mean_squared_error", {}, {}),
        ],
    ),
    "weights with an axis of 1": (
        request("keras.losses.MeanAbsoluteError", predictions=X, targets=Y, **COLUMN),
        [("torch.nn.L1Loss", {}, WEIGHT), ("sklearn.metrics.mean_absolute_error", {}, WEIGHT)],
    ),
    "absolute errors": (
        request("absolute_error", predictions=X, targets=Y, **WEIGHT),
        [
            ("keras.losses.MeanAbsoluteError", {}, {}),
            ("torch.nn.L1Loss", {}, {}),
            (f"{TF1}.absolute_difference", {}, COLUMN),
            ("sklearn.metrics.mean_absolute_error", {}, {}),
        ],
    ),
    "Huber": (
        request("huber", predictions=X, targets=Y, **WEIGHT, params={"delta": 0.7}),
        [
            ("keras.losses.Huber", {"delta": 0.7}, {}),
            ("torch.nn.HuberLoss", {"delta": 0.7}, {}),
            (f"{TF1}.huber_loss", {"delta": 0.7}, COLUMN),
            ("optax.losses.huber_loss", {"delta": 0.7}, {}),
        ],
    ),
    "logarithmic errors": (
        request("squared_log_error", predictions=P, targets=Y),
        [
            ("keras.losses.MeanSquaredLogarithmicError", {}, {}),
            ("sklearn.metrics.mean_squared_log_error", {}, {}),
            ("torchmetrics.functional.mean_squared_log_error", {}, {}),
        ],
    ),
    "percentages": (
        request("mean_absolute_percentage_error", predictions=X, targets=P),
        [
            ("keras.losses.MeanAbsolutePercentageError", {}, {}),
            ("sklearn.metrics.mean_absolute_percentage_error", {}, {}),
            ("torchmetrics.functional.mean_absolute_percentage_error", {}, {}),
        ],
    ),
    "logarithms of cosh": (
        request("log_cosh", predictions=X, targets=Y),
        [
            ("keras.losses.LogCosh", {}, {}),
            ("optax.losses.log_cosh", {}, {}),
            ("torchmetrics.functional.log_cosh_error", {}, {}),
        ],
    ),
    "Poisson": (
        request("poisson_nll", predictions=P, targets=Y, params={"log_input": False}),
        [
            ("keras.losses.Poisson", {}, {}),
            ("torch.nn.PoissonNLLLoss", {"log_input": False}, {}),
            (f"{TF}.log_poisson_loss", {}, {}),
        ],
    ),
    "probabilities": (
        request("binary_cross_entropy", predictions=P[:, :1], targets=Y[:, :1], **WEIGHT),
        [
            ("keras.losses.BinaryCrossentropy", {}, {}),
            ("torch.nn.BCELoss", {}, {}),
            (f"{TF1}.log_loss", {}, COLUMN),
        ],
    ),
    "probabilities of one axis": (
        request("binary_cross_entropy", predictions=P[:, 0], targets=np.array([0.0, 1, 1, 0])),
        [
            ("sklearn.metrics.log_loss", {}, {}),
            ("torch.nn.BCELoss", {}, {}),
            (
                "keras.losses.BinaryCrossentropy",
                {},
                {"predictions": P[:, :1], "targets": np.array([[0.0], [1], [1], [0]])},
            ),
        ],
    ),
    "logits": (
        request("binary_cross_entropy_with_logits", predictions=X, targets=Y, params=SMOOTHED),
        [
            ("keras.losses.BinaryCrossentropy", LOGIT_SMOOTHED, {}),
            ("torch.nn.BCEWithLogitsLoss", {}, {}),
            (f"{TF1}.sigmoid_cross_entropy", SMOOTHED, {}),
            (f"{TF}.sigmoid_cross_entropy_with_logits", {}, {}),
            ("optax.losses.sigmoid_binary_cross_entropy", {}, {}),
        ],
    ),
    "logits of classes": (
        request("softmax_cross_entropy", predictions=X, targets=ONE_HOT, params=SMOOTHED),
        [
            ("keras.losses.CategoricalCrossentropy", LOGIT_SMOOTHED, {}),
            ("torch.nn.CrossEntropyLoss", SMOOTHED, {}),
            (f"{TF1}.softmax_cross_entropy", SMOOTHED, {}),
            (f"{TF}.softmax_cross_entropy_with_logits", {}, {}),
            ("optax.losses.softmax_cross_entropy", {}, {}),
        ],
    ),
    "class indices": (
        request("sparse_softmax_cross_entropy", **OF_CLASSES, params=CLASS_WEIGHT),
        [
            ("keras.losses.SparseCategoricalCrossentropy", LOGITS | CLASS_WEIGHT, {}),
            ("torch.nn.CrossEntropyLoss", {"weight": [1.0, 2.0, 3.0]}, {}),
            ("ai.onnx.SoftmaxCrossEntropyLoss", {"weights": [1.0, 2.0, 3.0]}, {}),
            (f"{TF1}.sparse_softmax_cross_entropy", CLASS_WEIGHT, {}),
            (f"{TF}.sparse_softmax_cross_entropy_with_logits", CLASS_WEIGHT, {}),
            ("optax.losses.softmax_cross_entropy_with_integer_labels", CLASS_WEIGHT, {}),
        ],
    ),
    "classes on axis 1": (
        request("torch.nn.CrossEntropyLoss", predictions=PIXELS, targets=np.ones((2, 5), int)),
        [
            (
                "keras.losses.SparseCategoricalCrossentropy",
                LOGITS,
                {"predictions": PIXELS.swapaxes(1, 2)},
            ),
            (
                "optax.losses.softmax_cross_entropy_with_integer_labels",
                {},
                {"predictions": PIXELS.swapaxes(1, 2)},
            ),
            ("ai.onnx.SoftmaxCrossEntropyLoss", {}, {}),
        ],
    ),
    "divergences": (
        request("kl_divergence", predictions=SUMS_TO_ONE, targets=SUMS_TO_ONE[::-1]),
        [
            ("keras.losses.KLDivergence", {}, {}),
            ("torchmetrics.functional.kl_divergence", {}, {}),
        ],
    ),
    "cosines": (
        request("cosine_similarity_loss", predictions=X, targets=P),
        [
            ("keras.losses.CosineSimilarity", {}, {}),
            ("optax.losses.cosine_similarity", {}, {}),
            ("torchmetrics.functional.cosine_similarity", {}, {}),
        ],
    ),
    "hinges": (
        request("hinge", predictions=X, targets=Y),
        [
            ("keras.losses.Hinge", {}, {}),
            (f"{TF1}.hinge_loss", {}, {}),
            ("optax.losses.hinge_loss", {}, SIGNS),
            ("torchmetrics.functional.hinge_loss", {"task": "binary"}, {}),
        ],
    ),
    "hinges of signs": (
        request("keras.losses.Hinge", predictions=X, **SIGNS),
        [("optax.losses.hinge_loss", {}, {}), (f"{TF1}.hinge_loss", {}, {"targets": Y})],
    ),
    "hinges of classes": (
        request("crammer_singer_hinge", **OF_CLASSES),
        [
            ("sklearn.metrics.hinge_loss", {}, {}),
            ("optax.losses.multiclass_hinge_loss", {}, {}),
            ("torchmetrics.functional.hinge_loss", {"task": "multiclass", "num_classes": 3}, {}),
        ],
    ),
    "focal losses": (
        request("sigmoid_focal", predictions=X, targets=Y, params={"gamma": 1.5}),
        [
            ("keras.losses.BinaryFocalCrossentropy", LOGITS | {"gamma": 1.5}, {}),
            ("optax.losses.sigmoid_focal_loss", {"gamma": 1.5}, {}),
            ("torchvision.ops.sigmoid_focal_loss", {"gamma": 1.5}, {}),
        ],
    ),
    "Dice": (
        request("dice", predictions=MAPS, targets=(MAPS > 0.5) * 1.0),
        [("keras.losses.Dice", {}, {})],
    ),
    "CTC": (
        request("ctc", **CTC),
        [
            ("torch.nn.CTCLoss", {}, SWAPPED),
            (f"{TF}.ctc_loss", {}, SWAPPED),
            ("optax.losses.ctc_loss", {}, {}),
        ],
    ),
}


@pytest.mark.parametrize(("asked", "by_hand"), HAND.values(), ids=HAND)
def test_another_framework_gives_what_it_gives_by_hand(asked: Request, by_hand: list[Hand]) -> None:
    found = {opinion["symbol"]: opinion for opinion in in_process(None, asked).dialects}
    for symbol, params, inputs in by_hand:
        value = _by_hand({**asked["inputs"], **inputs}, symbol, params)
        told = floats(found[symbol]["value"])
        np.testing.assert_allclose(told, value, rtol=1e-12, err_msg=symbol)


def _by_hand(inputs: Mapping[str, Any], symbol: str, params: Mapping[str, Any]) -> Any:
    """What a symbol gives, or its mean where it reduces nothing."""
    own = {"loss": symbol, "params": params, "inputs": inputs}
    value = np.asarray(evaluated(None, own).value)
    return value if not value.ndim else evaluated(None, {**own, "reduction": "mean"}).value


SENTENCES: Mapping[str, tuple[Request, str, list[str]]] = {
    "class weights": (
        request(
            "torch.nn.CrossEntropyLoss",
            predictions=X[:3],
            targets=np.array([0, 1, 1]),
            params={"weight": [1.0, 2.0, 4.0]},
        ),
        "keras.losses.SparseCategoricalCrossentropy",
        ["torch divides by Σ of class weights = 5, keras by the number of loss values = 3"],
    ),
    "weights that are 0": (
        request("keras.losses.MeanSquaredError", predictions=X, targets=Y, **WEIGHT),
        f"{TF1}.mean_squared_error",
        [
            "keras divides by the number of loss values = 4, each a mean of 3, tensorflow by the "
            "number of weights that are not 0 = 9",
            "keras computes in float64, tensorflow in float32",
        ],
    ),
    "an average before a sum": (
        request("keras.losses.MeanSquaredError", "sum", predictions=X, targets=Y),
        "torch.nn.MSELoss",
        ["keras averages the last axis first, 3 values each, torch does not"],
    ),
    "an average before a mean is none": (
        request("keras.losses.MeanSquaredError", predictions=X, targets=Y),
        "torch.nn.MSELoss",
        [],
    ),
    "loss values repeated under weights": (
        request("keras.losses.MeanSquaredError", predictions=X[:, 0], targets=P[:, 0], **WEIGHT),
        "torch.nn.MSELoss",
        [
            "keras averages to fewer loss values than there are weights, and repeats them, torch "
            "does not"
        ],
    ),
    "clips": (
        request(
            "sklearn.metrics.log_loss", predictions=np.array([0.0, 1.0, 0.5]), targets=[1, 1, 0]
        ),
        "keras.losses.BinaryCrossentropy",
        [
            "sklearn clips predictions to [ε, 1 − ε], ε that of the computing dtype, 2.22e-16, "
            "keras clips predictions to [1e-07, 1 − 1e-07]"
        ],
    ),
    "a clip without an effect": (
        request("keras.losses.BinaryCrossentropy", predictions=P, targets=Y),
        "torch.nn.BCELoss",
        [],
    ),
    "nothing kept": (
        ODD["nothing kept"],
        "torch.nn.HuberLoss",
        ["nothing is kept, and the mean of nothing is 0 in keras and nan in torch"],
    ),
    "a parameter that is lacking": (
        ODD["pos_weight of a list"],
        "keras.losses.BinaryCrossentropy",
        ["pos_weight is [1, 2, 3] in the canonical loss, and keras has none"],
    ),
    "another scale": (
        request("keras.losses.MeanAbsolutePercentageError", predictions=X, targets=P),
        "sklearn.metrics.mean_absolute_percentage_error",
        ["scale is 100 in keras and 1 in sklearn"],
    ),
    "what is masked": (
        request("torch.nn.MSELoss", "none", predictions=X, targets=Y, mask=KEEP),
        "squared_error",
        ["where masked torch gives 0, the canonical loss no value"],
    ),
    "weights along another axis": (
        ODD["weights along another axis"],
        "torch.nn.MSELoss",
        [
            "weights meet loss values of shape [2, 2] from the last axis in keras, and of shape "
            "[2, 2, 1] from the first axis in torch"
        ],
    ),
    "labels that are no signs": (
        request("optax.hinge_loss", "mean", predictions=X, targets=Y),
        f"{TF1}.hinge_loss",
        [
            "optax takes labels −1 and +1, tensorflow does not",
            "optax computes in float64, tensorflow in float32",
        ],
    ),
    "a refusal": (
        ODD["weights of elements"],
        "keras.losses.BinaryCrossentropy",
        [
            "keras refuses this data: sample_weight has shape [4, 3], which Keras cannot "
            "broadcast to the loss values' shape [4]"
        ],
    ),
    "a group": (
        request(
            "sklearn.metrics.mean_squared_error",
            {"name": "weighted_mean", "by": "country"},
            predictions=X[:, 0],
            targets=P[:, 0],
            sample_weight=W,
            country=COUNTRY,
        ),
        "torch.nn.MSELoss",
        ["in group de sklearn divides by 0.5 for weighted_mean, torch by 2 for mean"],
    ),
}


@pytest.mark.parametrize(("asked", "symbol", "why"), SENTENCES.values(), ids=SENTENCES)
def test_why_another_framework_differs(asked: Request, symbol: str, why: list[str]) -> None:
    found = {opinion["symbol"]: opinion["why"] for opinion in in_process(None, asked).dialects}
    assert found[symbol] == why
