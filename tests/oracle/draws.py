"""Hypothesis strategies of the declared domains."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import numpy as np
from hypothesis import strategies as st

from lossmeter.core.declare import InputSpec, Loss
from lossmeter.core.domains import CLASS_FAMILIES, Domain
from tests.oracle.cases import CLASSES, SAMPLES, DType, Params, Row, classes_fixed, domain_of

Values: TypeAlias = st.SearchStrategy[object]
T = TypeVar("T")
LONGEST = 5


def rows(loss: Loss, params: Params, dtype: DType) -> st.SearchStrategy[list[Row]]:
    """A few rows of inputs, all with one size of the axis that is used up."""
    sizes = st.just(CLASSES) if classes_fixed(loss, params) else st.integers(1, LONGEST)
    return sizes.flatmap(
        lambda size: st.lists(row(loss, params, dtype, size), min_size=1, max_size=8)
    )


def row(loss: Loss, params: Params, dtype: DType, size: int) -> st.SearchStrategy[Row]:
    """One row of inputs."""
    if loss.name == "d2_score":
        return _scored(params, dtype, size)
    if loss.name in TIED:
        return TIED[loss.name](dtype, size)
    return st.tuples(*(values(spec, loss, params, dtype, size) for spec in loss.inputs))


def values(spec: InputSpec, loss: Loss, params: Params, dtype: DType, size: int) -> Values:
    """Values of one input: numbers, or vectors of this size."""
    domain = domain_of(spec, loss, params)
    if spec.kind.core:
        return _vectors(domain, dtype, size)
    if domain.index:
        return st.integers(0, size - 1)
    if domain.members:
        return st.sampled_from(domain.members)
    # Numbers whose squares do not overflow, nor powers of them.
    reach = 2.0**300 if dtype is np.float64 else 2.0**40
    if "power" in params:
        reach = 2.0**5
    low, high = max(domain.interval.low, -reach), min(domain.interval.high, reach)
    if "power" in params and low >= 0.0:
        low = 2.0**-5
    return _numbers(low, high, dtype, exclude_min=domain.interval.open_low)


def _vectors(domain: Domain, dtype: DType, size: int) -> Values:
    if domain.holds is not None:
        return boxes(dtype)
    if domain.sums_to_one:
        return distributions(dtype, size)
    if domain.members:
        return _list(st.sampled_from(domain.members), size)
    if domain.whole:
        return _list(st.integers(-1, size - 1), size)
    # Vectors whose squares neither overflow nor vanish.
    low = max(domain.interval.low, -(2.0**20))
    high = min(domain.interval.high, 2.0**20)
    if domain.name == "log_probability":
        low, high = -64.0, 0.0
    return _list(_numbers(low, high, dtype).map(lambda x: x if abs(x) > 1e-6 else 0.0), size)


def distributions(dtype: DType, size: int) -> st.SearchStrategy[list[float]]:
    """Numbers that sum to 1."""
    return _list(_numbers(0.0, 1.0, dtype), size).map(_normalised)


def boxes(dtype: DType) -> st.SearchStrategy[list[float]]:
    """Boxes that are neither very large nor very small."""
    return st.tuples(*(_numbers(-64.0, 64.0, dtype).map(_on_grid) for _ in range(4))).map(
        lambda c: [min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])]
    )


def _on_grid(x: float) -> float:
    return round(x * 16.0) / 16.0


def _list(entries: st.SearchStrategy[T], size: int) -> st.SearchStrategy[list[T]]:
    return st.lists(entries, min_size=size, max_size=size)


def _images(dtype: DType, size: int) -> st.SearchStrategy[Row]:
    image = _list(_numbers(0.0, 1.0, dtype), 2 * size)
    return st.tuples(image, image)


def _segmentations(dtype: DType, size: int) -> st.SearchStrategy[Row]:
    image = _list(_list(distributions(dtype, 2), size), 2)
    return st.tuples(image, image)


def _briers(dtype: DType, size: int) -> st.SearchStrategy[Row]:
    binary = st.tuples(_numbers(0.0, 1.0, dtype), st.integers(0, 1))
    return binary | st.tuples(distributions(dtype, size), st.integers(0, size - 1))


def _labels(_: DType, size: int) -> st.SearchStrategy[Row]:
    label = st.integers(-1, 2)
    return st.tuples(label, label) | st.tuples(_list(label, size), _list(label, size))


def _clusters(dtype: DType, size: int) -> st.SearchStrategy[Row]:
    entry = _numbers(-1.0, 1.0, dtype).map(_on_grid)
    return st.tuples(_list(_list(entry, 2), size), _list(st.integers(0, 2), size))


def _products(dtype: DType, size: int) -> st.SearchStrategy[Row]:
    vector = _list(_numbers(-64.0, 64.0, dtype).map(_on_grid), 3)
    return st.tuples(vector, _list(vector, size), st.integers(0, size - 1))


def _sequences(dtype: DType, size: int) -> st.SearchStrategy[Row]:
    size = min(size, 4)
    steps = _list(_list(_numbers(-16.0, 0.0, dtype), 4), size)
    # Labels that are the blank in no case.
    labels = _list(st.sampled_from([1, 3]), 2)
    return st.tuples(steps, labels, st.integers(0, size), st.integers(0, 2))


def _scored(params: Params, dtype: DType, size: int) -> st.SearchStrategy[Row]:
    samples = SAMPLES if "sample_weight" in params else size + 1
    if params.get("family") in CLASS_FAMILIES:
        binary = st.tuples(_list(_numbers(0.0, 1.0, dtype), samples), _indices(2, samples))
        of_classes = _list(distributions(dtype, CLASSES), samples)
        return binary | st.tuples(of_classes, _indices(CLASSES, samples))
    positive = params.get("power", 0.0) != 0.0
    entry = _numbers(1.0 if positive else -64.0, 64.0, dtype).map(_on_grid)
    one, two = _list(entry, samples), _list(_list(entry, 2), samples)
    return st.tuples(two, two) if "columns" in params else st.tuples(one, one)


def _indices(classes: int, size: int) -> st.SearchStrategy[list[int]]:
    return _list(st.integers(0, classes - 1), size)


# Losses whose inputs are tied to each other, or are more than vectors.
TIED: dict[str, Callable[[DType, int], st.SearchStrategy[Row]]] = {
    "brier_score": _briers,
    "zero_one": _labels,
    "hamming": _labels,
    "mean_pairwise_squared_error": _images,
    "dice": _images,
    "tversky": _images,
    "generalized_dice": _segmentations,
    "circle": _clusters,
    "ntxent": _clusters,
    "linear_cross_entropy": _products,
    "ctc": _sequences,
}


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
