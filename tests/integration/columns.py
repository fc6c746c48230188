"""Rows of predictions and targets, of a kind for each loss that is evaluated in many ways."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from tests.integration.forms import Array

Columns: TypeAlias = Mapping[str, Array]
Draw: TypeAlias = Callable[[np.random.Generator, int], dict[str, Array]]
CLASSES = 5
MASKED = 0.1


def _values(rng: np.random.Generator, rows: int) -> dict[str, Array]:
    # Sizes apart by many binades, so that a sum in another order would have other bits.
    size = np.exp(rng.uniform(-12.0, 2.0, rows))
    return {"predictions": size * rng.normal(size=rows), "targets": rng.normal(size=rows)}


def _classes(rng: np.random.Generator, rows: int) -> dict[str, Array]:
    logits = 3.0 * rng.normal(size=(rows, CLASSES))
    return {"predictions": logits, "targets": rng.integers(0, CLASSES, rows)}


def _probabilities(rng: np.random.Generator, rows: int) -> dict[str, Array]:
    labels = rng.integers(0, 2, (rows, 3)).astype(np.float64)
    return {"predictions": rng.uniform(0.01, 0.99, (rows, 3)), "targets": labels}


LOSSES: Mapping[str, tuple[Draw, Mapping[str, Any]]] = {
    "squared_error": (_values, {}),
    "log_cosh": (_values, {}),
    "sparse_softmax_cross_entropy": (_classes, {"label_smoothing": 0.1}),
    "keras.losses.BinaryCrossentropy": (_probabilities, {"label_smoothing": 0.1}),
    "torch.nn.CrossEntropyLoss": (_classes, {"weight": [0.5, 1.0, 2.0, 0.25, 3.0]}),
}


def columns(loss: str, dtype: str, rows: int) -> Columns:
    """Columns of a loss, with weights of which some are 0, and a mask that hides NaN."""
    rng = np.random.default_rng(rows)
    made = LOSSES[loss][0](rng, rows)
    made = {name: x if x.dtype.kind == "i" else x.astype(dtype) for name, x in made.items()}
    # Some rows twice, so that extremes occur in several batches.
    made = {
        name: np.concatenate([x[: rows // 2], x[: rows - rows // 2]]) for name, x in made.items()
    }
    mask = rng.random(rows) >= MASKED
    made["predictions"][~mask] = np.nan
    weight = rng.uniform(0.0, 2.0, rows) * rng.integers(0, 4, rows).astype(bool)
    country = np.asarray(["de", "fr", "é"])[rng.integers(0, 3, rows)]
    return {**made, "sample_weight": weight, "mask": mask, "country": country}


def shuffled(given: Columns, seed: int) -> Columns:
    """The same rows in another order."""
    order = np.random.default_rng(seed).permutation(len(given["mask"]))
    return {name: x[order] for name, x in given.items()}


def batches(given: Columns, rows: int) -> list[Columns]:
    """The rows in batches of so many."""
    starts = range(0, len(given["mask"]), rows)
    return [{name: x[at : at + rows] for name, x in given.items()} for at in starts]
