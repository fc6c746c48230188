"""The access matrix: every place of both wires, asked by every kind of caller."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
import trustme
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from lossmeter.access.needs import SCOPES as ALL
from lossmeter.access.needs import TABLE, Need
from tests.integration.guarded import (
    AUDIENCE,
    HOUR,
    ISSUER,
    SCOPES,
    SECRET,
    Guarded,
    Party,
    Signer,
    guarding,
    listed,
    party,
)

UNAUTHENTICATED, FORBIDDEN = (401, "UNAUTHENTICATED"), (403, "FORBIDDEN")
NOT_SPOKEN_TO = (0, "TLS")
STREAMS = ("EvaluateStream", "ModelStreamInfer", "ServerReflectionInfo")
NAMES = {"{name}": "huber", "{model}": "huber", "{version}": "1", "{region}": "r"}


class Caller(NamedTuple):
    """Who asks.

    Attributes:
        shows: Its key or token, by the name in ``credentials``.
        scopes: What it may; None where nobody knows who it is.
        certificate: Whose certificate it shows: right, wrong or none.
    """

    shows: str
    scopes: frozenset[str] | None
    certificate: str = "right"


CALLERS = [
    Caller("nothing", None),
    Caller("a wrong key", None),
    *(Caller(f"the key {scope}", frozenset({scope})) for scope in SCOPES),
    *(Caller(f"the token {scope}", frozenset({scope})) for scope in SCOPES),
    Caller("a token with scp", ALL),
    Caller("a token of ES256", ALL),
    Caller("a token of HS256", ALL),
    Caller("a token with other scopes", frozenset()),
    Caller("an expired token", None),
    Caller("a token not valid yet", None),
    Caller("a token for another audience", None),
    Caller("a token of another issuer", None),
    Caller("a token with a wrong signature", None),
    Caller("a token of no algorithm", None),
    Caller("a token signed with the published key", None),
    Caller("a token without an end", None),
    Caller("another scheme", None),
    Caller("the key evaluate", None, "none"),
    Caller("the key evaluate", None, "wrong"),
    Caller("nothing", None, "wrong"),
]
PLACES = [(place, row.need) for row in TABLE for place in (*row.rest, *row.grpc)]


@dataclass(frozen=True, slots=True)
class World:
    """A server that asks for certificate and key or token, and what callers can show it."""

    server: Guarded
    shown: dict[str, str]
    https: dict[str, httpx.Client]
    channels: dict[str, grpc.Channel]


def credentials(signer: Signer, keys: dict[str, str]) -> dict[str, str]:
    """The authorization that each caller shows."""
    every = " ".join(SCOPES)
    tokens = {
        **{f"the token {scope}": signer.token(scope) for scope in SCOPES},
        "a token with scp": signer.token([*SCOPES, "other"], name="scp"),
        "a token of ES256": signer.token(every, algorithm="ES256"),
        "a token of HS256": signer.token(every, algorithm="HS256"),
        "a token with other scopes": signer.token("write openid"),
        "an expired token": signer.token(every, exp=HOUR),
        "a token not valid yet": signer.token(every, nbf=10_000_000_000),
        "a token for another audience": signer.token(every, aud="other"),
        "a token of another issuer": signer.token(every, iss="https://other.example"),
        "a token with a wrong signature": Signer().token(every),
        "a token of no algorithm": signer.token(every, algorithm="none"),
        "a token signed with the published key": signer.forged(every),
        "a token without an end": signer.token(every, exp=None),
        **{f"the key {scope}": key for scope, key in keys.items()},
        "a wrong key": keys["admin"][:-1] + "!",
    }
    bearers = {name: f"Bearer {credential}" for name, credential in tokens.items()}
    return {**bearers, "nothing": "", "another scheme": f"Basic {keys['admin']}"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    authority, signer = trustme.CA(), Signer()
    server = party(folder, "server", authority)
    holders: dict[str, Party | None] = {
        "right": party(folder, "trainer", authority),
        "wrong": party(folder, "stranger"),
        "none": None,
    }
    path, keys = listed(folder)
    (folder / "jwks.json").write_text(signer.key_set)
    settings = {
        "tls_client_authority": server.authority,
        "keys_file": path,
        "jwt_keys": folder / "jwks.json",
        "jwt_secret": SECRET,
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
        "metrics_access": "read",
        "log_level": "debug",
    }
    with guarding(folder / "log", server, **settings) as started:
        https = {name: started.http(holder) for name, holder in holders.items()}
        channels = {name: started.channel(holder) for name, holder in holders.items()}
        yield World(started, credentials(signer, keys), https, channels)
        for holder in holders:
            https[holder].close()
            channels[holder].close()


def expected(place: str, need: Need, caller: Caller) -> tuple[int, str] | None:
    """How a caller is refused, if it is."""
    # Over REST who shows no certificate is spoken to, for the sake of probes.
    if caller.certificate == "wrong" or (caller.certificate == "none" and place[0] == "/"):
        return NOT_SPOKEN_TO
    if need is Need.OPEN:
        return None
    if caller.scopes is None:
        return UNAUTHENTICATED
    wanted = Need.READ if need is Need.METRICS else need
    return None if wanted in caller.scopes else FORBIDDEN


def over_rest(world: World, place: str, caller: Caller) -> tuple[int, str] | None:
    """How REST refuses a caller, if it does."""
    verb, path = place.split(" ")
    for name, given in NAMES.items():
        path = path.replace(name, given)
    shown = world.shown[caller.shows]
    headers = {"authorization": shown} if shown else {}
    try:
        answer = world.https[caller.certificate].request(verb, path, headers=headers)
    except httpx.TransportError:
        return NOT_SPOKEN_TO
    if answer.status_code not in (UNAUTHENTICATED[0], FORBIDDEN[0]):
        return None
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["reason"]


def over_grpc(world: World, place: str, caller: Caller) -> tuple[int, str] | None:
    """How gRPC refuses a caller, if it does, told in the words of REST."""
    channel: Any = world.channels[caller.certificate]  # bytes are sent as they are
    shown = world.shown[caller.shows]
    metadata = [("authorization", shown)] if shown else None
    try:
        if place.endswith("Watch"):
            next(iter(channel.unary_stream(place)(b"", metadata=metadata, timeout=30)))
        elif place.endswith(STREAMS[1:]):
            list(channel.stream_stream(place)(iter(()), metadata=metadata, timeout=30))
        elif place.endswith(STREAMS):
            channel.stream_unary(place)(iter(()), metadata=metadata, timeout=30)
        else:
            channel.unary_unary(place)(b"", metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        return refusal(error)
    return None


def refusal(error: Any) -> tuple[int, str] | None:
    """How a call was refused, told in the words of REST; None where it was let in."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return NOT_SPOKEN_TO
    status = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}.get(error.code().name)
    if status is None:
        return None
    details = [one for one in rpc_status.from_call(error).details if one.Is(ErrorInfo.DESCRIPTOR)]
    info = ErrorInfo()
    details[0].Unpack(info)
    return status, info.reason


@pytest.mark.parametrize(
    ("place", "need", "caller"),
    [
        pytest.param(place, need, caller, id=f"{place}, {caller.shows}, {caller.certificate}")
        for (place, need), caller in product(PLACES, CALLERS)
    ],
)
def test_access(world: World, place: str, need: Need, caller: Caller) -> None:
    ask = over_grpc if place.startswith("/") else over_rest
    assert ask(world, place, caller) == expected(place, need, caller)


def test_nothing_that_callers_showed_is_logged(world: World) -> None:
    log = world.server.log.read_text()
    secrets = {shown.partition(" ")[2] for shown in world.shown.values()} - {""}
    assert not [secret for secret in secrets if secret in log]
    assert SECRET not in log


def test_nothing_that_callers_showed_is_in_the_metrics(world: World) -> None:
    answer = world.https["right"].get(
        "/metrics", headers={"authorization": world.shown["the key read"]}
    )
    assert 'code="UNAUTHENTICATED"' in answer.text
    assert 'code="PERMISSION_DENIED"' in answer.text
    for shown in world.shown.values():
        assert shown.partition(" ")[2] not in answer.text or not shown
