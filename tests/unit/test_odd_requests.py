"""Requests that are odd and were once answered by a fault of ours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from lossmeter import evaluate, explain
from lossmeter.errors import Internal, LossmeterError

EMPTY: Mapping[str, Any] = {"predictions": [], "targets": []}
COLUMNS: Mapping[str, Any] = {
    "predictions": [[1, 2, 3], [2, 2, 4]],
    "targets": [[9, 9, 3], [2, 3, 4]],
}
D2 = "sklearn.metrics.d2_absolute_error_score"
BRIER = "sklearn.metrics.brier_score_loss"
FOCAL = "keras.losses.CategoricalFocalCrossentropy"

# What is asked, and the reason of the refusal; None where there is an answer.
ODD: Mapping[str, tuple[dict[str, Any], str | None]] = {
    "labels without predictions": ({"loss": BRIER, "inputs": {"targets": [0, 1]}}, "MISSING_INPUT"),
    "nothing to balance": (
        {
            "loss": "binary_cross_entropy",
            "params": {"class_weight": "balanced"},
            "inputs": EMPTY,
        },
        "EMPTY_REDUCTION",
    ),
    "weights of no outputs": (
        {"loss": D2, "params": {"multioutput": []}, "inputs": COLUMNS},
        "PARAMETER_INVALID",
    ),
    "weights of fewer outputs": (
        {"loss": D2, "params": {"multioutput": [1.0]}, "inputs": COLUMNS},
        "PARAMETER_INVALID",
    ),
    "a variance with an axis too many": (
        {
            "loss": "torch.nn.GaussianNLLLoss",
            "inputs": {"predictions": 1.0, "targets": 2.0, "variance": [1.0]},
        },
        "SHAPE_MISMATCH",
    ),
    "a dice of nothing": ({"loss": "optax.dice_loss", "inputs": EMPTY}, "SHAPE_MISMATCH"),
    "a list with a class that is none": (
        {
            "loss": "multilabel_margin",
            "inputs": {"predictions": [1, 2, 3], "targets": [3, 0, -1]},
        },
        "OUT_OF_DOMAIN",
    ),
    "the place of an output": (
        {
            "loss": D2,
            "params": {"multioutput": "raw_values"},
            "reduction": "max",
            "inputs": COLUMNS,
        },
        None,
    ),
    "a state of nothing": (
        {"loss": "ntxent", "inputs": EMPTY, "options": {"state": ["max"]}},
        "NOT_MERGEABLE",
    ),
    "smoothing of nothing": (
        {
            "loss": FOCAL,
            "params": {"from_logits": True, "label_smoothing": 1, "axis": 0},
            "inputs": EMPTY,
        },
        None,
    ),
    "a penalty under a mask": (
        {"loss": "tf.nn.l2_loss", "inputs": {"predictions": [[1.0]], "mask": [True]}},
        None,
    ),
    "too many pairs of samples": (
        {
            "loss": "circle",
            "inputs": {"predictions": np.zeros((9000, 1)), "targets": np.zeros(9000, int)},
        },
        "TOO_LARGE",
    ),
}


@pytest.mark.parametrize(("asked", "reason"), ODD.values(), ids=ODD)
def test_an_odd_request_is_answered_or_refused(asked: dict[str, Any], reason: str | None) -> None:
    request = {name: x for name, x in asked.items() if name != "inputs"}
    for ask in (evaluate, explain):
        if reason is None:
            ask(inputs=asked["inputs"], **request)
            continue
        with pytest.raises(LossmeterError) as caught:
            ask(inputs=asked["inputs"], **request)
        assert not isinstance(caught.value, Internal)
        assert caught.value.reason == reason
