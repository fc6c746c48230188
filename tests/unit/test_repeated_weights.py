"""A weight of a sample is the same weight on each of its entries, to the last bit."""

import numpy as np
import pytest

from lossmeter.api import evaluate
from lossmeter.app.answer import Answer
from lossmeter.core.reductions import RULES

ROWS, COLUMNS = 7001, 10
RNG = np.random.default_rng(3)
PREDICTIONS = RNG.normal(size=(ROWS, COLUMNS)).astype(np.float32)
TARGETS = RNG.random((ROWS, COLUMNS)).astype(np.float32)
WEIGHTS = RNG.random(ROWS) * RNG.integers(0, 2, ROWS)
SETTINGS = {"quantile": {"q": 0.3}, "cvar": {"alpha": 0.1}}
# Keras 2 divides by weights as they are given; a mean over groups needs groups.
REDUCTIONS = [name for name in RULES if name not in ("keras2", "macro_mean")]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_weight_a_sample_is_one_an_entry(reduction: str) -> None:
    one, each = (
        evaluate(
            "squared_error",
            inputs={"predictions": PREDICTIONS, "targets": TARGETS, "sample_weight": weights},
            reduction={"name": reduction, **SETTINGS.get(reduction, {})},
        )
        for weights in (WEIGHTS, np.repeat(WEIGHTS[:, None], COLUMNS, axis=1))
    )
    assert isinstance(one, Answer) and isinstance(each, Answer)
    assert np.asarray(one.value).tobytes() == np.asarray(each.value).tobytes()
    assert (one.weight, one.count) == (each.weight, each.count)
