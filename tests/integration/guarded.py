"""Servers that ask who calls, and the callers: keys, tokens and certificates, right and wrong."""

import hmac
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

import grpc
import httpx
import jwt
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from lossmeter.access.keys import new_key
from lossmeter.v1 import loss_service_pb2 as pb
from tests.integration.servers import HOST, START_SECONDS, free_ports, start, stop, until

SCOPES = ("evaluate", "read", "admin")
ISSUER, AUDIENCE, SECRET = "https://issuer.example", "lossmeter", "s" * 40
HOUR = 3600
INPUTS = {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}
HUBER = {"loss": "huber", "inputs": INPUTS}
VALUE = 1.3125
# Files are looked at once a second.
SEEN_SECONDS = 5.0


class Party(NamedTuple):
    """An authority, and a certificate of it with its key, as PEM files."""

    authority: Path
    chain: Path
    key: Path


def party(folder: Path, name: str, authority: trustme.CA | None = None) -> Party:
    """A certificate for a name and for this machine, in files."""
    issuer = authority or trustme.CA()
    made = issuer.issue_cert(name, "localhost", HOST, common_name=name)
    found = Party(*(folder / f"{name}.{part}.pem" for part in Party._fields))
    issuer.cert_pem.write_to_path(str(found.authority))
    made.private_key_pem.write_to_path(str(found.key))
    found.chain.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
    return found


class Signer:
    """An issuer of tokens."""

    def __init__(self) -> None:
        self._rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._ec = ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def key_set(self) -> str:
        """What it publishes."""
        of_rsa = RSAAlgorithm.to_jwk(self._rsa.public_key(), as_dict=True)
        of_ec = ECAlgorithm.to_jwk(self._ec.public_key(), as_dict=True)
        keys = [{**of_rsa, "kid": "r", "use": "sig"}, {**of_ec, "kid": "e", "alg": "ES256"}]
        return json.dumps({"keys": keys})

    def token(
        self, scope: object, *, name: str = "scope", algorithm: str = "RS256", **changes: object
    ) -> str:
        """A token; what changes is None is left out."""
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "pipeline", "exp": time.time() + HOUR}
        given = {**claims, name: scope, **changes}
        keys: Mapping[str, Any] = {"RS256": self._rsa, "ES256": self._ec, "HS256": SECRET}
        return jwt.encode(
            {claim: value for claim, value in given.items() if value is not None},
            keys.get(algorithm, ""),
            algorithm,
            headers={"kid": algorithm[0].lower()},
        )

    def forged(self, scope: str) -> str:
        """A token whose secret is what anybody can read: the published keys."""
        head = base64url_encode(b'{"alg": "HS256", "kid": "r"}')
        signed = head + b"." + self.token(scope).split(".")[1].encode()
        mark = hmac.digest(self.key_set.encode(), signed, "sha256")
        return (signed + b"." + base64url_encode(mark)).decode()


@dataclass(frozen=True, slots=True)
class Guarded:
    """A running server that asks who calls."""

    process: Popen[bytes]
    log: Path
    http_port: int
    grpc_port: int
    server: Party | None

    def http(
        self, client: Party | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Client:
        """A client of REST, with a certificate or without."""
        if self.server is None:
            return httpx.Client(base_url=f"http://{HOST}:{self.http_port}", headers=headers)
        context = ssl.create_default_context(cafile=self.server.authority)
        if client is not None:
            context.load_cert_chain(client.chain, client.key)
        url = f"https://{HOST}:{self.http_port}"
        return httpx.Client(base_url=url, verify=context, headers=headers, timeout=30.0)

    def channel(self, client: Party | None = None) -> grpc.Channel:
        """A channel of gRPC, with a certificate or without."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        address = f"{HOST}:{self.grpc_port}"
        if self.server is None:
            return grpc.insecure_channel(address, options)
        shown = (client.key.read_bytes(), client.chain.read_bytes()) if client else (None, None)
        root = self.server.authority.read_bytes()
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(root, *shown), options)

    def answers(self) -> bool:
        """Whether REST takes requests; health asks for no certificate."""
        try:
            with self.http() as http:
                return http.get("/readyz").is_success
        except httpx.TransportError:
            return False


@contextmanager
def guarding(log: Path, server: Party | None, *flags: str, **settings: object) -> Iterator[Guarded]:
    """A server on free ports, until the end of the block."""
    http_port, grpc_port = free_ports()
    if server is not None:
        settings |= {"tls_certificate": server.chain, "tls_key": server.key}
    with log.open("wb") as sink:
        process = start(http_port, grpc_port, *flags, log=sink.fileno(), **settings)
    with process:
        started = Guarded(process, log, http_port, grpc_port, server)
        try:
            until(lambda: started.answers() or process.poll() is not None, START_SECONDS)
            assert process.poll() is None, log.read_text()
            yield started
        finally:
            ended = stop(process)
    assert ended == 0, log.read_text()


def listed(folder: Path, **fields: object) -> tuple[Path, dict[str, str]]:
    """A file of one key for each scope, and the keys by scope."""
    made = {scope: new_key(scope, [scope]) for scope in SCOPES}
    path = folder / "keys.json"
    path.write_text(json.dumps([{**one["entry"], **fields} for one in made.values()]))
    return path, {scope: one["key"] for scope, one in made.items()}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def metadata(key: str) -> Any:
    return [("authorization", f"Bearer {key}")]


def read_only() -> pb.GetLossRequest:
    return pb.GetLossRequest(name="huber")


def outcome(act: Callable[[], Any]) -> str:
    """How gRPC answers: OK, or the name of the code."""
    try:
        act()
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"
