"""The kept entries of a batch, for trying what each rule of a symbol does to their values."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lossmeter.app.admission import Admission
from lossmeter.app.answer import Value
from lossmeter.backends.numpy import NUMPY
from lossmeter.core.arrays import Array
from lossmeter.core.guards import RECODING
from lossmeter.core.program import FACTOR, Program
from lossmeter.plan.batch import Batch
from lossmeter.plan.survey import surveyed

SIGNS = "sign_labels"
# How far apart two numbers may be, relative to the larger, that are the same but for rounding.
ROUNDING = {"float64": 1e-12, "float32": 1e-6}


class Entries:
    """The kept entries of a batch as one block, as a kernel finds them.

    Attributes:
        total: Number of entries.
        masked: How many of them are under the mask.
        ignored: How many others leave by the value of their target.
        kept: How many are left.
        inputs: Their inputs.
        extras: Their array parameters.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.total = int(np.prod(batch.shape))
        keep = np.ones(self.total, bool) if batch.mask is None else batch.mask.reshape(-1)
        given = surveyed(batch)
        ignored = batch.candidate.ignore_index
        self.masked = self.total - int(np.count_nonzero(keep))
        if ignored is not None:
            keep = keep & (np.reshape(given["targets"], -1) != ignored)
        self.kept = int(np.count_nonzero(keep))
        self.ignored = self.total - self.masked - self.kept
        self.inputs: dict[str, Array] = {}
        self.extras: dict[str, Array] = {}
        self._unknown: Array | None = None
        if self.kept:
            self._fill(given, keep)

    def _fill(self, given: Mapping[str, Array], keep: Array) -> None:
        """Inputs and extras in the computing dtype, class indices as integers."""
        batch = self._batch
        rank, dtype, domains = len(batch.shape), batch.dtype, batch.candidate.domains
        block = {
            name: np.reshape(x, (self.total, *x.shape[rank:]))[keep]
            for name, x in {**given, **batch.extras}.items()
        }
        operands = {
            name: block[name] if domains[name].integers else block[name].astype(dtype)
            for name in given
        }
        self._unknown = Admission(batch.candidate.symbol).admit(batch, operands)
        self.inputs = {**operands, **{n: x.astype(dtype) for n, x in batch.shared.items()}}
        constants = {name: x.astype(dtype) for name, x in batch.constants.items()}
        together = batch.candidate.variant.loss.weighs_samples
        if together is not None and batch.weights is not None:
            constants[together] = batch.weights.reshape(-1)[keep].astype(dtype)
        self.extras = {**{name: block[name] for name in batch.extras}, **constants}

    def values(self, program: Program | None = None, *, narrow: bool = False) -> Array:
        """The loss values before the last axis is joined.

        Args:
            program: Another program than that of the batch.
            narrow: Whether to compute in float32.
        """
        extras = {name: x for name, x in self.extras.items() if name != FACTOR}
        inputs = self.inputs
        if narrow:
            inputs = {
                n: x.astype(np.float32) if x.dtype.kind == "f" else x for n, x in inputs.items()
            }
        with np.errstate(all="ignore"):
            found = replace(program or self._batch.program, inner="")(NUMPY, inputs, extras)
        values = np.asarray(found, dtype=np.float64)
        whole = self._batch.candidate.variant.loss.output == "batch"
        return values if self._unknown is None else _lost(values, self._unknown, whole)

    def differs(self, **fields: object) -> bool:
        """Whether a program with other fields gives other values, not for rounding alone."""
        other = self.values(replace(self._batch.program, **fields))  # type: ignore[arg-type]
        return not near(self.values(), other, ROUNDING[self._batch.dtype.name])

    def differs_with(self, name: str, value: object) -> bool:
        """The same of one parameter."""
        params = {**dict(self._batch.program.params), name: value}
        return self.differs(params=tuple(sorted(params.items())))

    def counts_from_last(self) -> bool:
        """Whether a class index is below 0."""
        targets = self._batch.inputs["targets"]
        kept = targets if self._batch.mask is None else targets[self._batch.mask]
        return bool((kept < 0).any())


def _lost(values: Array, unknown: Array, whole: bool) -> Array:
    """The values, NaN where a class is; all of them where the batch as a whole defines them."""
    if whole:
        return np.where(unknown.any(), np.nan, values)
    return np.where(unknown.reshape(-1, *(1 for _ in values.shape[1:])), np.nan, values)


def recodings(batch: Batch) -> tuple[tuple[str, Any], ...]:
    """The guards that tell the inputs otherwise; labels that are no −1 and +1 stay as they are."""
    targets = batch.inputs.get("targets")
    kept = targets if targets is None or batch.mask is None else targets[batch.mask]
    signs = kept is None or np.isin(kept, (-1, 1)).all()
    return tuple(
        guard
        for guard in batch.program.guards
        if guard[0] in RECODING and (signs or guard[0] != SIGNS)
    )


def near(a: Value, b: Value, room: float) -> bool:
    """Whether two answers are the same but for rounding."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(near(a[name], b[name], room) for name in a)
    if isinstance(a, Mapping) or isinstance(b, Mapping):
        return False
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    largest = np.max(np.abs(x), where=np.isfinite(x), initial=0.0)
    return x.shape == y.shape and np.allclose(x, y, rtol=room, atol=room * largest, equal_nan=True)
