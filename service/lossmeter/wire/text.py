"""The text of JSON bodies: objects without a key twice, and tensors cut out of them."""

import gc
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import orjson
import pybase64

from lossmeter.core.spelling import NON_FINITE
from lossmeter.errors import LossmeterError, MalformedRequest, TooLarge
from lossmeter.wire import numerals
from lossmeter.wire.numerals import Text

MOST_DEPTH = 1024
Json: TypeAlias = Mapping[str, Any]
# Bodies beyond this have so many lists that the collector is better told to wait.
MANY_BYTES = 64 * 1024
TOKEN = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"([ \t\n\r]*:)?|[{}]', re.DOTALL)

# Tensors stand under this key, each behind a key of its own.
INPUTS = re.compile(rb'"inputs"[ \t\n\r]*:[ \t\n\r]*[{\[]')
KEY = re.compile(rb'"([^"\\]*)"[ \t\n\r]*:[ \t\n\r]*(?=[\["])')
NAME = re.compile(b'"(?:%b)"' % "|".join(NON_FINITE).encode())
# What may follow a tensor before the next key.
AFTER = re.compile(rb"[ \t\n\r,{}\]]*")
MOST_CUT = 64
# Inputs, one of them, a field of it: a mark stands no deeper.
DEPTH_OF_MARKS = 3
# What stands for tensors cut out: whole numbers that a caller cannot know.
FIRST_MARK = 2**62 + secrets.randbits(60)
MARKS = [str(FIRST_MARK + at).encode() for at in range(MOST_CUT)]


def parse(body: Text | memoryview) -> Json:
    """The object in a body.

    Raises:
        MalformedRequest: The body is no JSON object, or an object in it has a key twice.
        TooLarge: Brackets are nested too deep.
    """
    text = bytes(body) if isinstance(body, memoryview) else body
    try:
        parsed = _loads(text)
    except orjson.JSONDecodeError as error:
        # orjson names the fault and its place, and nothing of the text.
        if "depth limit" in error.msg:
            raise TooLarge(
                "brackets are nested too deep", limit=MOST_DEPTH, actual=_depth(text)
            ) from None
        raise MalformedRequest(f"the body is not JSON: {error.msg}, at byte {error.pos}") from None
    if not isinstance(parsed, dict):
        raise MalformedRequest("the body must be a JSON object")
    check_keys(text, parsed)
    return parsed


def _loads(text: Text) -> Any:
    """Parsed lists are no garbage: the collector would only walk them, again and again."""
    waiting = len(text) > MANY_BYTES and gc.isenabled()
    if not waiting:
        return orjson.loads(text)
    gc.disable()
    try:
        return orjson.loads(text)
    finally:
        gc.enable()


def _depth(body: Text) -> int:
    steps = np.zeros(256, dtype=np.int32)
    steps[list(b"[{")], steps[list(b"]}")] = 1, -1
    return int(np.cumsum(steps[np.frombuffer(body, np.uint8)]).max())


def check_keys(text: Text, parsed: Any, field: str = "") -> None:
    """Refuse an object that has a key twice: parsers differ in which of the two they take.

    Args:
        text: JSON.
        parsed: What it says.
        field: Where it stands.

    Raises:
        MalformedRequest: It has.
    """
    # A colon for each key, and no more: the usual case is seen at once.
    if text.count(b":") == _keys(parsed):
        return
    path = [field] if field else []
    seen: list[set[str]] = []
    for token in TOKEN.finditer(text):
        if token[0] == b"{":
            seen.append(set())
            path.append("")
        elif token[0] == b"}":
            seen.pop()
            path.pop()
        elif token[2] is not None:
            key = path[-1] = orjson.loads(b'"%b"' % token[1])
            if key in seen[-1]:
                raise MalformedRequest("an object has this key twice", field=".".join(path))
            seen[-1].add(key)


def _keys(parsed: Any) -> int:
    """How many keys the objects have; without recursion, which has a limit of its own."""
    count, waiting = 0, [parsed]
    while waiting:
        one = waiting.pop()
        count += len(one) if isinstance(one, dict) else 0
        waiting.extend(_inner(one))
    return count


def _inner(parsed: Any) -> Iterable[Any]:
    """What an object holds, or a list of objects; lists of others are long, and hold no keys."""
    if isinstance(parsed, dict):
        return parsed.values()
    return parsed if isinstance(parsed, list) and isinstance(next(iter(parsed), 0), dict) else ()


