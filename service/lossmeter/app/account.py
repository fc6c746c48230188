"""An account of one evaluation: its answer, and the steps that lead to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from lossmeter.app.admission import Admission
from lossmeter.app.answer import Answer
from lossmeter.app.backend import Backend
from lossmeter.app.evaluation import Evaluation
from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.parts import Linear, Part
from lossmeter.core.program import FACTOR, Program
from lossmeter.core.reductions import Reduction
from lossmeter.dialects.words import INNER, LENGTHS, fixed, guarded, marks
from lossmeter.plan.batch import Batch, Tensors, bind
from lossmeter.plan.plan import Candidate, Plan
from lossmeter.plan.request import Options
from lossmeter.plan.survey import surveyed

# An account is of the numbers on the reference backend, whatever computed the answer.
NUMPY = cast(Namespace, np)
NEAR = 1e-12
# What each mean divides by, in words.
DIVISORS = {
    "mean": "the number of loss values",
    "weighted_mean": "Σ of weights",
    "nonzero_mean": "the number of weights that are not 0",
    "batch_mean": "the size of the batch",
    "keras2": "the number of kept values · weights not 0 / number of values",
    "rms": "Σ of weights",
    "exp_mean": "Σ of weights",
    "geometric_mean": "Σ of weights",
    "macro_mean": "the number of groups",
    "cvar": "the weight of the worst share",
}
OWN = {
    "class_factor": "Σ of class weights",
    "factor": "Σ of weight",
    "lists": "the number of lists with a valid item",
    "ratio": "Σ of weighted targets by size",
}
Numbers = Mapping[str, float | list[int]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an evaluation.

    Attributes:
        step: Its name.
        says: What was done, in a sentence.
        numbers: The numbers of it.
    """

    step: str
    says: str
    numbers: Numbers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """An evaluation with what is behind it.

    Attributes:
        plan: Symbol and reduction.
        batch: The tensors, bound to it.
        answer: The answer.
        numerator: The weighted sum that was divided.
        divisor: What it was divided by, in words; empty if by nothing.
        steps: What was done, in its order.
        manners: What the symbol did besides the formula that changed a number, as phrases.
    """

    plan: Plan
    batch: Batch
    answer: Answer
    numerator: float
    divisor: str
    steps: tuple[Step, ...]
    manners: tuple[str, ...]

    @property
    def candidate(self) -> Candidate:
        """The loss that the tensors chose."""
        return self.batch.candidate


def account(plan: Plan, tensors: Tensors, options: Options, backend: Backend) -> Account:
    """Evaluate, and keep what is behind the answer.

    Raises:
        LossmeterError: As an evaluation.
    """
    kinds: tuple[type[Part], ...] = (Linear, *plan.reduction.rule.parts)
    stateless = options.model_copy(update={"state": False})
    evaluation = Evaluation(plan, stateless, backend, tuple(dict.fromkeys(kinds)))
    evaluation.add(tensors)
    answer, batch = evaluation.finish(), bind(plan, tensors)
    numerator = _numerator(plan, batch, answer, evaluation.linear)
    divisor = _divisor(plan.reduction, batch.candidate)
    entries = _Entries(batch)
    labels, guards = list(_labels(batch)), list(_guards(batch, entries))
    steps = (
        _symbol(plan, batch),
        _shapes(batch),
        *labels,
        _mask(batch, entries, answer),
        *guards,
        *_values(batch, entries),
        *_weights(batch, answer),
        *_sums(answer, numerator, divisor),
    )
    return Account(
        plan=plan,
        batch=batch,
        answer=answer,
        numerator=numerator,
        divisor=divisor,
        steps=steps,
        manners=tuple(_manners(plan, batch, entries, [*labels, *guards])),
    )


def _numerator(plan: Plan, batch: Batch, answer: Answer, linear: Linear) -> float:
    if batch.groups.joined and isinstance(answer.value, float) and answer.denominator:
        return answer.value * answer.denominator
    by_length = plan.reduction.own_divisor and batch.candidate.own == "lengths"
    return float(linear.divisor if by_length else linear.total)


def _divisor(reduction: Reduction, candidate: Candidate) -> str:
    if reduction.own_divisor and candidate.own in OWN:
        return OWN[candidate.own]
    if reduction.divisor is not None:
        return "the divisor asked for"
    return DIVISORS.get(reduction.name, "")


