"""Tokens: what is believed of them, and when published keys are fetched."""

import json
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_encode

from lossmeter.access import tokens as believing
from lossmeter.access.keyset import LIFE_SECONDS, PAUSE_SECONDS, KeySet, key_set
from lossmeter.access.principals import KeysWanted, Rate
from lossmeter.access.tokens import Tokens
from lossmeter.errors import ParameterInvalid, Unauthenticated
from tests.integration.guarded import AUDIENCE, ISSUER, SECRET, Signer

SIGNER = Signer()
Document = Callable[[], bytes]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Issuer:
    """What answers for an issuer: a document, or nothing."""

    def __init__(self, document: str = SIGNER.key_set) -> None:
        self.document: str | None = document
        self.asked = 0

    def __call__(self) -> bytes:
        self.asked += 1
        if self.document is None:
            raise OSError("not there")
        return self.document.encode()


def headed(header: bytes) -> str:
    """A token of a header that nobody would write."""
    return f"{base64url_encode(header).decode()}.e30.AAAA"


def tokens(issuer: Document = Issuer(), clock: Clock | None = None, secret: str = "") -> Tokens:  # noqa: B008 shared on purpose
    keys = KeySet(issuer, clock or Clock())
    keys.fetch()
    return Tokens(keys, secret, ISSUER, AUDIENCE, Rate())


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "evaluate read"}, {"evaluate", "read"}),
        ({"scope": "openid", "scp": ["admin", "x", 3]}, {"admin"}),
        ({"scp": "read"}, {"read"}),
        ({"scope": ["evaluate"]}, {"evaluate"}),
        ({"scope": "Evaluate open nowhere metrics"}, set()),
        ({"scope": None}, set()),
        ({"scope": {"evaluate": 1}}, set()),
    ],
)
def test_scopes(claims: dict[str, object], scopes: set[str]) -> None:
    token = SIGNER.token(claims.pop("scope", None), **claims)  # type: ignore[arg-type]
    found = tokens().check(token)
    assert found.name == "token pipeline"
    assert found.scopes == scopes


def test_an_audience_among_several_is_enough() -> None:
    assert tokens().check(SIGNER.token("read", aud=["other", AUDIENCE])).scopes == {"read"}


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (SIGNER.token("read", exp=1000), "has expired"),
        (SIGNER.token("read", nbf=10**10), "not valid yet"),
        (SIGNER.token("read", aud="x"), "another audience"),
        (SIGNER.token("read", iss="x"), "another issuer"),
        (SIGNER.token("read", aud=None), "exp, sub, aud and iss"),
        (SIGNER.token("read", sub=None), "exp, sub, aud and iss"),
        (Signer().token("read"), "signature is wrong"),
        (SIGNER.token("read", algorithm="none"), "algorithm is not taken"),
        (SIGNER.token("read", algorithm="HS256"), "algorithm is not taken"),
        (SIGNER.forged("read"), "algorithm is not taken"),
        (jwt.encode({}, SECRET * 2, "HS512"), "algorithm is not taken"),
        ("a.b.c", "not valid"),
        ("", "not valid"),
        ("é", "not valid"),
        ("x" * 100_000, "too long"),
        (headed(b"[" * 8000), "not valid"),
        (headed(b'{"a":' * 2000), "not valid"),
        (headed(b'{"alg": ["RS256"], "kid": "r"}'), "not valid|not taken"),
        (headed(b'{"alg": "RS256", "kid": ["r"]}'), "not valid"),
        (headed(b'{"alg": "RS256", "kid": "r", "crit": ["x"]}'), "not valid"),
        (headed(b'{"alg": "RS256", "kid": "r", "b64": false}'), "not valid"),
        (headed(b"null"), "not valid"),
        (headed(b"\xff"), "not valid"),
        (SIGNER.token("read", exp=float("inf")), "not valid"),
        (SIGNER.token("read", exp="soon"), "not valid"),
        (SIGNER.token("read", sub=["x"]), "not valid"),
    ],
    ids=count(),
)
def test_what_is_not_believed(token: str, told: str) -> None:
    with pytest.raises(Unauthenticated, match=told) as caught:
        tokens().check(token)
    assert caught.value.given


