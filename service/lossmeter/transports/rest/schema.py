"""The shapes of bodies for the OpenAPI document; tensors never pass through these models."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lossmeter.plan.request import EvaluateSpec, MergeSpec
from lossmeter.wire.tensors import NAMES

Name = Literal["NaN", "Infinity", "-Infinity"]
Number = float | Name
Nested = Number | bool | str | list[Any]
DtypeName = Annotated[str, Field(json_schema_extra={"enum": list(NAMES)})]


class TypedTensor(BaseModel):
    """Numbers as text, in a dtype of their own."""

    model_config = ConfigDict(extra="forbid")

    dtype: DtypeName
    data: Nested


class BinaryTensor(BaseModel):
    """Little-endian, row-major bytes."""

    model_config = ConfigDict(extra="forbid")

    dtype: DtypeName
    shape: list[int] = Field(examples=[[2, 3]])
    base64: str


Tensor = Nested | TypedTensor | BinaryTensor


class EvaluateBody(EvaluateSpec):
    """One loss, or several over shared tensors."""

    inputs: dict[str, Tensor] = Field(
        default_factory=dict,
        description="predictions, targets, sample_weight, mask (true keeps), and what else the "
        "loss takes. Plain numbers are float64.",
    )


class TensorQuery(BaseModel):
    """What the query says where the body is tensors; with JSON there is none."""

    loss: str = Field("", description="Of a body of tensors: canonical name or framework symbol.")
    expression: str = Field("", description="Of a body of tensors: a loss of one's own.")
    losses: dict[str, Any] = Field(
        default_factory=dict, description="Of a body of tensors: several losses, JSON."
    )
    reduction: str = Field(
        "",
        description='Of a body of tensors: a name, or JSON as {"name": "mean", "by": "country"}.',
    )
    params: dict[str, Any] = Field(
        default_factory=dict, description='Of a body of tensors: JSON, as {"delta": 0.5}.'
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Of a body of tensors: how to run it, JSON."
    )
    predictions: str = Field(
        "predictions",
        description="Of a body of tensors: the column that is this input; several, as p0,p1, make "
        "an axis. So with every input of the loss, sample_weight and mask.",
    )
    targets: str = Field("targets", description="Of a body of tensors: as predictions.")


class MergeBody(MergeSpec):
    """States made apart, to finish together."""

    states: list[str] = Field(description="What evaluations answered as `state`.")


class GroupSums(BaseModel):
    """One group's value and the sums behind it."""

    value: Number
    count: int
    weight: Number
    denominator: Number | None = None


class Evaluation(BaseModel):
    """The answer for one loss."""

    model_config = ConfigDict(extra="forbid")

    value: Number | list[Any] | dict[str, Number] = Field(
        description="A number, a nested list (null where masked), or a mapping of groups."
    )
    loss: str = Field(description="Canonical name.")
    reduction: str = Field(description="Canonical name.")
    count: int = Field(description="Number of kept entries.")
    weight: Number = Field(description="Sum of their weights.")
    denominator: Number | None = Field(None, description="What was divided by, if one number was.")
    backend: str
    device: str
    dtype: str = Field(description="Dtype of the loss values.")
    index: int | None = Field(None, description="First sample with the extreme, for min and max.")
    batch_id: str | None = Field(None, description="Of several merged batches, the one with it.")
    relative_error: float | None = Field(
        None, description="Bound of the error of a quantile that comes from a histogram."
    )
    omitted: int | None = Field(None, description="Entries left out because not finite.")
    groups: dict[str, GroupSums] | None = None
    state: str | None = Field(None, description="The mergeable state, base64.")
    state_hash: str | None = Field(None, description="SHA-256 of specification and sums.")
    warnings: list[str] | None = Field(None, description="What looks wrong but was computed.")


class Evaluations(BaseModel):
    """The answers for several losses."""

    model_config = ConfigDict(extra="forbid")

    results: dict[str, Evaluation]
    total: Number | None = Field(None, description="Sum of the values times their loss_weight.")
    skipped: list[str] | None = Field(None, description="Losses whose targets were absent.")


