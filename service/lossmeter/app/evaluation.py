"""One loss over one batch, or over a stream of them: blocks in, parts kept, an answer out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from uuid import uuid4

import numpy as np
import orjson

from lossmeter.app.answer import Answer
from lossmeter.app.backend import Backend
from lossmeter.app.finish import answer_from
from lossmeter.core.arrays import Array
from lossmeter.core.parts import Block, Extreme, Linear, Part
from lossmeter.core.state import Key, Specification, State
from lossmeter.errors import (
    EmptyReduction,
    NonFinite,
    NotMergeable,
    NotStreamable,
    ShapeMismatch,
)
from lossmeter.plan.batch import Batch, Tensors, bind
from lossmeter.plan.class_weights import class_of, class_table
from lossmeter.plan.plan import Candidate, Plan
from lossmeter.plan.request import Options

SUM_TOLERANCE = 1e-3
FLOAT64 = np.dtype(np.float64)


class Evaluation:
    """A plan in progress.

    Args:
        plan: Loss, parameters, reduction.
        options: How to run it.
        backend: What computes the loss values.
        kinds: The parts to keep.
        with_state: Whether to answer with the state.
        streaming: Whether batches follow one another.
    """

    def __init__(
        self,
        plan: Plan,
        options: Options,
        backend: Backend,
        kinds: tuple[type[Part], ...],
        *,
        with_state: bool = False,
        streaming: bool = False,
    ) -> None:
        self._plan = plan
        self._options = options
        self._backend = backend
        self._kinds = kinds
        self._with_state = with_state
        self._streaming = streaming
        self._batch_id = options.batch_id or uuid4().hex
        self._state: State | None = None
        self._layout: tuple[tuple[int, ...], ...] = ()
        self._candidate: Candidate | None = None
        self._keeps_rows = False
        self._whole: str | None = None
        self._output: tuple[Array, Array] | None = None
        self._rows = 0
        self._omitted = 0
        self._warnings: dict[str, None] = {}

    def add(self, tensors: Tensors) -> None:
        """Evaluate a batch, or the next rows of a stream.

        Raises:
            LossmeterError: The tensors do not fit, or hold what the loss refuses.
        """
        batch = bind(self._plan, tensors)
        state = self._begin(batch)
        inputs = dict(batch.inputs)
        if (as_binary := batch.candidate.variant.as_binary) is not None:
            kept = inputs["targets"] if batch.mask is None else inputs["targets"][batch.mask]
            inputs["targets"] = as_binary(inputs["targets"], kept)
        omit = self._options.nonfinite == "omit"
        work = _Work(batch, inputs, class_table(batch, omit))
        if self._plan.reduction.name == "none":
            masked = self._plan.symbol.dialect.masked
            empty = np.nan if masked is None else masked
            self._output = (np.full(batch.shape, empty, batch.dtype), np.zeros(batch.shape, bool))
        place = 0
        # Infinities and NaN are values here, not accidents: the caller's policy reads them.
        with np.errstate(all="ignore"):
            for index in batch.blocks():
                cut = _Cut(batch, index, place)
                self._add_block(work, cut, state)
                place += cut.entries
        self._count(batch, state)

    def _count(self, batch: Batch, state: State) -> None:
        """Counts of a whole batch."""
        groups = batch.groups
        for at, key in enumerate(groups.keys):
            counts = Linear(rows=groups.rows[at], weight_entries=batch.own_weights(at))
            # Parts of nothing, so that a group without rows has its parts too.
            state.add(key, [counts, *(kind() for kind in self._kinds if kind is not Linear)])
        self._rows += batch.rows
        state.batches[self._batch_id] = self._rows

    def _begin(self, batch: Batch) -> State:
        if self._streaming and batch.whole:
            raise NotStreamable(f"{batch.whole}; send all samples in one request", field="params")
        spec = self._specification(batch)
        layout = tuple(x.shape[1:] for x in batch.inputs.values())
        if self._state is None:
            self._candidate = batch.candidate
            self._whole = batch.whole
            self._keeps_rows = bool(batch.groups.shape) and 0 not in batch.groups.axes
            self._layout = layout
            self._state = State(spec, shape=batch.groups.shape)
        elif (spec, layout) != (self._state.spec, self._layout):
            raise ShapeMismatch(
                "a chunk differs from the first in dtype, in kind of targets, or in shape beyond "
                "its number of rows",
                field="inputs",
            )
        return self._state

    def _specification(self, batch: Batch) -> Specification:
        reduction = self._plan.reduction
        params = {"loss": batch.candidate.variant.loss.name, **batch.candidate.settings}
        return Specification(
            loss=self._plan.symbol.name,
            params=orjson.dumps(params, option=orjson.OPT_SORT_KEYS).decode(),
            dtype=batch.dtype.name,
            nonfinite=self._options.nonfinite,
            by=reduction.by or "",
            axis=_told(batch) if reduction.axis else "",
            profile=f"{self._backend.profile}/{self._backend.device}",
        )

    def _add_block(self, work: "_Work", cut: "_Cut", state: State) -> None:
        """Evaluate one block and keep its parts."""
        batch = work.batch
        operands = {name: cut.of(x, self._dtype_of(batch, name)) for name, x in work.inputs.items()}
        extras = {name: cut.of(x, batch.dtype) for name, x in batch.extras.items()}
        weights = None if batch.weights is None else cut.of(batch.weights, FLOAT64)
        codes = None if batch.groups.codes is None else cut.of(batch.groups.codes, None)
        keep = self._kept(batch, cut, operands, weights)
        if keep is not None:
            _count_dropped(state, batch.groups.keys, ~keep, weights, codes)
            operands = {name: x[keep] for name, x in operands.items()}
            extras = {name: x[keep] for name, x in extras.items()}
            weights = None if weights is None else weights[keep]
            codes = None if codes is None else codes[keep]
        block = self._evaluate(work, operands, extras, weights)
        finite = self._finite(block)
        if finite is not None:
            _count_dropped(state, batch.groups.keys, ~finite, block.weights, codes)
            block = block.taken(np.flatnonzero(finite))
            codes = None if codes is None else codes[finite]
            keep = _narrowed(keep, finite)
        if any(issubclass(kind, Extreme) for kind in self._kinds):
            rows = cut.rows() + self._rows
            block.rows = rows if keep is None else rows[keep]
        if self._output is not None:
            self._store(block, keep, cut)
        state.add_block(block, self._kinds, batch.groups.keys, codes)

    def _dtype_of(self, batch: Batch, name: str) -> np.dtype[np.generic] | None:
        """The computing dtype; indices keep theirs until they are checked."""
        specs = batch.candidate.variant.loss.inputs
        return (
            None if any(s.name == name and s.kind.domain.integers for s in specs) else batch.dtype
        )

    def _kept(
        self, batch: Batch, cut: "_Cut", operands: Mapping[str, Array], weights: Array | None
    ) -> Array | None:
        """Which entries are evaluated: those under the mask are gone before anything looks."""
        keep = None if batch.mask is None else cut.of(batch.mask, None)
        ignored = batch.candidate.ignore_index
        if ignored is not None:
            kept = operands["targets"] != ignored
            keep = kept if keep is None else keep & kept
        if self._options.nonfinite != "propagate":
            finite = np.ones(cut.entries, dtype=bool) if weights is None else np.isfinite(weights)
            for x in operands.values():
                finite &= np.isfinite(x).reshape(cut.entries, -1).all(axis=1)
            keep = self._policy(finite, keep)
        return None if keep is None or keep.all() else keep

    def _policy(self, finite: Array, keep: Array | None) -> Array:
        """``error`` refuses what is kept and not finite; ``omit`` masks and counts it."""
        lost = ~finite if keep is None else keep & ~finite
        if self._options.nonfinite == "error" and lost.any():
            raise NonFinite(
                'a kept value is NaN or infinite; mask it, or set nonfinite to "omit"',
                field="inputs",
            )
        self._omitted += int(np.count_nonzero(lost))
        return finite if keep is None else keep & finite

    def _evaluate(
        self,
        work: "_Work",
        operands: dict[str, Array],
        extras: dict[str, Array],
        weights: Array | None,
    ) -> Block:
        """Check a block's kept entries and compute their loss values and weights."""
        batch, candidate = work.batch, work.batch.candidate
        unknown = self._check(batch, operands)
        constants = {name: x.astype(batch.dtype) for name, x in batch.constants.items()}
        values = self._backend.run(candidate.program, operands, {**extras, **constants})
        losses = values.astype(np.float64, copy=False)
        if unknown is not None:
            losses = np.where(unknown, np.nan, losses)
        if work.table is not None:
            chosen = work.table[class_of(candidate.variant.loss, operands["targets"])]
            weights = chosen if weights is None else weights * chosen
        divisors = None
        if candidate.divides:
            divisors = (
                batch.constants["class_factor"][operands["targets"]]
                if batch.constants
                else extras["factor"].astype(np.float64)
            )
            divisors = divisors if weights is None else weights * divisors
        return Block(losses, weights, divisors, None, self._batch_id)

    def _check(self, batch: Batch, operands: dict[str, Array]) -> Array | None:
        """Domains of the kept entries; where a class index is NaN its loss is."""
        candidate, unknown = batch.candidate, None
        checks = self._plan.symbol.dialect.checks
        params = dict(candidate.program.params)
        for spec in candidate.variant.loss.inputs:
            domain, x = spec.kind.domain, operands[spec.name]
            if domain.integers and x.dtype.kind == "f" and np.isnan(x).any():
                lost = np.isnan(x).reshape(x.shape[0], -1).any(axis=1)
                unknown = lost if unknown is None else unknown | lost
                x = np.where(np.isnan(x), 0.0, x)
            if domain.index:
                operands[spec.name] = domain.check_index(x, spec.name, batch.classes)
            elif checks or domain.integers:
                domain.check(x, spec.name, params)
                operands[spec.name] = x.astype(np.int64) if domain.integers else x
                if domain.under(params).sums_to_one and x.ndim > 1:
                    self._warn_of_sums(spec.name, x)
            elif spec.name in candidate.variant.domains:
                candidate.variant.domains[spec.name].check(x, spec.name, params)
        return unknown

    def _warn_of_sums(self, name: str, x: Array) -> None:
        off = np.abs(x.sum(axis=-1) - 1.0)
        if (off > SUM_TOLERANCE).any():
            self._warnings[
                f"{name}: rows of the last axis do not sum to 1; nothing is rescaled"
            ] = None

    def _finite(self, block: Block) -> Array | None:
        """The same policy for loss values that came out infinite of finite inputs."""
        if self._options.nonfinite == "propagate":
            return None
        finite = np.isfinite(block.losses)
        return None if finite.all() else self._policy(finite, None)

    def _store(self, block: Block, keep: Array | None, cut: "_Cut") -> None:
        assert self._output is not None
        place = slice(cut.place, cut.place + cut.entries)
        values, kept = (x.reshape(-1)[place] for x in self._output)
        which = slice(None) if keep is None else keep
        values[which] = block.weighted(block.losses)
        kept[which] = True

    def finish(self) -> Answer:
        """The answer.

        Raises:
            EmptyReduction: A mean of nothing, where it is an error.
            NotMergeable: A state was asked of a loss or reduction that has none.
        """
        state = self._state
        if state is None or self._candidate is None:
            raise EmptyReduction("no rows were sent", field="inputs")
        if self._with_state:
            self._refuse_unmergeable(self._candidate)
        output, kept = self._output or (None, None)
        answer = answer_from(state, self._plan, self._candidate, output)
        return replace(
            answer,
            kept=kept,
            omitted=self._omitted if self._options.nonfinite == "omit" else None,
            state=_without_values(state) if self._with_state else None,
            warnings=tuple(self._warnings),
        )

    def _refuse_unmergeable(self, candidate: Candidate) -> None:
        if whole := self._whole or _whole_batch(candidate):
            raise NotMergeable(f"{whole}, so it has no state", field="options.state")
        if self._keeps_rows:
            raise NotMergeable(
                "a reduction that keeps axis 0 has no state; the batches simply follow each other",
                field="options.state",
            )


