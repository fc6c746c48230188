"""One loss over one batch, or over a stream of them: blocks in, parts kept, an answer out."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import uuid4

import numpy as np
import orjson

from lossmeter.app.answer import Answer
from lossmeter.app.backend import Backend
from lossmeter.app.finish import answer_from
from lossmeter.core.arrays import Array
from lossmeter.core.parts import Block, Extreme, Linear, Part
from lossmeter.core.reductions import mergeable_parts
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


class Evaluation:
    """A plan in progress.

    Args:
        plan: Loss, parameters, reduction.
        options: How to run it.
        backend: What computes the loss values.
        asked: Parts that the state shall hold; None if no state is asked for.
        streaming: Whether batches follow one another, so that only sums may be kept.
    """

    def __init__(
        self,
        plan: Plan,
        options: Options,
        backend: Backend,
        asked: tuple[type[Part], ...] | None = None,
        *,
        streaming: bool = False,
    ) -> None:
        self._plan = plan
        self._options = options
        self._backend = backend
        self._asked = asked
        self._streaming = streaming
        self._batch_id = options.batch_id or uuid4().hex
        self._kinds = self._wanted()
        self._state: State | None = None
        self._candidate: Candidate | None = None
        self._output: tuple[Array, Array] | None = None
        self._rows = 0
        self._omitted = 0
        self._warnings: dict[str, None] = {}
        if streaming:
            self._refuse_unstreamable()

    def _wanted(self) -> tuple[type[Part], ...]:
        rule = self._plan.reduction.rule
        own = mergeable_parts(self._plan.reduction) if self._streaming else rule.parts
        kinds = {Linear: None, **dict.fromkeys(own)}
        if self._asked is not None:
            kinds |= dict.fromkeys(self._asked)
            kinds |= dict.fromkeys(mergeable_parts(self._plan.reduction))
        return tuple(kinds)

    def _refuse_unstreamable(self) -> None:
        reduction = self._plan.reduction
        if not reduction.rule.merges or (reduction.axis and 0 not in reduction.axis):
            raise NotStreamable(
                f"{reduction.name} needs all samples at once; send them in one request",
                field="reduction",
            )
        for candidate in self._plan.candidates:
            if whole := _whole_batch(candidate):
                raise NotStreamable(f"{whole}; send all samples in one request", field="loss")

    def add(self, tensors: Tensors) -> None:
        """Evaluate a batch, or the next rows of a stream.

        Raises:
            LossmeterError: The tensors do not fit, or hold what the loss refuses.
        """
        batch = bind(self._plan, tensors)
        state = self._begin(batch)
        table = class_table(batch)
        inputs = dict(batch.inputs)
        if (as_binary := batch.candidate.variant.as_binary) is not None:
            inputs["targets"] = as_binary(inputs["targets"])
        if self._plan.reduction.name == "none":
            self._output = (np.full(batch.shape, np.nan, batch.dtype), np.zeros(batch.shape, bool))
        place, nonzero = 0, np.zeros(len(batch.groups.keys), dtype=np.int64)
        for index in batch.blocks():
            place += self._add_block(batch, inputs, table, index, place, nonzero)
        for at, key in enumerate(batch.groups.keys):
            entries = batch.groups.entries[at]
            counts = Linear(
                entries=entries,
                nonzero_entries=entries if batch.weights is None else int(nonzero[at]),
                rows=batch.groups.rows[at],
                weight_entries=batch.weight_entries if batch.groups.codes is None else entries,
            )
            state.add(key, [counts])
        self._rows += batch.rows
        state.batches[self._batch_id] = self._rows

    def _begin(self, batch: Batch) -> State:
        spec = self._specification(batch)
        if self._state is None:
            self._candidate = batch.candidate
            self._state = State(spec, shape=batch.groups.shape)
        elif spec != self._state.spec or batch.groups.shape != self._state.shape:
            raise ShapeMismatch(
                "a chunk differs from the first in dtype, kind of targets or kept axes",
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
            axis=orjson.dumps(sorted(reduction.axis)).decode() if batch.groups.shape else "",
            profile=f"{self._backend.profile}/{self._backend.device}",
        )

    def _add_block(
        self,
        batch: Batch,
        inputs: Mapping[str, Array],
        table: Array | None,
        index: tuple[slice, ...],
        place: int,
        nonzero: Array,
    ) -> int:
        """Evaluate one block, keep its parts, and say how many entries it had."""
        flat = _Flat(batch, index)
        operands = {name: flat.operand(x, self._dtype_of(batch, name)) for name, x in inputs.items()}
        extras = {name: flat.values(x, batch.dtype) for name, x in batch.extras.items()}
        weights = None if batch.weights is None else flat.values(batch.weights, np.float64)
        codes = None if batch.groups.codes is None else flat.values(batch.groups.codes, np.int64)
        self._count_nonzero(nonzero, weights, codes)
        keep = self._kept(batch, flat, operands, weights)
        if keep is not None:
            operands = {name: x[keep] for name, x in operands.items()}
            extras = {name: x[keep] for name, x in extras.items()}
            weights = None if weights is None else weights[keep]
            codes = None if codes is None else codes[keep]
        block = self._evaluate(batch, operands, extras, weights, table)
        block, codes, keep = self._finite(block, codes, keep, flat.entries)
        if any(issubclass(kind, Extreme) for kind in self._kinds):
            rows = flat.rows() + self._rows
            block.rows = rows if keep is None else rows[keep]
        if self._output is not None:
            self._store(block, keep, slice(place, place + flat.entries), batch)
        assert self._state is not None
        self._state.add_block(block, self._kinds, batch.groups.keys, codes)
        return flat.entries

    def _dtype_of(self, batch: Batch, name: str) -> np.dtype[np.generic] | None:
        """The computing dtype; indices keep theirs until they are checked."""
        specs = batch.candidate.variant.loss.inputs
        return None if any(s.name == name and s.kind.domain.index for s in specs) else batch.dtype

    @staticmethod
    def _count_nonzero(nonzero: Array, weights: Array | None, codes: Array | None) -> None:
        if weights is None:
            return
        if codes is None:
            nonzero[0] += np.count_nonzero(weights)
        else:
            nonzero += np.bincount(codes[weights != 0.0], minlength=nonzero.size)

    def _kept(
        self, batch: Batch, flat: "_Flat", operands: Mapping[str, Array], weights: Array | None
    ) -> Array | None:
        """Which entries are evaluated: those under the mask are gone before anything looks."""
        keep = None if batch.mask is None else flat.values(batch.mask, np.bool_)
        ignored = batch.candidate.ignore_index
        if ignored is not None:
            kept = operands["targets"] != ignored
            keep = kept if keep is None else keep & kept
        if self._options.nonfinite != "propagate":
            finite = np.ones(flat.entries, dtype=bool) if weights is None else np.isfinite(weights)
            for x in operands.values():
                finite &= np.isfinite(x).reshape(flat.entries, -1).all(axis=1)
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
        batch: Batch,
        operands: dict[str, Array],
        extras: dict[str, Array],
        weights: Array | None,
        table: Array | None,
    ) -> Block:
        """Check a block's kept entries and compute their loss values and weights."""
        candidate = batch.candidate
        unknown = self._check(batch, operands)
        operands |= {
            name: x.astype(np.int64, copy=False)
            for name, x in operands.items()
            if x.dtype.kind in "iu"
        }
        constants = {name: x.astype(batch.dtype) for name, x in batch.constants.items()}
        values = self._backend.run(candidate.program, operands, {**extras, **constants})
        losses = values.astype(np.float64, copy=False)
        if unknown is not None:
            losses = np.where(unknown, np.nan, losses)
        if table is not None:
            chosen = table[class_of(candidate.variant.loss, operands["targets"])]
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
        params = {**dict(candidate.program.params)}
        for spec in candidate.variant.loss.inputs:
            domain, x = spec.kind.domain, operands[spec.name]
            if domain.index:
                if x.dtype.kind == "f" and np.isnan(x).any():
                    unknown = np.isnan(x)
                operands[spec.name] = domain.check_index(x, spec.name, batch.classes)
            elif checks:
                domain.check(x, spec.name, params)
                if domain.sums_to_one:
                    self._warn_of_sums(spec.name, x)
            elif spec.name in candidate.variant.domains:
                candidate.variant.domains[spec.name].check(x, spec.name, params)
        return unknown

    def _warn_of_sums(self, name: str, x: Array) -> None:
        off = np.abs(x.sum(axis=-1) - 1.0)
        if (off > SUM_TOLERANCE).any():
            self._warnings[f"{name}: rows of the last axis do not sum to 1; nothing is rescaled"] = None

    def _finite(
        self, block: Block, codes: Array | None, keep: Array | None, entries: int
    ) -> tuple[Block, Array | None, Array | None]:
        """The same policy for loss values that came out infinite of finite inputs."""
        if self._options.nonfinite == "propagate":
            return block, codes, keep
        finite = np.isfinite(block.losses)
        if finite.all():
            return block, codes, keep
        self._policy(finite, None)
        keep = np.ones(entries, dtype=bool) if keep is None else keep
        keep[np.flatnonzero(keep)[~finite]] = False
        return block.taken(np.flatnonzero(finite)), None if codes is None else codes[finite], keep

    def _store(self, block: Block, keep: Array | None, place: slice, batch: Batch) -> None:
        assert self._output is not None
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
        if self._asked is not None:
            self._refuse_unmergeable(self._candidate)
        answer = answer_from(
            state,
            self._plan,
            self._candidate,
            self._backend,
            self._output[0] if self._output else None,
        )
        return replace(
            answer,
            kept=None if self._output is None else self._output[1],
            omitted=self._omitted if self._options.nonfinite == "omit" else None,
            state=None if self._asked is None else _without_values(state),
            warnings=tuple(self._warnings),
        )

    def _refuse_unmergeable(self, candidate: Candidate) -> None:
        reduction = self._plan.reduction
        if whole := _whole_batch(candidate):
            raise NotMergeable(f"{whole}, so it has no state", field="options.state")
        if reduction.axis and 0 not in reduction.axis:
            raise NotMergeable(
                "a reduction that keeps axis 0 has no state; the batches simply follow each other",
                field="options.state",
            )


class _Flat:
    """One block of a batch, cut out and flattened to entries."""

    def __init__(self, batch: Batch, index: tuple[slice, ...]) -> None:
        self._index = index
        self._rank = len(batch.shape)
        self._shape = tuple(
            s.stop - s.start for s in index
        ) + batch.shape[len(index) :]
        self.entries = int(np.prod(self._shape, dtype=np.int64))

    def operand(self, x: Array, dtype: np.dtype[np.generic] | None) -> Array:
        """An input as C-contiguous ``(entries, *core)``: exp and log depend on the layout."""
        return np.ascontiguousarray(x[self._index], dtype).reshape(
            self.entries, *x.shape[self._rank :]
        )

    def values(self, x: Array, dtype: type[np.generic] | np.dtype[np.generic]) -> Array:
        """What is broadcast to the loss values, possibly with the axis of an inner mean."""
        return np.ascontiguousarray(x[self._index], dtype).reshape(
            self.entries, *x.shape[self._rank :]
        )

    def rows(self) -> Array:
        """Position of each entry's sample."""
        if not self._index:
            return np.zeros(1, dtype=np.int64)
        first = self._index[0]
        return np.repeat(
            np.arange(first.start, first.stop), self.entries // (first.stop - first.start)
        )


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

