"""Whole batches of a loss, drawn from what it declares of its inputs and parameters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st

from lossmeter import evaluate
from lossmeter.app.answer import Answer
from lossmeter.core.arrays import Array
from lossmeter.core.declare import REGISTRY, InputSpec, Loss
from lossmeter.core.domains import Domain
from tests.oracle import draws
from tests.oracle.cases import CLASSES, DType, Params, classes_fixed, domain_of, params_of

Sizes: TypeAlias = Mapping[str, int]

MOST_ROWS, LONGEST = 6, 3
# What a loss's docstring asks of its vectors and no domain can: unit length; or numbers whose
# differences are no roundings, because it divides by them.
UNIT_LENGTH = {"circle"}
ON_GRID = {"d2_score"}
GRID = 16.0


@dataclass(frozen=True, slots=True)
class Batch:
    """A request: the name of a loss, its parameters and inputs."""

    name: str
    params: Params
    inputs: Mapping[str, Array]

    @property
    def loss(self) -> Loss:
        """The loss."""
        return REGISTRY[self.name]

    @property
    def by_row(self) -> dict[str, Array]:
        """The inputs that have samples: not those that all share."""
        return {s.name: self.inputs[s.name] for s in self.loss.inputs if s.kind.lead}

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(next(iter(self.by_row.values())))

    def with_inputs(self, **inputs: Array) -> "Batch":
        """The batch with other inputs, or more of them."""
        return replace(self, inputs={**self.inputs, **inputs})

    def taken(self, which: Any) -> "Batch":
        """These rows of it."""
        return self.with_inputs(**{name: x[which] for name, x in self.by_row.items()})

    def spoilt(self, where: Array) -> "Batch":
        """The batch with values that no loss takes, where they must not be looked at."""
        return self.with_inputs(**{name: _spoilt(x, where) for name, x in self.by_row.items()})

    def widened(self) -> "Batch":
        """The same numbers as float64."""
        values = {name: x for name, x in self.inputs.items() if x.dtype.kind == "f"}
        return self.with_inputs(**{name: x.astype(np.float64) for name, x in values.items()})

    def answer(self, **asked: Any) -> Answer:
        """What the engine answers."""
        answer = evaluate(self.name, self.inputs, params=self.params, **asked)
        assert isinstance(answer, Answer)
        return answer

    def number(self, reduction: str | None = None, **asked: Any) -> float:
        """The answer, where it is one number."""
        return float(self.answer(reduction=reduction, **asked))

    def values(self) -> Array:
        """The loss values."""
        return np.asarray(self.answer(reduction="none").value)


def _spoilt(x: Array, where: Array) -> Array:
    spoilt = x.copy()
    spoilt[where] = np.nan if x.dtype.kind == "f" else -9
    return spoilt


def settings_of(loss: Loss) -> list[Params]:
    """The parameters that a loss is tried with, as far as a request may set them."""
    known = {param.name for param in loss.open_params}
    return [params for params in params_of(loss) if params.keys() <= known]


class _Form(NamedTuple):
    """What the inputs of a batch have in common: parameters in force, dtype, sizes of axes."""

    loss: Loss
    params: Params
    dtype: DType
    sizes: Sizes


@st.composite
def batches(draw: st.DrawFn, name: str, dtype: DType = np.float64) -> Batch:
    """A few samples, with every axis that the loss names of one size in all inputs."""
    loss = REGISTRY[name]
    params = draw(st.sampled_from(settings_of(loss)))
    rows = draw(st.integers(1, MOST_ROWS))
    # Where any axes may come first, one beside that of the samples may be there.
    many = all(spec.kind.lead == "..." for spec in loss.inputs)
    beside = draw(st.sampled_from([(), (2,)])) if many else ()
    leads = {"...": (rows, *beside), "N": (rows,), "": ()}
    in_force = {**{param.name: param.default for param in loss.params}, **params}
    form = _Form(loss, in_force, dtype, draw(_sizes(loss, in_force)))
    drawn = {}
    for spec in loss.inputs:
        domain, own = domain_of(spec, loss, params), _own(spec, form)
        shape = leads[spec.kind.lead]
        many_entries = draw(_lists(_entry(spec, form, own), math.prod(shape)))
        x = np.asarray(many_entries, np.int64 if domain.integers else dtype)
        drawn[spec.name] = _tamed(loss, domain, x.reshape(*shape, *own))
    return Batch(name, params, drawn)


@st.composite
def _sizes(draw: st.DrawFn, loss: Loss, params: Params) -> Sizes:
    """Sizes of the axes that the loss uses up, those that are optional possibly left out."""
    axes = dict.fromkeys(axis for spec in loss.inputs for axis in spec.kind.core)
    sizes = {axis: draw(st.integers(1, LONGEST)) for axis in axes if not axis.isdecimal()}
    if classes_fixed(loss, params):
        sizes["C"] = CLASSES
    if any(spec.kind.optional for spec in loss.inputs) and draw(st.booleans()):
        del sizes["C"]
    if "blank" in params:
        sizes["C"] = max(sizes["C"], _after_blank(params) + 1)
    return sizes


def _after_blank(params: Params) -> int:
    """The first label that is not the blank; those before it are left out too."""
    blank = params.get("blank", -1)
    assert isinstance(blank, int)
    return blank + 1


def _own(spec: InputSpec, form: _Form) -> tuple[int, ...]:
    """Sizes of the axes that the loss uses up of this input."""
    domain = domain_of(spec, form.loss, form.params)
    if spec.kind.optional and (domain.index or "C" not in form.sizes):
        return ()
    own: list[int] = []
    for axis in spec.kind.core:
        # Any axes are two, as an image has them.
        own += [2, form.sizes[axis]] if axis == "..." else [int(form.sizes.get(axis, axis))]
    return tuple(own)


def _entry(spec: InputSpec, form: _Form, own: tuple[int, ...]) -> st.SearchStrategy[object]:
    """What one sample has of an input: a number, or nested lists."""
    domain = domain_of(spec, form.loss, form.params)
    inner: st.SearchStrategy[object]
    if domain.integers:
        inner, outer = st.integers(*_bounds(spec, domain, form)), own
    else:
        last = replace(spec, kind=replace(spec.kind, core=spec.kind.core[-1:] if own else ()))
        size = own[-1] if own else 1
        inner, outer = draws.values(last, form.loss, form.params, form.dtype, size), own[:-1]
    for size in reversed(outer):
        inner = _lists(inner, size)
    return inner


def _lists(inner: st.SearchStrategy[object], size: int) -> st.SearchStrategy[object]:
    return st.lists(inner, min_size=size, max_size=size)


def _bounds(spec: InputSpec, domain: Domain, form: _Form) -> tuple[int, int]:
    """The least and the greatest whole number of a domain."""
    if spec.kind.counts:
        return 0, form.sizes[spec.kind.counts]
    least = _after_blank(form.params) if domain.index else -1
    return least, form.sizes.get("C", 2) - 1


def _tamed(loss: Loss, domain: Domain, x: Array) -> Array:
    """The numbers as the loss needs them, where no strategy of its domain says it."""
    if x.dtype.kind != "f":
        return x
    if domain.name == "log_probability":
        return np.minimum(x - np.logaddexp.reduce(x, axis=-1, keepdims=True), 0)
    if loss.name in ON_GRID:
        x = np.round(x * GRID) / GRID
        return np.maximum(x, x.dtype.type(1 / GRID)) if domain.interval.open_low else x
    if loss.name in UNIT_LENGTH:
        lengths = np.linalg.norm(x, axis=-1, keepdims=True)
        return (x / np.where(lengths > 0, lengths, 1)).astype(x.dtype)
    return x
