"""An account of one evaluation: its answer, and the steps that lead to it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lossmeter.app.answer import Answer
from lossmeter.app.backend import Backend
from lossmeter.app.entries import Entries, recodings
from lossmeter.app.evaluation import Evaluation
from lossmeter.core.arrays import NUMPY, Array
from lossmeter.core.declare import Guard
from lossmeter.core.parts import Linear, Part
from lossmeter.core.program import Program
from lossmeter.core.reductions import Reduction
from lossmeter.dialects import words
from lossmeter.dialects.symbols import Rule
from lossmeter.plan.batch import Batch, bind
from lossmeter.plan.plan import Candidate, Plan
from lossmeter.plan.request import Options
from lossmeter.plan.survey import surveyed
from lossmeter.plan.tensors import SHARED, Tensors

CLIP = "clip_epsilon"
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
        plain: The same without weights and mask, under which loss values may be repeated.
        entries: Its kept entries.
        answer: The answer.
        numerator: What was summed; None where the answer is no sum and no quotient.
        divisor: What it was divided by, in words; empty if by nothing.
        joins: How many values each loss value joins.
        steps: What was done, in its order.
        manners: What the symbol did besides the formula that changed a number, by kind.
    """

    plan: Plan
    batch: Batch
    plain: Batch
    entries: Entries
    answer: Answer
    numerator: float | None
    divisor: str
    joins: int
    steps: tuple[Step, ...]
    manners: Mapping[str, str]

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
    alone = {name: x for name, x in tensors.arrays.items() if name not in SHARED}
    plain = bind(plan, replace(tensors, arrays=alone))
    entries = Entries(batch)
    numerator = _numerator(plan, batch, answer, evaluation.linear)
    divisor = _divisor(plan.reduction, batch) if numerator is not None else ""
    steps = (
        _symbol(plan, batch),
        _shapes(batch, plain),
        *_labels(batch),
        _mask(batch, entries, answer),
        *_guards(batch, entries),
        *_values(batch, entries),
        *_weights(batch, answer),
        *_sums(plan, answer, numerator, divisor),
    )
    manners = dict(_manners(plan, batch, entries, tensors.laid_out)) if entries.kept else {}
    if math.prod(batch.shape) > math.prod(plain.shape):
        manners["repeats"] = words.REPEATS
    return Account(
        plan=plan,
        batch=batch,
        plain=plain,
        entries=entries,
        answer=answer,
        numerator=numerator,
        divisor=divisor,
        joins=_joins(batch, entries),
        steps=steps,
        manners=manners,
    )


def _numerator(plan: Plan, batch: Batch, answer: Answer, linear: Linear) -> float | None:
    """What is summed; from the answer where it is more than the weighted loss values."""
    reduction, value, below = plan.reduction, answer.value, answer.denominator
    if not isinstance(value, float) or below is None:
        return None
    if batch.groups.joined:
        return None if reduction.root else value * below
    if reduction.name in words.SUMMED:
        inverse = {"rms": lambda x: x * x, "geometric_mean": _log}.get(reduction.name, float)
        return inverse(value) * below
    if reduction.name != "sum" and reduction.name not in words.DIVISORS:
        return None
    by_length = reduction.own_divisor and batch.candidate.own == "lengths"
    return float(linear.divisor if by_length else linear.total)


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else -math.inf if x == 0.0 else math.nan


def _divisor(reduction: Reduction, batch: Batch) -> str:
    if reduction.own_divisor and batch.candidate.own in words.OWN:
        return words.OWN[batch.candidate.own]
    if reduction.divisor is not None:
        return "the divisor asked for"
    once = reduction.own_weights and batch.weight_entries != math.prod(batch.shape)
    each = ", each counted once" if once else ""
    said = words.DIVISORS.get(reduction.name, "")
    return said + each


def _joins(batch: Batch, entries: Entries) -> int:
    if batch.groups.joined and batch.candidate.columns != "raw_values":
        return len(batch.groups.keys)
    return entries.values().shape[-1] if batch.program.inner and entries.kept else 1


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


