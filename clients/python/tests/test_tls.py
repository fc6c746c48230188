"""Connections that are secured: by the service's certificate, and by the client's own."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
import trustme

from clients.python.tests.scripted import DATA, serving
from lossmeter_client import AsyncClient, AsyncHttpClient, Client, HttpClient, Unavailable, calls
from lossmeter_client.calls import Certificate
from lossmeter_client.rpc import credentials
from tests.integration.servers import HOST


class Authority:
    """An authority of one test, with the files that it gives a client."""

    def __init__(self, folder: Path) -> None:
        self.made = trustme.CA()
        self.path = folder / "ca.pem"
        self.made.cert_pem.write_to_path(self.path)
        own = self.made.issue_cert("caller@example.org")
        chain, key = folder / "caller.pem", folder / "caller.key"
        own.cert_chain_pems[0].write_to_path(chain)
        own.private_key_pem.write_to_path(key)
        self.certificate: Certificate = (chain, key)
        self.of_server = self.made.issue_cert(HOST)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is not tried again."""
    monkeypatch.setattr(calls, "MOST_ATTEMPTS", 1)


@contextmanager
def over_grpc(authority: Authority, *, asks: bool) -> Iterator[str]:
    """A server with a certificate, that may ask for the client's."""
    served = authority.of_server
    pair = served.private_key_pem.bytes(), b"".join(x.bytes() for x in served.cert_chain_pems)
    root = authority.made.cert_pem.bytes() if asks else None
    with serving(credentials=grpc.ssl_server_credentials([pair], root, asks)) as (target, _):
        yield target


class NoLosses(BaseHTTPRequestHandler):
    """Lists no loss."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"losses": []}')

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


@contextmanager
def over_https(authority: Authority, *, asks: bool) -> Iterator[str]:
    """The same over REST."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.of_server.configure_cert(context)
    authority.made.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    with ThreadingHTTPServer((HOST, 0), NoLosses) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def ask(target: str, **options: Any) -> None:
    with Client(target, **options) as client:
        assert client.evaluate("huber", DATA).count == 2


def ask_awaiting(target: str, **options: Any) -> None:
    async def awaited() -> None:
        async with AsyncClient(target, **options) as client:
            assert (await client.evaluate("huber", DATA)).count == 2

    asyncio.run(awaited())


def list_over_rest(url: str, **options: Any) -> None:
    with HttpClient(url, **options) as client:
        assert client.list_losses() == []


def list_over_rest_awaiting(url: str, **options: Any) -> None:
    async def awaited() -> None:
        async with AsyncHttpClient(url, **options) as client:
            assert await client.list_losses() == []

    asyncio.run(awaited())


WAYS = pytest.mark.parametrize(
    ("served", "asked"),
    [
        pytest.param(over_grpc, ask, id="Client"),
        pytest.param(over_grpc, ask_awaiting, id="AsyncClient"),
        pytest.param(over_https, list_over_rest, id="HttpClient"),
        pytest.param(over_https, list_over_rest_awaiting, id="AsyncHttpClient"),
    ],
)


@WAYS
def test_an_authority_of_ones_own_is_trusted(authority: Authority, served: Any, asked: Any) -> None:
    with served(authority, asks=False) as place:
        asked(place, tls=authority.path, token="abc")


@WAYS
@pytest.mark.usefixtures("once")
def test_another_authority_is_not(
    authority: Authority, tmp_path: Path, served: Any, asked: Any
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with served(authority, asks=False) as place, pytest.raises(Unavailable):
        asked(place, tls=other)


@WAYS
def test_a_service_that_asks_is_shown_the_certificate(
    authority: Authority, served: Any, asked: Any
) -> None:
    with served(authority, asks=True) as place:
        asked(place, tls=str(authority.path), certificate=authority.certificate)


@WAYS
@pytest.mark.usefixtures("once")
def test_a_service_that_asks_takes_nobody_without(
    authority: Authority, served: Any, asked: Any
) -> None:
    with served(authority, asks=True) as place, pytest.raises(Unavailable):
        asked(place, tls=authority.path)


def test_a_certificate_of_ones_own_is_never_sent_in_plain_text(authority: Authority) -> None:
    assert credentials(False, None) is None
    assert credentials(False, authority.certificate) is not None