class _Entries:
    """The kept entries of a batch as one block, as a kernel finds them."""

    def __init__(self, batch: Batch) -> None:
        self.total = int(np.prod(batch.shape))
        keep = np.ones(self.total, bool) if batch.mask is None else batch.mask.reshape(-1)
        inputs = surveyed(batch)
        ignored = batch.candidate.ignore_index
        self.masked = self.total - int(np.count_nonzero(keep))
        if ignored is not None:
            keep = keep & (np.reshape(inputs["targets"], -1) != ignored)
        self.kept = int(np.count_nonzero(keep))
        self.ignored = self.total - self.masked - self.kept
        self.inputs: dict[str, Array] = {}
        self.extras: dict[str, Array] = {}
        if self.kept:
            self._compute(batch, inputs, keep)

    def _compute(self, batch: Batch, inputs: Mapping[str, Array], keep: Array) -> None:
        """Inputs and extras in the computing dtype, class indices as integers."""
        rank, dtype = len(batch.shape), batch.dtype
        domains = batch.candidate.domains
        block = {
            name: np.reshape(x, (self.total, *x.shape[rank:]))[keep]
            for name, x in {**inputs, **batch.extras}.items()
        }
        operands = {
            name: block[name] if domains[name].integers else block[name].astype(dtype)
            for name in inputs
        }
        Admission(batch.candidate.symbol).admit(batch, operands)
        self.inputs = {**operands, **{n: x.astype(dtype) for n, x in batch.shared.items()}}
        constants = {name: x.astype(dtype) for name, x in batch.constants.items()}
        self.extras = {**{name: block[name] for name in batch.extras}, **constants}

    def values(self, program: Program) -> Array:
        """The loss values before the last axis is joined."""
        extras = {name: x for name, x in self.extras.items() if name != FACTOR}
        with np.errstate(all="ignore"):
            found = replace(program, inner="")(NUMPY, self.inputs, extras)
        return np.asarray(found, dtype=np.float64)


def _symbol(plan: Plan, batch: Batch) -> Step:
    symbol, candidate = plan.symbol, batch.candidate
    loss, temperature = candidate.variant.loss, candidate.program.temperature
    framework = f" ({symbol.dialect.name} {symbol.dialect.version})" if symbol.dialect.name else ""
    stands = f"{symbol.name}{framework} stands for {loss.name}"
    said = symbol.name if symbol.name == loss.name else stands
    divided = {"temperature": temperature} if temperature != 1.0 else {}
    open_names = {param.name for param in loss.open_params}
    known = {**candidate.parameter, **divided}
    told = [f"{name} = {value}" for name, value in known.items() if name in open_names]
    return Step("loss", said + (f", with {', '.join(told)}" if told else ""))


def _shapes(batch: Batch) -> Step:
    arrays = {**batch.inputs, **batch.shared}
    told = [f"{name} {list(x.shape)} {x.dtype}" for name, x in arrays.items()]
    shape = [] if batch.candidate.variant.loss.collapses else list(batch.shape)
    says = f"{', '.join(told)}; loss values {shape}, computed in {batch.dtype}"
    return Step("shapes", says, {"shape": shape})


def _labels(batch: Batch) -> Iterator[Step]:
    survey = batch.candidate.variant.survey
    if survey is None:
        return
    before, after = batch.inputs, surveyed(batch)
    for name, x in after.items():
        if x is not before[name]:
            changed = int(np.count_nonzero(np.asarray(x) != np.asarray(before[name])))
            framework = batch.candidate.symbol.dialect.name
            says = f"{framework} reads {survey.why}: {changed} {name} changed"
            yield Step("labels", says, {"changed": changed})


def _mask(batch: Batch, entries: _Entries, answer: Answer) -> Step:
    omitted = answer.omitted or 0
    left = {
        "under the mask": entries.masked,
        f"with target {batch.candidate.ignore_index}": entries.ignored,
        "not finite": omitted,
    }
    told = ", ".join(f"{number} {why}" for why, number in left.items() if number)
    says = f"{entries.kept - omitted} of {entries.total} entries are kept"
    numbers = {"kept": entries.kept - omitted, "entries": entries.total}
    return Step("mask", says + (f": {told} are left out" if told else ""), numbers)


