"""Kernels run on rows, and how far their values are off the formula."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossmeter.core.declare import Loss
from tests.oracle.cases import Params, Row
from tests.oracle.formulas import ORACLES
from tests.oracle.namespaces import Backend


class Miss(NamedTuple):
    """A value that is off by more than the tolerance."""

    ulp: float
    inputs: Row
    actual: float


def evaluate(
    loss: Loss, inputs: Mapping[str, object], params: Params, backend: Backend
) -> NDArray[np.floating]:
    """Loss values of whole arrays."""
    arrays = {
        spec.name: backend.array(inputs[spec.name], index=spec.kind.domain.index)
        for spec in loss.inputs
    }
    lists = {k: backend.array(x) for k, x in params.items() if isinstance(x, list)}
    with np.errstate(all="ignore"):
        return np.asarray(loss.kernel(backend.xp, **arrays, **{**params, **lists}))


def misses(loss: Loss, rows: Sequence[Row], params: Params, backend: Backend) -> list[Miss]:
    """The rows whose value is not the formula's."""
    columns = {
        spec.name: np.asarray(column, np.int64 if spec.kind.domain.index else backend.dtype)
        for spec, column in zip(loss.inputs, zip(*rows, strict=True), strict=True)
    }
    actual = evaluate(loss, columns, params, backend)
    assert actual.dtype == backend.dtype
    # The rows as the dtype rounds them are what was computed with.
    rounded = zip(*(column.tolist() for column in columns.values()), strict=True)
    oracle = ORACLES[loss.name]
    measured = [
        Miss(oracle.off(value, inputs, params, backend.dtype), inputs, value)
        for inputs, value in zip(rounded, actual.tolist(), strict=True)
    ]
    return [miss for miss in measured if miss.ulp > oracle.ulp]
