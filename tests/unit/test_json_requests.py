"""Bodies of JSON read with simdjson and without: the same arrays, the same refusals."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest

from lossmeter.core.arrays import Array
from lossmeter.errors import LossmeterError, MalformedRequest
from lossmeter.wire import numerals
from lossmeter.wire.json import read_request
from lossmeter.wire.text import cut, parse, parse_tensors
from tests.unit.readings import reading, request_with

pytest.importorskip("simdjson")

LARGE = 3000


def listed(shape: tuple[int, ...], whole: bool = False) -> str:
    x = np.random.default_rng(7919).normal(size=shape)
    return orjson.dumps((x * 9).astype(int).tolist() if whole else x.tolist()).decode()


def wide(row: str, rows: int = LARGE) -> str:
    return "[" + ",".join([row] * rows) + "]"


# Texts of one tensor.
NUMBERS = {
    "floats": "[[1.5,-2.25],[1e5,-1E-7]]",
    "whole numbers": "[[1,2],[-3,4]]",
    "whole numbers among floats": "[1,2.5]",
    "whole numbers with an exponent": "[1e2,3]",
    "zeros with a sign": "[-0,-0.0,0]",
    "the largest of int64": "[9223372036854775807,-9223372036854775808]",
    "beyond int64": "[9223372036854775808]",
    "beyond int64, mixed": "[1,9223372036854775808]",
    "beyond int64 among floats": "[1.5,9223372036854775808]",
    "beyond int64 below": "[-9223372036854775809]",
    "beyond uint64": "[18446744073709551616]",
    "2 ** 53 + 1 among floats": "[9007199254740993,0.5]",
    "the smallest": "[4.9e-324,1e-400,2.2250738585072011e-308]",
    "the largest": "[1.7976931348623157e308]",
    "many digits": "[0.30000000000000004440892098500626161694526672363281250001]",
    "space": " [\t[ 1 ,\r\n2.5 ] , [ 3,4 ]\n] ",
    "one row": "[[1.5,2,3]]",
    "one column": "[[1.5],[2],[3]]",
    "four axes": listed((2, 3, 4, 5)),
    "many rows": listed((LARGE, 10)),
    "many narrow rows": listed((LARGE * 5, 1)),
    "many whole numbers": listed((LARGE, 10), whole=True),
    "few long rows": listed((3, 9000)),
    "few long rows of rows": listed((2, 900, 10)),
    "many on three axes": listed((LARGE, 2, 3)),
    "one axis": listed((LARGE * 5,)),
    "whole numbers, then floats": f"[{'1,' * LARGE * 20}0.5]",
    "floats, then whole numbers": f"[0.5{',1' * LARGE * 20}]",
    "booleans": "[[true,false],[false,true]]",
    "many booleans": wide("[true,false,false]", LARGE * 3),
    "booleans, then numbers": f"[{'true,' * LARGE * 5}1]",
    "booleans among numbers": "[true,2,0.5]",
    "a row of booleans, a row of numbers": "[[true,false],[1,2]]",
    "the names of numbers": '[[1,"NaN"],["Infinity","-Infinity"]]',
    "many numbers by name": wide('[1.5,"NaN",-3]') + " ",
    "all by name": wide('"-Infinity"', LARGE * 9),
    "whole numbers and a name": '[1,2,"NaN"]',
    "booleans and a name": '[true,"NaN",2]',
    "a scalar": "1.5",
    "nothing": "[]",
    "rows of nothing": "[[],[]]",
    "a dtype": '{"dtype":"float32","data":[[1,2.5]]}',
    "a dtype, space": '{ "data" : [ [1,2.5] ] , "dtype" : "float64" }',
    "bfloat16": '{"dtype":"bfloat16","data":[1.00390625,3]}',
    "a mask with a dtype": '{"dtype":"bool","data":[true,false]}',
    "many with a dtype": f'{{"dtype":"float32","data":{listed((LARGE, 10))}}}',
    "base64": '{"dtype":"float64","shape":[1],"base64":"AAAAAAAA8D8="}',
    "base64 with an escape": '{"dtype":"uint8","shape":[3],"base64":"AA\\/A"}',
    "labels that are numbers": '{"dtype":"string","data":["1","2"]}',
}
REFUSED = {
    "NaN": ("[NaN]", "MALFORMED_REQUEST", ""),
    "beyond float64": ("[1.5,1e400]", "MALFORMED_REQUEST", ""),
    "beyond float64 at the end": (f"[{'1.5,' * LARGE * 9}1e400]", "MALFORMED_REQUEST", ""),
    "a comma too many": ("[1,2,]", "MALFORMED_REQUEST", ""),
    "a comma too many between rows": (
        wide("[1,2]", LARGE * 9)[:-1] + ",]",
        "MALFORMED_REQUEST",
        "",
    ),
    "two commas": (wide("[1,2]", LARGE * 9).replace("],[", "],,[", 1), "MALFORMED_REQUEST", ""),
    "a plus": ("[+1]", "MALFORMED_REQUEST", ""),
    "a zero in front": ("[01]", "MALFORMED_REQUEST", ""),
    "an array and another": ("[1],[2]", "MALFORMED_REQUEST", ""),
    "an array and a number": ("[1] 2", "MALFORMED_REQUEST", ""),
    "a bracket too many": ("[[1]]]", "MALFORMED_REQUEST", ""),
    "a boolean with a sign": ("[-true]", "MALFORMED_REQUEST", ""),
    "no UTF-8": ('["\udcff"]', "MALFORMED_REQUEST", ""),
    "ragged": ("[[1,2],[3]]", "SHAPE_MISMATCH", "inputs.x"),
    "ragged in sum as it should be": ("[[1,2],[3],[4,5,6]]", "SHAPE_MISMATCH", "inputs.x"),
    "ragged at the end": (wide("[1.5,2]", 9 * LARGE)[:-1] + ",[1]]", "SHAPE_MISMATCH", "inputs.x"),
    "ragged, long rows": (f"[{listed((9000,))},{listed((9001,))}]", "SHAPE_MISMATCH", "inputs.x"),
    "ragged booleans": ("[[true,false],[true]]", "SHAPE_MISMATCH", "inputs.x"),
    "a number and a list": ("[1,[2]]", "SHAPE_MISMATCH", "inputs.x"),
    "a list and a number": ("[[1,2],3,4]", "SHAPE_MISMATCH", "inputs.x"),
    "a list in a row": ("[[1,2],[3,[4,5,6]]]", "SHAPE_MISMATCH", "inputs.x"),
    "lists in rows of one length": ("[[1,2],[3,[4]],[5,[]]]", "SHAPE_MISMATCH", "inputs.x"),
    "lists deeper in some rows": ("[[[1,2]],[[3],[4]]]", "SHAPE_MISMATCH", "inputs.x"),
    "an empty row": ("[[1],[],[2]]", "SHAPE_MISMATCH", "inputs.x"),
    "null": ("[1,null]", "MALFORMED_REQUEST", "inputs.x"),
    "an object": ("[1,{}]", "MALFORMED_REQUEST", "inputs.x"),
    "names without a comma": ('[1 "NaN"]', "MALFORMED_REQUEST", ""),
    "a name with a sign": ('[-"NaN"]', "MALFORMED_REQUEST", ""),
    "a name beside digits": ('[1"NaN"2]', "MALFORMED_REQUEST", ""),
    "rows with names, ragged": ('[[1,"NaN"],["NaN"]]', "SHAPE_MISMATCH", "inputs.x"),
    "names and words": ('["NaN",1,"nan"]', "MALFORMED_REQUEST", "inputs.x"),
    "words": ('[1,"x"]', "MALFORMED_REQUEST", "inputs.x"),
    "too deep": ("[" * 40 + "1" + "]" * 40, "TOO_LARGE", "inputs.x"),
    "too deep for a parser": ("[" * 1030 + "1" + "]" * 1030, "TOO_LARGE", ""),
    "objects that deep": ('{"a":' * 1015 + "1" + "}" * 1015, "UNKNOWN_FIELD", "inputs.x"),
    "no base64": ('{"dtype":"uint8","shape":[1],"base64":"AA"}', "MALFORMED_REQUEST", None),
    "too much base64": ('{"dtype":"uint8","shape":[1],"base64":"AAAA"}', "SHAPE_MISMATCH", None),
    "a number beyond its dtype": ('{"dtype":"int8","data":[300]}', "OUT_OF_DOMAIN", None),
}


@pytest.fixture(params=[10, 64 * 1024], ids=["short pieces", "pieces"])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerals, "PIECE_BYTES", request.param)
    if request.param == 10:
        # What is there for long texts serves short ones too.
        monkeypatch.setattr(numerals, "SHORT_BYTES", 0)
        monkeypatch.setattr(numerals, "LONG_ROW_BYTES", 1)


def read_twice(body: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What both ways agree on."""
    quick = reading(body)
    with monkeypatch.context() as without:
        without.setattr(numerals, "simdjson", None)
        assert cut(body) is None
        assert reading(body) == quick
    return quick


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("text", NUMBERS.values(), ids=NUMBERS)
def test_both_ways_give_the_same_array(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, arrays, _ = read_twice(request_with(text), monkeypatch)
    assert spec["loss"] == "huber"
    if "dtype" not in text and '"' not in text:
        expected = np.array(orjson.loads(text))
        assert arrays["x"] == (expected.dtype, expected.shape, expected.tobytes())


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize(("text", "reason", "field"), REFUSED.values(), ids=REFUSED)
def test_both_ways_refuse_the_same(
    text: str, reason: str, field: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = read_twice(request_with(text), monkeypatch)
    assert told[0] == reason
    assert field is None or (told[1] or "") == field


QUICK = ["floats", "space", "many rows", "few long rows", "four axes", "many booleans"]
QUICK += ["base64", "many numbers by name", "all by name"]


@pytest.mark.parametrize("name", QUICK)
def test_tensors_are_read_without_a_list(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> None:
        raise AssertionError("parsed to lists")

    body = request_with(NUMBERS[name])
    monkeypatch.setattr("lossmeter.wire.text._loads", none)
    found = cut(body)
    assert found is not None
    assert len(found.text) < 200
    assert isinstance(found.values[0], np.ndarray | bytes)


TWICE = {
    "at the top": ('{"loss":"huber","inputs":{"x":T},"loss":"mse"}', "loss"),
    "in other letters": ('{"loss":"huber","inputs":{"x":T},"l\\u006fss":"mse"}', "loss"),
    "inputs": ('{"loss":"huber","inputs":{"x":T},"inputs":{"x":T}}', "inputs"),
    "inputs, the last of them none": ('{"loss":"huber","inputs":{"x":T},"inputs":{}}', "inputs"),
    "a tensor": ('{"loss":"huber","inputs":{"x":T,"x":T}}', "inputs.x"),
    "a tensor and a number": ('{"loss":"huber","inputs":{"x":T,"x":1}}', "inputs.x"),
    "in a tensor": (
        '{"loss":"huber","inputs":{"x":{"dtype":"float64","data":T,"dtype":"float64"}}}',
        "inputs.x.dtype",
    ),
    "a parameter": (
        '{"loss":"huber","params":{"delta":1,"delta":2},"inputs":{"x":T}}',
        "params.delta",
    ),
    "in a reduction": (
        '{"loss":"huber","reduction":{"name":"mean","name":"sum"},"inputs":{"x":T}}',
        "reduction.name",
    ),
    "an option, a colon in it": (
        '{"loss":"huber","inputs":{"x":T},"options":{"batch_id":"9:30","batch_id":"9:31"}}',
        "options.batch_id",
    ),
    "losses": ('{"losses":{"a":{"loss":"mse","loss":"mae"}},"inputs":{"x":T}}', "losses.a.loss"),
    "in what is given twice": (
        '{"loss":"huber","params":{"a":{"b":1}},"params":{},"inputs":{"x":T}}',
        "params",
    ),
    "in a list": ('{"loss":"huber","params":{"a":[{"b":1,"b":2}]},"inputs":{"x":T}}', "params.a.b"),
}


@pytest.mark.parametrize("tensor", ["[1.5]", listed((LARGE, 10))], ids=["small", "large"])
@pytest.mark.parametrize(("text", "field"), TWICE.values(), ids=TWICE)
def test_a_key_twice_is_refused(
    text: str, field: str, tensor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = text.replace("T", tensor).encode()
    assert read_twice(body, monkeypatch) == ("MALFORMED_REQUEST", field)


def test_a_colon_in_a_string_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        b'{"loss":"huber","options":{"batch_id":"a:\\"b\\":c"},"reduction":{"name":"mean","by":"g"},'
        b'"inputs":{"g":["{a:b","\\\\"],"x":[1.5,2]}}'
    )
    spec, arrays, plain = read_twice(body, monkeypatch)
    assert spec["options"]["batch_id"] == 'a:"b":c'
    assert plain == {"g", "x"}
    assert arrays["g"][1] == arrays["x"][1] == (2,)


def test_arrays_that_are_no_tensors_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        b'{"params":{"class_weight":[1,2.5]},"inputs":{"x":[1.5],"a\\"b":[2],"shape":[3]},'
        b'"reduction":{"name":"mean","axis":[0]},"loss":"huber"}'
    )
    spec, arrays, _ = read_twice(body, monkeypatch)
    assert spec["params"] == {"class_weight": [1, 2.5]}
    assert spec["reduction"]["axis"] == [0]
    assert set(arrays) == {"x", 'a"b', "shape"}


def test_an_input_by_the_name_of_base64_is_a_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"loss":"huber","inputs":{"x":[1.5],"base64":"Infinity"}}'
    _, arrays, _ = read_twice(body, monkeypatch)
    assert arrays["base64"] == (np.dtype(np.float64), (), np.float64(np.inf).tobytes())


def test_tensors_in_a_list_of_inputs() -> None:
    tensors = [NUMBERS["many rows"], NUMBERS["many booleans"], '["a:b","{"]', "[]"]
    inputs = ",".join(
        f'{{"name":"{at}","shape":[3,2],"datatype":"FP64","data":{text}}}'
        for at, text in enumerate(tensors)
    )
    body = f'{{"id":"7","inputs":[{inputs}],"outputs":[{{"name":"loss"}}]}}'.encode()
    found, expected = parse_tensors(memoryview(body)), parse(body)
    assert found.keys() == expected.keys()
    for one, same in zip(found["inputs"], expected["inputs"], strict=True):
        assert np.array_equal(np.array(one.pop("data")), np.array(same.pop("data")))
        assert one == same
    assert isinstance(parse_tensors(body)["inputs"][0]["data"], np.ndarray)
    labels = body.replace(b"a:b", b"NaN").replace(b'{"]', b'Infinity"]')
    assert parse_tensors(labels)["inputs"][2]["data"] == ["NaN", "Infinity"]
    with pytest.raises(MalformedRequest) as refusal:
        parse_tensors(body.replace(b'"name":"0"', b'"name":"0","name":"0"'))
    assert refusal.value.field == "inputs.name"


@pytest.mark.parametrize("names", ['"NaN","a"', '"NaN","Infinity"', '1,"NaN"', '{"a":"NaN"}'])
def test_labels_may_be_called_as_numbers_are(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        '{"loss":"huber","reduction":{"name":"mean","by":"g"},'
        f'"inputs":{{"x":[1.5,"NaN"],"g":[{names}]}}}}'
    )
    found = read_twice(body.encode(), monkeypatch)
    assert found == ("MALFORMED_REQUEST", "inputs.g") or found[1]["g"][0].kind == "U"


def test_a_mark_of_the_callers_own_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    guess = 2**62 + 1
    body = b'{"loss":"huber","inputs":{"x":[1.5],"y":%d,"z":[%d]}}' % (guess, guess)
    _, arrays, _ = read_twice(body, monkeypatch)
    assert arrays["y"] == (np.dtype(np.int64), (), np.int64(guess).tobytes())


def test_a_specification_is_read_once_and_its_tensors_each_time() -> None:
    first = b'{"loss":"huber","params":{"delta":2},"inputs":{"x":[1.5],"y":[[1],[2]]}}'
    second = first.replace(b"1.5", b"7,9").replace(b"[1]", b"[3]")
    (spec, one), (again, two) = read_request(first), read_request(second)
    assert again is spec
    assert one.arrays["x"].tolist() == [1.5]
    assert two.arrays["x"].tolist() == [7, 9]
    assert two.arrays["y"].tolist() == [[3], [2]]


MANY = 2**24  # simdjson tells no greater length than one less


def array_of(text: bytes) -> Array | None:
    return numerals.read_array(text, 0, len(text))


def test_more_elements_than_simdjson_counts() -> None:
    flat = array_of(b"[" + b"1," * MANY + b"0]")
    assert flat is not None
    assert flat.shape == (MANY + 1,)
    assert flat.sum() == MANY


def test_more_columns_than_simdjson_counts() -> None:
    row = b"[" + b"1," * MANY + b"0]"
    assert (found := array_of(b"[%b,%b]" % (row, row))) is not None
    assert found.shape == (2, MANY + 1)
    assert array_of(b"[%b,[1,%b]" % (row, row[1:])) is None


def bodies() -> Iterator[bytes]:
    for rows in range(1, 41):
        yield request_with(listed((rows * 50, 10)))


def test_threads_have_parsers_of_their_own() -> None:
    expected = [reading(body) for body in bodies()]
    found: list[list[Any]] = [[] for _ in range(8)]

    def work(into: list[Any]) -> None:
        into.extend(reading(body) for body in bodies())

    threads = [threading.Thread(target=work, args=(into,)) for into in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


def test_a_parser_is_free_after_any_body() -> None:
    kept = []
    for text, *_ in REFUSED.values():
        try:
            read_request(request_with(text))
        except LossmeterError as error:
            kept.append(error)  # and with it the frames that it passed
        assert array_of(b"[1.5,2]") is not None
    assert len(kept) == len(REFUSED)


def test_arrays_outlive_the_text_and_the_parser() -> None:
    text = bytearray(b"[[1.5,2.5],[3.5,4.5]]")
    found = numerals.read_array(text, 0, len(text))
    text[:] = b"9" * len(text)
    array_of(b"[7.5,7.5,7.5,7.5]")
    assert found is not None
    assert found.tolist() == [[1.5, 2.5], [3.5, 4.5]]
    assert found.flags.writeable


@pytest.mark.parametrize("text", [b'["t","f"]', b'["1"]', b"[{}]", b"[null]", b"[", b"[1", b"[1 "])
def test_what_is_no_array_of_numbers_is_left_to_orjson(text: bytes) -> None:
    assert array_of(text) is None
