"""A request in one dialect, as another dialect would be asked for the same thing."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from lossmeter.app.account import Account
from lossmeter.app.entries import recodings
from lossmeter.app.retelling import kin, retold
from lossmeter.core.arrays import NUMPY, Array
from lossmeter.core.declare import CLASS_WEIGHT, IGNORE_INDEX, Loss
from lossmeter.core.guards import GUARDS
from lossmeter.core.program import FACTOR
from lossmeter.core.reductions import Reduction
from lossmeter.dialects import SYMBOLS
from lossmeter.dialects.symbols import Rule, Symbol, Variant, align_leading, canonical
from lossmeter.plan.batch import Batch
from lossmeter.plan.layout import ANY
from lossmeter.plan.parameters import default_of
from lossmeter.plan.plan import Candidate, Plan, prepare
from lossmeter.plan.request import ReductionBody
from lossmeter.plan.survey import surveyed
from lossmeter.plan.tensors import SHARED, Tensors, inputs_of

# What a framework calls the number of classes where it must be told.
COUNT = "num_classes"
# Fixed parameters of a symbol that say what the data are or which loss it is.
IDENTITY = {"family", "log_target"}


def others(asked: Candidate) -> Iterator[tuple[Symbol, int]]:
    """Symbols of other dialects that stand for the same loss, each with its variant's position."""
    loss, seen = asked.variant.loss, {_manner(asked.symbol)}
    for symbol in (canonical(loss), *SYMBOLS.values()):
        for index, variant in enumerate(symbol.variants):
            # One mask of pixels has no axis of classes, while classes can be told as one mask.
            alike = variant.loss is loss and variant.by_class <= asked.variant.by_class
            if alike and _manner(symbol) not in seen:
                seen.add(_manner(symbol))
                yield symbol, index
    yield from _kin(loss, {framework for framework, _ in seen})


def _kin(loss: Loss, asked: set[str]) -> Iterator[tuple[Symbol, int]]:
    """Symbols of the frameworks that are left, which know the loss in another encoding."""
    for other, symbol in product(kin(loss), SYMBOLS.values()):
        if symbol.dialect.name in asked:
            continue
        for index, variant in enumerate(symbol.variants):
            if variant.loss is other:
                asked.add(symbol.dialect.name)
                yield symbol, index
                break


def _manner(symbol: Symbol) -> tuple[str, object]:
    """One symbol of a framework is enough, unless it aligns weights in several ways."""
    return symbol.dialect.name, symbol.dialect.align


def translated(made: Account, symbol: Symbol, index: int, given: set[str]) -> Plan:
    """The same loss with the same parameters, asked of another symbol.

    Args:
        made: The loss as it was asked for.
        symbol: The other symbol.
        index: Which of its variants.
        given: The keywords that the request set.

    Raises:
        LossmeterError: The other symbol cannot be asked for it.
    """
    variant, asked = symbol.variants[index], made.candidate
    carried = _carried(asked, given)
    params = {
        keyword: carried[meaning]
        for keyword, meaning in variant.keywords.items()
        if isinstance(meaning, str) and meaning in carried
    }
    if _class_weights(made) is not None:
        params.pop(CLASS_WEIGHT.name, None)
    params |= variant.when
    params |= _by_rule(made, variant)
    if COUNT in variant.keywords and default_of(variant, COUNT) is ...:
        params[COUNT] = made.batch.classes
    return prepare(symbol.name, params, _reduction(made.plan.reduction, symbol))


def _carried(asked: Candidate, given: set[str]) -> dict[str, Any]:
    """Canonical parameters that the request set, in the values in force."""
    keywords = asked.variant.keywords
    settled = any(keywords.get(name) is Rule.SETTLED for name in given)
    meanings = (keywords.get(name) for name in given)
    named = {meaning for meaning in meanings if isinstance(meaning, str)}
    if settled:
        named |= set(asked.variant.settle(asked.settings)) if asked.variant.settle else set()
    named |= IDENTITY & asked.variant.fixed.keys()
    force = {**asked.in_force, IGNORE_INDEX.name: asked.ignore_index}
    return {name: force[name] for name in named if force.get(name) is not None}


def _by_rule(made: Account, variant: Variant) -> dict[str, Any]:
    """Keywords that are rules: the class factors, and an axis that must be named."""
    params: dict[str, Any] = {}
    rules = {rule: keyword for keyword, rule in variant.keywords.items() if isinstance(rule, Rule)}
    weights = _class_weights(made)
    takes = CLASS_WEIGHT.name if CLASS_WEIGHT.name in variant.keywords.values() else None
    keyword = rules.get(Rule.CLASS_FACTOR) or takes
    if weights is not None and keyword is not None:
        params[keyword] = weights
    axes = made.candidate.rules.get(Rule.SUMMED_AXES)
    if axes is not None and Rule.SUMMED_AXES in rules:
        params[rules[Rule.SUMMED_AXES]] = [axes] if isinstance(axes, int) else axes
    if Rule.CLASS_AXIS in rules and default_of(variant, rules[Rule.CLASS_AXIS]) is ...:
        params[rules[Rule.CLASS_AXIS]] = -1
    return params


def _reduction(asked: Reduction, symbol: Symbol) -> ReductionBody | None:
    """The other symbol's own mean for a mean, else the same reduction by its canonical name."""
    settings: dict[str, Any] = {"axis": list(asked.axis) or None, "by": asked.by}
    if asked.rule.mean and asked.divisor is None and asked.name not in ("rms", "macro_mean"):
        name = symbol.default_reduction if default_name(symbol) != "none" else "mean"
        return ReductionBody(name=name, **settings)
    options = {name: getattr(asked, name) for name in asked.rule.options}
    return ReductionBody(name=asked.name, **{**settings, **options})


