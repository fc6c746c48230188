"""Requests and answers of the protocol as messages."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import numpy as np

from lossmeter.app.answer import Answer
from lossmeter.core.arrays import Array
from lossmeter.errors import DtypeUnsupported, MalformedRequest, OutOfDomain, ShapeMismatch
from lossmeter.inference import grpc_service_pb2 as pb
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.inference.datatypes import (
    DTYPES,
    OUTPUTS,
    RAW_ONLY,
    dtype_of,
    names_of,
    output_of,
)
from lossmeter.wire.inference.request import (
    REGION,
    SIZE,
    VERSION,
    Inference,
    Memory,
    Reads,
    Wanted,
    place_of,
    read_spec,
    read_wanted,
    refuse_twice,
)
from lossmeter.wire.tensors import NUMPY, check_labels, elements, from_bytes, to_bytes

# Field of a message that holds the elements of a datatype.
CONTENTS: Mapping[str, str] = {
    **{name: f"{name.lower()}_contents" for name in ("BOOL", "INT64", "UINT64", "FP32", "FP64")},
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "BYTES": "bytes_contents",
}
assert {*CONTENTS, *RAW_ONLY} == {*DTYPES}


def read_message(
    message: pb.ModelInferRequest, bytes_of: Callable[[bytes], bytes | memoryview], memory: Memory
) -> Inference:
    """A request; raw tensors are views of its bytes.

    Args:
        message: The request.
        bytes_of: What gives the bytes that a raw tensor's field stands for.
        memory: Where other tensors may lie.

    Raises:
        LossmeterError: It is no request.
    """
    wanted = tuple(
        read_wanted(one.name, _plain(one.parameters), True, at)
        for at, one in enumerate(message.outputs)
    )
    refuse_twice([one.name for one in wanted], "outputs")
    return Inference(
        model=message.model_name,
        id=message.id or uuid4().hex,
        spec=read_spec(message.model_name, _plain(message.parameters)),
        tensors=_tensors(message, [bytes_of(x) for x in message.raw_input_contents], memory),
        wanted=wanted,
        binary=True,
    )


def _plain(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """The parameters as Python's values; None where one has none."""
    if not parameters:
        return {}
    kinds = {name: x.WhichOneof("parameter_choice") for name, x in parameters.items()}
    return {name: kind and getattr(parameters[name], kind) for name, kind in kinds.items()}


def _tensors(
    message: pb.ModelInferRequest, raw: Sequence[bytes | memoryview], memory: Memory
) -> Tensors:
    refuse_twice([one.name for one in message.inputs], "inputs")
    arrays: dict[str, Array] = {}
    used, reads = 0, Reads(memory)
    for at, one in enumerate(message.inputs):
        if not one.name:
            raise MalformedRequest("an input needs its name", field=f"inputs.{at}.name")
        field = f"inputs.{one.name}"
        dtype, place = dtype_of(one.datatype, field), place_of(_plain(one.parameters), field)
        if (raw or place) and one.contents.ListFields():
            raise MalformedRequest(
                "contents and raw_input_contents exclude each other", field=f"{field}.contents"
            )
        if place is not None:
            arrays[one.name] = from_bytes(dtype, list(one.shape), reads.bytes_at(place), field)
        elif not raw:
            arrays[one.name] = _typed(one, dtype, field)
        elif used < len(raw):
            arrays[one.name] = from_bytes(dtype, list(one.shape), raw[used], field)
            used += 1
        else:
            raise MalformedRequest(_COUNT.format(len(raw)), field="raw_input_contents")
    if used != len(raw):
        raise MalformedRequest(_COUNT.format(len(raw)), field="raw_input_contents")
    return Tensors(arrays)


_COUNT = "each input has its raw contents, in the same order; there are {}"


def _typed(one: pb.ModelInferRequest.InferInputTensor, dtype: str, field: str) -> Array:
    """The elements in the field of their datatype."""
    if one.datatype in RAW_ONLY:
        raise DtypeUnsupported(
            f"{one.datatype} is taken in raw_input_contents alone", field=f"{field}.datatype"
        )
    place = CONTENTS[one.datatype]
    if any(found.name != place for found, _ in one.contents.ListFields()):
        raise MalformedRequest(
            f"the elements of {one.datatype} go in {place}", field=f"{field}.contents"
        )
    given, shape = getattr(one.contents, place), list(one.shape)
    count = elements(shape, field)
    if len(given) != count:
        raise ShapeMismatch(f"the shape has {count} elements, the data {len(given)}", field=field)
    x = _labels(given, field) if dtype == "string" else _numbers(given, dtype, field)
    return x.reshape(shape)


def _numbers(given: Any, dtype: str, field: str) -> Array:
    wide = np.array(given)
    x = wide.astype(NUMPY[dtype])
    if x.dtype.kind in "iu" and not np.array_equal(x, wide):
        raise OutOfDomain(f"a number does not fit {dtype}", field=field)
    return x


def _labels(given: Any, field: str) -> Array:
    try:
        labels = [label.decode() for label in given]
    except UnicodeDecodeError:
        raise MalformedRequest("strings are UTF-8", field=field) from None
    check_labels(labels, field)
    return np.array(labels, str) if labels else np.zeros(0, "U1")


def answer_message(inference: Inference, answer: Answer, memory: Memory) -> pb.ModelInferResponse:
    """An answer as a message.

    Raises:
        LossmeterError: An output does not fit where it shall lie.
    """
    message = pb.ModelInferResponse(
        model_name=inference.model, model_version=VERSION, id=inference.id
    )
    if answer.warnings:
        message.parameters["warnings"].string_param = "; ".join(answer.warnings)
    for wanted in inference.wanted or [Wanted(name, True) for name in names_of(answer)]:
        x = output_of(answer, wanted.name)
        data = to_bytes(x)
        told = message.outputs.add(
            name=wanted.name, datatype=OUTPUTS[wanted.name].datatype, shape=x.shape
        )
        # Clients count the raw contents with the outputs, those in shared memory too.
        message.raw_output_contents.append(b"" if wanted.place else data)
        if wanted.place is None:
            continue
        memory.write(wanted.place, data)
        told.parameters[REGION].string_param = wanted.place.region
        told.parameters[SIZE].int64_param = len(data)
    return message
