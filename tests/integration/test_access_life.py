"""Access while the service runs: files that change, floods, pages of other origins, clients."""

import asyncio
import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from lossmeter.v1.loss_service_pb2_grpc import LossServiceStub
from lossmeter_client import AsyncClient, Client, HttpClient, LossmeterError, Overloaded
from tests.integration.guarded import (
    AUDIENCE,
    HUBER,
    INPUTS,
    ISSUER,
    SEEN_SECONDS,
    VALUE,
    Guarded,
    Party,
    Signer,
    bearer,
    guarding,
    listed,
    metadata,
    outcome,
    party,
    read_only,
)
from tests.integration.servers import HOST, LOSSMETER, until

MIB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Party:
    return party(tmp_path_factory.mktemp("party"), "server")


@pytest.fixture(scope="module")
def keyed(
    tmp_path_factory: pytest.TempPathFactory, server: Party
) -> Iterator[tuple[Guarded, dict[str, str]]]:
    """A server with keys."""
    folder = tmp_path_factory.mktemp("keyed")
    path, keys = listed(folder)
    with guarding(folder / "log", server, keys_file=path, max_message_bytes=64 * MIB) as started:
        yield started, keys


def test_clients_are_let_in(keyed: tuple[Guarded, dict[str, str]]) -> None:
    started, keys = keyed
    assert started.server is not None
    told = {"tls": started.server.authority, "token": keys["evaluate"]}
    grpc_at, http_at = f"{HOST}:{started.grpc_port}", f"https://{HOST}:{started.http_port}"
    large = np.ones(MIB)
    for client in (Client(grpc_at, **told), HttpClient(http_at, **told)):  # type: ignore[arg-type]
        with client:
            assert client.evaluate("huber", INPUTS).value == VALUE
            assert client.evaluate("squared_error", predictions=large, targets=large).value == 0.0

    async def ask() -> Any:
        async with AsyncClient(grpc_at, **told) as client:  # type: ignore[arg-type]
            return await client.evaluate("huber", INPUTS)

    assert asyncio.run(ask()).value == VALUE


def test_clients_are_told_what_they_lack(keyed: tuple[Guarded, dict[str, str]]) -> None:
    started, keys = keyed
    assert started.server is not None
    grpc_at, http_at = f"{HOST}:{started.grpc_port}", f"https://{HOST}:{started.http_port}"
    for token, reason in ((None, "UNAUTHENTICATED"), ("x", "UNAUTHENTICATED"), ("", "FORBIDDEN")):
        shown = keys["read"] if token == "" else token
        for make, where in ((Client, grpc_at), (HttpClient, http_at)):
            with make(where, tls=started.server.authority, token=shown) as client:
                with pytest.raises(LossmeterError) as caught:
                    client.evaluate("huber", INPUTS)
                assert caught.value.reason == reason


def test_a_large_body_is_read_in_place_over_tls(keyed: tuple[Guarded, dict[str, str]]) -> None:
    started, keys = keyed
    data = base64.b64encode(np.full(MIB, 2.0).tobytes()).decode()
    tensor = {"dtype": "float64", "shape": [MIB], "base64": data}
    with started.http(headers=bearer(keys["evaluate"])) as http:
        for _ in range(3):
            asked = {"loss": "squared_error", "inputs": {"predictions": tensor, "targets": tensor}}
            assert http.post("/v1/evaluate", json=asked).json()["value"] == 0.0


