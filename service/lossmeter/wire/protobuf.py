"""Requests and answers as protobuf messages of lossmeter.v1."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import numpy as np
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value

from lossmeter.app.answer import Answer, Answers, Group
from lossmeter.app.explain import Explanation, Opinion
from lossmeter.core.arrays import Array
from lossmeter.core.spelling import number
from lossmeter.core.state import State
from lossmeter.errors import DtypeUnsupported, MalformedRequest, TooLarge
from lossmeter.plan.request import EvaluateSpec, ExportSpec, MergeSpec, read, read_evaluate
from lossmeter.plan.tensors import Tensors
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import tensor_pb2 as tensor_pb
from lossmeter.wire.states import read_state, state_bytes, state_hash
from lossmeter.wire.tensors import dtype_name, from_bytes, to_bytes

PREFIX = "DATA_TYPE_"
MOST_EXACT = 2.0**53
# Of the tensors in an answer: a message has less than 2 GiB.
MOST_BYTES = 2**31 - 2**20
# Fields of an explanation that it shares with an answer.
EXPLAINED = frozenset(
    {
        "value",
        "loss",
        "reduction",
        "count",
        "weight",
        "denominator",
        "backend",
        "device",
        "dtype",
        "index",
        "omitted",
    }
)
OPINION = (
    "symbol",
    "framework",
    "version",
    "reduction",
    "numerator",
    "denominator",
    "divisor",
    "agrees",
    "why",
    "note",
)
DTYPES = {
    number: name.removeprefix(PREFIX).lower()
    for name, number in tensor_pb.DataType.items()
    if number
}
M = TypeVar("M", bound=Message)
Bytes: TypeAlias = Callable[[bytes], bytes | memoryview]


def read_spec(message: pb.EvaluateRequest) -> EvaluateSpec:
    """The specification of an evaluation.

    Raises:
        LossmeterError: It is none.
    """
    fields = _asked(message)
    if message.loss or message.expression:
        fields["loss"] = _loss(message, "loss")
    if message.losses:
        fields["losses"] = {
            name: _loss_spec(one, f"losses.{name}.loss") for name, one in message.losses.items()
        }
    options = _options(message.options)
    if "profiles" in options:
        raise MalformedRequest("profiles belongs to a merge", field="options.profiles")
    return read_evaluate({**fields, "options": options})


def _loss(message: pb.EvaluateRequest | pb.LossSpec, field: str) -> str | dict[str, str]:
    """The name of a loss, or an expression as JSON has it."""
    if message.loss and message.expression:
        raise MalformedRequest("give either loss or expression", field=field)
    return {"expression": message.expression} if message.expression else message.loss


def _loss_spec(message: pb.LossSpec, field: str) -> dict[str, Any]:
    fields = {"loss": _loss(message, field), **_asked(message), "inputs": dict(message.inputs)}
    if message.HasField("loss_weight"):
        fields["loss_weight"] = message.loss_weight
    return fields


def read_export(message: pb.ExportLossRequest) -> ExportSpec:
    """What is to be exported.

    Raises:
        LossmeterError: It is no such request.
    """
    fields = _asked(message)
    fields |= {
        name: text
        for name in ("dtype", "stands_for", "expression")
        if (text := getattr(message, name))
    }
    for name in ("opset", "ir_version", "rank"):
        if message.HasField(name):
            fields[name] = getattr(message, name)
    return read(ExportSpec, {**fields, "sizes": dict(message.sizes)})


def _asked(
    message: pb.EvaluateRequest | pb.LossSpec | pb.MergeStatesRequest | pb.ExportLossRequest,
) -> dict[str, Any]:
    """What a message says of parameters and reduction."""
    fields: dict[str, Any] = {}
    if not isinstance(message, pb.MergeStatesRequest) and message.HasField("params"):
        fields["params"] = _plain(message.params)
    if message.HasField("reduction"):
        fields["reduction"] = _plain(message.reduction)
    return fields


def _options(message: pb.Options) -> dict[str, Any]:
    names = ("backend", "device", "nonfinite", "batch_id", "profiles")
    options = {name: text for name in names if (text := getattr(message, name))}
    if message.HasField("state"):
        options["state"] = _plain(message.state)
    return options


def _plain(value: Value | Struct) -> Any:
    """A protobuf value as Python's; whole numbers become integers, as JSON would have them."""
    if isinstance(value, Struct):
        return {name: _plain(field) for name, field in value.fields.items()}
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        whole = math.isfinite(number) and number.is_integer() and abs(number) <= MOST_EXACT
        return int(number) if whole else number
    return None if kind in (None, "null_value") else getattr(value, kind)


def read_tensors(
    messages: Mapping[str, tensor_pb.Tensor], bytes_of: Bytes | None = None
) -> Tensors:
    """Named tensors, as views of their bytes.

    Args:
        messages: The tensors.
        bytes_of: What gives the bytes that a tensor's field stands for; its own if None.

    Raises:
        InvalidRequest: A dtype, shape or length is wrong.
    """
    arrays = {name: read_tensor(t, f"inputs.{name}", bytes_of) for name, t in messages.items()}
    return Tensors(arrays)


