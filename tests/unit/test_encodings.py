"""What is said of inputs in another encoding: which loss takes them, and when nothing is said."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from lossmeter import evaluate
from lossmeter.api import engine
from lossmeter.app.answer import Answer
from lossmeter.errors import InvalidRequest
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import Tensors

SHARES = np.array([[0.2, 0.8], [0.625, 0.375], [0.9, 0.1]])
ENCODED: Mapping[str, Any] = {
    "shares": SHARES,
    "logits": np.array([[2.0, -1.0], [-3.0, 0.5], [0.25, 4.0]]),
    "logs": np.log(SHARES),
    "indices": np.array([0, 1, 0]),
    "one-hot": np.eye(2)[[0, 1, 0]],
    "probabilities": np.array([[0.2], [0.8], [0.6]]),
    "scores": np.array([[2.0], [-3.0], [0.25]]),
    "labels": np.array([[0.0], [1.0], [0.0]]),
    "signs": np.array([[-1.0], [1.0], [-1.0]]),
    "parts": np.array([0.25, 0.5, 0.75]),
}
FROM_LOGITS = {"from_logits": True}
KERAS, OPTAX = "keras.losses.", "optax.losses."


class Row(NamedTuple):
    """A request, and the sentence that it must meet."""

    loss: str
    predictions: str
    targets: str
    says: str = ""
    params: Mapping[str, Any] = {}

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The inputs."""
        return {"predictions": ENCODED[self.predictions], "targets": ENCODED[self.targets]}

    def __str__(self) -> str:
        settings = "".join(f" with {name}" for name in self.params)
        return f"{self.loss}{settings}: {self.predictions} and {self.targets}"


def rows(*found: Row) -> pytest.MarkDecorator:
    """A test for each row."""
    return pytest.mark.parametrize("row", found, ids=str)


def like(these: str, this: str, takes: str, other: str = "") -> str:
    """These are such; this takes that, another takes these."""
    return f"these look like {these}; {this} takes {takes}" + (
        f", {other} takes {these}" if other else ""
    )


def logits(this: str, takes: str, other: str = "") -> str:
    return like("logits", this, takes, other)


def indices(this: str, other: str = "") -> str:
    return like("class indices", this, "distributions", other)


def distributions(this: str, other: str = "") -> str:
    return like("distributions", this, "class indices", other)


def signs(this: str, takes: str = "labels 0 and 1") -> str:
    return like("labels -1 and +1", this, takes)


CE, SPARSE = "categorical_cross_entropy", "sparse_categorical_cross_entropy"
SOFTMAX, SPARSE_SOFTMAX = "softmax_cross_entropy", "sparse_softmax_cross_entropy"
NLL, BCE, BCEL = (
    "negative_log_likelihood",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
)
KCE, KSPARSE = f"{KERAS}CategoricalCrossentropy", f"{KERAS}SparseCategoricalCrossentropy"
TRUE, FALSE = "with from_logits true", "with from_logits false"