class Step(BaseModel):
    """One step of an evaluation."""

    step: str = Field(examples=["divisor"])
    says: str = Field(description="What was done, in a sentence.")
    numbers: dict[str, Number | list[int]]


class DialectAnswer(BaseModel):
    """What one dialect says of the same data."""

    symbol: str = Field(description="Its symbol, or the canonical name.")
    framework: str = Field(description="Empty for the canonical loss.")
    version: str
    reduction: str = Field(description="Canonical name.")
    value: Number | list[Any] | dict[str, Number] | None = Field(
        None, description="Absent if the dialect refuses the data."
    )
    numerator: Number | None = Field(None, description="The weighted sum that was divided.")
    denominator: Number | None = Field(None, description="What it was divided by.")
    divisor: str = Field(description="The same in words.")
    agrees: bool = Field(description="Whether it is the number that was asked for.")
    why: list[str] = Field(description="A sentence for each difference.")
    note: str = Field(description="What was done so that it could be asked at all.")


class Explanation(Evaluation):
    """An answer, how it came about, and what other dialects say."""

    symbol: str = Field(description="What the request named.")
    framework: str = Field(description="The framework and its version; empty for a canonical loss.")
    steps: list[Step]
    dialects: list[DialectAnswer]


class Explanations(BaseModel):
    """The explanations for several losses."""

    model_config = ConfigDict(extra="forbid")

    results: dict[str, Explanation]


class Problem(BaseModel):
    """What was wrong: an RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What was wrong and what would be right.")
    reason: str = Field(description="A word for programs.", examples=["SHAPE_MISMATCH"])
    error: str = Field(description="The detail again, for clients that read this key.")
    field: str | None = Field(None, description="Where.", examples=["inputs.targets"])
    limit: int | None = None
    actual: int | None = None


class Alive(BaseModel):
    """The process runs."""

    live: bool = True


class Ready(BaseModel):
    """The service takes requests."""

    ready: bool = True


class LossList(BaseModel):
    """Every loss."""

    losses: list[dict[str, Any]]


EVALUATE_EXAMPLES: dict[str, Any] = {
    "one loss": {
        "value": {
            "loss": "huber",
            "params": {"delta": 0.5},
            "inputs": {"predictions": [1.5, 5], "targets": [1, 2]},
        }
    },
    "a framework's symbol, with weights": {
        "value": {
            "loss": "keras.losses.BinaryCrossentropy",
            "params": {"from_logits": True},
            "inputs": {
                "predictions": [[0.3], [-1.2]],
                "targets": [[1], [0]],
                "sample_weight": [2, 1],
            },
        }
    },
    "an expression": {
        "value": {
            "loss": {"expression": "mean(scale * square(predictions - targets), axis=-1)"},
            "params": {"scale": 0.5},
            "inputs": {"predictions": [[1.5, 5], [2, 0]], "targets": [[1, 2], [2, 1]]},
        }
    },
    "groups": {
        "value": {
            "loss": "absolute_error",
            "reduction": {"name": "mean", "by": "country"},
            "inputs": {
                "predictions": [1, 2, 4],
                "targets": [1, 3, 2],
                "country": ["de", "fr", "fr"],
            },
        }
    },
    "several losses over shared tensors": {
        "value": {
            "losses": {
                "box": {
                    "loss": "smooth_l1",
                    "inputs": {"predictions": "box_pred", "targets": "box"},
                    "loss_weight": 0.5,
                },
                "cls": {
                    "loss": "binary_cross_entropy",
                    "inputs": {"predictions": "score", "targets": "label"},
                },
            },
            "inputs": {
                "box_pred": [[0.1, 0.2], [0.4, 0.5]],
                "box": [[0.0, 0.2], [0.5, 0.5]],
                "score": [0.9, 0.2],
                "label": [1, 0],
            },
        }
    },
}