def _shapes(batch: Batch, plain: Batch) -> Step:
    arrays = {**plain.inputs, **plain.shared}
    told = [f"{name} {list(x.shape)} {_dtype(x)}" for name, x in arrays.items()]
    together = batch.candidate.variant.loss.collapses
    shape, own = ([] if together else list(x.shape) for x in (batch, plain))
    repeated = "" if shape == own else f" repeated to {shape} as weights and mask have it"
    says = f"{', '.join(told)}; loss values {own}{repeated}, computed in {batch.dtype}"
    return Step("shapes", says, {"shape": shape})


def _dtype(x: Array) -> str:
    return "strings" if x.dtype.kind in "US" else x.dtype.name


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


def _mask(batch: Batch, entries: Entries, answer: Answer) -> Step:
    omitted = answer.omitted or 0
    left = {
        "under the mask": entries.masked,
        f"with target {batch.candidate.ignore_index}": entries.ignored,
        "not finite": omitted,
    }
    told = ", ".join(f"{number} {why}" for why, number in left.items() if number)
    says = f"keeps {entries.kept - omitted} of {_many(entries.total, 'entry', 'entries')}"
    numbers = {"kept": entries.kept - omitted, "entries": entries.total}
    return Step("mask", says + (f"; left out: {told}" if told else ""), numbers)


def _guards(batch: Batch, entries: Entries) -> Iterator[Step]:
    program, name = batch.program, batch.candidate.symbol.name
    if not entries.kept:
        return
    with np.errstate(all="ignore"):
        before = replace(program, guards=()).guarded(NUMPY, entries.inputs, entries.extras)
        for guard, setting in program.guards:
            alone = Program(program.loss, guards=((guard, setting),))
            after = alone.guarded(NUMPY, before, {})
            changed = sum(_changed(before[key], after[key]) for key in after)
            says = f"{name} {_guarded(batch, guard, setting)}: {_many(changed, 'number')} changed"
            yield Step("guard", says, {"changed": changed})
            before = after


def _guarded(batch: Batch, guard: str, setting: object) -> str:
    machine = guard == "clip_machine_epsilon"
    return words.guarded(guard, float(np.finfo(batch.dtype).eps) if machine else setting)


def _changed(before: Array, after: Array) -> int:
    if before.dtype.kind != "f":
        return int(np.count_nonzero(before != after))
    return int(np.count_nonzero((before != after) & ~(np.isnan(before) & np.isnan(after))))


def _values(batch: Batch, entries: Entries) -> Iterator[Step]:
    values = entries.values() if entries.kept else np.zeros(0)
    if not values.size:
        return
    low, high = float(np.min(values)), float(np.max(values))
    span = f"from {low:.6g} to {high:.6g}" if values.size > 1 else f"{low:.6g}"
    says = f"the formula gives {_many(values.size, 'value')}, {span}"
    yield Step("values", says, {"values": values.size, "least": low, "greatest": high})
    if batch.program.inner:
        size, name = values.shape[-1], batch.candidate.symbol.name
        says = f"{name} {words.INNER[batch.program.inner]}, {_many(size, 'value')} each"
        yield Step("inner", says, {"size": size})


def _many(number: int, what: str, plural: str = "") -> str:
    return f"{number} {what if number == 1 else plural or f'{what}s'}"


def _weights(batch: Batch, answer: Answer) -> Iterator[Step]:
    candidate = batch.candidate
    if batch.weights is not None:
        reached = _many(math.prod(batch.shape), "loss value")
        says = (
            f"{_many(batch.weight_entries, 'weight')} for {reached}; "
            f"those of the kept sum to {answer.weight:.10g}"
        )
        yield Step("weights", says, {"weight": answer.weight})
    if candidate.class_weight is not None:
        yield Step("class_weight", "each loss value is multiplied by the weight of its class")
    if candidate.factor is not None or candidate.per_class:
        yield Step("factor", "the framework's own weights multiply the loss values")


