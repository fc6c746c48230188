"""Choosing between arrays as NumPy does, bit for bit."""

import numpy as np
import pytest

from lossmeter.core.arrays import NUMPY, Array

SIZE = 8192
RNG = np.random.default_rng(0)
MASK = RNG.random(SIZE) < 0.5
WIDE = RNG.normal(size=SIZE)
WIDE[:6] = [np.nan, -np.nan, np.inf, -np.inf, -0.0, 5e-324]


@pytest.mark.parametrize(
    ("condition", "x", "y"),
    [
        pytest.param(MASK, WIDE, -WIDE, id="float64"),
        pytest.param(MASK, WIDE.astype(np.float32), WIDE[::-1].astype(np.float32), id="float32"),
        pytest.param(MASK, WIDE.astype(np.float32), 0.0, id="a number beside float32"),
        pytest.param(MASK, -0.0, WIDE, id="a negative zero"),
        pytest.param(MASK, 1.0, np.nan, id="two numbers"),
        pytest.param(MASK, WIDE.astype(np.float32), WIDE, id="two dtypes"),
        pytest.param(MASK[:, None], WIDE[:, None], WIDE[:3], id="broadcast"),
        pytest.param(MASK.reshape(64, -1), WIDE.reshape(-1, 64).T, WIDE[0], id="transposed"),
        pytest.param(MASK, np.arange(SIZE), 7, id="integers"),
        pytest.param(MASK.astype(np.int64), WIDE, 0.0, id="a condition of integers"),
        pytest.param(MASK[:8], WIDE[:8], -WIDE[:8], id="few"),
        pytest.param(True, WIDE, -WIDE, id="one condition"),
    ],
)
def test_where_is_that_of_numpy(condition: Array, x: Array, y: Array) -> None:
    found, wanted = (np.asarray(xp.where(condition, x, y)) for xp in (NUMPY, np))
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.tobytes() == wanted.tobytes()
