"""The shapes of the protocol's bodies for the OpenAPI document; nothing is read through them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lossmeter.wire.inference.datatypes import DTYPES, OUTPUTS

Parameters = dict[str, str | bool | int | float]
Datatype = Field(json_schema_extra={"enum": list(DTYPES)})
HUBER: dict[str, Any] = {
    "id": "1",
    "parameters": {"reduction": "mean", "delta": 0.5},
    "inputs": [
        {"name": "predictions", "datatype": "FP64", "shape": [2], "data": [1.5, 5.0]},
        {"name": "targets", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]},
    ],
    "outputs": [{"name": "loss"}, {"name": "count"}],
}


class Live(BaseModel):
    """The process runs."""

    live: bool


class Ready(BaseModel):
    """Requests are taken."""

    ready: bool


class ModelIsReady(BaseModel):
    """There is such a loss."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """What the service is."""

    name: str
    version: str
    extensions: list[str]


class Models(BaseModel):
    """The names of all losses and symbols."""

    models: list[str]


class Port(BaseModel):
    """A tensor that a loss takes or gives."""

    name: str
    datatype: str = Field(description="As an input it may be another number too.")
    shape: list[int] = Field(description="-1 for a size of any number.")


class ModelMetadata(BaseModel):
    """Inputs and outputs of a loss."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Port]
    outputs: list[Port]
    properties: dict[str, str] = Field(
        description="Canonical loss, summary, default reduction, and parameters as JSON Schema."
    )


class ConfigPort(BaseModel):
    """A tensor that a loss takes or gives, in the words of a configuration."""

    name: str
    data_type: str
    dims: list[int]


class ConfigInput(ConfigPort):
    """A tensor that a loss takes."""

    optional: bool


class ModelConfig(BaseModel):
    """Inputs and outputs of a loss, in the words of a configuration."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[ConfigInput]
    output: list[ConfigPort]
    model_transaction_policy: dict[str, bool]


class Duration(BaseModel):
    """How often something was done, and for how long in all."""

    count: int
    ns: int


class ModelStatistics(BaseModel):
    """The inferences of a loss."""

    name: str
    version: str
    inference_count: int
    execution_count: int
    inference_stats: dict[str, Duration]


class Statistics(BaseModel):
    """The inferences of the losses that were asked for."""

    model_stats: list[ModelStatistics]


class IndexQuery(BaseModel):
    """Which losses to list."""

    ready: bool = Field(False, description="Only those that are ready; all are.")


class IndexEntry(BaseModel):
    """A loss in the repository."""

    name: str
    version: str
    state: str
    reason: str


class InferInput(BaseModel):
    """A tensor of a request."""

    model_config = ConfigDict(extra="forbid")

    name: str
    datatype: str = Datatype
    shape: list[int]
    parameters: Parameters = Field(
        default_factory=dict,
        description="binary_data_size, where its bytes follow the JSON; or where in shared memory "
        "they lie.",
    )
    data: list[Any] | None = Field(None, description="Nested or flat, row by row.")


class InferOutput(BaseModel):
    """An output that is asked for."""

    model_config = ConfigDict(extra="forbid")

    name: Literal[tuple(OUTPUTS)]  # type: ignore[valid-type]  # names that are known elsewhere
    parameters: Parameters = Field(
        default_factory=dict, description="binary_data, or where in shared memory it shall lie."
    )


class InferRequest(BaseModel):
    """A batch to evaluate a loss on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [HUBER]})

    id: str | None = None
    parameters: Parameters = Field(
        default_factory=dict,
        description="reduction, the parameters of the loss, and the options backend, device, "
        "nonfinite, state and batch_id; lists and objects as JSON in a string.",
    )
    inputs: list[InferInput]
    outputs: list[InferOutput] = Field(
        default_factory=list, description="The loss and what belongs to it, if none are named."
    )


class InferAnswer(BaseModel):
    """An output."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = Field(default_factory=dict)
    data: list[Any] | None = Field(
        None, description="Row by row; numbers that are not finite by name, masked ones null."
    )


class InferResponse(BaseModel):
    """What an evaluation gives."""

    id: str
    # Aliases, because pydantic keeps names of this beginning for itself.
    name: str = Field(alias="model_name")
    version: str = Field(alias="model_version")
    parameters: Parameters = Field(default_factory=dict)
    outputs: list[InferAnswer]


class RegionQuery(BaseModel):
    """A region to register."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(description="A name in /dev/shm, with the prefix of the settings.")
    offset: int = Field(0, ge=0, description="Where in that memory it begins, in bytes.")
    byte_size: int = Field(ge=1)


class Region(BaseModel):
    """A region that is registered."""

    name: str
    key: str
    offset: int
    byte_size: int
