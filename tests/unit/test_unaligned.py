"""Views of a request's bytes lie at any address; the bits are the same."""

import numpy as np
import pytest

from lossmeter import evaluate
from lossmeter.app.answer import Answer
from lossmeter.core.arrays import Array

EXPRESSIONS = (
    "sum(predictions, axis=-1) + sum(targets, axis=-1)",
    "mean(exp(predictions) * targets, axis=-1)",
    "log(sum(exp(predictions), axis=-1)) - max(targets, axis=-1)",
)


def displaced(x: Array, by: int) -> Array:
    """The same numbers at an address that is no multiple of their size."""
    return np.frombuffer(memoryview(bytes(by) + x.tobytes())[by:], x.dtype).reshape(x.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_unaligned_arrays_give_the_same_bits(expression: str, dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(5)
    p, t = rng.standard_normal((2, 4, 10_000)).astype(dtype)

    def value(by: int) -> object:
        inputs = {"predictions": displaced(p, by), "targets": displaced(t, by)}
        assert inputs["predictions"].flags.aligned == (by == 0)
        answer = evaluate({"expression": expression}, **inputs)
        assert isinstance(answer, Answer)
        return answer.value

    assert len({value(by) for by in (0, 1, 2, 3)}) == 1