def _guards(batch: Batch, entries: _Entries) -> Iterator[Step]:
    program, name = batch.program, batch.candidate.symbol.name
    if not entries.kept:
        return
    with np.errstate(all="ignore"):
        before = replace(program, guards=()).guarded(NUMPY, entries.inputs, entries.extras)
        for guard, setting in program.guards:
            alone = Program(program.loss, guards=((guard, setting),))
            after = alone.guarded(NUMPY, before, {})
            changed = sum(_changed(before[key], after[key]) for key in after)
            says = f"{name} {guarded(guard, setting)}: {_many(changed, 'number')} changed"
            yield Step("guard", says, {"changed": changed})
            before = after


def _changed(before: Array, after: Array) -> int:
    if before.dtype.kind != "f":
        return int(np.count_nonzero(before != after))
    return int(np.count_nonzero((before != after) & ~(np.isnan(before) & np.isnan(after))))


def _values(batch: Batch, entries: _Entries) -> Iterator[Step]:
    if not entries.kept:
        return
    values = entries.values(batch.program)
    low, high = float(np.min(values)), float(np.max(values))
    says = f"the formula gives {_many(values.size, 'value')}, from {low:.6g} to {high:.6g}"
    yield Step("values", says, {"values": values.size, "least": low, "greatest": high})
    if batch.program.inner:
        size, name = values.shape[-1], batch.candidate.symbol.name
        says = f"{name} {INNER[batch.program.inner]}, {_many(size, 'value')} each"
        yield Step("inner", says, {"size": size})


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _weights(batch: Batch, answer: Answer) -> Iterator[Step]:
    candidate = batch.candidate
    if batch.weights is not None:
        reached = _many(int(np.prod(batch.shape)), "loss value")
        says = (
            f"{_many(batch.weight_entries, 'weight')} for {reached}; "
            f"those of the kept sum to {answer.weight:.10g}"
        )
        yield Step("weights", says, {"weight": answer.weight})
    if candidate.class_weight is not None:
        yield Step("class_weight", "each loss value is multiplied by the weight of its class")
    if candidate.factor is not None or candidate.per_class:
        yield Step("factor", "the framework's own weights multiply the loss values")


def _sums(answer: Answer, numerator: float, divisor: str) -> Iterator[Step]:
    below, value = answer.denominator, answer.value
    if divisor and below is not None:
        says = f"the weighted loss values sum to {numerator:.10g}"
        yield Step("numerator", says, {"numerator": numerator})
        yield Step("divisor", f"{divisor} = {below:.10g}", {"divisor": below})
    if isinstance(value, float):
        yield Step("result", f"{answer.reduction} = {value!r}", {"value": value})
    else:
        many = len(value) if isinstance(value, Mapping) else int(np.size(value))
        yield Step("result", f"{answer.reduction} gives {_many(many, 'value')}")


def _manners(plan: Plan, batch: Batch, entries: _Entries, changes: list[Step]) -> Iterator[str]:
    """What changed a number besides the formula."""
    variant = batch.candidate.variant
    guards = [step for step in changes if step.step == "guard"]
    for (guard, setting), step in zip(batch.program.guards, guards, strict=False):
        if step.numbers["changed"]:
            yield guarded(guard, setting)
    read = any(step.step == "labels" and step.numbers["changed"] for step in changes)
    for mark in marks(variant):
        if read or variant.survey is None or variant.survey.why not in mark:
            yield mark
    if entries.kept:
        yield from _effects(batch, entries)
    if plan.reduction.own_divisor and batch.candidate.own == "lengths":
        yield LENGTHS


def _effects(batch: Batch, entries: _Entries) -> Iterator[str]:
    """The parameters that no request sets, and without which the values were others."""
    program, values = batch.program, entries.values(batch.program)
    defaults = {param.name: param.default for param in program.loss.params}
    for name, phrase in fixed(dict(program.params)).items():
        params = {**dict(program.params), name: defaults[name]}
        plain = entries.values(replace(program, params=tuple(sorted(params.items()))))
        if not np.allclose(values, plain, rtol=NEAR, atol=0.0, equal_nan=True):
            yield phrase
    if program.inner and values.shape[-1] > 1:
        yield INNER[program.inner]