def _class_weights(made: Account) -> list[float] | None:
    """The weights of the classes as a list, where they are one or can be told as one."""
    factors, weights = made.candidate.per_class.get("class_factor"), made.candidate.class_weight
    if factors is not None:
        found: list[float] = factors.tolist()
        return found
    if isinstance(weights, dict):
        names = [str(at) for at in range(made.batch.classes)]
        return [weights[name] for name in names] if weights.keys() == set(names) else None
    return weights if isinstance(weights, list) else None


def default_name(symbol: Symbol) -> str:
    """The canonical name of a symbol's default reduction."""
    words, default = symbol.reduction_words(), symbol.default_reduction
    return words[default].name if default in words else default


def tensors_for(made: Account, given: Tensors, plan: Plan, loss: Loss) -> Tensors:
    """The tensors of a request in canonical layout, as another plan takes them.

    Args:
        made: The request.
        given: Its tensors.
        plan: The other plan.
        loss: Which loss of those it may stand for.

    Raises:
        OutOfDomain: They cannot be told in the encoding of that loss.
    """
    batch, plain, asked = made.batch, made.plain, made.candidate
    # Labels under the mask have no say, but where loss values are repeated there is no telling.
    inputs = _canonical(batch if batch.shape == plain.shape else plain)
    if any(ANY in spec.kind.core for spec in asked.variant.loss.inputs):
        # Which axes are summed, each says itself.
        inputs = _recoded(batch, inputs_of(made.plan, asked, given))
    if loss is not asked.variant.loss:
        inputs = retold(asked.variant.loss, loss, inputs)
    arrays: dict[str, Array] = {**inputs, **batch.shared}
    arrays |= {
        name: x
        for name, x in given.arrays.items()
        if name in ("sample_weight", "mask", plan.reduction.by)
    }
    if lacks_outputs(made, plan):
        # A model has an axis of outputs, if only one; without it the batch would be averaged away.
        arrays |= {name: np.asarray(arrays[name])[:, None] for name in inputs}
    if asked.factor is not None:
        weights = 1.0 if batch.weights is None else batch.weights
        arrays["sample_weight"] = batch.extras[FACTOR] * weights
    return Tensors(_unignored(asked, plan, arrays), laid_out=True)


def lacks_outputs(made: Account, plan: Plan) -> bool:
    """Whether a plan averages an axis of outputs that the data lack."""
    inner = any(candidate.program.inner == "mean" for candidate in plan.candidates)
    alone = inner and not made.candidate.program.inner
    return alone and made.plain.inputs["predictions"].ndim == 1


def _canonical(batch: Batch) -> dict[str, Array]:
    """The inputs in the encoding of the canonical loss."""
    # Labels told otherwise are the same labels; scores that a framework squashes are others.
    read = surveyed(batch)
    labels = read.get("targets", np.zeros(0))
    whole = labels.dtype.kind in "biu" or bool((labels == np.floor(labels)).all())
    given = {n: x for n, x in batch.inputs.items() if n == "predictions" or not whole}
    return _recoded(batch, {**read, **given})


def _recoded(batch: Batch, inputs: dict[str, Array]) -> dict[str, Array]:
    """The inputs after the guards that only tell them otherwise."""
    guards, domains = recodings(batch), batch.candidate.domains
    if not guards or not all(x.size for x in inputs.values()):
        return inputs
    values = {n: x.astype(batch.dtype) for n, x in inputs.items() if not domains[n].integers}
    with np.errstate(all="ignore"):
        for name, setting in guards:
            values = GUARDS[name](NUMPY, values, setting)
    return {**inputs, **values}


def _unignored(asked: Candidate, plan: Plan, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Targets left out by their value as a mask, where the other dialect has no such value."""
    ignored, found = asked.ignore_index, dict(arrays)
    if ignored is None or any(c.ignore_index == ignored for c in plan.candidates):
        return found
    kept = np.asarray(found["targets"]) != ignored
    if not kept.all():
        mask = found.get("mask")
        given = None if mask is None else align_leading(mask, kept.shape, "mask").astype(np.bool_)
        found["mask"] = kept if given is None else kept & given
    return found


def forms(tensors: Tensors) -> Iterator[tuple[Tensors, str]]:
    """The tensors, then with weights and mask in the shapes that other dialects take.

    That is with axes of 1 after them, and without the last axes along which they are constant.
    """
    rank = max(x.ndim for x in tensors.arrays.values())
    given = {name: tensors.arrays[name] for name in SHARED if name in tensors.arrays}
    shapes = [_shapes(x, rank) for x in given.values()]
    for chosen in product(*shapes):
        made = dict(zip(given, chosen, strict=True))
        told = [f"{n} of shape {list(x.shape)}" for n, x in made.items() if x is not given[n]]
        shaped = f"takes {', '.join(told)}" if told else ""
        yield replace(tensors, arrays={**tensors.arrays, **made}), shaped


def _shapes(x: Array, rank: int) -> list[Array]:
    spread, short = x.reshape(x.shape + (1,) * (rank - x.ndim) if x.ndim else ()), _short(x)
    return [x, *(other for other in (spread, short) if other.shape != x.shape)]


def _short(x: Array) -> Array:
    while x.ndim > 1 and x.shape[-1] and (x == x[..., :1]).all():
        x = x[..., 0]
    return x
