"""Kernels run on rows and measured against their formula."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lossmeter.core.declare import Loss
from tests.oracle.cases import DType, Params, Row
from tests.oracle.formulas import ORACLES


class Miss(NamedTuple):
    """A value that is off by more than the tolerance."""

    ulp: float
    inputs: Row
    params: Params
    actual: float


def misses(loss: Loss, rows: Sequence[Row], params: Params, dtype: DType) -> list[Miss]:
    """The rows whose value is not the formula's."""
    columns = [
        np.asarray(column, dtype=np.int64 if spec.kind.domain.index else dtype)
        for spec, column in zip(loss.inputs, zip(*rows, strict=True), strict=True)
    ]
    arrays = {k: np.asarray(x, dtype) if isinstance(x, list) else x for k, x in params.items()}
    with np.errstate(all="ignore"):
        actual = loss.kernel(np, *columns, **arrays)
    assert actual.dtype == dtype
    # What was computed with: a row rounded to the dtype.
    rounded = zip(*(column.tolist() for column in columns), strict=True)
    found = _measured(loss, zip(rounded, actual.tolist(), strict=True), params, dtype)
    return [miss for miss in found if miss.ulp > ORACLES[loss.name].ulp]


def _measured(
    loss: Loss, results: Iterable[tuple[Row, float]], params: Params, dtype: DType
) -> Iterable[Miss]:
    for inputs, actual in results:
        yield Miss(ORACLES[loss.name].off(actual, inputs, params, dtype), inputs, params, actual)