@rows(
    Row(CE, "logits", "one-hot", logits(CE, "distributions", SOFTMAX)),
    Row(CE, "shares", "indices", indices(CE, SPARSE)),
    Row(SPARSE, "logits", "indices", logits(SPARSE, "distributions", SPARSE_SOFTMAX)),
    Row(SPARSE, "shares", "one-hot", distributions(SPARSE, CE)),
    Row(SOFTMAX, "logits", "indices", indices(SOFTMAX, SPARSE_SOFTMAX)),
    Row(SPARSE_SOFTMAX, "logits", "one-hot", distributions(SPARSE_SOFTMAX, SOFTMAX)),
    Row(SPARSE_SOFTMAX, "logits", "parts", distributions(SPARSE_SOFTMAX, SOFTMAX)),
    Row(
        NLL,
        "shares",
        "indices",
        like("distributions", NLL, "logarithms of probabilities", SPARSE),
    ),
    Row(NLL, "logits", "indices", logits(NLL, "logarithms of probabilities", SPARSE_SOFTMAX)),
    Row(
        "kl_divergence_log_input",
        "shares",
        "one-hot",
        like(
            "distributions",
            "kl_divergence_log_input",
            "logarithms of probabilities",
            "kl_divergence",
        ),
    ),
    Row("kl_divergence", "logits", "one-hot", logits("kl_divergence", "distributions")),
    Row(
        "multiclass_log_loss",
        "logits",
        "indices",
        logits("multiclass_log_loss", "distributions", SPARSE_SOFTMAX),
    ),
    Row(
        "categorical_hinge",
        "logits",
        "indices",
        indices("categorical_hinge", "crammer_singer_hinge"),
    ),
    Row(
        "crammer_singer_hinge",
        "logits",
        "one-hot",
        distributions("crammer_singer_hinge", "categorical_hinge"),
    ),
    Row(BCE, "scores", "labels", logits(BCE, "probabilities", BCEL)),
    Row(BCE, "probabilities", "signs", signs(BCE, "probabilities")),
    Row(BCEL, "scores", "signs", signs(BCEL, "probabilities")),
    Row(
        "binary_focal_cross_entropy",
        "scores",
        "labels",
        logits("binary_focal_cross_entropy", "probabilities", "sigmoid_focal"),
    ),
    Row("hinge", "scores", "signs", signs("hinge")),
    Row(
        "hinge_embedding",
        "scores",
        "labels",
        like("labels 0 and 1", "hinge_embedding", "labels -1 and +1"),
    ),
    Row(
        "torch.nn.BCELoss",
        "scores",
        "labels",
        logits("torch.nn.BCELoss", "probabilities", "torch.nn.BCEWithLogitsLoss"),
    ),
    Row(
        "torch.nn.CrossEntropyLoss",
        "logits",
        "parts",
        distributions("torch.nn.CrossEntropyLoss", SOFTMAX),
    ),
    Row(KCE, "shares", "indices", indices(KCE, KSPARSE)),
    Row(KCE, "logits", "indices", indices(f"{KCE} {TRUE}", f"{KSPARSE} {TRUE}"), FROM_LOGITS),
    Row(
        f"{OPTAX}softmax_cross_entropy",
        "logits",
        "indices",
        indices(
            f"{OPTAX}softmax_cross_entropy", f"{OPTAX}softmax_cross_entropy_with_integer_labels"
        ),
    ),
    Row(
        "tf.nn.sparse_softmax_cross_entropy_with_logits",
        "logits",
        "one-hot",
        distributions(
            "tf.nn.sparse_softmax_cross_entropy_with_logits",
            "tf.nn.softmax_cross_entropy_with_logits",
        ),
    ),
    Row(
        "sklearn.metrics.log_loss",
        "logits",
        "indices",
        logits("sklearn.metrics.log_loss", "distributions", SPARSE_SOFTMAX),
    ),
)
def test_a_refusal_names_the_loss_that_takes_it(row: Row) -> None:
    with pytest.raises(InvalidRequest) as told:
        evaluate(row.loss, row.inputs, params=row.params)
    assert told.value.detail.endswith(f"; {row.says}")


def shares(this: str, other: str = "", takes: str = "logits") -> str:
    """The warning of probabilities."""
    told = f"predictions look like probabilities; {this} takes {takes}"
    return told + (f", {other} takes probabilities" if other else "")


