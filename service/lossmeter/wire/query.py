"""What the query of a request with tensors asks: the specification, and which columns it names."""

from typing import Any
from urllib.parse import parse_qsl

from lossmeter.errors import MalformedRequest
from lossmeter.plan.request import EvaluateSpec, read_evaluate
from lossmeter.wire.json import json_of

JSON_FIELDS = ("params", "options", "losses")
FIELDS = ("loss", "expression", "reduction", *JSON_FIELDS)


def read_query(query: bytes) -> tuple[EvaluateSpec, dict[str, str]]:
    """The specification, and the columns of each input that is named.

    Raises:
        LossmeterError: It is no such query.
    """
    fields = _fields(query)
    asked: dict[str, Any] = {name: fields.pop(name) for name in FIELDS if name in fields}
    expression = asked.pop("expression", None)
    if expression is not None:
        if "loss" in asked:
            raise MalformedRequest("give either loss or expression", field="loss")
        asked["loss"] = {"expression": expression}
    for name in JSON_FIELDS:
        if name in asked:
            asked[name] = json_of(asked[name], name)
    if asked.get("reduction", "").startswith("{"):
        asked["reduction"] = json_of(asked["reduction"], "reduction")
    return read_evaluate(asked), fields


def _fields(query: bytes) -> dict[str, str]:
    try:
        text = query.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError:
        raise MalformedRequest("the query is not name=value&name=value") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise MalformedRequest("give each field of the query once", field=name)
        fields[name] = value
    return fields
