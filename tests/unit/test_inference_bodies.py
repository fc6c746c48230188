"""Inferences in JSON: tensors filled from the text, and heads that are remembered."""

import numpy as np
import orjson
import pytest

from lossmeter.errors import LossmeterError
from lossmeter.transports.oip.shared_memory import NoSharedMemory
from lossmeter.wire import numerals
from lossmeter.wire.inference import bodies
from lossmeter.wire.text import cut

MEMORY = NoSharedMemory()
X = np.arange(6.0).reshape(2, 3)
TENSOR = {"datatype": "FP64", "shape": [2, 3]}
OUTPUTS = {"outputs": [{"name": "loss"}]}


def body(data: object, **after: object) -> bytes:
    inputs = [{"name": name, **TENSOR, "data": data} for name in ("predictions", "targets")]
    return orjson.dumps({"id": "1", "inputs": inputs, **after})


@pytest.mark.skipif(not numerals.available(), reason="there is no simdjson")
@pytest.mark.parametrize("after", [{}, OUTPUTS], ids=["last", "before outputs"])
@pytest.mark.parametrize("data", [X.tolist(), X.ravel().tolist()], ids=["nested", "flat"])
def test_tensors_are_filled_from_the_text(data: object, after: dict[str, object]) -> None:
    text = body(data, **after)
    found = cut(text)
    assert found is not None and all(isinstance(x, np.ndarray) for x in found.values)
    inference = bodies.read_body("huber", text, None, MEMORY)
    for x in inference.tensors.arrays.values():
        assert np.array_equal(x, X)


def test_a_mark_that_a_caller_writes_is_a_number() -> None:
    text = body([2**62] * 6)
    found = bodies.read_body("huber", text, None, MEMORY).tensors.arrays["targets"]
    assert found.tolist() == [[2.0**62] * 3] * 2


@pytest.mark.parametrize("wrong", [b'"data":[0.0,1.0', b'"shape":[2', b'"name"'])
def test_a_mistake_is_told_of_the_whole_body(wrong: bytes) -> None:
    text = body(X.ravel().tolist())
    with pytest.raises(LossmeterError):
        bodies.read_body("huber", text.replace(wrong, wrong + b"]", 1), None, MEMORY)
    assert bodies.read_body("huber", text, None, MEMORY).id == "1"
