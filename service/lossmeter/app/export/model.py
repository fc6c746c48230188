"""A loss as an ONNX graph that runs elsewhere: weights, mask and reduction inside."""

import math
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version

import ndonnx as ndx
import numpy as np
import onnx
import orjson
from onnx import numpy_helper

from lossmeter.app.export.arrangements import Given
from lossmeter.app.export.inputs import Form, form_of
from lossmeter.app.export.losses import block_of
from lossmeter.app.export.reductions import EXPORTED, Outputs, Reducing, reduced, unreduced
from lossmeter.app.finish import own_reduction
from lossmeter.backends.opsets import lower
from lossmeter.backends.tracing import built, quiet
from lossmeter.core.arrays import Array
from lossmeter.core.own import OWN
from lossmeter.errors import BackendUnsupported, MalformedRequest, ParameterInvalid
from lossmeter.plan.groups import MOST_AXES
from lossmeter.plan.plan import Candidate, Plan, prepare
from lossmeter.plan.request import ExportSpec, Expression

WEIGHT, MASK = "sample_weight", "mask"
EXPRESSION = "expression"
UNCHECKED = (
    "Domains are not checked: a value outside of one gives what the formula gives. "
    "What the service refuses, a mean of nothing among it, is NaN."
)
VERSION = version("lossmeter")


def exported(name: str, spec: ExportSpec) -> bytes:
    """A loss of the catalogue, a symbol or an expression as a serialised ONNX model.

    Raises:
        LossmeterError: As ``prepare`` and ``export``; also where both a name and an expression
            are given, or neither.
    """
    if spec.expression is None:
        if name in ("", EXPRESSION) and name not in OWN:
            raise MalformedRequest("give a name, or an expression", field=EXPRESSION)
        return export(prepare(name, spec.params, spec.reduction), spec)
    if name not in ("", EXPRESSION):
        raise MalformedRequest("give either a name or an expression", field=EXPRESSION)
    loss = Expression(expression=spec.expression)
    return export(prepare(loss, spec.params, spec.reduction), spec)


def export(plan: Plan, spec: ExportSpec) -> bytes:
    """A plan as a serialised ONNX model; the same request gives the same bytes.

    Args:
        plan: The loss, its parameters and the reduction.
        spec: What form the graph is to have.

    Raises:
        BackendUnsupported: The loss or reduction cannot be exported, or a size is missing.
        ParameterInvalid: A setting that the loss does not have.
        TooLarge: The graph would be.
    """
    return _export(plan, spec.model_dump_json())


@lru_cache(maxsize=64)
def _export(plan: Plan, asked: str) -> bytes:
    spec = ExportSpec.model_validate_json(asked)
    _refuse(plan)
    form = form_of(plan, spec)
    given = {**form.given(), **_beside(form)}
    arguments = {
        name: ndx.argument(shape=one.dims, dtype=ndx.from_numpy_dtype(one.dtype))
        for name, one in given.items()
    }
    with quiet():
        model = built(arguments, _outputs(plan, form, dict(arguments)))
    lower(model, spec.opset)
    model.ir_version = spec.ir_version
    _give_defaults(model.graph, given)
    _tell(model, plan, form)
    return model.SerializeToString(deterministic=True)


def _refuse(plan: Plan) -> None:
    """Refuse reductions that a graph does not have, and losses that are graphs already."""
    reduction = plan.reduction
    if reduction.name not in EXPORTED:
        raise BackendUnsupported(
            f"{reduction.name} cannot be exported; these can: {', '.join(EXPORTED)}",
            field="reduction",
        )
    for name in ("axis", "by"):
        if getattr(reduction, name):
            raise BackendUnsupported(
                f"a graph gives one number, without {name}; export none and reduce its values",
                field=f"reduction.{name}",
            )
    loss = plan.candidates[0].variant.loss
    if loss.backend:
        raise BackendUnsupported(f"{loss.name} is a graph already", field="loss")


def _beside(form: Form) -> dict[str, Given]:
    """Weights and mask, each of the rank of the loss values and 1 where it is left out."""
    loss = form.candidate.variant.loss
    together = loss.collapses and loss.weighs_samples is None
    weight = np.ones((1,) * (0 if together else form.rank), form.dtype)
    mask = np.ones((1,) * form.rank, np.bool_)
    return {
        WEIGHT: Given((None,) * weight.ndim, form.dtype, "weights of the loss values", weight),
        MASK: Given((None,) * mask.ndim, mask.dtype, "which of them are kept", mask),
    }


def _outputs(plan: Plan, form: Form, arguments: dict[str, Array]) -> Outputs:
    weights, mask = arguments.pop(WEIGHT), arguments.pop(MASK)
    block = block_of(form, arguments, weights, mask)
    dialect, candidate = plan.symbol.dialect, form.candidate
    if plan.reduction.name == "none":
        masked = math.nan if dialect.masked is None else dialect.masked
        masked = _empty(plan) if candidate.variant.loss.collapses else masked
        narrow = candidate.variant.narrow
        values = unreduced(block, masked, np.dtype(np.float32) if narrow else form.dtype)
        one = candidate.variant.loss.collapses and not _several(candidate)
        return {name: ndx.reshape(x, ()) for name, x in values.items()} if one else values
    reduction = own_reduction(plan.reduction, candidate)
    return reduced(Reducing(block, reduction, _columns(candidate, form)), _empty(plan))


def _empty(plan: Plan) -> float:
    """What a mean of nothing is; NaN where it is an error."""
    return math.nan if plan.empty is None else plan.empty


def _columns(candidate: Candidate, form: Form) -> str | list[float] | None:
    """How several outputs are joined, where there are several.

    Raises:
        ParameterInvalid: There are more axes than samples and outputs.
    """
    columns = candidate.columns
    if isinstance(columns, list) and form.rank < MOST_AXES:
        raise ParameterInvalid("weights of outputs need rank 2", field="rank")
    if columns is None or (form.rank == 1 and columns != "raw_values"):
        return None
    if not 1 <= form.rank <= MOST_AXES:
        raise ParameterInvalid("one axis of samples and one of outputs", field="rank")
    return columns


def _several(candidate: Candidate) -> bool:
    """Whether the one value of a batch is of several outputs, each with its own."""
    return candidate.parameter.get("columns") == "raw_values"


def _give_defaults(graph: onnx.GraphProto, given: Mapping[str, Given]) -> None:
    """What stands for inputs that are left out, and what each input is."""
    for value in graph.input:
        one = given[value.name]
        value.doc_string = one.description
        if one.default is not None:
            graph.initializer.append(numpy_helper.from_array(one.default, value.name))


def _tell(model: onnx.ModelProto, plan: Plan, form: Form) -> None:
    """Say in the model what it is."""
    loss, dialect = form.candidate.variant.loss, plan.symbol.dialect
    divisor = plan.reduction.divisor
    facts = {
        "loss": loss.name,
        "symbol": plan.symbol.name,
        "params": orjson.dumps(dict(form.candidate.settings), option=orjson.OPT_SORT_KEYS).decode(),
        "reduction": plan.reduction.name,
        **({} if divisor is None else {"divisor": repr(divisor)}),
        "dialect": dialect.name,
        "dialect_version": dialect.version,
        "source": loss.source,
        "formula": loss.formula,
        "empty": "NaN" if math.isnan(_empty(plan)) else str(_empty(plan)),
        "lossmeter_version": VERSION,
    }
    model.producer_name, model.producer_version = "lossmeter", VERSION
    model.graph.name = loss.name
    model.doc_string = f"{loss.summary}\n\n{UNCHECKED}"
    onnx.helper.set_model_props(model, facts)