TORCH = "torch.nn."
WARNED = rows(
    Row(SOFTMAX, "shares", "one-hot", shares(SOFTMAX, CE)),
    Row(SPARSE_SOFTMAX, "shares", "indices", shares(SPARSE_SOFTMAX, SPARSE)),
    Row(BCEL, "probabilities", "labels", shares(BCEL, BCE)),
    Row(
        "sigmoid_focal",
        "probabilities",
        "labels",
        shares("sigmoid_focal", "binary_focal_cross_entropy"),
    ),
    Row("poly_cross_entropy", "shares", "one-hot", shares("poly_cross_entropy")),
    Row(
        f"{TORCH}CrossEntropyLoss",
        "shares",
        "indices",
        shares(f"{TORCH}CrossEntropyLoss", SPARSE),
    ),
    Row(f"{TORCH}CrossEntropyLoss", "shares", "one-hot", shares(f"{TORCH}CrossEntropyLoss", CE)),
    Row(
        f"{TORCH}BCEWithLogitsLoss",
        "probabilities",
        "labels",
        shares(f"{TORCH}BCEWithLogitsLoss", f"{TORCH}BCELoss"),
    ),
    Row(
        f"{TORCH}NLLLoss",
        "shares",
        "indices",
        shares(f"{TORCH}NLLLoss", SPARSE, takes="logarithms of probabilities"),
    ),
    Row(
        f"{TORCH}KLDivLoss",
        "shares",
        "one-hot",
        shares(f"{TORCH}KLDivLoss", "kl_divergence", takes="logarithms of probabilities"),
    ),
    Row(
        f"{TORCH}NLLLoss",
        "logits",
        "indices",
        "predictions lie above 0; "
        + logits(f"{TORCH}NLLLoss", "logarithms of probabilities", f"{TORCH}CrossEntropyLoss"),
    ),
    Row(KCE, "shares", "one-hot", shares(f"{KCE} {TRUE}", f"{KCE} {FALSE}"), FROM_LOGITS),
    Row(
        f"{KERAS}BinaryCrossentropy",
        "probabilities",
        "labels",
        shares(f"{KERAS}BinaryCrossentropy {TRUE}", f"{KERAS}BinaryCrossentropy {FALSE}"),
        FROM_LOGITS,
    ),
    Row(
        f"{KERAS}BinaryCrossentropy",
        "scores",
        "labels",
        "predictions lie outside [0, 1]; "
        + logits(
            f"{KERAS}BinaryCrossentropy {FALSE}",
            "probabilities",
            f"{KERAS}BinaryCrossentropy {TRUE}",
        ),
    ),
    Row(
        KSPARSE,
        "logits",
        "indices",
        "predictions lie outside [0, 1]; "
        + logits(f"{KSPARSE} {FALSE}", "distributions", f"{KSPARSE} {TRUE}"),
    ),
    Row(
        f"{KERAS}CategoricalFocalCrossentropy",
        "shares",
        "one-hot",
        shares(f"{KERAS}CategoricalFocalCrossentropy"),
        FROM_LOGITS,
    ),
    Row(
        "tf.nn.sigmoid_cross_entropy_with_logits",
        "probabilities",
        "labels",
        shares("tf.nn.sigmoid_cross_entropy_with_logits", BCE),
    ),
    Row(
        "tf.compat.v1.losses.sigmoid_cross_entropy",
        "probabilities",
        "labels",
        shares("tf.compat.v1.losses.sigmoid_cross_entropy", "tf.compat.v1.losses.log_loss"),
    ),
    Row(
        "tf.nn.softmax_cross_entropy_with_logits",
        "shares",
        "one-hot",
        shares("tf.nn.softmax_cross_entropy_with_logits", CE),
    ),
    Row(
        f"{OPTAX}sigmoid_binary_cross_entropy",
        "probabilities",
        "labels",
        shares(f"{OPTAX}sigmoid_binary_cross_entropy", BCE),
    ),
    Row(
        "optax.softmax_cross_entropy",
        "shares",
        "one-hot",
        shares("optax.softmax_cross_entropy", CE),
    ),
    Row(
        f"{OPTAX}kl_divergence",
        "shares",
        "one-hot",
        shares(f"{OPTAX}kl_divergence", "kl_divergence", takes="logarithms of probabilities"),
    ),
)


@WARNED
def test_a_warning_names_the_other_loss(row: Row) -> None:
    answer = evaluate(row.loss, row.inputs, params=row.params, reduction="sum")
    assert answer["warnings"] == (row.says,)


