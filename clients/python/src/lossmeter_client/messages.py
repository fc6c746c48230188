"""Calls and answers as messages of lossmeter.v1."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from lossmeter_client.answers import (
    Answer,
    Answers,
    Explanation,
    LossDescriptor,
    Value,
    answer_of,
    descriptor_of,
    explanation_of,
)
from lossmeter_client.arrays import Array, Arrays, dtype_name, from_bytes, to_bytes
from lossmeter_client.calls import Call
from lossmeter_client.chunks import cut
from lossmeter_client.errors import invalid
from lossmeter_client.requests import Evaluation
from lossmeter_client.v1 import loss_service_pb2 as pb
from lossmeter_client.v1 import tensor_pb2

PREFIX = "DATA_TYPE_"
ANSWERS = (pb.EvaluateResponse, pb.ExplainResponse)
M = TypeVar("M", bound=Message)


def evaluate(evaluation: Evaluation) -> Call[Answer | Answers]:
    """All of a batch in one message."""
    return Call("Evaluate", _request(evaluation), read_answer)


def explain(evaluation: Evaluation) -> Call[Explanation]:
    """The same, step by step."""
    return Call("Explain", _request(evaluation), lambda found: explanation_of(_told(found)))


def stream(evaluation: Evaluation, batches: Iterable[Arrays]) -> Iterator[pb.EvaluateStreamRequest]:
    """The messages of a stream: the specification, then chunks of rows."""
    yield first(evaluation)
    for batch in batches:
        yield from chunks(batch)


def first(evaluation: Evaluation) -> pb.EvaluateStreamRequest:
    """The first message of a stream, without inputs."""
    return pb.EvaluateStreamRequest(spec=_spec(evaluation))


def chunks(batch: Arrays) -> Iterator[pb.EvaluateStreamRequest]:
    """The messages of the next rows."""
    for piece in cut(batch):
        message = pb.EvaluateStreamRequest()
        message.chunk.SetInParent()
        for name, x in piece.items():
            _fill(message.chunk.inputs[name], x)
        yield message


def merge_states(states: Sequence[bytes], settings: Mapping[str, Any]) -> Call[Answer]:
    """States made apart."""
    message = _parsed(settings, pb.MergeStatesRequest())
    message.states.extend(states)
    return Call("MergeStates", message, read_one_answer)


def list_losses(framework: str, search: str) -> Call[list[LossDescriptor]]:
    """What losses there are."""
    message = pb.ListLossesRequest(framework=framework, search=search)
    return Call("ListLosses", message, lambda found: [_descriptor(one) for one in found.losses])


def get_loss(name: str) -> Call[LossDescriptor]:
    """What a loss is."""
    message = pb.GetLossRequest(name=name)
    return Call("GetLoss", message, lambda found: _descriptor(found.loss))


def export(loss: str | Mapping[str, Any], form: Mapping[str, Any]) -> Call[bytes]:
    """A loss as a graph."""
    named = loss if isinstance(loss, Mapping) else {"name": loss}
    message = _parsed({**form, **named}, pb.ExportLossRequest())
    return Call("ExportLoss", message, lambda found: bytes(found.model))


def _request(evaluation: Evaluation) -> pb.EvaluateRequest:
    message = _spec(evaluation)
    for name, x in evaluation.arrays.items():
        _fill(message.inputs[name], x)
    return message


def _spec(evaluation: Evaluation) -> pb.EvaluateRequest:
    settings = _flat(evaluation.settings)
    if "losses" in settings:
        settings["losses"] = {name: _flat(one) for name, one in settings["losses"].items()}
    return _parsed(settings, pb.EvaluateRequest())


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with an expression in a field of its own, as messages have it."""
    made = dict(settings)
    if isinstance(made.get("loss"), Mapping):
        made |= made.pop("loss")
    return made


def _parsed(fields: Mapping[str, Any], message: M) -> M:
    try:
        return json_format.ParseDict(dict(fields), message)
    except json_format.ParseError as error:
        raise invalid("MALFORMED_REQUEST", "", str(error)) from None


def _fill(message: tensor_pb2.Tensor, x: Array) -> None:
    """Write an array into a message that has its place already, so that it is copied once less."""
    message.dtype = tensor_pb2.DataType.Value(PREFIX + dtype_name(x).upper())
    message.shape.extend(x.shape)
    message.data = to_bytes(x)


def read_answer(found: pb.EvaluateResponse) -> Answer | Answers:
    """The answer in a message."""
    return answer_of(_told(found))


def read_one_answer(found: pb.EvaluateResponse) -> Answer:
    """The answer for one loss in a message."""
    answer = read_answer(found)
    assert isinstance(answer, Answer)
    return answer


def _told(found: Message) -> dict[str, Any]:
    """What a message says, by the names of the JSON; values as arrays."""
    told: dict[str, Any] = {"count": 0, "weight": 0.0}
    for field, content in found.ListFields():
        told[field.name] = _plain(field.name, content)
    if "value" not in told and "groups" in told:
        told["value"] = {label: group["value"] for label, group in told["groups"].items()}
    if isinstance(found, ANSWERS) and not found.results:
        told.setdefault("value", {})  # of no rows there are no groups
    return told


def _plain(name: str, content: Any) -> Any:
    if isinstance(content, tensor_pb2.Tensor):
        return _value(content)
    if name == "groups":
        return {label: {"value": 0.0, **_told(group)} for label, group in content.items()}
    if name == "results":
        return {label: _told(one) for label, one in content.items()}
    if name in ("steps", "dialects"):
        return [_told(one) for one in content]
    if name == "numbers":
        return json_format.MessageToDict(content)
    return content if isinstance(content, str | bytes | float | int) else list(content)


def _value(message: tensor_pb2.Tensor) -> Value:
    name = tensor_pb2.DataType.Name(message.dtype).removeprefix(PREFIX).lower()
    array = from_bytes(name, message.shape, message.data)
    return array if array.ndim else float(array)


def _descriptor(message: pb.LossDescriptor) -> LossDescriptor:
    return descriptor_of(
        json_format.MessageToDict(
            message,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
    )