@dataclass(slots=True)
class _Work:
    """A batch being evaluated.

    Attributes:
        batch: The batch.
        inputs: Its inputs, labels as the loss takes them.
        table: Weight of each class; None if there is none.
    """

    batch: Batch
    inputs: Mapping[str, Array]
    table: Array | None


def _count_dropped(
    state: State, keys: list[Key], dropped: Array, weights: Array | None, codes: Array | None
) -> None:
    """Count the entries under the mask, which some divisors count too."""
    codes = np.zeros(dropped.size, dtype=np.int64) if codes is None else codes
    entries = nonzero = np.bincount(codes[dropped], minlength=len(keys))
    if weights is not None:
        nonzero = np.bincount(codes[dropped & (weights != 0.0)], minlength=len(keys))
    for key, many, weighed in zip(keys, entries.tolist(), nonzero.tolist(), strict=True):
        state.add(key, [Linear(entries=many, nonzero_entries=weighed)])


def _narrowed(keep: Array | None, finite: Array) -> Array:
    """The entries kept so far, less those whose loss values were not finite."""
    if keep is None:
        return finite
    narrowed = keep.copy()
    narrowed[keep] = finite
    return narrowed


class _Cut:
    """Where a block lies in its batch."""

    def __init__(self, batch: Batch, index: tuple[slice, ...], place: int) -> None:
        self._index = index
        self._rank = len(batch.shape)
        sizes = [part.stop - part.start for part in index]
        self.entries = prod((*sizes, *batch.shape[len(index) :]))
        self.place = place

    def of(self, x: Array, dtype: np.dtype[np.generic] | None) -> Array:
        """The block's part of an array as ``(entries, *core)``.

        C-contiguous, because exp and log change bits with the layout.
        """
        part = np.ascontiguousarray(x[self._index], dtype)
        return part.reshape(self.entries, *x.shape[self._rank :])

    def rows(self) -> Array:
        """Position of each entry's sample."""
        if not self._index:
            return np.zeros(1, dtype=np.int64)
        first = self._index[0]
        rows = np.arange(first.start, first.stop)
        return np.repeat(rows, self.entries // rows.size)


def _told(batch: Batch) -> str:
    """The axes reduced and how many there are, for the specification."""
    return orjson.dumps([batch.groups.axes, len(batch.shape)]).decode()


def refuse_unstreamable(plan: Plan, field: str) -> None:
    """Refuse a plan that needs all samples at once.

    Raises:
        NotStreamable: It does.
    """
    reduction = plan.reduction
    if not reduction.rule.merges or (reduction.axis and 0 not in reduction.axis):
        raise NotStreamable(
            f"{reduction.name} needs all samples at once; send them in one request",
            field=f"{field}reduction",
        )
    for candidate in plan.candidates:
        if whole := _whole_batch(candidate):
            raise NotStreamable(f"{whole}; send all samples in one request", field=f"{field}loss")


def _whole_batch(candidate: Candidate) -> str | None:
    """Why a candidate's values depend on the whole batch, if they do."""
    if candidate.variant.as_binary is not None:
        return "this framework reads the labels of the whole batch before it takes one"
    if candidate.class_weight == "balanced":
        return '"balanced" class weights are counted over all samples'
    return None


def _without_values(state: State) -> State:
    """The state as it may leave the process: sums, not samples."""
    cells: dict[Key, dict[str, Part]] = {
        key: {name: part for name, part in cell.items() if name != "values"}
        for key, cell in state.cells.items()
    }
    return replace(state, cells=cells)
