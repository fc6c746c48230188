"""Class weights, temperature and several outputs, against numbers worked out by hand."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from lossmeter import evaluate
from lossmeter.app.answer import Answers
from lossmeter.errors import MissingInput, ParameterInvalid

SHARES = np.array([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]])
INDICES = np.array([0, 1, 0])
FORMS: Mapping[str, Mapping[str, Any]] = {
    "shares, indices": {"predictions": SHARES, "targets": INDICES},
    "shares, one-hot": {"predictions": SHARES, "targets": np.eye(2)[INDICES]},
    "logits, indices": {"predictions": np.log(SHARES), "targets": INDICES},
    "logits, one-hot": {"predictions": np.log(SHARES), "targets": np.eye(2)[INDICES]},
    "one share, label": {"predictions": SHARES[:, 1:], "targets": INDICES[:, None]},
    "a share, a label": {"predictions": SHARES[:, 1], "targets": INDICES},
}
A, B, C = math.log(2.0), math.log(4.0 / 3.0), math.log(10.0 / 9.0)
GIVEN = A + 3.0 * B + C
# Three samples of two classes, two of the one and one of the other: 3/(2·2) and 3/(2·1).
BALANCED = 0.75 * A + 1.5 * B + 0.75 * C
SYMBOLS = {
    "keras.losses.CategoricalCrossentropy": ("shares, one-hot", 3.0),
    "keras.losses.SparseCategoricalCrossentropy": ("shares, indices", 3.0),
    "keras.losses.BinaryCrossentropy": ("one share, label", 3.0),
    "torch.nn.CrossEntropyLoss": ("logits, indices", 3.0),
    "torch.nn.functional.cross_entropy": ("logits, one-hot", 3.0),
    "torch.nn.NLLLoss": ("logits, indices", 3.0),
    "torch.nn.BCELoss": ("a share, a label", 3.0),
    "tf.compat.v1.losses.sparse_softmax_cross_entropy": ("logits, indices", 3.0),
    "ai.onnx.SoftmaxCrossEntropyLoss": ("logits, indices", 3.0),
    "sparse_categorical_cross_entropy": ("shares, indices", 3.0),
    # scikit-learn divides by the weights; so are its balanced ones made that they sum to n.
    "sklearn.metrics.log_loss": ("shares, indices", 5.0),
}
EVERY_SYMBOL = pytest.mark.parametrize(
    ("loss", "form", "divisor"), [(name, *asked) for name, asked in SYMBOLS.items()]
)


def value(loss: str, form: str, reduction: str | None = None, **params: Any) -> float:
    """The answer to one of the forms."""
    return float(evaluate(loss, FORMS[form], params=params, reduction=reduction)["value"])


def near(expected: float) -> Any:
    """As near as the clipping of frameworks leaves it."""
    return pytest.approx(expected, rel=1e-12)


@EVERY_SYMBOL
@pytest.mark.parametrize("weights", [[1.0, 3.0], {0: 1.0, 1: 3.0}, {"1": 3.0}], ids=str)
def test_a_symbol_takes_class_weights(loss: str, form: str, divisor: float, weights: Any) -> None:
    assert value(loss, form, class_weight=weights) == near(GIVEN / divisor)


@EVERY_SYMBOL
def test_a_symbol_balances_classes(loss: str, form: str, divisor: float) -> None:
    assert value(loss, form, class_weight="balanced") == near(BALANCED / 3.0)


def test_keras_gives_the_number_of_its_rows() -> None:
    found = value("keras.losses.CategoricalCrossentropy", "shares, one-hot", class_weight={1: 3.0})
    assert round(found, 6) == 0.553851


REDUCED = [
    ("torch.nn.CrossEntropyLoss", "logits, indices", "weighted_mean", GIVEN / 5.0),
    ("torch.nn.CrossEntropyLoss", "logits, indices", "sum", GIVEN),
    (
        "keras.losses.CategoricalCrossentropy",
        "shares, one-hot",
        "mean_with_sample_weight",
        GIVEN / 5,
    ),
    ("optax.softmax_cross_entropy", "logits, one-hot", "mean", GIVEN / 3.0),
    ("tf.nn.sparse_softmax_cross_entropy_with_logits", "logits, indices", "weighted_sum", GIVEN),
    ("hinge", "a share, a label", "sum", 1.5 + 3.0 * 0.25 + 1.1),
    ("keras.losses.Hinge", "one share, label", "sum", 1.5 + 3.0 * 0.25 + 1.1),
]


@pytest.mark.parametrize(("loss", "form", "reduction", "expected"), REDUCED)
def test_class_weights_are_weights(loss: str, form: str, reduction: str, expected: float) -> None:
    assert value(loss, form, reduction, class_weight=[1.0, 3.0]) == near(expected)


def test_torchs_own_weight_divides_and_class_weight_does_not() -> None:
    loss, form = "torch.nn.CrossEntropyLoss", "logits, indices"
    assert value(loss, form, weight=[1.0, 3.0]) == near(GIVEN / 5.0)
    both = value(loss, form, weight=[1.0, 3.0], class_weight=[1.0, 3.0])
    assert both == near((A + 9.0 * B + C) / (1.0 + 9.0 + 1.0))


def test_class_weights_multiply_sample_weights() -> None:
    inputs = {**FORMS["shares, indices"], "sample_weight": [2.0, 1.0, 4.0]}
    answer = evaluate(
        "sparse_categorical_cross_entropy", inputs, params={"class_weight": [1.0, 3.0]}
    )
    assert answer["value"] == near((2.0 * A + 3.0 * B + 4.0 * C) / 3.0)
    assert answer["weight"] == 9.0


def test_balanced_counts_what_the_mask_keeps_by_its_weights() -> None:
    inputs = {
        "predictions": SHARES[[0, 1, 2, 2]],
        "targets": [0, 1, 0, 9],
        "sample_weight": [2.0, 1.0, 1.0, np.nan],
        "mask": [True, True, True, False],
    }
    params = {"class_weight": "balanced"}
    answer = evaluate("sparse_categorical_cross_entropy", inputs, params=params, reduction="sum")
    # Weights 3 and 1 of 4 in all: 4/(2·3) and 4/(2·1).
    assert answer["value"] == near(2.0 / 3.0 * (2.0 * A + C) + 2.0 * B)


def test_optax_counts_classes_from_the_last() -> None:
    inputs = {"predictions": np.log(SHARES), "targets": [-2, -1, -2]}
    loss = "optax.softmax_cross_entropy_with_integer_labels"
    for weights, expected in (([1.0, 3.0], GIVEN), ("balanced", BALANCED)):
        answer = evaluate(loss, inputs, params={"class_weight": weights}, reduction="mean")
        assert answer["value"] == near(expected / 3.0)


LABELS = {"predictions": [5, -1, 2, 2], "targets": [5, 2, 2, -1]}
OF_LABELS = [
    ({"-1": 7.0}, 1.0 + 7.0),
    ({"2": 0.5, "5": 9.0}, 0.5 + 1.0),
    # Four samples of three labels: 4/(3·2) for label 2, 4/(3·1) for the others.
    ("balanced", 4.0 / 6.0 + 4.0 / 3.0),
]


@pytest.mark.parametrize(("weights", "expected"), OF_LABELS)
@pytest.mark.parametrize("loss", ["zero_one", "sklearn.metrics.zero_one_loss"])
def test_labels_are_classes(loss: str, weights: Any, expected: float) -> None:
    answer = evaluate(loss, LABELS, params={"class_weight": weights}, reduction="sum")
    assert answer["value"] == near(expected)


def test_a_list_has_the_labels_from_0() -> None:
    inputs = {"predictions": [0, 0, 0], "targets": [0, 1, 2]}
    params = {"class_weight": [1.0, 2.0, 4.0]}
    assert evaluate("zero_one", inputs, params=params, reduction="sum")["value"] == 6.0


ROWS = {"predictions": [[0, 1], [1, 1]], "targets": [[0, 0], [1, 1]]}
PAIRS = {"predictions": [[0.2, 0.8], [0.5, 0.5]], "targets": [[0.0, 1.0], [1.0, 1.0]]}
REFUSED = {
    "a class that is not there": ("torch.nn.NLLLoss", FORMS["logits, indices"], {"2": 1.0}),
    "a name that is no class": ("torch.nn.NLLLoss", FORMS["logits, indices"], {"one": 1.0}),
    "too many numbers": ("torch.nn.NLLLoss", FORMS["logits, indices"], [1.0, 2.0, 3.0]),
    "a word": ("torch.nn.NLLLoss", FORMS["logits, indices"], "even"),
    "a label without a number": ("zero_one", LABELS, [1.0, 2.0]),
    "a name that is no label": ("zero_one", LABELS, {"1.5": 1.0}),
    "rows of labels": ("zero_one", ROWS, [1.0, 2.0]),
    "rows of labels, balanced": ("zero_one", ROWS, "balanced"),
    "labels that are averaged": ("keras.losses.BinaryCrossentropy", PAIRS, [1.0, 2.0]),
    "labels that are averaged, balanced": ("keras.losses.Hinge", PAIRS, "balanced"),
}


@pytest.mark.parametrize(("loss", "inputs", "weights"), REFUSED.values(), ids=REFUSED)
def test_class_weights_are_refused(loss: str, inputs: Mapping[str, Any], weights: Any) -> None:
    with pytest.raises(ParameterInvalid) as told:
        evaluate(loss, inputs, params={"class_weight": weights})
    assert told.value.field == "params.class_weight"


# Logits ln 4 apart are ln 2 apart at temperature 2: 1 + e^(−ln 2) is 3/2, and 1 + e^(ln 2) is 3.
APART = np.array([[math.log(4.0), 0.0]])
SCORE = np.array([[math.log(4.0)]])
WARM = {
    "torch.nn.CrossEntropyLoss": (APART, [0], {}, math.log(1.5)),
    "torch.nn.functional.cross_entropy": (APART, [1], {}, math.log(3.0)),
    "keras.losses.CategoricalCrossentropy": (APART, [[1, 0]], {"from_logits": True}, math.log(1.5)),
    "keras.losses.SparseCategoricalCrossentropy": (
        APART,
        [1],
        {"from_logits": True},
        math.log(3.0),
    ),
    "keras.losses.BinaryCrossentropy": (SCORE, [[1]], {"from_logits": True}, math.log(1.5)),
    "tf.nn.softmax_cross_entropy_with_logits": (APART, [[0, 1]], {}, math.log(3.0)),
    "tf.nn.sigmoid_cross_entropy_with_logits": (SCORE, [[0]], {}, math.log(3.0)),
    "optax.softmax_cross_entropy_with_integer_labels": (APART, [0], {}, math.log(1.5)),
    "torch.nn.BCEWithLogitsLoss": (SCORE, [[0]], {}, math.log(3.0)),
    "ai.onnx.SoftmaxCrossEntropyLoss": (APART, [1], {}, math.log(3.0)),
    "linear_cross_entropy": (APART, [1], {}, math.log(3.0)),
}


@pytest.mark.parametrize(
    ("loss", "predictions", "targets", "params", "expected"),
    [(name, *asked) for name, asked in WARM.items()],
)
def test_a_symbol_takes_a_temperature(
    loss: str, predictions: Any, targets: Any, params: Mapping[str, Any], expected: float
) -> None:
    inputs = {"predictions": predictions, "targets": targets}
    if loss == "linear_cross_entropy":
        inputs["weight_scores"] = np.eye(2)
    answer = evaluate(loss, inputs, params={**params, "temperature": 2.0}, reduction="sum")
    assert np.asarray(answer["value"]) == near(expected)


def test_temperature_and_class_weights_together() -> None:
    inputs = {"predictions": APART, "targets": [1]}
    params = {"temperature": 2.0, "class_weight": [1.0, 3.0]}
    assert evaluate("torch.nn.CrossEntropyLoss", inputs, params=params)["value"] == near(
        3.0 * math.log(3.0)
    )


@pytest.mark.parametrize(
    ("loss", "temperature"),
    [
        ("keras.losses.CategoricalCrossentropy", 2.0),
        ("torch.nn.BCELoss", 2.0),
        ("torch.nn.NLLLoss", 2.0),
        ("torch.nn.CrossEntropyLoss", 0.0),
        ("torch.nn.CrossEntropyLoss", -1.0),
    ],
)
def test_a_temperature_is_refused(loss: str, temperature: float) -> None:
    with pytest.raises(ParameterInvalid) as told:
        evaluate(loss, FORMS["shares, indices"], params={"temperature": temperature})
    assert told.value.field == "params.temperature"


BOXES = {"box": np.array([[0.0], [2.0]]), "box_seen": np.array([[1.0], [5.0]])}
HEADS: Mapping[str, Mapping[str, Any]] = {
    "box": {
        "loss": "keras.losses.MeanSquaredError",
        "inputs": {"predictions": "box_seen", "targets": "box", "sample_weight": "box_weight"},
        "loss_weight": 0.5,
    },
    "kind": {
        "loss": "keras.losses.SparseCategoricalCrossentropy",
        "inputs": {"predictions": "kind_seen", "targets": "kind"},
        "params": {"class_weight": {"1": 3.0}},
        "loss_weight": 2.0,
    },
}
TENSORS = {
    **BOXES,
    "box_weight": np.array([2.0, 4.0]),
    "kind": INDICES,
    "kind_seen": SHARES,
}
BOX = (2.0 * 1.0 + 4.0 * 9.0) / 2.0


def heads(*absent: str) -> Answers:
    """The answer without some of the tensors."""
    given = {name: x for name, x in TENSORS.items() if name not in absent}
    answer = evaluate(losses=HEADS, inputs=given)
    assert isinstance(answer, Answers)
    return answer


def test_each_output_has_its_weight_in_the_total() -> None:
    answer = heads()
    assert answer["box"].value == BOX
    assert answer["kind"].value == near(GIVEN / 3.0)
    assert answer.total == near(0.5 * BOX + 2.0 * GIVEN / 3.0)
    assert answer.skipped == ()


def test_an_output_whose_target_is_absent_is_skipped() -> None:
    answer = heads("kind")
    assert (list(answer), answer.skipped, answer.total) == (["box"], ("kind",), 0.5 * BOX)


@pytest.mark.parametrize(
    ("absent", "field"),
    [
        (("kind", "box"), "inputs"),
        (("kind_seen",), "losses.kind.inputs.predictions"),
        (("box_weight",), "losses.box.inputs.sample_weight"),
    ],
)
def test_what_else_is_absent_is_missed(absent: tuple[str, ...], field: str) -> None:
    with pytest.raises(MissingInput) as told:
        heads(*absent)
    assert told.value.field == field


def test_a_fault_is_told_of_its_output() -> None:
    wrong = {**HEADS, "kind": {**HEADS["kind"], "params": {"class_weight": [1.0]}}}
    with pytest.raises(ParameterInvalid) as told:
        evaluate(losses=wrong, inputs=TENSORS)
    assert told.value.field == "losses.kind.params.class_weight"
