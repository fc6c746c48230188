"""Hypothesis strategies of the declared domains."""

from typing import TypeAlias

import numpy as np
from hypothesis import strategies as st

from lossmeter.core.declare import InputSpec, Loss
from tests.oracle.cases import CLASSES, DType, Params, Row, interval

Values: TypeAlias = st.SearchStrategy[object]
LONGEST = 5


def rows(loss: Loss, params: Params, dtype: DType) -> st.SearchStrategy[list[Row]]:
    """A few rows of inputs, all with one size of the axis that is used up."""
    # A list of one number a class fixes how many there are.
    sizes = st.just(CLASSES) if "class_factor" in params else st.integers(1, LONGEST)
    return sizes.flatmap(
        lambda size: st.lists(
            st.tuples(*(values(spec, loss, params, dtype, size) for spec in loss.inputs)),
            min_size=1,
            max_size=8,
        )
    )


def values(spec: InputSpec, loss: Loss, params: Params, dtype: DType, size: int) -> Values:
    """Values of one input: numbers, or vectors of this size."""
    domain = spec.kind.domain
    if domain.index:
        return st.integers(0, size - 1)
    if domain.members:
        return st.sampled_from(domain.members)
    if domain.sums_to_one:
        return st.lists(_numbers(0.0, 1.0, dtype), min_size=size, max_size=size).map(_normalised)
    if spec.kind.core:
        # Vectors whose squares neither overflow nor vanish.
        entries = _numbers(-(2.0**20), 2.0**20, dtype).map(lambda x: x if abs(x) > 1e-6 else 0.0)
        return st.lists(entries, min_size=size, max_size=size)
    bounds = interval(spec, loss, params)
    # Numbers whose squares do not overflow.
    reach = 2.0**300 if dtype is np.float64 else 2.0**40
    low, high = max(bounds.low, -reach), min(bounds.high, reach)
    return _numbers(low, high, dtype, exclude_min=bounds.open_low)


def _numbers(
    low: float, high: float, dtype: DType, exclude_min: bool = False
) -> st.SearchStrategy[float]:
    return st.floats(
        low,
        high,
        exclude_min=exclude_min,
        width=64 if dtype is np.float64 else 32,
        # Numbers with fewer digits have a kernel no more accurate than their quotients.
        allow_subnormal=False,
    )


def _normalised(weights: list[float]) -> list[float]:
    total = sum(weights)
    return [w / total for w in weights] if total else [1.0, *weights[1:]]
