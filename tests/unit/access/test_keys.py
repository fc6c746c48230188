"""API keys: found by their hash alone, in a time that tells nothing."""

import hmac
import json
from itertools import count
from typing import Any

import pytest

from lossmeter.access.keys import Keys, new_key, read_keys
from lossmeter.access.principals import Rate
from lossmeter.errors import ParameterInvalid

MADE = [new_key(name, ["evaluate", "read"]) for name in ("first", "second", "third")]
ENTRY = MADE[0]["entry"]


def keys(*entries: dict[str, Any], rate: Rate = Rate()) -> Keys:  # noqa: B008 a value
    return read_keys(json.dumps(entries or [one["entry"] for one in MADE]), rate, "keys")


@pytest.mark.parametrize("made", MADE, ids=lambda made: made["entry"]["name"])
def test_a_key_is_found(made: dict[str, Any]) -> None:
    found = keys().find(made["key"])
    assert found is not None
    assert found.name == f"key {made['entry']['name']}"
    assert found.scopes == {"evaluate", "read"}


@pytest.mark.parametrize(
    "key",
    ["", "x", MADE[0]["key"][:-1], MADE[0]["key"] + " ", ENTRY["sha256"], "\xff", "é" * 9999],
    ids=count(),
)
def test_what_is_no_key_is_nobodys(key: str) -> None:
    assert keys().find(key) is None


@pytest.mark.parametrize("key", ["", "x", *(made["key"] for made in MADE)], ids=count())
def test_every_key_is_compared_whichever_is_given(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, compared = keys(), []

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", noted)
    known.find(key)
    assert compared == [(32, 32)] * len(MADE)


def test_a_key_is_random_and_not_in_its_entry() -> None:
    assert len({made["key"] for made in MADE}) == len(MADE)
    assert MADE[0]["key"] not in json.dumps(ENTRY)
    assert len(MADE[0]["key"]) > 43  # 32 bytes in base64, and a prefix


def test_a_rate_is_the_keys_own_or_that_of_all() -> None:
    known = keys({**ENTRY, "requests_per_second": 3}, rate=Rate(1.0, 2.0))
    found = known.find(MADE[0]["key"])
    assert found is not None
    assert found.rate == (3.0, 2.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Invalid JSON"),
        ("{}", "list"),
        (json.dumps([{**ENTRY, "sha256": MADE[0]["key"]}]), "0.sha256"),
        (json.dumps([{**ENTRY, "scopes": ["write"]}]), "0.scopes.0"),
        (json.dumps([{**ENTRY, "scopes": []}]), "0.scopes"),
        (json.dumps([{**ENTRY, "name": "a b"}]), "0.name"),
        (json.dumps([{**ENTRY, "requests_per_second": -1}]), "0.requests_per_second"),
        (json.dumps([{**ENTRY, "key": MADE[0]["key"]}]), "0.key"),
    ],
    ids=count(),
)
def test_a_wrong_list_is_refused_without_a_word_of_it(text: str, told: str) -> None:
    with pytest.raises(ParameterInvalid, match=told) as caught:
        read_keys(text, Rate(), "keys_file")
    assert caught.value.field == "keys_file"
    assert MADE[0]["key"] not in caught.value.detail


@pytest.mark.parametrize(("name", "scopes"), [("a b", ["read"]), ("a", []), ("a", ["write"])])
def test_a_key_is_made_of_a_name_and_scopes(name: str, scopes: list[str]) -> None:
    with pytest.raises(ParameterInvalid):
        new_key(name, scopes)