def resident(started: Guarded) -> int:
    """Bytes of memory that a server holds."""
    status = Path(f"/proc/{started.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1]) * 1024


@pytest.mark.parametrize("key", ["wrong", "read"])
def test_a_refusal_comes_before_the_body_is_held(
    keyed: tuple[Guarded, dict[str, str]], key: str
) -> None:
    started, keys = keyed
    shown, code = (keys["read"], 403) if key == "read" else ("wrong", 401)
    before = resident(started)
    with started.http(headers=bearer(shown)) as http:
        answer = http.post("/v1/evaluate", content=bytes(60 * MIB))
        assert (answer.status_code, http.get("/livez").status_code) == (code, 200)
    with started.channel() as channel:
        raw: Any = channel
        ask = raw.unary_unary("/lossmeter.v1.LossService/Evaluate")
        told = outcome(lambda: ask(bytes(60 * MIB), metadata=metadata(shown)))
        assert told == ("PERMISSION_DENIED" if key == "read" else "UNAUTHENTICATED")
    assert resident(started) - before < 16 * MIB


def test_keys_are_taken_and_taken_back_while_the_service_runs(tmp_path: Path) -> None:
    path, keys = listed(tmp_path)
    with guarding(tmp_path / "log", None, keys_file=path) as started:
        with started.http(headers=bearer(keys["read"])) as http:
            assert http.get("/v1/losses/huber").is_success
            path.write_text(json.dumps(json.loads(path.read_text())[:1]))
            gone = lambda: http.get("/v1/losses/huber").status_code == 401  # noqa: E731
            assert until(gone, SEEN_SECONDS)


def test_each_principal_has_a_rate(tmp_path: Path) -> None:
    path, keys = listed(tmp_path, requests_per_second=3)
    with guarding(tmp_path / "log", None, keys_file=path) as started:
        with started.http(headers=bearer(keys["evaluate"])) as http, started.channel() as channel:
            answers = [http.post("/v1/evaluate", json=HUBER) for _ in range(10)]
            refused = [one for one in answers if one.status_code == 429]
            assert refused
            assert refused[0].json()["reason"] == "OVERLOADED"
            assert refused[0].headers["retry-after"] == "1"
            stub = LossServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                for _ in range(10):
                    stub.GetLoss(read_only(), metadata=metadata(keys["read"]))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            wait = RetryInfo()
            [found] = [
                one
                for one in rpc_status.from_call(caught.value).details  # type: ignore[arg-type]
                if one.Is(RetryInfo.DESCRIPTOR)
            ]
            found.Unpack(wait)
            assert wait.retry_delay.seconds == 1
            time.sleep(1)
            assert http.post("/v1/evaluate", json=HUBER).json()["value"] == VALUE


def test_each_message_of_an_inference_stream_is_a_request(tmp_path: Path) -> None:
    path, keys = listed(tmp_path, requests_per_second=3)
    with guarding(tmp_path / "log", None, keys_file=path) as started:
        with started.channel() as channel:
            raw: Any = channel
            stream = raw.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
            asked = metadata(keys["evaluate"])
            assert outcome(lambda: list(stream(iter([b""]), metadata=asked))) == "OK"
            told = outcome(lambda: list(stream(iter([b""] * 50), metadata=asked)))
            assert told == "RESOURCE_EXHAUSTED"


def test_bytes_have_a_rate_over_both_wires_together(tmp_path: Path) -> None:
    path, keys = listed(tmp_path, bytes_per_second=MIB / 60)
    with guarding(tmp_path / "log", None, keys_file=path) as started:
        row = np.zeros(MIB // 8)
        told = {"token": keys["evaluate"]}
        with Client(f"{HOST}:{started.grpc_port}", **told) as over_grpc:  # type: ignore[arg-type]
            over_grpc.evaluate("squared_error", predictions=row, targets=row)
            with HttpClient(f"http://{HOST}:{started.http_port}", **told) as over_http:  # type: ignore[arg-type]
                with pytest.raises(Overloaded) as caught:
                    over_http.evaluate("huber", INPUTS)
        assert caught.value.reason == "OVERLOADED"
        with started.http(headers=bearer(keys["read"])) as other:
            assert other.get("/v1/losses/huber").is_success


class Publisher(BaseHTTPRequestHandler):
    """Publishes the keys of an issuer of tokens."""

    document = ""
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.document.encode())

    def log_message(self, *_: object) -> None:
        pass


def test_keys_of_tokens_are_fetched_when_they_are_wanted(tmp_path: Path) -> None:
    signer = Signer()
    Publisher.document, Publisher.asked = signer.key_set, 0
    with HTTPServer((HOST, 0), Publisher) as issuer:
        threading.Thread(target=issuer.serve_forever, daemon=True).start()
        settings = {
            "jwt_keys": f"http://{HOST}:{issuer.server_port}/",
            "jwt_issuer": ISSUER,
            "jwt_audience": AUDIENCE,
        }
        with guarding(tmp_path / "log", None, **settings) as started:
            token = signer.token("read evaluate")
            with started.channel() as channel, started.http(headers=bearer(token)) as http:
                stub = LossServiceStub(channel)
                asks = (
                    lambda: stub.GetLoss(read_only(), metadata=metadata(token)),
                    lambda: stub.EvaluateStream(iter(()), metadata=metadata(token)),
                )
                assert [outcome(ask) for ask in asks] == ["OK", "INVALID_ARGUMENT"]
                assert http.post("/v1/evaluate", json=HUBER).json()["value"] == VALUE
                stranger = Signer().token("read", algorithm="ES256")
                codes = {http.get("/v2", headers=bearer(stranger)).status_code for _ in range(5)}
                assert codes == {401}
            assert Publisher.asked == 1
        issuer.shutdown()


def test_pages_of_listed_origins_alone_may_ask(tmp_path: Path) -> None:
    path, keys = listed(tmp_path)
    settings = {"keys_file": path, "cors_origins": "https://a.example https://b.example"}
    with guarding(tmp_path / "log", None, **settings) as started, started.http() as http:

        def preflight(
            origin: str, header: str = "authorization,content-type,timeout"
        ) -> httpx.Response:
            asked = {"origin": origin, "access-control-request-method": "POST"}
            headers = asked | {"access-control-request-headers": header}
            return http.options("/v1/evaluate", headers=headers)

        allowed = preflight("https://b.example")
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://b.example"
        assert preflight("https://c.example").status_code == 400
        assert preflight("https://a.example", "x-other").status_code == 400
        for key, status in ((keys["evaluate"], 200), ("wrong", 401)):
            sent = {"origin": "https://a.example", **bearer(key)}
            answer = http.post("/v1/evaluate", json=HUBER, headers=sent)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "https://a.example"
            assert "retry-after" in answer.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in answer.headers
        other = http.get("/livez", headers={"origin": "https://c.example"})
        assert "access-control-allow-origin" not in other.headers


def test_without_origins_no_page_may_ask(keyed: tuple[Guarded, dict[str, str]]) -> None:
    with keyed[0].http(headers={"origin": "https://a.example"}) as http:
        assert not [name for name in http.get("/livez").headers if name.startswith("access-")]


def test_the_document_says_what_each_operation_needs(
    keyed: tuple[Guarded, dict[str, str]],
) -> None:
    started, keys = keyed
    with started.http(headers=bearer(keys["read"])) as http:
        paths = http.get("/openapi.json").json()["paths"]
    assert paths["/v1/evaluate"]["post"]["security"] == [{"key or token": ["evaluate"]}]
    assert {"401", "403", "429"} <= paths["/v1/losses"]["get"]["responses"].keys()
    assert "security" not in paths["/livez"]["get"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--host", "0.0.0.0"], "--open-to-all"),
        (["--host", "::"], "--open-to-all"),
        (["--tls-certificate", "none.pem", "--tls-key", "none.pem"], "none.pem: No such file"),
        (["--tls-certificate", "none.pem"], "tls_key"),
        (["--tls-client-authority", "none.pem"], "tls_certificate"),
        (["--keys-file", "none.json"], "none.json: No such file"),
        (["--jwt-keys", "none.json"], "jwt_issuer"),
        (["--jwt-keys", "http://x/y", "--jwt-issuer", "i", "--jwt-audience", "a"], "https"),
        (["--rate-requests", "5"], "rate_requests"),
    ],
)
def test_nothing_listens_where_the_settings_are_wrong(
    flags: list[str], told: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [LOSSMETER, "serve", "--http-port", "0", "--grpc-port", "0", *flags],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
