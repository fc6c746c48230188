"""Kernels run on rows, and how far their values are off the formula."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossmeter.core.arrays import Array
from lossmeter.core.declare import Loss, PerClass, PerSample
from tests.oracle.cases import Params, Row, domain_of
from tests.oracle.formulas import ORACLES
from tests.oracle.namespaces import Backend

MARGIN = "margin"


class Miss(NamedTuple):
    """A value that is off by more than the tolerance."""

    ulp: float
    inputs: Row
    actual: float | list[float]


# A row as it was computed with, and its value; of a batch, all of its values.
Measured: TypeAlias = tuple[Row, float | list[float]]


def evaluate(
    loss: Loss, inputs: Mapping[str, object], params: Params, backend: Backend
) -> NDArray[np.floating]:
    """Loss values of whole arrays."""
    arrays = {
        spec.name: backend.array(inputs[spec.name], index=domain_of(spec, loss, params).integers)
        for spec in loss.inputs
    }
    lists = {name: backend.array(x) for name, x in _lists(loss, params).items()}
    with np.errstate(all="ignore"):
        values: NDArray[np.floating] = backend.values(loss, arrays, params, lists)
    return values


def _lists(loss: Loss, params: Params) -> dict[str, object]:
    """The parameters that a kernel takes as arrays."""
    return {
        p.name: params[p.name]
        for p in loss.params
        if (p.marked(PerClass) or p.marked(PerSample)) and isinstance(params.get(p.name), list)
    }


def value_dtype(loss: Loss, backend: Backend) -> type[np.floating]:
    """The dtype of the values: that of the inputs, of which integers have none."""
    if all(spec.kind.domain.integers for spec in loss.inputs):
        return np.float32
    return backend.dtype


def misses(loss: Loss, rows: Sequence[Row], params: Params, backend: Backend) -> list[Miss]:
    """The rows whose value is not the formula's."""
    stacked = loss.output != "batch" and not any(
        spec.kind.optional or not spec.kind.lead for spec in loss.inputs
    )
    measure = _stacked if stacked else _apart
    oracle = ORACLES[loss.name]
    # What the dtype rounds is what was computed with: a margin meets the inputs as they are.
    rounded = {k: x for k, x in params.items() if k == MARGIN} | _lists(loss, params)
    exact = {**params, **{k: np.asarray(x, backend.dtype).tolist() for k, x in rounded.items()}}
    measured = [
        Miss(oracle.off(value, inputs, exact, backend.dtype), inputs, value)
        for inputs, value in measure(loss, rows, params, backend)
    ]
    return [miss for miss in measured if miss.ulp > oracle.ulp]


def _stacked(loss: Loss, rows: Sequence[Row], params: Params, backend: Backend) -> list[Measured]:
    """Rows and their values, all rows in one array."""
    columns = _arrays(loss, [*zip(*rows, strict=True)], params, backend)
    actual = evaluate(loss, columns, params, backend)
    assert actual.dtype == value_dtype(loss, backend)
    # The rows as the dtype rounds them are what was computed with.
    rounded = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [*zip(rounded, actual.tolist(), strict=True)]


def _apart(loss: Loss, rows: Sequence[Row], params: Params, backend: Backend) -> list[Measured]:
    """Rows and their values, each row a batch or a batch of one."""
    whole = loss.output == "batch"
    measured = []
    for row in rows:
        own = _arrays(loss, row, params, backend)
        batch = {
            spec.name: own[spec.name][None] if spec.kind.lead and not whole else own[spec.name]
            for spec in loss.inputs
        }
        actual = evaluate(loss, batch, params, backend)
        assert actual.dtype == value_dtype(loss, backend)
        rounded = tuple(x.tolist() for x in own.values())
        measured.append((rounded, (actual if whole else actual[0]).tolist()))
    return measured


def _arrays(
    loss: Loss, row: Sequence[object], params: Params, backend: Backend
) -> dict[str, Array]:
    whole = {spec.name: domain_of(spec, loss, params).integers for spec in loss.inputs}
    return {
        name: np.asarray(x, np.int64 if integers else backend.dtype)
        for (name, integers), x in zip(whole.items(), row, strict=True)
    }