def _sums(plan: Plan, answer: Answer, numerator: float | None, divisor: str) -> Iterator[Step]:
    below, value, name = answer.denominator, answer.value, answer.reduction
    if divisor and numerator is not None and below is not None:
        summed = words.SUMMED.get(name, "the weighted loss values")
        says = f"{summed} sum to {numerator:.10g}"
        yield Step("numerator", says, {"numerator": numerator})
        yield Step("divisor", f"{divisor} = {below:.10g}", {"divisor": below})
    made = f"{name}, {_outer(plan.reduction)}," if _outer(plan.reduction) else name
    if not isinstance(value, Mapping) and not np.ndim(value):
        value = float(value)
        at = "" if answer.index is None else f", first in sample {answer.index}"
        yield Step("result", f"{made} = {value!r}{at}", {"value": value})
    else:
        many = len(value) if isinstance(value, Mapping) else int(np.size(value))
        yield Step("result", f"{made} gives {_many(many, 'value')}")


def _outer(reduction: Reduction) -> str:
    return (
        words.ROOT
        if reduction.root and reduction.rule.mean
        else words.OUTER.get(reduction.name, "")
    )


def _manners(
    plan: Plan, batch: Batch, entries: Entries, laid_out: bool
) -> Iterator[tuple[str, str]]:
    """What changes a number besides the formula, by kind: each is tried against doing without."""
    program = batch.program
    for at, (guard, setting) in enumerate(program.guards):
        others = program.guards[:at] + program.guards[at + 1 :]
        if (guard, setting) not in recodings(batch) and entries.differs(guards=others):
            kind = CLIP if guard == "clip_machine_epsilon" else guard
            yield kind, _guarded(batch, guard, setting)
    guards = {param.name: param.default for param in program.loss.params if param.marked(Guard)}
    given = {name: value for name, value in program.params if name in guards}
    for name, phrase in words.fixed(given).items():
        if entries.differs_with(name, guards[name]):
            yield name, phrase
    yield from _marks(batch, entries)
    yield from _read(batch, laid_out)
    yield from ((name, words.GIVEN[name]) for name in batch.candidate.around)
    yield from _by_class(batch)
    if plan.reduction.own_divisor and batch.candidate.own == "lengths":
        yield "lengths", words.LENGTHS
    if batch.groups.joined and isinstance(batch.candidate.columns, list):
        yield "outputs", words.WEIGHED


def _by_class(batch: Batch) -> Iterator[tuple[str, str]]:
    """How the weights of classes act: that differs where a sample has a share of several."""
    candidate = batch.candidate
    if "class_factor" in candidate.per_class:
        indexed = candidate.domains["targets"].index
        alone = indexed and not candidate.parameter.get("label_smoothing")
        yield "class_factor", words.BY_CLASS if alone else words.GIVEN["class_factor"]
    elif candidate.class_weight is not None:
        yield "class_factor", words.BY_CLASS


def _marks(batch: Batch, entries: Entries) -> Iterator[tuple[str, str]]:
    """What a variant is marked with, where the data meet it."""
    candidate, variant = batch.candidate, batch.candidate.variant
    met = {
        "drops_zeros": variant.drops_zeros and bool((entries.values() == 0.0).any()),
        "wraps": variant.wraps and entries.counts_from_last(),
        "by_class": variant.by_class and entries.values().shape[-1] > 1,
        "all_axes": variant.all_axes and candidate.rules.get(Rule.SUMMED_AXES) is None,
    }
    yield from ((name, words.MARKED[name]) for name, does in met.items() if does)


def _read(batch: Batch, laid_out: bool) -> Iterator[tuple[str, str]]:
    """What a look at the whole batch changes."""
    survey, after = batch.candidate.variant.survey, surveyed(batch)
    changed = {name for name, x in after.items() if x is not batch.inputs[name]}
    if "predictions" in changed:
        yield "scores", words.SQUASHES
    # Labels that it tells otherwise are given so to others; those that it is given mean others.
    if survey is not None and "targets" in changed and laid_out:
        if not np.array_equal(after["targets"], batch.inputs["targets"]):
            yield "labels", words.reads(survey.why)
