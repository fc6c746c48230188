"""The parameters of a symbol as a model, derived from the loss it stands for."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from lossmeter.core.declare import Param
from lossmeter.dialects.symbols import Rule, Symbol, Variant
from lossmeter.errors import ParameterInvalid

RULE_TYPES: Mapping[Rule, tuple[Any, Any, str]] = {
    Rule.SWITCH: (bool, False, "Whether predictions are logits."),
    Rule.CLASS_AXIS: (int, -1, "The axis of the classes."),
    Rule.MEAN_AXIS: (int, -1, "The axis averaged."),
    Rule.FACTOR: (list[Any] | float | None, None, "Multiplies the loss values."),
    Rule.WEIGHT: (
        list[Any] | float | None,
        None,
        "Multiplies the loss values; the mean divides by its sum.",
    ),
    Rule.CLASS_FACTOR: (list[float] | None, None, "Factor on the term of each class."),
    Rule.ONLY_NEGATIVE: (
        int,
        -100,
        "No effect below 0; not taken from 0 on with these targets.",
    ),
}


@lru_cache(maxsize=1024)
def model_of(name: str, index: int) -> type[BaseModel]:
    """The parameter model of one variant of a symbol, by the symbol's name."""
    from lossmeter.plan.names import symbol_named  # noqa: PLC0415 a symbol is not hashable

    variant = symbol_named(name).variants[index]
    return create_model(  # type: ignore[no-any-return, call-overload]  # fields are made here
        "Parameters",
        __config__=ConfigDict(
            extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
        ),
        **{keyword: _field(variant, keyword) for keyword in variant.keywords},
    )


def _field(variant: Variant, keyword: str) -> tuple[Any, Any]:
    meaning = variant.keywords[keyword]
    if isinstance(meaning, Rule):
        annotation, default, description = RULE_TYPES[meaning]
        return annotation, Field(default, description=description)
    param = param_of(variant, meaning)
    annotation = variant.annotations.get(keyword, param.annotation)
    default = variant.defaults.get(meaning, param.default)
    return annotation, Field(default, description=param.description)


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
    try:
        read = model_of(symbol.name, index).model_validate(params)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)[0]
        name = str(found["loc"][0])
        if found["type"] == "extra_forbidden":
            known = ", ".join(symbol.variants[index].keywords) or "none"
            raise ParameterInvalid(
                f"{symbol.name} has no such parameter; it has: {known}", field=f"{field}.{name}"
            ) from None
        raise ParameterInvalid(found["msg"], field=f"{field}.{name}") from None
    return {keyword: getattr(read, keyword) for keyword in symbol.variants[index].keywords}
