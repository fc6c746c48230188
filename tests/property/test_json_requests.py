"""Whatever the body, it is read as orjson and NumPy read it, or refused as there."""

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmeter.wire import numerals
from tests.unit.readings import reading, request_with

pytest.importorskip("simdjson")

BLANK = st.sampled_from(["", "", "", " ", "\n", "\t\r\n "])
NUMBER = st.one_of(
    st.integers(-9, 9).map(str),
    st.integers(-(2**65), 2**65).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?\Z"),
)
BOOLEAN = st.sampled_from(["true", "false"])
NAME = st.sampled_from(['"NaN"', '"Infinity"', '"-Infinity"'])
STRING = st.text(max_size=4).map(lambda text: orjson.dumps(text).decode())
ESCAPED = st.text('ab:]}\\"', max_size=4).map(
    lambda text: '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'
)
ODD = st.sampled_from(["null", "{}", "[]", "01", "+1", "1.", ".5", "NaN", "-", "tru", "1e400", '"'])
SCALARS = [NUMBER, BOOLEAN, BOOLEAN | NUMBER, NAME | NUMBER, STRING, ESCAPED, ODD | NUMBER]


@st.composite
def listed(draw: st.DrawFn) -> str:
    """Nested lists of one shape, more or less, of scalars of a kind or two."""
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    scalar = draw(st.sampled_from(SCALARS))
    ragged = draw(st.integers(0, 9)) == 0

    def text(sizes: list[int]) -> str:
        if not sizes or (ragged and draw(st.integers(0, 9)) == 0):
            return draw(scalar)
        count = sizes[0] + (ragged and draw(st.integers(0, 9)) == 0)
        inner = [draw(BLANK) + text(sizes[1:]) + draw(BLANK) for _ in range(count)]
        return f"[{','.join(inner)}]"

    return text(shape)


def typed(data: str, dtype: str, blank: str) -> str:
    return f'{{{blank}"dtype":{blank}"{dtype}",{blank}"data"{blank}:{blank}{data}{blank}}}'


TENSOR = st.one_of(
    listed(),
    st.builds(typed, listed(), st.sampled_from(["float32", "int64", "bool", "string"]), BLANK),
)


def check_both_ways(body: bytes, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numerals, "PIECE_BYTES", piece)
        patch.setattr(numerals, "SHORT_BYTES", 16 * piece)
        quick = reading(body)
        patch.setattr(numerals, "simdjson", None)
        assert quick == reading(body)


@settings(max_examples=400, deadline=None)
@given(TENSOR, st.integers(1, 100))
def test_a_tensor_is_what_its_parsed_text_is(text: str, piece: int) -> None:
    check_both_ways(request_with(text), piece)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_body_is_what_its_parsed_text_is(data: st.DataObject) -> None:
    body = request_with(data.draw(TENSOR))
    at, gone = data.draw(st.integers(0, len(body))), data.draw(st.integers(0, 3))
    put = data.draw(st.sampled_from([*(bytes([c]) for c in b'"\\[]{},: 0-.et'), b"", b"\xff"]))
    check_both_ways(body[:at] + put + body[at + gone :], data.draw(st.integers(1, 100)))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 200), st.integers(1, 30))
def test_any_number_of_bits_is_read_to_the_bit(seed: int, rows: int, width: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2**64, rows * width, np.uint64)
    x = np.where(np.isfinite(bits.view(np.float64)), bits.view(np.float64), 0.5)
    text = orjson.dumps(x.reshape(rows, width).tolist())
    found = numerals.read_array(text, 0, len(text))
    assert found is not None
    assert found.tobytes() == x.tobytes()