@dataclass(frozen=True, slots=True)
class Cut:
    """A body without its tensors.

    Attributes:
        text: The body, a mark in the place of each.
        values: The tensors: arrays, bytes of base64, or lists where the array has to be checked.
        named: Whether names of numbers were in them, which are labels elsewhere.
    """

    text: bytes
    values: list[Any]
    named: bool


def cut(body: Text) -> Cut | None:
    """Arrays of numbers and base64 cut out of the inputs of a request.

    Where something is not as it should be the cut is none, or its text is no JSON, or not every
    mark is found under ``inputs``: then the body is to be parsed whole, which tells what is wrong.
    If all marks are found, the body is what the text is with the values in their place.
    """
    if not numerals.available():
        return None
    kept: list[Text] = []
    values: list[Any] = []
    before, named = 0, False
    for start, stop in _tensors(body):
        value = _value(body, start, stop)
        if value is None or len(values) == MOST_CUT:
            return None
        kept += [body[before:start], MARKS[len(values)]]
        values.append(value)
        named |= isinstance(value, np.ndarray) and body.find(b'"', start, stop) >= 0
        before = stop
    return Cut(b"".join((*kept, body[before:])), values, named) if values else None


def parse_tensors(body: Text | memoryview) -> Json:
    """The object in a body, with arrays in the place of tensors where nothing is odd about them.

    Raises:
        LossmeterError: As ``parse``.
    """
    text = bytes(body) if isinstance(body, memoryview) else body
    found = cut(text)
    if found is not None and not found.named:
        with suppress(LossmeterError):
            around = parse(found.text)
            if sorted(marks_in(around.get("inputs"))) == list(range(len(found.values))):
                whole: Json = filled(around, found.values)
                return whole
    return parse(text)


def marks_in(parsed: Any, depth: int = DEPTH_OF_MARKS) -> list[int]:
    """The numbers of the marks that stand in objects, or in lists of objects, not deeper."""
    if type(parsed) is int and parsed >= FIRST_MARK:
        return [parsed - FIRST_MARK]
    return [at for inner in _inner(parsed) for at in marks_in(inner, depth - 1)] if depth else []


def filled(parsed: Any, values: Sequence[Any], depth: int = DEPTH_OF_MARKS) -> Any:
    """The same objects with values in the place of their marks."""
    if type(parsed) is int and parsed >= FIRST_MARK:
        return values[parsed - FIRST_MARK]
    if depth and isinstance(parsed, dict):
        return {key: filled(inner, values, depth - 1) for key, inner in parsed.items()}
    if depth and isinstance(parsed, list):
        return [filled(inner, values, depth - 1) for inner in _inner(parsed)] or parsed
    return parsed


def _tensors(body: Text) -> Iterator[tuple[int, int]]:
    """Where the texts of tensors stand."""
    opening = INPUTS.search(body)
    at, depth = (opening.end(), 1) if opening else (0, 0)
    while depth > 0:
        key = KEY.search(body, at)
        if key is None:
            return
        depth += body.count(b"{", at, key.start()) - body.count(b"}", at, key.start())
        at = key.end()
        stop = _end_of_array(body, at) if body[at] == ord("[") else _end_of_string(body, at)
        wanted = key[1] != b"shape" if body[at] == ord("[") else key[1] == b"base64"
        if depth > 0 and wanted and stop:
            yield at, stop
            at = stop


def _end_of_array(body: Text, start: int) -> int:
    """Where an array of numbers, or of names of them, ends; 0 if other things are in it."""
    quote = body.find(b'"', start)
    while quote >= 0 and (name := NAME.match(body, quote)):
        quote = body.find(b'"', name.end())
    quote = len(body) if quote < 0 else quote
    # Behind a brace may follow the bracket of a list of inputs.
    brace = body.find(b"}", start, quote)
    stop = body.rfind(b"]", start, quote if brace < 0 else brace) + 1
    return stop if AFTER.fullmatch(body, stop, quote) else 0


def _end_of_string(body: Text, start: int) -> int:
    """Where a string with no escape in it ends; 0 if there is one in it."""
    stop = body.find(b'"', start + 1) + 1
    return 0 if body.find(b"\\", start, stop) >= 0 else stop


def _value(body: Text, start: int, stop: int) -> Any:
    """A tensor out of its text; None where that is no JSON, or no base64."""
    try:
        if body[start] == ord("["):
            array = numerals.read_array(body, start, stop)
            return _loads(body[start:stop]) if array is None else array
        return pybase64.b64decode(memoryview(body)[start + 1 : stop - 1], validate=True)
    except ValueError:
        return None
