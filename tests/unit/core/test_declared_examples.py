"""What holds of every declared loss: its examples, its primitives, its rows apart."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest

from lossmeter.core.arrays import Array
from lossmeter.core.declare import Example, InputSpec, Loss
from lossmeter.core.domains import Domain
from tests.oracle.cases import (
    CLASSES,
    LOSSES,
    DType,
    Params,
    classes_fixed,
    domain_of,
    params_of,
    words,
)
from tests.oracle.measure import evaluate, value_dtype
from tests.oracle.namespaces import LIBRARIES, Backend, Fence, Graph, Library

COUNTS = (1, 3, 7, 64, 997)
PLACES = (0, 1, 2, 3, 5, 16, 31, 333, 991, 996)
# Past 128 entries NumPy adds up a row in pieces.
WIDTH = 130
Sizes: TypeAlias = Mapping[str, tuple[int, ...]]
SIZES: Sizes = {"D": (WIDTH,), "F": (WIDTH,), "T": (7,), "S": (3,), "4": (4,), "...": (WIDTH,)}

EXAMPLES = [
    pytest.param(loss, example, id=f"{loss.name} of example {at}")
    for loss in LOSSES
    for at, example in enumerate(loss.examples, start=1)
]
ROWS = [
    pytest.param(loss, params, id=words(loss, params))
    for loss in LOSSES
    if loss.output != "batch"
    for params in params_of(loss)
]


@pytest.mark.parametrize("backend", LIBRARIES.values(), ids=(f"on {name}" for name in LIBRARIES))
@pytest.mark.parametrize(("loss", "example"), EXAMPLES)
def test_an_example_holds(loss: Loss, example: Example, backend: Backend) -> None:
    actual = evaluate(loss, example.inputs, example.params, backend)
    assert actual.dtype == value_dtype(loss, backend)
    near = 1e-14 if backend.dtype is np.float64 else 2e-6
    assert actual.tolist() == pytest.approx(example.expected, rel=near, abs=0.0)


@pytest.mark.parametrize("name", ["logaddexp", "mean", "float64"])
def test_a_kernel_on_trial_has_nothing_but_the_primitives(name: str) -> None:
    with pytest.raises(AttributeError, match="not a primitive"):
        getattr(Fence(np), name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["in float64", "in float32"])
@pytest.mark.parametrize(("loss", "params"), ROWS)
def test_a_row_has_the_same_bits_whatever_rows_are_beside_it(
    loss: Loss, params: Params, dtype: DType
) -> None:
    backend = Library(np, dtype)
    columns = _columns(loss, params, dtype, COUNTS[-1])
    alone = [_bits(loss, params, backend, columns, slice(i, i + 1)) for i in range(COUNTS[-1])]
    together = {n: _bits(loss, params, backend, columns, slice(n)) for n in COUNTS}
    assert together == {n: b"".join(alone[:n]) for n in COUNTS}


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["in float64", "in float32"])
@pytest.mark.parametrize(("loss", "params"), ROWS)
def test_a_row_has_the_same_bits_in_a_graph_wherever_it_lies(
    loss: Loss, params: Params, dtype: DType
) -> None:
    backend, n = Graph(dtype), COUNTS[-1]
    columns = _columns(loss, params, dtype, n)
    whole = np.frombuffer(_bits(loss, params, backend, columns, slice(n)), np.uint8).reshape(n, -1)
    for start in PLACES:
        rows = slice(start, start + COUNTS[2])
        assert _bits(loss, params, backend, columns, rows) == whole[rows].tobytes()
    shuffled = np.random.default_rng(n).permutation(n)[: COUNTS[-2]]
    assert _bits(loss, params, backend, columns, shuffled) == whole[shuffled].tobytes()


def _bits(
    loss: Loss, params: Params, backend: Backend, columns: dict[str, Array], rows: Any
) -> bytes:
    shared = {spec.name for spec in loss.inputs if not spec.kind.lead}
    inputs = {name: x if name in shared else x[rows] for name, x in columns.items()}
    return evaluate(loss, inputs, params, backend).tobytes()


def _columns(loss: Loss, params: Params, dtype: DType, n: int) -> dict[str, Array]:
    rng = np.random.default_rng(n)
    lists = any(spec.kind.domain.name == "class_list" for spec in loss.inputs)
    classes = CLASSES if classes_fixed(loss, params) or lists else WIDTH
    sizes = {**SIZES, "C": (classes,)}
    return {
        spec.name: np.ascontiguousarray(
            _column(spec, domain_of(spec, loss, params), rng, n, sizes),
            np.int64 if spec.kind.domain.integers else dtype,
        )
        for spec in loss.inputs
    }


def _column(
    spec: InputSpec, domain: Domain, rng: np.random.Generator, n: int, sizes: Sizes
) -> Array:
    bounds = domain.interval
    core = tuple(size for axis in spec.kind.core for size in sizes[axis])
    size = (n, *core) if spec.kind.lead else core
    if domain.integers:
        classes = sizes[spec.kind.counts][0] + 1 if spec.kind.counts else sizes["C"][0]
        return rng.integers(-1 if domain.name == "class_list" else 0, classes, size)
    if domain.holds is not None:
        return np.sort(rng.normal(0, 9, size).reshape(-1, 2, 2), axis=1).reshape(size)
    if domain.sums_to_one or domain.name == "log_probability":
        shares = rng.dirichlet(np.ones(size[-1]), size[:-1])
        return shares if domain.sums_to_one else np.log(shares)
    if domain.members:
        return rng.choice(domain.members, size)
    if bounds.high < np.inf:
        return rng.uniform(bounds.low, bounds.high, size)
    return (
        bounds.low + rng.exponential(size=size) if bounds.low > -np.inf else rng.normal(0, 9, size)
    )
