"""Long base64 is read whole, or refused wherever it is wrong."""

import base64

import numpy as np
import orjson
import pytest

from lossmeter.errors import MalformedRequest
from lossmeter.wire.json import read_request

BASE64_CHARACTERS = 2**16
PIECE = BASE64_CHARACTERS // 4 * 3


def read(text: str, count: int) -> bytes:
    tensor = {"dtype": "uint8", "shape": [count], "base64": text}
    body = orjson.dumps({"loss": "huber", "inputs": {"predictions": tensor}})
    return bytes(read_request(body)[1].arrays["predictions"].tobytes())


@pytest.mark.parametrize(
    "count", [PIECE - 1, PIECE, PIECE + 1, PIECE + 2, 3 * PIECE, 3 * PIECE + 1]
)
def test_long_base64_is_read_whole(count: int) -> None:
    data = np.random.default_rng(count).bytes(count)
    assert read(base64.b64encode(data).decode(), count) == data


@pytest.mark.parametrize(
    ("at", "wrong"),
    [
        pytest.param(BASE64_CHARACTERS - 1, "=", id="padding at the end of a piece"),
        pytest.param(BASE64_CHARACTERS + 5, "=", id="padding within a piece"),
        pytest.param(BASE64_CHARACTERS + 5, "*", id="another character"),
        pytest.param(BASE64_CHARACTERS + 5, "é", id="beyond ASCII"),
        pytest.param(2 * BASE64_CHARACTERS, "", id="one character less"),
        pytest.param(2 * BASE64_CHARACTERS, "AA", id="one character more"),
    ],
)
def test_what_is_no_base64_is_refused_anywhere(at: int, wrong: str) -> None:
    text = base64.b64encode(bytes(3 * PIECE)).decode()
    with pytest.raises(MalformedRequest):
        read(text[:at] + wrong + text[at + 1 :], 3 * PIECE)
