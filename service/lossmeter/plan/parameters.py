"""The parameters of a symbol as a model, derived from the loss it stands for."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

from annotated_types import Ge, MinLen
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from lossmeter.core.declare import Param
from lossmeter.dialects.symbols import Rule, Symbol, Variant
from lossmeter.errors import ParameterInvalid

Labels = Annotated[list[int] | list[float] | list[str], MinLen(1)]
Numbers = list[Any] | float | None

RULE_TYPES: Mapping[Rule, tuple[Any, Any, str]] = {
    Rule.SWITCH: (bool, False, "Chooses which loss this is."),
    Rule.SETTLED: (bool, False, "Decides how the inputs or the other parameters are read."),
    Rule.CLASS_AXIS: (int, -1, "The axis of the classes, or of what is used up."),
    Rule.MEAN_AXIS: (int, -1, "The axis averaged."),
    Rule.SUMMED_AXES: (int | list[int] | None, None, "The axes summed."),
    Rule.FACTOR: (Numbers, None, "Multiplies the loss values."),
    Rule.WEIGHT: (Numbers, None, "Multiplies the loss values; the mean divides by its sum."),
    Rule.CLASS_FACTOR: (
        list[float] | None,
        None,
        "Factor on the term of each class; with class indices the mean divides by their sum.",
    ),
    Rule.TARGET_FACTOR: (Numbers, None, "Multiplies the targets."),
    Rule.INNER_FACTOR: (list[float] | None, None, "Factor on the value of each class."),
    Rule.INNER: (Literal["mean", "sum", "none"], "mean", "How the classes' values are joined."),
    Rule.WHERE: (list[Any] | bool | None, None, "Booleans; false leaves that entry out."),
    Rule.NORMALIZE: (bool, True, "True is the weighted mean, false the weighted sum."),
    Rule.REDUCTION: (str | None, "mean", "The reduction, by its name."),
    Rule.COLUMNS: (
        Literal["uniform_average", "raw_values"] | Annotated[list[float], MinLen(1)],
        "uniform_average",
        "How several outputs are joined: their mean, a value each, or weights of a mean.",
    ),
    Rule.OUTPUTS: (Annotated[int, Ge(1)], 1, "Above 1, one value per column."),
    Rule.LABELS: (Labels | None, None, "The classes; sorted, they name the columns."),
    Rule.POSITIVE: (int | float | str | None, None, "The label counted as 1."),
    Rule.SOFTMAX: (bool, False, "Whether a softmax over the classes comes first."),
    Rule.DROP_FIRST: (bool, False, "Whether class 0 is left out."),
    Rule.IGNORE_INDEX: (int | None, None, "Entries of that target are left out."),
    Rule.ONLY_NEGATIVE: (
        int,
        -100,
        "No effect below 0; not taken from 0 on with these targets.",
    ),
    Rule.ONLY_NULL: (None, None, "Only null is taken."),
    Rule.NO_EFFECT: (Any, None, "Taken, and changes no number."),
}


@lru_cache(maxsize=1024)
def model_of(symbol: Symbol, index: int) -> type[BaseModel]:
    """The parameter model of one variant of a symbol."""
    variant = symbol.variants[index]
    return create_model(  # type: ignore[no-any-return, call-overload]  # fields are made here
        "Parameters",
        __config__=ConfigDict(
            extra="forbid",
            strict=True,
            allow_inf_nan=False,
            arbitrary_types_allowed=True,
            protected_namespaces=(),
        ),
        **{keyword: _field(variant, keyword) for keyword in variant.keywords},
    )


def _field(variant: Variant, keyword: str) -> tuple[Any, Any]:
    meaning = variant.keywords[keyword]
    if isinstance(meaning, Rule):
        annotation, default, description = RULE_TYPES[meaning]
    else:
        param = param_of(variant, meaning)
        annotation, default, description = param.annotation, param.default, param.description
    annotation = variant.annotations.get(keyword, annotation)
    default = variant.defaults.get(keyword, default)
    return annotation, Field(default, description=description)


def default_of(variant: Variant, keyword: str) -> Any:
    """What a keyword is if it is not given; ``...`` if it must be."""
    field = _field(variant, keyword)[1]
    return ... if field.is_required() else field.default


def param_of(variant: Variant, name: str) -> Param:
    """A declared parameter of the variant's loss."""
    return next(param for param in variant.loss.params if param.name == name)


def read_params(
    symbol: Symbol, index: int, params: Mapping[str, Any], field: str = "params"
) -> dict[str, Any]:
    """Check a request's parameters and fill in the defaults.

    Raises:
        ParameterInvalid: A parameter is unknown, of a wrong type or out of its bounds.
    """
    spellings = symbol.variants[index].spellings
    named = {
        spellings[name] if name in spellings and spellings[name] not in params else name: value
        for name, value in params.items()
    }
    try:
        read = model_of(symbol, index).model_validate(named)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)[0]
        name = str(found["loc"][0])
        if found["type"] == "extra_forbidden":
            raise ParameterInvalid(
                f"{symbol.called} has no such parameter; {_known(symbol, index, name)}",
                field=f"{field}.{name}",
            ) from None
        raise ParameterInvalid(found["msg"], field=f"{field}.{name}") from None
    return {keyword: getattr(read, keyword) for keyword in symbol.variants[index].keywords}


def _known(symbol: Symbol, index: int, name: str) -> str:
    """Where something belongs that frameworks call a parameter, or which ones there are."""
    if name in ("reduction", "reduce", "size_average"):
        return "reduction is a field of the request, beside params"
    if name in ("sample_weight", "weights", "mask"):
        return f"{'mask' if name == 'mask' else 'sample_weight'} is an input, beside targets"
    known = ", ".join(symbol.variants[index].keywords)
    return f"it has {known}" if known else "it has no parameters"
