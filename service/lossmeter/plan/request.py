"""A request's specification: everything but the tensors, checked by pydantic.

One place for all wires: each decodes its own form to the mapping read here.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lossmeter.errors import (
    LossmeterError,
    MalformedRequest,
    ParameterInvalid,
    UnknownField,
    UnknownReduction,
)

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Body(BaseModel):
    """What all parts of a specification share: no unknown fields, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Fields of the request that are decoded apart.
    beside: ClassVar[tuple[str, ...]] = ()


class Options(Body):
    """How a request is to be run."""

    backend: str | None = Field(
        None, description="What computes: numpy or onnx.", examples=["onnx"]
    )
    device: str | None = Field(
        None,
        description="Where: cpu, cuda, or auto for a GPU where there is one.",
        examples=["auto"],
    )
    nonfinite: Literal["propagate", "omit", "error"] = Field(
        "propagate", description="What becomes of kept entries that are NaN or infinite."
    )
    state: bool | list[str] = Field(
        False,
        description="Answer with a mergeable state: true for every sum, or names of reductions "
        "whose parts it shall hold besides.",
    )
    batch_id: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None, description="Names the batch, so that merging it twice is refused."
    )


class MergeOptions(Body):
    """How states are to be merged."""

    state: bool = Field(False, description="Answer with the merged state too.")
    profiles: Literal["same", "any"] = Field(
        "same", description='"any" merges states computed by different versions or machines.'
    )


class ReductionBody(Body):
    """A reduction with its settings."""

    name: str
    q: Annotated[float, Field(ge=0, le=1)] | None = None
    alpha: Annotated[float, Field(gt=0, le=1)] | None = None
    ddof: Annotated[Finite, Field(ge=0)] | None = None
    divisor: Annotated[Finite, Field(gt=0)] | None = None
    axis: int | list[int] | None = None
    by: str | None = None


class Expression(Body):
    """A loss of the caller's own."""

    expression: str = Field(
        description="What one loss value is, over inputs and parameters by name; docs/guides/"
        "expressions.md has the grammar.",
        examples=["mean(square(predictions - targets), axis=-1)"],
    )


class NamedExpression(Expression):
    """An expression that the service answers to by a name."""

    params: dict[str, bool | Finite] = Field(
        default_factory=dict, description="Its parameters with their defaults."
    )
    summary: str = Field("", description="What it measures, in a line.")


class LossSpec(Body):
    """One loss of a request with several."""

    loss: str | Expression = Field(
        description="Canonical name or framework symbol; or an expression."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Its parameters by name.")
    reduction: str | ReductionBody | None = None
    inputs: dict[str, str] = Field(
        default_factory=dict, description="Input of the loss to name of the shared tensor."
    )
    loss_weight: Finite = Field(1.0, description="Its weight in the total.")


class EvaluateSpec(Body):
    """A request without its tensors."""

    beside: ClassVar[tuple[str, ...]] = ("inputs",)

    loss: str | Expression | None = Field(
        None, description="Canonical name or framework symbol; or an expression."
    )
    losses: Annotated[dict[str, LossSpec], Field(min_length=1)] | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    reduction: str | ReductionBody | None = None
    options: Options = Options()

    def each(self) -> list[LossSpec]:
        """The losses asked for, one or several."""
        return [self.only] if self.losses is None else list(self.losses.values())

    @cached_property
    def only(self) -> LossSpec:
        """The loss, where one is asked for."""
        return LossSpec(loss=self.loss or "", params=self.params, reduction=self.reduction)


class MergeSpec(Body):
    """A merge without its states."""

    beside: ClassVar[tuple[str, ...]] = ("states",)

    reduction: str | ReductionBody | None = None
    options: MergeOptions = MergeOptions()


class ExportSpec(Body):
    """What is to be exported, but for the name of the loss."""

    params: dict[str, Any] = Field(
        default_factory=dict, description='Parameters, as in a request; JSON, as {"delta": 0.5}.'
    )
    reduction: str | ReductionBody | None = Field(
        None,
        description='A name, or JSON as {"name": "mean", "divisor": 8}; the default of the loss if '
        "absent.",
    )
    dtype: Literal["float32", "float64"] = Field(
        "float64", description="Dtype of the inputs that are values."
    )
    opset: Annotated[int, Field(ge=17, le=21)] = Field(
        17, description="Version of the operators, 17 to 21."
    )
    ir_version: Annotated[int, Field(ge=8, le=10)] = Field(
        8, description="Version of the file format, 8 to 10."
    )
    sizes: dict[str, Annotated[int, Field(ge=1, lt=2**31)]] = Field(
        default_factory=dict, description='Sizes of axes that are to be fixed, as {"C": 3}; JSON.'
    )
    rank: Annotated[int, Field(ge=0, le=8)] | None = Field(
        None, description="Axes of the loss values, or of samples and image; 1 if absent, 2 there."
    )
    stands_for: str | None = Field(
        None,
        description="Canonical loss, of a symbol whose inputs choose between several, as "
        "softmax_cross_entropy of torch.nn.CrossEntropyLoss.",
    )
    expression: str | None = Field(
        None,
        description="A loss of one's own, as abs(x - y), in place of a name, which is then "
        "`expression`.",
    )


M = TypeVar("M", bound=Body)
LOSS = 'a loss is a name, or {"expression": ...}'


def read(model: type[M], data: Mapping[str, Any]) -> M:
    """Check a specification.

    Raises:
        UnknownField: A field that the model lacks.
        MalformedRequest: A field of the wrong type, or a required one absent.
        ParameterInvalid: A setting of a reduction out of its bounds.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise as_ours(error, model) from None


def read_evaluate(data: Mapping[str, Any]) -> EvaluateSpec:
    """Check the specification of an evaluation.

    Raises:
        LossmeterError: As ``read``; also where ``loss`` and ``losses`` are both or neither there.
    """
    spec = read(EvaluateSpec, data)
    if (spec.loss is None) == (spec.losses is None):
        raise MalformedRequest("give either loss or losses", field="loss")
    if spec.losses is not None and (spec.params or spec.reduction is not None):
        raise MalformedRequest(
            "with losses, params and reduction belong to each of them", field="losses"
        )
    return spec


def as_ours(error: ValidationError, model: type[Body]) -> LossmeterError:
    """What pydantic found, without the data it found it in."""
    # Of the members of a union pydantic reports each; the last is the most structured one.
    found = error.errors(include_input=False, include_url=False, include_context=False)[-1]
    # What pydantic calls the members of a union is no part of the place.
    members = (
        *("str", "bool", "int", "float", "list[str]", "list[int]"),
        *("ReductionBody", "Expression"),
    )
    path = [str(step) for step in found["loc"] if step not in members]
    field = ".".join(path)
    message = LOSS if path[-1:] == ["loss"] else found["msg"]
    if found["type"] == "extra_forbidden":
        known = ", ".join(sorted((*model.model_fields, *model.beside)))
        hint = f"; the request has {known}" if len(path) == 1 else ""
        return UnknownField(f"no such field{hint}", field=field)
    if "reduction" in path and path[-1] == "name":
        return UnknownReduction("a reduction needs its name", field=field)
    if "reduction" in path and path[-1] != "reduction":
        return ParameterInvalid(message, field=field)
    return MalformedRequest(message, field=field)
