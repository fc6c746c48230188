"""The plan of a state: its specification read back."""

import re
from dataclasses import replace

import orjson

from lossmeter.core.state import Specification
from lossmeter.errors import LossmeterError, MalformedRequest, NotMergeable
from lossmeter.plan.groups import axes_from_first
from lossmeter.plan.plan import Plan, default_reduction, prepare
from lossmeter.plan.request import Expression, ReductionBody

# How the loss of an expression is called.
EXPRESSION = re.compile(r"expression\((.*)\)", re.DOTALL)


def stored_plan(spec: Specification, reduction: str | ReductionBody | None) -> Plan:
    """The plan that made a state, with the reduction asked for now.

    The groups are the state's: ``by`` and ``axis`` need not be repeated, and cannot be changed.

    Raises:
        MalformedRequest: The state names a loss or parameters that no service would have taken.
        NotMergeable: The reduction asks for other groups than the state has.
    """
    settings = orjson.loads(spec.params)
    loss = settings.pop("loss")
    # Sums are finished without the graph that gave their terms: another may have its name now.
    graph = settings.pop("graph", "")
    named = spec.axis and not spec.joins_outputs
    axes, rank = orjson.loads(spec.axis) if named else ([], 0)
    told = EXPRESSION.fullmatch(spec.loss)
    name = Expression(expression=told[1]) if told else spec.loss
    try:
        made = prepare(name, settings, None)
        asked = reduction or default_reduction(made.symbol, made.candidates[0])
        plan = prepare(name, settings, _grouped(asked, spec.by, axes, rank))
    except LossmeterError as error:
        if error.field is not None and error.field.startswith("reduction"):
            raise
        raise MalformedRequest("a state of a loss that is not here", field="states") from None
    candidates = tuple(
        candidate
        for candidate in plan.candidates
        if candidate.variant.loss.name == loss and bool(candidate.variant.loss.graph) == bool(graph)
    )
    if not candidates:
        raise MalformedRequest("a state of a loss that is not here", field="states")
    return replace(plan, candidates=candidates)


def _grouped(reduction: str | ReductionBody, by: str, axes: list[int], rank: int) -> ReductionBody:
    body = ReductionBody(name=reduction) if isinstance(reduction, str) else reduction
    asked = (body.axis,) if isinstance(body.axis, int) else tuple(body.axis or ())
    other_axes = asked and (not axes or list(axes_from_first(asked, rank)) != axes)
    if (body.by or by) != by or other_axes:
        raise NotMergeable(
            "the state was made with other groups; by and axis are fixed when it is made",
            field="reduction",
        )
    return body.model_copy(update={"by": by or None, "axis": axes or None})
