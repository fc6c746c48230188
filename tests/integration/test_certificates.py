"""Certificates of the service and of its callers, renewed and wrong."""

import socket
import ssl
import threading
import time
from pathlib import Path

import httpx
import pytest
import trustme

from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1.loss_service_pb2_grpc import LossServiceStub
from tests.integration.guarded import (
    HUBER,
    SEEN_SECONDS,
    VALUE,
    Party,
    bearer,
    guarding,
    listed,
    metadata,
    outcome,
    party,
    read_only,
)
from tests.integration.servers import HOST, until


def shown_by(port: int) -> bytes:
    """The certificate that a port shows now."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((HOST, port)) as plain, context.wrap_socket(plain) as one:
        return one.getpeercert(binary_form=True) or b""


def replaced(old: Party, new: Party) -> None:
    """Put new files in the place of old ones, one after the other."""
    for path, by in zip(old, new, strict=True):
        by.replace(path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_certificate_is_renewed_while_calls_go_on(workers: int, tmp_path: Path) -> None:
    first = party(tmp_path, "first")
    path, keys = listed(tmp_path)
    settings = {"keys_file": path, "workers": workers}
    with guarding(tmp_path / "log", first, **settings) as started:
        old = [shown_by(port) for port in (started.http_port, started.grpc_port)]
        http, channel = started.http(headers=bearer(keys["evaluate"])), started.channel()
        stub, failed, ended = LossServiceStub(channel), [], threading.Event()

        def call() -> None:
            while not ended.is_set():
                answer = http.post("/v1/evaluate", json=HUBER)
                failed.extend([answer.text] if answer.json().get("value") != VALUE else [])
                told = outcome(lambda: stub.GetLoss(read_only(), metadata=metadata(keys["read"])))
                failed.extend([told] if told != "OK" else [])

        calling = threading.Thread(target=call)
        calling.start()
        replaced(first, party(tmp_path, "second"))
        ports = (started.http_port, started.grpc_port)

        def renewed() -> bool:
            shown = [(shown_by(port), before) for port, before in zip(ports, old, strict=True)]
            return all(now != before for now, before in shown)

        # By every worker, and the kernel chooses which one a connection reaches.
        assert until(lambda: all(renewed() for _ in range(5 * workers)), SEEN_SECONDS)
        assert started.answers()
        with started.channel() as again:
            ask = LossServiceStub(again)
            assert (
                outcome(lambda: ask.GetLoss(read_only(), metadata=metadata(keys["read"]))) == "OK"
            )
        ended.set()
        calling.join()
        http.close()
        channel.close()
        assert not failed


def test_a_half_written_certificate_is_not_used(tmp_path: Path) -> None:
    first, (path, _) = party(tmp_path, "first"), listed(tmp_path)
    with guarding(tmp_path / "log", first, keys_file=path) as started:
        old = shown_by(started.http_port)
        first.key.write_bytes(first.key.read_bytes()[:100])
        time.sleep(1.5)
        assert [shown_by(p) for p in (started.http_port, started.grpc_port)] == [old, old]
        assert "cannot be used" in started.log.read_text()


def test_an_authority_is_renewed(tmp_path: Path) -> None:
    """Who was let in by an authority that is gone is let in no more, over either wire."""
    first, authority = party(tmp_path, "server"), trustme.CA()
    trusted = party(tmp_path, "trainer", authority)
    other = party(tmp_path, "other")
    with guarding(tmp_path / "log", first, tls_client_authority=trusted.authority) as started:

        def let_in(client: Party) -> list[bool]:
            try:
                with started.http(client) as http:
                    over_rest = http.get("/v1/losses/huber").is_success
            except httpx.TransportError:
                over_rest = False
            with started.channel(client) as channel:
                stub = LossServiceStub(channel)
                return [over_rest, outcome(lambda: stub.GetLoss(read_only())) == "OK"]

        assert [let_in(trusted), let_in(other)] == [[True, True], [False, False]]
        trusted.authority.write_bytes(other.authority.read_bytes())
        assert until(lambda: let_in(other) == [True, True], SEEN_SECONDS)
        assert let_in(trusted) == [False, False]


def test_a_certificate_alone_lets_in_with_its_scopes(tmp_path: Path) -> None:
    authority = trustme.CA()
    first, trainer = party(tmp_path, "server", authority), party(tmp_path, "trainer", authority)
    settings = {
        "tls_client_authority": first.authority,
        "tls_client_scopes": "read",
        "rate_requests": 2,
    }
    with guarding(tmp_path / "log", first, **settings) as started:
        with started.http(trainer) as http, started.channel(trainer) as channel:
            assert http.get("/v1/losses/huber").is_success
            assert http.post("/v1/evaluate", json=HUBER).status_code == 403
            stub = LossServiceStub(channel)
            assert outcome(lambda: stub.Evaluate(pb.EvaluateRequest())) == "PERMISSION_DENIED"
            codes = {outcome(lambda: stub.GetLoss(read_only())) for _ in range(20)}
            assert codes == {"OK", "RESOURCE_EXHAUSTED"}
            assert http.get("/v1/losses/huber").status_code == 429
        with started.http() as nobody:
            assert nobody.get("/readyz").is_success
            assert nobody.get("/v1/losses/huber").status_code == 401
