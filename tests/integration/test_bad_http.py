"""Verbs, paths, headers and sizes that REST does not take."""

import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.integration.refusals import (
    JSON,
    PROBLEM,
    faults_of_response,
    over_http,
    told_by_http,
)
from tests.integration.servers import HOST, Service, serving

GOOD = b'{"loss":"huber","inputs":{"predictions":[1.5,5],"targets":[1,2]}}'
EVALUATE, MERGE = "/v1/evaluate", "/v1/states:merge"
LIMIT = 1000
MIB = 2**20
BIG = 8 * MIB
pytestmark = pytest.mark.usefixtures("unharmed")


class Bad(NamedTuple):
    """A request and its refusal."""

    verb: str
    path: str
    headers: dict[str, str]
    reason: str
    field: str | None = None
    words: tuple[str, ...] = ()


MEDIA = {
    "plain text": {"content-type": "text/plain"},
    "a form": {"content-type": "application/x-www-form-urlencoded"},
    "another JSON": {"content-type": "application/json-seq"},
    "a media type of nothing": {"content-type": ""},
    "a media type of no kind": {"content-type": "hunter2"},
    "brotli": {"content-encoding": "br"},
    "two encodings": {"content-encoding": "identity, gzip"},
    "an encoding of no kind": {"content-encoding": "hunter2"},
}
REFUSED = {
    **{
        f"{says} on {path}": Bad("POST", path, headers, "UNSUPPORTED_MEDIA")
        for path in (EVALUATE, MERGE)
        for says, headers in MEDIA.items()
    },
    **{
        f"{verb} on {path}": Bad(verb, path, {}, "METHOD_NOT_ALLOWED")
        for path in (EVALUATE, MERGE)
        for verb in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
    },
    **{
        f"POST on {path}": Bad("POST", path, {}, "METHOD_NOT_ALLOWED")
        for path in ("/livez", "/readyz", "/openapi.json", "/v1/losses", "/v1/losses/huber")
    },
    **{
        f"{verb} on {path}": Bad(verb, path, {}, "NOT_FOUND")
        for path in (
            "/hunter2",
            "/",
            "/v1",
            "/v2/hunter2",
            "/v1/evaluate/",
            "/v1/losses/huber/7919",
        )
        for verb in ("GET", "POST")
    },
    "a loss that is not there": Bad("GET", "/v1/losses/hunter2", {}, "LOSS_NOT_FOUND", "name"),
    "a loss misspelt": Bad("GET", "/v1/losses/hubber", {}, "LOSS_NOT_FOUND", "name", ("huber",)),
    "a path that climbs": Bad("GET", "/v1/losses/..%2f..%2fetc%2fpasswd", {}, "NOT_FOUND"),
}
ACCEPTS = {
    "nothing asked": ("", JSON),
    "anything asked": ("*/*", JSON),
    "JSON asked": ("application/json", JSON),
    "a page asked": ("text/html,application/xhtml+xml", JSON),
    "a problem document asked": ("application/problem+json", PROBLEM),
    "a problem document asked among others": (
        "application/json, application/problem+json;q=0.9",
        PROBLEM,
    ),
    "a problem document refused": ("application/json, application/problem+json;q=0", JSON),
}
TAKEN = {
    "a media type with a charset": {"content-type": "application/json; charset=utf-8"},
    "a media type in capitals": {"content-type": "Application/JSON"},
    "an encoding that is none": {
        "content-type": "application/json",
        "content-encoding": "identity",
    },
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that takes small bodies only."""
    log = tmp_path_factory.mktemp("small") / "log"
    with serving(log, max_body_bytes=LIMIT) as started:
        yield started
        assert started.faults() == []


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
def test_a_request_that_is_not_taken(service: Service, bad: Bad) -> None:
    headers = {"content-type": JSON, **bad.headers}
    response = service.http.request(bad.verb, bad.path, content=GOOD, headers=headers)
    assert told_by_http(response) == over_http(bad.reason, bad.field)
    assert faults_of_response(response, *bad.words) == []


@pytest.mark.parametrize(
    ("path", "verb", "allowed"),
    [
        pytest.param(EVALUATE, "GET", {"POST"}, id="evaluate takes POST"),
        pytest.param(MERGE, "DELETE", {"POST"}, id="merge takes POST"),
        pytest.param("/v1/losses", "POST", {"GET"}, id="the catalogue takes GET"),
        pytest.param("/livez", "POST", {"GET"}, id="health takes GET"),
    ],
)
def test_a_wrong_verb_is_told_the_right_one(
    service: Service, path: str, verb: str, allowed: set[str]
) -> None:
    response = service.http.request(verb, path)
    assert {word.strip() for word in response.headers["allow"].split(",")} - {"HEAD"} == allowed


@pytest.mark.parametrize(("accept", "media"), ACCEPTS.values(), ids=ACCEPTS)
@pytest.mark.parametrize("path", [EVALUATE, "/hunter2"])
def test_the_media_type_of_a_refusal(service: Service, path: str, accept: str, media: str) -> None:
    headers = {"content-type": JSON, "accept": accept}
    response = service.http.post(path, content=b"{", headers=headers)
    assert response.headers["content-type"] == media


@pytest.mark.parametrize("headers", TAKEN.values(), ids=TAKEN)
def test_headers_that_are_taken(service: Service, headers: dict[str, str]) -> None:
    response = service.http.post(EVALUATE, content=GOOD, headers=headers)
    assert response.json().get("value") == 1.3125


@pytest.mark.parametrize("path", [EVALUATE, MERGE])
@pytest.mark.parametrize("size", [LIMIT + 1, MIB, BIG, 48 * MIB], ids="{} bytes".format)
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_a_body_over_the_limit(small: Service, path: str, size: int, announced: bool) -> None:
    content: Any = bytes(size) if announced else pieces(size)
    response = small.http.post(path, content=content, headers={"content-type": JSON})
    found = response.json()
    assert told_by_http(response) == over_http("TOO_LARGE", None)
    assert faults_of_response(response) == []
    assert found["limit"] == LIMIT < found["actual"] <= size


def test_a_body_at_the_limit(small: Service) -> None:
    content = GOOD + b" " * (LIMIT - len(GOOD))
    response = small.http.post(EVALUATE, content=content, headers={"content-type": JSON})
    assert response.json().get("value") == 1.3125


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(("POST", "/hunter2", {}, 404), id="on a path that is not there"),
        pytest.param(("PUT", EVALUATE, {}, 405), id="with a wrong verb"),
        pytest.param(("POST", EVALUATE, {"content-type": "text/plain"}, 415), id="of a wrong type"),
        pytest.param(("POST", "/livez", {}, 405), id="to a health check"),
    ],
)
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_a_refusal_reaches_one_who_is_still_sending(
    service: Service, bad: tuple[str, str, dict[str, str], int], announced: bool
) -> None:
    verb, path, headers, status = bad
    content: Any = bytes(BIG) if announced else pieces(BIG)
    asked = {"content-type": JSON, **headers}
    response = service.http.request(verb, path, content=content, headers=asked)
    assert response.status_code == status


RAW = {
    "a length that is a word": b"Content-Length: hunter2\r\n\r\n",
    "a length below 0": b"Content-Length: -1\r\n\r\n",
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a chunk whose length is a word": b"Transfer-Encoding: chunked\r\n\r\nhunter2\r\n{}\r\n",
}


@pytest.mark.parametrize("rest", RAW.values(), ids=RAW)
def test_a_length_that_is_none(service: Service, rest: bytes) -> None:
    head = b"POST /v1/evaluate HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    with socket.create_connection((HOST, service.http_port), timeout=10.0) as caller:
        caller.sendall(head + rest)
        answer = caller.recv(65536)
    assert answer.split(b" ")[1] == b"400"
    assert b"hunter2" not in answer


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"Content-Length: 1000\r\n\r\n" + GOOD, id="with a part of its body"),
        pytest.param(b"Content-Length: 1000\r\n\r\n", id="before its body"),
        pytest.param(b"Content-Le", id="within a header"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n9\r\n{", id="within a chunk"),
    ],
)
def test_a_caller_who_leaves(service: Service, sent: bytes) -> None:
    head = b"POST /v1/evaluate HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    with socket.create_connection((HOST, service.http_port), timeout=10.0) as caller:
        caller.sendall(head + sent)
    response = service.http.post(EVALUATE, content=GOOD, headers={"content-type": JSON})
    assert response.json()["value"] == 1.3125
    assert service.faults() == []


def pieces(size: int) -> Iterator[bytes]:
    """A body sent without telling how long it is."""
    for _ in range(size // MIB):
        yield bytes(MIB)
    yield bytes(size % MIB)