def test_a_token_is_checked_once_a_minute_and_not_beyond_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taking, wall = tokens(), time.time()
    checked, decode = [], jwt.decode

    def noted(*told: Any, **more: Any) -> Any:
        checked.append(1)
        return decode(*told, **more)

    monkeypatch.setattr(jwt, "decode", noted)
    long, brief = SIGNER.token("read"), SIGNER.token("read", exp=wall - 20)
    for _ in range(3):
        assert taking.check(long).scopes == taking.check(brief).scopes == {"read"}
    assert len(checked) == 2
    monkeypatch.setattr(believing, "time", lambda: wall + 11)  # the leeway is over
    taking.check(long)
    assert len(checked) == 2
    taking.check(brief)
    assert len(checked) == 3
    monkeypatch.setattr(believing, "time", lambda: wall + 62)
    taking.check(long)
    assert len(checked) == 4


def test_a_published_secret_is_not_a_key() -> None:
    shared = {"kty": "oct", "k": "c" * 43, "kid": "h", "alg": "HS256"}
    issuer = Issuer(json.dumps({"keys": [shared, *json.loads(SIGNER.key_set)["keys"]]}))
    with pytest.raises(Unauthenticated, match="algorithm"):
        tokens(issuer).check(SIGNER.token("read", algorithm="HS256"))


def test_a_set_secret_is_believed() -> None:
    token = SIGNER.token("read", algorithm="HS256")
    assert tokens(secret=SECRET).check(token).scopes == {"read"}
    with pytest.raises(Unauthenticated, match="signature"):
        tokens(secret="t" * 40).check(token)


def renamed(key: str) -> str:
    """The published keys, the first of which has another id."""
    first, *others = json.loads(SIGNER.key_set)["keys"]
    return json.dumps({"keys": [{**first, "kid": key}, *others]})


def test_an_unknown_id_has_the_keys_fetched_once_in_a_while() -> None:
    clock, issuer = Clock(), Issuer(renamed("old"))
    taking = tokens(issuer, clock)
    token = SIGNER.token("read")
    with pytest.raises(Unauthenticated, match="not known"):
        taking.check(token)
    issuer.document = SIGNER.key_set
    clock.now += PAUSE_SECONDS + 1
    with pytest.raises(KeysWanted):
        taking.check(token)
    assert taking.keys is not None
    for _ in range(3):
        taking.keys.fetch()
    assert taking.check(token).scopes == {"read"}
    assert issuer.asked == 2


def test_a_key_that_is_taken_back_is_believed_for_its_life_alone() -> None:
    clock, issuer = Clock(), Issuer()
    taking = tokens(issuer, clock)
    issuer.document = renamed("new")
    clock.now += LIFE_SECONDS - 1
    assert taking.check(SIGNER.token("read")).scopes == {"read"}
    clock.now += 2
    with pytest.raises(KeysWanted):
        taking.check(SIGNER.token("evaluate"))
    assert taking.keys is not None
    taking.keys.fetch()
    with pytest.raises(Unauthenticated, match="not known"):
        taking.check(SIGNER.token("admin"))


@pytest.mark.parametrize("wrong", [None, "<html>", "[]", "{}", '{"keys": []}'])
def test_keys_stay_where_none_can_be_had(wrong: str | None) -> None:
    clock, issuer = Clock(), Issuer()
    taking = tokens(issuer, clock)
    issuer.document = wrong
    clock.now += LIFE_SECONDS + 1
    assert taking.keys is not None
    taking.keys.fetch()
    assert taking.check(SIGNER.token("read")).scopes == {"read"}
    assert issuer.asked == 2


def test_without_an_id_the_only_key_is_meant() -> None:
    only = KeySet(Issuer(json.dumps({"keys": json.loads(SIGNER.key_set)["keys"][:1]})), Clock())
    only.fetch()
    assert only.find(None).key_id == "r"
    several = KeySet(Issuer(), Clock())
    several.fetch()
    with pytest.raises(Unauthenticated):
        several.find(None)


@pytest.mark.parametrize("source", ["http://issuer.example/jwks", "http://10.0.0.1/jwks"])
def test_keys_are_not_fetched_in_the_clear(source: str) -> None:
    with pytest.raises(ParameterInvalid, match="https"):
        key_set(source)


@pytest.mark.parametrize("source", ["ftp://x/y", "file:///etc/passwd", "nothing.json"])
def test_what_is_no_url_is_a_file(source: str) -> None:
    with pytest.raises(FileNotFoundError):
        key_set(source)


def test_a_file_that_is_no_key_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_text('{"keys": 3}')
    with pytest.raises(ParameterInvalid, match="Key Set"):
        key_set(str(tmp_path / "jwks.json"))
