"""What is read of a body, so that two ways of reading can be compared."""

from typing import Any

from lossmeter.errors import LossmeterError
from lossmeter.wire.json import read_request


def request_with(tensor: str) -> bytes:
    """A request with the text of a tensor, and another tensor behind it."""
    text = f'{{"loss":"huber","inputs":{{"x":{tensor},"y":[1,2]}},"reduction":"mean"}}'
    return text.encode(errors="surrogateescape")


def reading(body: bytes) -> tuple[Any, ...]:
    """Specification, arrays by their bits, and plain names; or reason and field of the refusal."""
    try:
        spec, tensors = read_request(body)
    except LossmeterError as error:
        return error.reason, error.field or ""
    arrays = {name: (x.dtype, x.shape, x.tobytes()) for name, x in tensors.arrays.items()}
    return spec.model_dump(), arrays, tensors.plain