def read_tensor(message: tensor_pb.Tensor, field: str, bytes_of: Bytes | None = None) -> Array:
    """One tensor."""
    name = DTYPES.get(message.dtype)
    if name is None:
        raise DtypeUnsupported("set dtype to one of DataType", field=f"{field}.dtype")
    data = message.data if bytes_of is None else bytes_of(message.data)
    return from_bytes(name, list(message.shape), data, field)


def read_merge(message: pb.MergeStatesRequest) -> tuple[list[State], MergeSpec]:
    """A merge: its states and what to do with them.

    Raises:
        LossmeterError: It is no such request, or a state is none.
    """
    spec = read(MergeSpec, {**_asked(message), "options": _options(message.options)})
    return [read_state(data, f"states.{at}") for at, data in enumerate(message.states)], spec


def tensor_message(x: Array) -> tensor_pb.Tensor:
    """An array as a message."""
    message = tensor_pb.Tensor()
    _fill(message, x)
    return message


def _fill(message: tensor_pb.Tensor, x: Array) -> None:
    """Write an array where it belongs: a tensor that is assigned is copied."""
    message.dtype = tensor_pb.DataType.Value(PREFIX + dtype_name(x).upper())
    message.shape.extend(x.shape)
    message.data = to_bytes(x)


def answer_message(answer: Answer | Answers) -> pb.EvaluateResponse:
    """An answer as a message."""
    if isinstance(answer, Answers):
        results = {name: answer_message(one) for name, one in answer.results.items()}
        return pb.EvaluateResponse(results=results, total=answer.total, skipped=answer.skipped)
    message = pb.EvaluateResponse(
        loss=answer.loss,
        reduction=answer.reduction,
        count=answer.count,
        weight=answer.weight,
        denominator=answer.denominator,
        backend=answer.backend,
        device=answer.device,
        dtype=answer.dtype,
        index=answer.index,
        batch_id=answer.batch_id,
        relative_error=answer.relative_error,
        omitted=answer.omitted,
        warnings=answer.warnings,
    )
    for label, group in (answer.groups or {}).items():
        fields = {name: getattr(group, name) for name in Group.__slots__}
        message.groups[label].CopyFrom(pb.Group(**fields))
    if not isinstance(answer.value, Mapping):
        value = np.asarray(answer.value)
        _check_size(value, answer.kept)
        _fill(message.value, value)
    if answer.kept is not None:
        _fill(message.kept, answer.kept)
    if answer.state is not None:
        message.state = state_bytes(answer.state)
        message.state_hash = state_hash(answer.state)
    return message


def _check_size(value: Array, kept: Array | None) -> None:
    """Refuse an answer that no message can hold.

    Raises:
        TooLarge: It is one.
    """
    size = value.nbytes + (0 if kept is None else kept.nbytes)
    if size > MOST_BYTES:
        raise TooLarge(
            "the answer is too large; send fewer rows at a time", limit=MOST_BYTES, actual=size
        )


def explanation_message(
    explanation: Explanation | Mapping[str, Explanation],
) -> pb.ExplainResponse:
    """An explanation as a message."""
    if isinstance(explanation, Mapping):
        results = {name: explanation_message(one) for name, one in explanation.items()}
        return pb.ExplainResponse(results=results)
    message = pb.ExplainResponse(symbol=explanation.symbol, framework=explanation.framework)
    answer = answer_message(explanation.answer)
    for field, content in answer.ListFields():
        if field.name in EXPLAINED and isinstance(content, Message):
            getattr(message, field.name).CopyFrom(content)
        elif field.name in EXPLAINED:
            setattr(message, field.name, content)
    message.warnings.extend(answer.warnings)
    _copy_groups(answer, message)
    for step in explanation.steps:
        numbers = {name: spelt(x) for name, x in step.numbers.items()}
        added = message.steps.add(step=step.step, says=step.says)
        added.numbers.update(numbers)
    message.dialects.extend(_dialect(opinion) for opinion in explanation.dialects)
    return message


def _dialect(opinion: Opinion) -> pb.ExplainResponse.DialectAnswer:
    message = pb.ExplainResponse.DialectAnswer(**{name: getattr(opinion, name) for name in OPINION})
    if opinion.answer is not None:
        answer = answer_message(opinion.answer)
        if answer.HasField("value"):
            message.value.CopyFrom(answer.value)
        _copy_groups(answer, message)
    return message


def _copy_groups(
    answer: pb.EvaluateResponse, message: pb.ExplainResponse | pb.ExplainResponse.DialectAnswer
) -> None:
    for label, group in answer.groups.items():
        message.groups[label].CopyFrom(group)


def spelt(x: float | list[int]) -> Any:
    """A number as a Struct holds it: those that are not finite by name."""
    return number(x) if isinstance(x, float) else x


def message_of(fields: Mapping[str, Any], message: M) -> M:
    """A message from the fields of its JSON."""
    return json_format.ParseDict(dict(fields), message)