@WARNED
def test_a_stream_is_warned_of_once(row: Row) -> None:
    assert streamed(row) == (row.says,)


def streamed(row: Row) -> tuple[str, ...]:
    """The warnings where each sample comes by itself."""
    spec = EvaluateSpec(loss=row.loss, params=dict(row.params), reduction="sum")
    stream = engine().open(spec, streaming=True)
    for at in range(len(ENCODED["indices"])):
        stream.add(Tensors({name: x[at : at + 1] for name, x in row.inputs.items()}))
    answer = stream.finish()
    assert isinstance(answer, Answer)
    return answer.warnings


FITTING = rows(
    Row(SOFTMAX, "logits", "one-hot"),
    Row(SPARSE_SOFTMAX, "logits", "indices"),
    Row(SPARSE_SOFTMAX, "logs", "indices"),
    Row(BCEL, "scores", "labels"),
    Row("sigmoid_focal", "scores", "labels"),
    Row(NLL, "logs", "indices"),
    Row(CE, "shares", "one-hot"),
    Row("crammer_singer_hinge", "shares", "indices"),
    Row(f"{TORCH}CrossEntropyLoss", "logits", "indices"),
    Row(f"{TORCH}BCEWithLogitsLoss", "scores", "labels"),
    Row(f"{TORCH}NLLLoss", "logs", "indices"),
    Row(f"{TORCH}KLDivLoss", "logs", "one-hot"),
    Row(KCE, "shares", "one-hot"),
    Row(KCE, "logits", "one-hot", params=FROM_LOGITS),
    Row(f"{KERAS}BinaryCrossentropy", "scores", "labels", params=FROM_LOGITS),
    Row(f"{KERAS}CategoricalFocalCrossentropy", "logits", "one-hot", params=FROM_LOGITS),
    Row("tf.nn.sparse_softmax_cross_entropy_with_logits", "logits", "indices"),
    Row(f"{OPTAX}sigmoid_binary_cross_entropy", "scores", "labels"),
    Row("torchmetrics.functional.kl_divergence", "logs", "logs", params={"log_prob": True}),
)


@FITTING
def test_what_fits_is_not_warned_of(row: Row) -> None:
    answer = evaluate(row.loss, row.inputs, params=row.params, reduction="sum")
    assert answer["warnings"] == ()
    assert streamed(row) == ()


def test_one_number_like_a_probability_is_not_warned_of() -> None:
    answer = evaluate(BCEL, {"predictions": [0.5], "targets": [1.0]})
    assert answer["warnings"] == ()


def test_features_like_probabilities_are_not_warned_of() -> None:
    inputs = {"predictions": SHARES, "weight_scores": np.eye(2), "targets": [0, 1, 0]}
    assert evaluate("linear_cross_entropy", inputs)["warnings"] == ()


def test_one_logit_in_a_stream_of_shares_is_enough() -> None:
    stream = engine().open(EvaluateSpec(loss=SPARSE_SOFTMAX), streaming=True)
    for predictions in (SHARES, ENCODED["logits"]):
        stream.add(Tensors({"predictions": predictions, "targets": ENCODED["indices"]}))
    answer = stream.finish()
    assert isinstance(answer, Answer)
    assert answer.warnings == ()


def test_distributions_that_do_not_sum_to_one_are_warned_of() -> None:
    answer = evaluate(CE, {"predictions": SHARES / 2, "targets": ENCODED["one-hot"]})
    said = "predictions: rows of the last axis do not sum to 1; nothing is rescaled"
    assert answer["warnings"] == (said,)


def test_masked_entries_are_not_looked_at() -> None:
    mask = np.array([True, True, False])
    mixed = np.where(mask[:, None], SHARES, ENCODED["logits"])
    inputs = {"predictions": mixed, "targets": ENCODED["indices"], "mask": mask}
    answer = evaluate(SPARSE_SOFTMAX, inputs)
    assert answer["warnings"] == (shares(SPARSE_SOFTMAX, SPARSE),)
