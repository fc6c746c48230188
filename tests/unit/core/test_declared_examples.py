"""What holds of every declared loss: its examples, its primitives, its rows apart."""

import numpy as np
import pytest

from lossmeter.core.arrays import Array
from lossmeter.core.declare import Example, InputSpec, Loss
from tests.oracle.cases import CLASSES, LOSSES, DType, Params, interval, params_of, words
from tests.oracle.measure import evaluate
from tests.oracle.namespaces import BACKENDS, Backend, Fence

COUNTS = (1, 3, 7, 64, 997)
# Past 128 entries NumPy adds up a row in pieces.
WIDTH = 130

EXAMPLES = [
    pytest.param(loss, example, id=f"{loss.name} of example {at}")
    for loss in LOSSES
    for at, example in enumerate(loss.examples, start=1)
]
CASES = [
    pytest.param(loss, params, id=words(loss, params))
    for loss in LOSSES
    for params in params_of(loss)
]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=(f"on {name}" for name in BACKENDS))
@pytest.mark.parametrize(("loss", "example"), EXAMPLES)
def test_an_example_holds(loss: Loss, example: Example, backend: Backend) -> None:
    actual = evaluate(loss, example.inputs, example.params, backend)
    assert actual.dtype == backend.dtype
    near = 1e-14 if backend.dtype is np.float64 else 2e-6
    assert actual.tolist() == pytest.approx(example.expected, rel=near, abs=0.0)


@pytest.mark.parametrize("name", ["logaddexp", "mean", "float64"])
def test_a_kernel_on_trial_has_nothing_but_the_primitives(name: str) -> None:
    with pytest.raises(AttributeError, match="not a primitive"):
        getattr(Fence(np), name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["in float64", "in float32"])
@pytest.mark.parametrize(("loss", "params"), CASES)
def test_a_row_has_the_same_bits_whatever_rows_are_beside_it(
    loss: Loss, params: Params, dtype: DType
) -> None:
    backend = Backend(np, dtype)
    columns = _columns(loss, params, dtype, COUNTS[-1])
    alone = [_bits(loss, params, backend, columns, slice(i, i + 1)) for i in range(COUNTS[-1])]
    together = {n: _bits(loss, params, backend, columns, slice(n)) for n in COUNTS}
    assert together == {n: b"".join(alone[:n]) for n in COUNTS}


def _bits(
    loss: Loss, params: Params, backend: Backend, columns: dict[str, Array], rows: slice
) -> bytes:
    inputs = {name: x[rows] for name, x in columns.items()}
    return evaluate(loss, inputs, params, backend).tobytes()


def _columns(loss: Loss, params: Params, dtype: DType, n: int) -> dict[str, Array]:
    rng = np.random.default_rng(n)
    width = CLASSES if "class_factor" in params else WIDTH
    return {
        spec.name: np.ascontiguousarray(_column(spec, loss, params, rng, (n, width)), dtype)
        for spec in loss.inputs
    }


def _column(
    spec: InputSpec, loss: Loss, params: Params, rng: np.random.Generator, shape: tuple[int, int]
) -> Array:
    domain, bounds = spec.kind.domain, interval(spec, loss, params)
    n, width = shape
    if domain.index:
        return rng.integers(0, width, n)
    if domain.sums_to_one:
        return rng.dirichlet(np.ones(width), n)
    size = shape if spec.kind.core else (n,)
    if domain.members:
        return rng.choice(domain.members, size)
    if bounds.high < np.inf:
        return rng.uniform(bounds.low, bounds.high, size)
    return (
        bounds.low + rng.exponential(size=size) if bounds.low > -np.inf else rng.normal(0, 9, size)
    )
