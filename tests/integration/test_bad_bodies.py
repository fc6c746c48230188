"""Bodies of REST that are no request, and what each is refused with."""

import base64
import json
from typing import Any, NamedTuple

import pytest

from tests.integration.refusals import faults_of_response, over_http, told_by_http
from tests.integration.servers import Service
from tests.integration.wires import JSON

GOOD = b'{"loss":"huber","inputs":{"predictions":[1.5,5],"targets":[1,2]}}'
pytestmark = pytest.mark.usefixtures("unharmed")


class Bad(NamedTuple):
    """A request in bytes and its refusal."""

    content: bytes
    reason: str
    field: str | None = None
    words: tuple[str, ...] = ()


def huber(predictions: str, targets: str = "[1,2]") -> bytes:
    return (
        f'{{"loss":"huber","inputs":{{"predictions":{predictions},"targets":{targets}}}}}'.encode()
    )


def binary(dtype: str, shape: Any, data: bytes | str) -> bytes:
    text = data if isinstance(data, str) else base64.b64encode(data).decode()
    return huber(json.dumps({"dtype": dtype, "shape": shape, "base64": text}))


def among(fields: str) -> bytes:
    return GOOD[:-1] + b"," + fields.encode() + b"}"


EIGHT = bytes(8)
AT = "inputs.predictions"
BODIES = {
    "nothing": Bad(b"", "MALFORMED_REQUEST"),
    "an open brace": Bad(b"{", "MALFORMED_REQUEST"),
    "half a request": Bad(GOOD[:30], "MALFORMED_REQUEST"),
    "something after the request": Bad(GOOD + b"}", "MALFORMED_REQUEST"),
    "a list": Bad(b"[7919]", "MALFORMED_REQUEST"),
    "a string": Bad(b'"hunter2"', "MALFORMED_REQUEST"),
    "null": Bad(b"null", "MALFORMED_REQUEST"),
    "text that is no UTF-8": Bad(
        huber('["hunter2\xff"]').replace(b"\xc3\xbf", b"\xff"), "MALFORMED_REQUEST"
    ),
    "UTF-16": Bad(GOOD.decode().encode("utf-16"), "MALFORMED_REQUEST"),
    "a zip": Bad(b"PK\x03\x04hunter2" * 9, "MALFORMED_REQUEST"),
    "a bare NaN": Bad(huber("[NaN,7919]"), "MALFORMED_REQUEST"),
    "a bare Infinity": Bad(huber("[Infinity,7919]"), "MALFORMED_REQUEST"),
    "a number in hexadecimal": Bad(huber("[0x1F0F,1]"), "MALFORMED_REQUEST"),
    "a lone surrogate": Bad(huber('["\\ud800",1]'), "MALFORMED_REQUEST"),
    "single quotes": Bad(b"{'loss':'hunter2'}", "MALFORMED_REQUEST"),
    "100,000 open brackets": Bad(b"[" * 100_000, "TOO_LARGE"),
    "100,000 brackets in an input": Bad(huber("[" * 100_000 + "]" * 100_000), "TOO_LARGE"),
    "100,000 braces in an input": Bad(
        huber('{"a":' * 100_000 + "7919" + "}" * 100_000), "TOO_LARGE"
    ),
    "100 brackets in an input": Bad(huber("[" * 100 + "7919" + "]" * 100), "TOO_LARGE", AT),
    "an unknown field": Bad(
        among('"hunter2":7919'), "UNKNOWN_FIELD", "hunter2", ("inputs", "loss")
    ),
    "an unknown option": Bad(
        among('"options":{"hunter2":7919}'), "UNKNOWN_FIELD", "options.hunter2"
    ),
    "an unknown field of a loss": Bad(
        b'{"losses":{"a":{"loss":"huber","hunter2":7919}},"inputs":{}}',
        "UNKNOWN_FIELD",
        "losses.a.hunter2",
    ),
    "an unknown field of a tensor": Bad(
        huber('{"dtype":"float64","data":[1,2],"hunter2":7919}'), "UNKNOWN_FIELD", AT
    ),
    "a loss that is a number": Bad(GOOD.replace(b'"huber"', b"7919"), "MALFORMED_REQUEST", "loss"),
    "a loss that is null": Bad(GOOD.replace(b'"huber"', b"null"), "MALFORMED_REQUEST", "loss"),
    "a loss of 100,000 letters": Bad(
        GOOD.replace(b"huber", b"hunter2" * 15_000), "LOSS_NOT_FOUND", "loss"
    ),
    "losses that are empty": Bad(b'{"losses":{},"inputs":{}}', "MALFORMED_REQUEST", "losses"),
    "a loss weight of text": Bad(
        b'{"losses":{"a":{"loss":"huber","loss_weight":"hunter2"}},"inputs":{}}',
        "MALFORMED_REQUEST",
        "losses.a.loss_weight",
    ),
    "params that are a list": Bad(among('"params":[7919]'), "MALFORMED_REQUEST", "params"),
    "params that are null": Bad(among('"params":null'), "MALFORMED_REQUEST", "params"),
    "a reduction that is a number": Bad(
        among('"reduction":7919'), "MALFORMED_REQUEST", "reduction"
    ),
    "a reduction that is a list": Bad(
        among('"reduction":["hunter2"]'), "MALFORMED_REQUEST", "reduction"
    ),
    "a q of text": Bad(
        among('"reduction":{"name":"quantile","q":"hunter2"}'), "PARAMETER_INVALID", "reduction.q"
    ),
    "a divisor of 1e400": Bad(
        among('"reduction":{"name":"mean","divisor":1e400}'), "MALFORMED_REQUEST"
    ),
    "options that are a string": Bad(among('"options":"hunter2"'), "MALFORMED_REQUEST", "options"),
    "inputs that are a list": Bad(
        b'{"loss":"huber","inputs":[7919]}', "MALFORMED_REQUEST", "inputs"
    ),
    "inputs that are null": Bad(b'{"loss":"huber","inputs":null}', "MALFORMED_REQUEST", "inputs"),
    "no inputs": Bad(b'{"loss":"huber"}', "MISSING_INPUT", AT),
    "an input that is null": Bad(huber("null"), "MALFORMED_REQUEST", AT),
    "an input with a null in it": Bad(huber("[7919,null]"), "MALFORMED_REQUEST", AT),
    "an input that is a string": Bad(huber('"hunter2"'), "MALFORMED_REQUEST", AT),
    "an input with a string in it": Bad(huber('[7919,"hunter2"]'), "MALFORMED_REQUEST", AT),
    "an input with an object in it": Bad(huber('[7919,{"hunter2":1}]'), "MALFORMED_REQUEST", AT),
    "NaN in lower case": Bad(huber('[7919,"nan"]'), "MALFORMED_REQUEST", AT),
    "a number beyond float64": Bad(huber("[7919,1e400]"), "MALFORMED_REQUEST"),
    "ragged rows": Bad(huber("[[7919,1],[2]]"), "SHAPE_MISMATCH", AT),
    "a number beside a row": Bad(huber("[7919,[2]]"), "SHAPE_MISMATCH", AT),
    "ragged rows with a name in them": Bad(huber('[[7919,"NaN"],[2]]'), "SHAPE_MISMATCH", AT),
    "ragged rows of a dtype": Bad(
        huber('{"dtype":"float32","data":[[7919,1],[2]]}'), "SHAPE_MISMATCH", f"{AT}.data"
    ),
    "an unknown dtype": Bad(
        huber('{"dtype":"hunter2","data":[7919,1]}'), "DTYPE_UNSUPPORTED", f"{AT}.dtype"
    ),
    "a dtype of numpy's": Bad(
        huber('{"dtype":"complex128","data":[7919,1]}'), "DTYPE_UNSUPPORTED", f"{AT}.dtype"
    ),
    "a dtype that is a number": Bad(
        huber('{"dtype":7919,"data":[1,2]}'), "DTYPE_UNSUPPORTED", f"{AT}.dtype"
    ),
    "no dtype": Bad(huber('{"data":[7919,1]}'), "DTYPE_UNSUPPORTED", f"{AT}.dtype"),
    "a dtype and nothing else": Bad(huber('{"dtype":"float64"}'), "MALFORMED_REQUEST", AT),
    "data twice": Bad(
        huber('{"dtype":"float64","data":[7919],"shape":[1],"base64":""}'), "MALFORMED_REQUEST", AT
    ),
    "1e39 in float32": Bad(
        huber('{"dtype":"float32","data":[7919,1e39]}'), "OUT_OF_DOMAIN", f"{AT}.data"
    ),
    "70000 in float16": Bad(
        huber('{"dtype":"float16","data":[7919,70000]}'), "OUT_OF_DOMAIN", f"{AT}.data"
    ),
    "7919 in int8": Bad(huber('{"dtype":"int8","data":[1,7919]}'), "OUT_OF_DOMAIN", f"{AT}.data"),
    "half in int64": Bad(
        huber('{"dtype":"int64","data":[7919,0.5]}'), "OUT_OF_DOMAIN", f"{AT}.data"
    ),
    "2 in bool": Bad(huber('{"dtype":"bool","data":[7919,2]}'), "OUT_OF_DOMAIN", f"{AT}.data"),
    "NaN in int64": Bad(
        huber('{"dtype":"int64","data":[7919,"NaN"]}'), "OUT_OF_DOMAIN", f"{AT}.data"
    ),
    "numbers as strings": Bad(
        huber('{"dtype":"string","data":[7919,1]}'), "DTYPE_UNSUPPORTED", f"{AT}.data"
    ),
    "base64 with a space": Bad(
        binary("float64", [1], "AAAA AAAAAAA="), "MALFORMED_REQUEST", f"{AT}.base64"
    ),
    "base64 without its end": Bad(
        binary("float64", [1], "AAAAAAAAAAA"), "MALFORMED_REQUEST", f"{AT}.base64"
    ),
    "base64 for addresses": Bad(
        binary("float64", [1], "____-_-_AAA="), "MALFORMED_REQUEST", f"{AT}.base64"
    ),
    "base64 that is a word": Bad(
        binary("float64", [1], "hunter2é"), "MALFORMED_REQUEST", f"{AT}.base64"
    ),
    "base64 that is a number": Bad(
        huber('{"dtype":"float64","shape":[1],"base64":7919}'), "MALFORMED_REQUEST", AT
    ),
    "half an element": Bad(
        binary("float64", [1], EIGHT[:4]), "MALFORMED_REQUEST", AT, ("4 bytes",)
    ),
    "a boolean of 2": Bad(binary("bool", [2], b"\1\2"), "MALFORMED_REQUEST", AT),
    "fewer elements than the shape": Bad(binary("float64", [2], EIGHT), "SHAPE_MISMATCH", AT),
    "more elements than the shape": Bad(binary("float64", [0], EIGHT), "SHAPE_MISMATCH", AT),
    "a shape whose product overflows": Bad(
        binary("float64", [2**32, 2**32], EIGHT), "SHAPE_MISMATCH", AT
    ),
    "a shape whose product overflows to 0": Bad(
        binary("float64", [2**32, 2**32, 2**63], b""), "SHAPE_MISMATCH", AT
    ),
    "a shape that overflows but for a 0": Bad(
        binary("float64", [2**62, 2**62, 0], b""), "SHAPE_MISMATCH", AT
    ),
    "a size of 2^70": Bad(binary("float64", [2**70], b""), "SHAPE_MISMATCH", AT),
    "a negative shape": Bad(binary("float64", [-1], EIGHT), "SHAPE_MISMATCH", AT),
    "two negative sizes": Bad(binary("float64", [-1, -1], EIGHT), "SHAPE_MISMATCH", AT),
    "a shape of halves": Bad(binary("float64", [0.5], EIGHT), "MALFORMED_REQUEST", f"{AT}.shape"),
    "a shape of booleans": Bad(
        binary("float64", [True], EIGHT), "MALFORMED_REQUEST", f"{AT}.shape"
    ),
    "a shape that is a number": Bad(
        binary("float64", 1, EIGHT), "MALFORMED_REQUEST", f"{AT}.shape"
    ),
    "no shape": Bad(huber('{"dtype":"float64","base64":""}'), "MALFORMED_REQUEST", f"{AT}.shape"),
    "33 axes": Bad(binary("float64", [1] * 33, EIGHT), "TOO_LARGE", AT),
    "a string longer than its data": Bad(
        binary("string", [1], b"\xff\0\0\0hunter2"), "MALFORMED_REQUEST", AT
    ),
    "strings for 2^40 elements": Bad(
        binary("string", [2**40], b"\7\0\0\0hunter2"), "SHAPE_MISMATCH", AT
    ),
}


@pytest.mark.parametrize("bad", BODIES.values(), ids=BODIES)
def test_a_bad_body(service: Service, bad: Bad) -> None:
    response = service.http.post("/v1/evaluate", content=bad.content, headers=JSON)
    assert told_by_http(response) == over_http(bad.reason, bad.field)
    assert faults_of_response(response, *bad.words) == []
