"""Requests to explain: every reduction, and whatever else is odd."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.integration.forms import Request

NAN, INF = float("nan"), float("inf")
RNG = np.random.default_rng(7)
P = RNG.uniform(0.05, 0.95, (4, 3))
X = 3.0 * RNG.normal(size=(4, 3))
Y = RNG.integers(0, 2, (4, 3)).astype(np.float64)
SUMS_TO_ONE = P / P.sum(axis=1, keepdims=True)
LABELS = np.array([0, 2, 1, 1])
W, KEEP = np.array([0.5, 2.0, 0.0, 1.0]), np.array([True, True, False, True])


def request(loss: str, /, reduction: Any = None, **given: Any) -> dict[str, Any]:
    """A request: parameters, options and inputs by keyword."""
    made: dict[str, Any] = {"loss": loss}
    made |= {name: given.pop(name) for name in ("params", "options") if name in given}
    made |= {} if reduction is None else {"reduction": reduction}
    return {**made, "inputs": given}


CTC: dict[str, Any] = {
    "predictions": np.log(np.full((2, 5, 4), 0.25)),
    "targets": np.array([[1, 2, 3], [2, 2, 0]]),
    "input_lengths": np.array([5, 4]),
    "target_lengths": np.array([3, 2]),
}
BOXES = np.array([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 2.0]])
PIXELS = RNG.normal(size=(2, 3, 5))
MAPS = RNG.uniform(0.05, 0.95, (2, 4, 4, 2))
GROUPED: dict[str, Any] = {"name": "mean", "by": "country"}
COUNTRY = np.array(["de", "fr", "de", "fr"])
WEIGHED: dict[str, Any] = {"sample_weight": W, "mask": KEEP}
MSE: dict[str, Any] = {"predictions": X, "targets": Y, **WEIGHED}
OF_CLASSES: dict[str, Any] = {"predictions": X, "targets": LABELS}
REDUCTIONS: tuple[Any, ...] = (
    *("none", "sum", "mean", "weighted_mean", "nonzero_mean", "batch_mean", "keras2", "rms"),
    *("min", "max", "median", "variance", "std", "logsumexp", "geometric_mean"),
    *("harmonic_mean", "exp_mean"),
    {"name": "quantile", "q": 0.9},
    {"name": "cvar", "alpha": 0.5},
    {"name": "mean", "divisor": 7.0},
    {"name": "mean", "axis": [0]},
)
ODD: Mapping[str, Request] = {
    **{
        f"{loss}, {json.dumps(reduction)}": request(loss, reduction, **MSE)
        for loss in ("squared_error", "keras.losses.MeanSquaredError", "torch.nn.L1Loss")
        for reduction in REDUCTIONS
    },
    **{
        f"{loss} by group, {name}": request(loss, {"name": name, "by": "country"}, **given)
        for loss in ("huber", "keras.losses.Huber", "torch.nn.HuberLoss")
        for name in ("mean", "weighted_mean", "max", "macro_mean", "rms")
        for given in [{**MSE, "country": COUNTRY}]
    },
    "nothing kept": request("keras.losses.Huber", **{**MSE, "mask": np.zeros(4, bool)}),
    "nothing kept of classes": request(
        "torch.nn.CrossEntropyLoss", **{**OF_CLASSES, "mask": ~KEEP & KEEP}
    ),
    "nothing kept, none": request("torch.nn.MSELoss", "none", **{**MSE, "mask": np.zeros(4, bool)}),
    "all weights 0": request("torch.nn.MSELoss", **{**MSE, "sample_weight": np.zeros(4)}),
    "an empty batch": request(
        "keras.losses.MeanSquaredError", predictions=np.zeros((0, 3)), targets=np.zeros((0, 3))
    ),
    "an empty batch of no axis": request(
        "torch.nn.MSELoss", predictions=np.zeros(0), targets=np.zeros(0)
    ),
    "a sum of nothing": request(
        "squared_error", "sum", predictions=np.zeros(0), targets=np.zeros(0)
    ),
    "one number": request("squared_error", predictions=np.array(2.0), targets=np.array(1.0)),
    "NaN": request(
        "keras.losses.MeanSquaredError",
        predictions=np.array([[NAN, 1.0]]),
        targets=np.array([[1.0, 2.0]]),
    ),
    "infinite": request(
        "torch.nn.L1Loss", predictions=np.array([INF, 1.0]), targets=np.array([1.0, 2.0])
    ),
    "not finite, omitted": request(
        "huber",
        predictions=np.array([NAN, 1.0]),
        targets=np.array([1.0, 2.5]),
        options={"nonfinite": "omit"},
    ),
    "float32": request(
        "keras.losses.BinaryCrossentropy",
        predictions=P.astype(np.float32),
        targets=Y.astype(np.float32),
    ),
    "float16": request("log_cosh", predictions=P.astype(np.float16), targets=Y.astype(np.float16)),
    "whole numbers": request("squared_error", predictions=LABELS, targets=LABELS[::-1]),
    "a clip that matters": request(
        "keras.losses.BinaryCrossentropy",
        predictions=np.array([[0.0, 1.0]]),
        targets=np.array([[1.0, 1.0]]),
    ),
    "probabilities past 1": request(
        "keras.losses.BinaryCrossentropy",
        predictions=np.array([[1.5, -0.5]]),
        targets=np.array([[1.0, 0.0]]),
    ),
    "pos_weight of a list": request(
        "binary_cross_entropy_with_logits",
        predictions=X,
        targets=Y,
        params={"pos_weight": [1.0, 2.0, 3.0]},
    ),
    "label smoothing": request(
        "keras.losses.BinaryCrossentropy",
        predictions=X,
        targets=Y,
        params={"from_logits": True, "label_smoothing": 0.1},
    ),
    "smoothing off the last axis": request(
        "keras.losses.CategoricalCrossentropy",
        predictions=X.T,
        targets=Y.T,
        params={"axis": 0, "from_logits": True, "label_smoothing": 0.3},
    ),
    "a temperature": request(
        "softmax_cross_entropy", predictions=X, targets=SUMS_TO_ONE, params={"temperature": 2.0}
    ),
    "class weights of a list": request(
        "sparse_softmax_cross_entropy", **OF_CLASSES, params={"class_weight": [1.0, 2.0, 3.0]}
    ),
    "class weights of a mapping": request(
        "sparse_softmax_cross_entropy",
        **OF_CLASSES,
        params={"class_weight": {"0": 2.0, "1": 0.5, "2": 1.0}},
    ),
    "balanced classes": request(
        "sparse_softmax_cross_entropy",
        "weighted_mean",
        **OF_CLASSES,
        params={"class_weight": "balanced"},
    ),
    "torch's class weights": request(
        "torch.nn.CrossEntropyLoss",
        **OF_CLASSES,
        params={"weight": [1.0, 2.0, 3.0], "label_smoothing": 0.2},
    ),
    "torch's class weights and a sample's": request(
        "torch.nn.CrossEntropyLoss", **OF_CLASSES, **WEIGHED, params={"weight": [1.0, 2.0, 3.0]}
    ),
    "a target left out": request(
        "torch.nn.CrossEntropyLoss", predictions=X, targets=np.array([0, -100, 1, 1])
    ),
    "ignore_index": request(
        "sparse_softmax_cross_entropy", **OF_CLASSES, params={"ignore_index": 1}
    ),
    "ignore_class": request(
        "keras.losses.SparseCategoricalCrossentropy",
        "none",
        **OF_CLASSES,
        params={"ignore_class": 1, "from_logits": True},
    ),
    "classes on axis 1": request(
        "torch.nn.CrossEntropyLoss", predictions=PIXELS, targets=np.zeros((2, 5), int)
    ),
    "soft classes on axis 1": request(
        "torch.nn.CrossEntropyLoss", predictions=PIXELS, targets=np.full((2, 3, 5), 1 / 3)
    ),
    "one sample of classes": request(
        "torch.nn.CrossEntropyLoss", predictions=X[0], targets=np.array(1)
    ),
    "optax's where": request(
        "optax.softmax_cross_entropy",
        "mean",
        predictions=X,
        targets=SUMS_TO_ONE,
        params={"where": [True, True, False]},
    ),
    "a class index below 0": request(
        "optax.softmax_cross_entropy_with_integer_labels",
        "mean",
        predictions=X,
        targets=np.array([-1, 0, 1, 2]),
    ),
    "Dice of optax": request("optax.dice_loss", predictions=MAPS, targets=(MAPS > 0.5) * 1.0),
    "Dice of optax without background": request(
        "optax.dice_loss",
        "mean",
        predictions=MAPS,
        targets=(MAPS > 0.5) * 1.0,
        params={"ignore_background": True, "class_weights": [1.0, 2.0]},
    ),
    "binary Dice of optax": request(
        "optax.binary_dice_loss",
        "mean",
        predictions=MAPS[..., 0],
        targets=(MAPS[..., 0] > 0.5) * 1.0,
    ),
    "Tversky of optax": request(
        "optax.dice_loss",
        "mean",
        predictions=MAPS,
        targets=(MAPS > 0.5) * 1.0,
        params={"alpha": 0.3, "beta": 0.7},
    ),
    "generalized Dice of optax": request(
        "optax.multiclass_generalized_dice_loss", predictions=MAPS, targets=(MAPS > 0.5) * 1.0
    ),
    "generalized Dice": request("generalized_dice", predictions=MAPS, targets=(MAPS > 0.5) * 1.0),
    "Dice of keras": request("keras.losses.Dice", predictions=MAPS, targets=(MAPS > 0.5) * 1.0),
    "Tversky of keras": request(
        "keras.losses.Tversky",
        predictions=MAPS,
        targets=(MAPS > 0.5) * 1.0,
        params={"alpha": 0.3, "beta": 0.7, "axis": [1, 2]},
    ),
    "Dice": request("dice", predictions=MAPS, targets=(MAPS > 0.5) * 1.0),
    "circle of keras": request(
        "keras.losses.Circle",
        predictions=X / np.linalg.norm(X, axis=1, keepdims=True),
        targets=LABELS,
    ),
    "circle": request("circle", predictions=X, targets=LABELS, mask=KEEP),
    "circle of one label": request("circle", predictions=X, targets=np.zeros(4, int)),
    "NT-Xent": request("optax.ntxent", predictions=X, targets=np.array([0, 1, 0, 1])),
    "NT-Xent with nothing kept": request(
        "optax.ntxent",
        "mean",
        predictions=X,
        targets=np.array([0, 1, 0, 1]),
        mask=np.zeros(4, bool),
    ),
    "a score": request(
        "sklearn.metrics.d2_absolute_error_score",
        predictions=X[:, 0],
        targets=P[:, 0],
        sample_weight=W,
    ),
    "a score of several outputs": request(
        "sklearn.metrics.d2_pinball_score",
        predictions=X,
        targets=P,
        params={"multioutput": "raw_values"},
    ),
    "a score of classes": request(
        "sklearn.metrics.d2_log_loss_score", predictions=SUMS_TO_ONE, targets=LABELS
    ),
    "a canonical score": request("d2_score", predictions=X[:, 0], targets=P[:, 0]),
    "several outputs": request(
        "sklearn.metrics.mean_squared_error", predictions=X, targets=P, sample_weight=W
    ),
    "several outputs, each its own": request(
        "sklearn.metrics.mean_squared_error",
        predictions=X,
        targets=P,
        params={"multioutput": "raw_values"},
    ),
    "several outputs, weighed": request(
        "sklearn.metrics.mean_absolute_error",
        predictions=X,
        targets=P,
        params={"multioutput": [0.2, 0.3, 0.5]},
    ),
    "roots of several outputs": request(
        "sklearn.metrics.root_mean_squared_error", predictions=X, targets=P, sample_weight=W
    ),
    "labels of text": request(
        "sklearn.metrics.log_loss",
        predictions=P[:, 0],
        targets=np.array(["no", "yes", "no", "yes"]),
    ),
    "a label named": request(
        "sklearn.metrics.brier_score_loss",
        predictions=P[:, 0],
        targets=np.array([1, 2, 1, 2]),
        params={"pos_label": 2},
    ),
    "labels of columns": request(
        "sklearn.metrics.log_loss", predictions=SUMS_TO_ONE, targets=np.array([5, 9, 7, 7])
    ),
    "labels named": request(
        "sklearn.metrics.hinge_loss",
        predictions=X,
        targets=np.array([0, 1, 1, 1]),
        params={"labels": [0, 1, 2]},
    ),
    "a median": request(
        "sklearn.metrics.median_absolute_error", predictions=X[:, 0], targets=P[:, 0]
    ),
    "a maximum": request("sklearn.metrics.max_error", predictions=X[:, 0], targets=P[:, 0]),
    "signs of labels": request("keras.losses.Hinge", predictions=X, targets=2.0 * Y - 1.0),
    "signs of optax": request("optax.hinge_loss", "mean", predictions=X, targets=2.0 * Y - 1.0),
    "scores made probabilities": request(
        "torchmetrics.functional.hinge_loss",
        predictions=X,
        targets=LABELS,
        params={"task": "multiclass", "num_classes": 3},
    ),
    "binary scores": request(
        "torchmetrics.functional.hinge_loss",
        predictions=X[:, 0],
        targets=Y[:, 0],
        params={"task": "binary"},
    ),
    "two outputs of torchmetrics": request(
        "torchmetrics.functional.mean_squared_error",
        predictions=X[:, :2],
        targets=P[:, :2],
        params={"num_outputs": 2, "squared": False},
    ),
    "a ratio": request("weighted_mean_absolute_percentage_error", predictions=P, targets=Y),
    "CTC": request("ctc", **CTC),
    "CTC of torch": request(
        "torch.nn.CTCLoss", **{**CTC, "predictions": CTC["predictions"].swapaxes(0, 1)}
    ),
    "CTC of tensorflow": request(
        "tf.nn.ctc_loss", "mean", **{**CTC, "predictions": CTC["predictions"].swapaxes(0, 1)}
    ),
    "CTC of keras": request(
        "keras.losses.CTC", predictions=CTC["predictions"], targets=CTC["targets"]
    ),
    "CTC of optax": request(
        "optax.ctc_loss",
        "mean",
        predictions=CTC["predictions"],
        targets=CTC["targets"],
        logit_paddings=np.zeros((2, 5)),
        label_paddings=np.array([[0, 0, 0], [0, 0, 1]]),
    ),
    "boxes": request(
        "torchvision.ops.complete_box_iou_loss", "mean", predictions=BOXES, targets=BOXES + 0.5
    ),
    "a variance": request("torch.nn.GaussianNLLLoss", predictions=X, targets=Y, variance=P),
    "linear scores": request(
        "torch.nn.functional.linear_cross_entropy",
        predictions=X,
        linear_weight=RNG.normal(size=(3, 3)),
        targets=LABELS,
    ),
    "lists without a valid item": request(
        "optax.ranking_softmax_loss",
        predictions=X,
        targets=Y,
        params={"where": [[True] * 3, [False] * 3, [True] * 3, [True] * 3]},
    ),
    "weights of elements": request(
        "torch.nn.BCELoss",
        predictions=P,
        targets=Y,
        sample_weight=W,
        params={"weight": [1.0, 2.0, 0.5]},
    ),
    "weights with an axis of 1": request(
        "keras.losses.MeanSquaredError", predictions=X, targets=Y, sample_weight=W[:, None]
    ),
    "weights of all": request(
        "keras.losses.MeanAbsoluteError", predictions=X, targets=Y, sample_weight=np.array(2.0)
    ),
    "weights along another axis": request(
        "keras.losses.MeanSquaredError",
        predictions=np.ones((2, 2, 1)),
        targets=np.array([[[0.0], [1.0]], [[2.0], [3.0]]]),
        sample_weight=np.array([1.0, 3.0]),
    ),
    "tensorflow's weights": request(
        "tf.compat.v1.losses.huber_loss", predictions=X, targets=Y, sample_weight=P
    ),
    "tensorflow's two names": request(
        "tf.compat.v1.losses.sigmoid_cross_entropy",
        predictions=X,
        targets=Y,
        sample_weight=W[:, None],
        params={"label_smoothing": 0.1},
    ),
    "a triplet": request(
        "torch.nn.TripletMarginLoss",
        anchor=X,
        positive=X + 0.5,
        negative=X - P,
        params={"swap": True},
    ),
    "two inputs": request(
        "torch.nn.MarginRankingLoss",
        input1=X[:, 0],
        input2=X[:, 1],
        targets=np.array([1, -1, 1, -1]),
    ),
    "a penalty": request("tf.nn.l2_loss", predictions=X),
    "targets that are absent": request("optax.l2_loss", "mean", predictions=X),
}
LOGITS = {"from_logits": True}
