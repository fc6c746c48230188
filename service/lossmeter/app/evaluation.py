"""One loss over one batch, or over a stream of them: blocks in, parts kept, an answer out."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import orjson

from lossmeter.app.admission import Admission
from lossmeter.app.answer import Answer
from lossmeter.app.backend import Backend
from lossmeter.app.blocks import Compute, Cut, dtype_beside, narrowed, overlapped
from lossmeter.app.finish import answer_from
from lossmeter.app.running import Running, Work, count_dropped, lost, own_terms
from lossmeter.app.wanted import stop_unless_wanted
from lossmeter.core.arrays import Array
from lossmeter.core.block import Block
from lossmeter.core.parts import Extreme, Linear, Part
from lossmeter.core.state import Key, Specification, State
from lossmeter.errors import (
    EmptyReduction,
    NonFinite,
    NotMergeable,
    NotStreamable,
    ShapeMismatch,
)
from lossmeter.plan.batch import Batch
from lossmeter.plan.binding import bound
from lossmeter.plan.class_weights import class_of, class_table
from lossmeter.plan.plan import Candidate, Plan
from lossmeter.plan.request import Options
from lossmeter.plan.survey import surveyed
from lossmeter.plan.tensors import Tensors

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
        finite = plan.symbol.dialect.finite and options.nonfinite == "propagate"
        self._nonfinite = "error" if finite else options.nonfinite
        self._batch_id = options.batch_id or os.urandom(16).hex()
        self._state: State | None = None
        self._layout: tuple[tuple[int, ...], ...] = ()
        self._candidate: Candidate | None = None
        self._keeps_rows = False
        self._whole: str | None = None
        self._output: tuple[Array, Array] | None = None
        self._rows = 0
        self._omitted = 0
        self._admission = Admission(plan.symbol)

    def add(self, tensors: Tensors) -> None:
        """Evaluate a batch, or the next rows of a stream.

        Raises:
            LossmeterError: The tensors do not fit, or hold what the loss refuses.
        """
        batch = bound(self._plan, tensors)
        if self._streaming:
            _refuse_other_rows(batch, tensors)
        state = self._begin(batch)
        inputs = surveyed(batch)
        omit = self._options.nonfinite == "omit"
        work = Work(batch, inputs, class_table(batch, inputs, omit))
        if self._plan.reduction.name == "none" and not batch.candidate.variant.loss.collapses:
            masked = self._plan.symbol.dialect.masked
            empty = np.nan if masked is None else masked
            self._output = (np.full(batch.shape, empty, batch.dtype), np.zeros(batch.shape, bool))
        # Infinities and NaN are values here, not accidents: the caller's policy reads them.
        with np.errstate(all="ignore"):
            for running, values in overlapped(self._started(work, state), self._backend.ahead):
                self._add_block(work, running, values, state)
        self._count(batch, state)

    def _started(self, work: Work, state: State) -> Iterator[tuple[Running, Compute]]:
        """Each block cut and checked, and what computes its loss values."""
        place = 0
        for index in work.batch.blocks(self._backend.block, self._backend.multiple):
            stop_unless_wanted()
            cut = Cut(work.batch, index, place)
            running = self._cut(work, cut, state)
            yield running, self._computation(work.batch, running)
            place += cut.entries

    def _count(self, batch: Batch, state: State) -> None:
        """Counts of a whole batch."""
        groups = batch.groups
        for at, key in enumerate(groups.keys):
            counts = Linear(rows=groups.rows[at], weight_entries=batch.own_weights(at))
            # Parts of nothing, so that a group without rows has its parts too.
            state.add(key, [counts, *(kind() for kind in self._kinds if kind is not Linear)])
        self._rows += batch.rows
        state.batches[self._batch_id] = self._rows

    @property
    def linear(self) -> Linear:
        """The linear sums over all groups."""
        return self._state.linear if self._state else Linear()

    def _begin(self, batch: Batch) -> State:
        if self._streaming and batch.whole:
            raise NotStreamable(f"{batch.whole}; send all samples in one request", field="params")
        spec = self._specification(batch)
        layout = tuple(x.shape[1:] for x in batch.inputs.values())
        if self._state is None:
            self._candidate = batch.candidate
            self._whole = batch.whole or batch.candidate.whole
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
        loss = batch.candidate.variant.loss
        return Specification(
            loss=loss.stated or self._plan.symbol.name,
            params=batch.candidate.told,
            dtype="float64" if batch.dtype == FLOAT64 else "float32",
            nonfinite=self._options.nonfinite,
            by=reduction.by or "",
            axis=_told(batch) if reduction.axis or batch.groups.joined else "",
            profile=f"{self._backend.profile}/{self._backend.device}",
        )

    def _cut(self, work: Work, cut: Cut, state: State) -> Running:
        """The kept entries of a block, checked."""
        batch = work.batch
        operands = {name: cut.of(x, self._dtype_of(batch, name)) for name, x in work.inputs.items()}
        extras = {name: cut.of(x, dtype_beside(batch, x)) for name, x in batch.extras.items()}
        weights, repeat = self._weights(work, cut)
        codes = None if batch.groups.codes is None else cut.of(batch.groups.codes, None)
        keep = self._kept(batch, cut, operands, weights)
        if keep is not None:
            count_dropped(state, batch.groups.keys, ~keep, weights, codes)
            operands = {name: x[keep] for name, x in operands.items()}
            extras = {name: x[keep] for name, x in extras.items()}
            weights = None if weights is None else weights[keep]
            codes = None if codes is None else codes[keep]
        unknown = self._admission.admit(batch, operands)
        return Running(cut, operands, extras, weights, repeat, codes, keep, unknown)

    def _weights(self, work: Work, cut: Cut) -> tuple[Array | None, int]:
        """Sample weights of a block, each once where it stands for all entries of a sample."""
        weights = work.batch.weights
        if weights is None:
            return None, 1
        if work.simple and self._nonfinite == "propagate":
            return cut.repeated(weights, FLOAT64)
        return cut.of(weights, FLOAT64), 1

    def _add_block(self, work: Work, running: Running, values: Array, state: State) -> None:
        """Keep the parts of a block whose loss values are there."""
        batch, cut, keep, codes = work.batch, running.cut, running.keep, running.codes
        block = self._block(work, running, values)
        left = self._left(batch, block)
        if left is not None:
            count_dropped(state, batch.groups.keys, ~left, block.weights, codes)
            block = block.taken(np.flatnonzero(left))
            codes = None if codes is None else codes[left]
            keep = keep if batch.candidate.variant.loss.collapses else narrowed(keep, left)
        if any(issubclass(kind, Extreme) for kind in self._kinds):
            rows = cut.rows() + self._rows
            rows = rows if keep is None else rows[keep]
            together = batch.candidate.variant.loss.collapses
            block.rows = np.arange(block.losses.size) if together else rows
        if self._output is not None and not batch.candidate.variant.loss.collapses:
            self._store(block, keep, cut)
        state.add_block(block, self._kinds, batch.groups.keys, codes)

    def _dtype_of(self, batch: Batch, name: str) -> np.dtype[np.generic] | None:
        """The computing dtype; indices keep theirs until they are checked."""
        return None if batch.candidate.domains[name].integers else batch.dtype

    def _kept(
        self, batch: Batch, cut: Cut, operands: Mapping[str, Array], weights: Array | None
    ) -> Array | None:
        """Which entries are evaluated: those under the mask are gone before anything looks."""
        keep = None if batch.mask is None else cut.of(batch.mask, None)
        ignored = batch.candidate.ignore_index
        if ignored is not None:
            kept = operands["targets"] != ignored
            keep = kept if keep is None else keep & kept
        if self._nonfinite != "propagate":
            finite = np.ones(cut.entries, dtype=bool) if weights is None else np.isfinite(weights)
            for x in operands.values():
                finite &= np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
            keep = self._policy(finite, keep)
        return None if keep is None or keep.all() else keep

    def _policy(self, finite: Array, keep: Array | None) -> Array:
        """``error`` refuses what is kept and not finite; ``omit`` masks and counts it."""
        lost = ~finite if keep is None else keep & ~finite
        if self._nonfinite == "error" and lost.any():
            raise NonFinite(
                'a kept value is NaN or infinite; mask it, or set nonfinite to "omit"',
                field="inputs",
            )
        self._omitted += int(np.count_nonzero(lost))
        return finite if keep is None else keep & finite

    def _computation(self, batch: Batch, running: Running) -> Compute:
        """What computes the loss values of a block."""
        loss = batch.candidate.variant.loss
        constants = {name: x.astype(batch.dtype) for name, x in batch.constants.items()}
        shared = {name: x.astype(batch.dtype) for name, x in batch.shared.items()}
        alike = frozenset({*shared, *constants})
        if loss.weighs_samples is not None and running.weights is not None:
            if not running.weights.any():
                raise EmptyReduction("the weights are all 0", field="inputs.sample_weight")
            constants[loss.weighs_samples] = running.weights.astype(batch.dtype)
            running.weights = None
        if loss.output == "batch" and not len(running.operands["predictions"]):
            return partial(np.zeros, 0)
        operands, extras = {**running.operands, **shared}, {**running.extras, **constants}
        return partial(self._backend.run, batch.program, operands, extras, alike)

    def _block(self, work: Work, running: Running, values: Array) -> Block:
        """The loss values of a block's kept entries, with their weights."""
        batch, candidate, weights = work.batch, work.batch.candidate, running.weights
        losses = lost(batch, values.astype(np.float64, copy=False), running.unknown)
        if candidate.variant.loss.output == "batch" and not len(running.operands["predictions"]):
            return Block(losses, None, None, None, self._batch_id)
        if candidate.variant.loss.collapses:
            return self._collapsed(batch, losses, weights)
        if work.table is not None:
            chosen = work.table.picked(class_of(candidate, running.operands["targets"]))
            weights = chosen if weights is None else weights * chosen
        own = own_terms(batch, running.operands, running.extras, losses)
        if own is not None and weights is not None:
            own = weights * own
        return Block(losses, weights, own, None, self._batch_id, running.repeat)

    def _collapsed(self, batch: Batch, losses: Array, weights: Array | None) -> Block:
        """The values that the samples have together, which one weight may multiply."""
        one = None if weights is None else np.broadcast_to(weights[:1], losses.size)
        if self._plan.reduction.name == "none":
            weighed = losses if weights is None else losses * weights[0]
            self._output = (weighed.astype(batch.dtype), np.ones(losses.shape, dtype=bool))
        return Block(losses.reshape(-1), one, None, None, self._batch_id)

    def _left(self, batch: Batch, block: Block) -> Array | None:
        """Which loss values stay: by the same policy where finite inputs gave an infinite one."""
        left = block.losses != 0.0 if batch.candidate.variant.drops_zeros else None
        if self._options.nonfinite != "propagate":
            finite = np.isfinite(block.losses)
            if not finite.all():
                left = self._policy(finite, left)
        return None if left is None or left.all() else left

    def _store(self, block: Block, keep: Array | None, cut: Cut) -> None:
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
        if self._output is None and self._plan.reduction.name == "none":
            self._output = self._value_of_nothing()
        output, kept = self._output or (None, None)
        answer = answer_from(state, self._plan, self._candidate, output)
        warnings, omits = self._admission.warnings(), self._options.nonfinite == "omit"
        if kept is None and not (warnings or omits or self._with_state):
            return answer
        return replace(
            answer,
            kept=kept,
            omitted=self._omitted if omits else None,
            state=_without_values(state) if self._with_state else None,
            warnings=warnings,
        )

    def _value_of_nothing(self) -> tuple[Array, Array]:
        """The one value of samples of which none is kept."""
        empty = self._plan.symbol.dialect.empty
        if empty is None:
            raise EmptyReduction("no sample is kept", field="inputs")
        return np.full((), empty), np.ones((), dtype=bool)

    def _refuse_unmergeable(self, candidate: Candidate) -> None:
        if whole := self._whole or candidate.whole:
            raise NotMergeable(f"{whole}, so it has no state", field="options.state")
        if self._keeps_rows:
            raise NotMergeable(
                "a reduction that keeps axis 0 has no state; the batches simply follow each other",
                field="options.state",
            )


def _told(batch: Batch) -> str:
    """The axes reduced and how many there are, for the specification."""
    axes = "outputs" if batch.groups.joined else batch.groups.axes
    return orjson.dumps([axes, len(batch.shape)]).decode()


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
        if whole := candidate.whole:
            raise NotStreamable(f"{whole}; send all samples in one request", field=f"{field}loss")


def _refuse_other_rows(batch: Batch, tensors: Tensors) -> None:
    """Refuse a chunk whose samples do not lie along axis 0: the next would continue others.

    Raises:
        NotStreamable: They do not.
    """
    given = tensors.arrays.items()
    leading = {x.shape[0] for name, x in given if x.ndim and name not in batch.shared}
    if not batch.shape or leading - {batch.rows}:
        raise NotStreamable(
            "the samples do not lie along axis 0; send all in one request", field="inputs"
        )


def _without_values(state: State) -> State:
    """The state as it may leave the process: sums, not samples."""
    cells: dict[Key, dict[str, Part]] = {
        key: {name: part for name, part in cell.items() if name != "values"}
        for key, cell in state.cells.items()
    }
    return replace(state, cells=cells)
