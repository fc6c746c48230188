"""Who is let in, to what, and how much: what both wires ask before they read a request."""

import socket
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from lossmeter.access.keys import Keys, read_keys
from lossmeter.access.needs import Need
from lossmeter.access.principals import Principal, Rate, scopes_of
from lossmeter.access.rates import Rates
from lossmeter.access.watched import Watched
from lossmeter.errors import Forbidden, NotFound, ParameterInvalid, Unauthenticated
from lossmeter.settings import Settings

if TYPE_CHECKING:
    from lossmeter.access.tokens import Tokens

BEARER = "bearer"
# Of HS256: a shorter one can be guessed from a token.
LEAST_SECRET = 32


class Access:
    """What lets callers in.

    Args:
        keys: The API keys that are known, each source of them for itself.
        tokens: What checks tokens, if any are taken.
        holders: What each holder of a client certificate may, where all callers must show one.
        rate: How much a holder of a certificate may ask.
        metrics: What ``/metrics`` asks for.
    """

    def __init__(
        self,
        keys: tuple[Watched[Keys], ...],
        tokens: "Tokens | None",
        holders: frozenset[str] | None,
        rate: Rate,
        metrics: Need,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._holders = holders
        self._rate = rate
        self._metrics = metrics
        self.rates = Rates()
        # Whether a certificate is all that a caller shows.
        self.by_certificate = not keys and tokens is None

    def enter(self, need: Need, authorization: str, certificate: str) -> Principal | None:
        """Let a caller in, and count its request; None where nobody is asked who they are.

        Args:
            need: What the place that is asked for needs.
            authorization: The header or metadata of this name; empty where there is none.
            certificate: The name in the client's certificate; empty where it showed none.

        Raises:
            Unauthenticated: Nobody knows who this is.
            Forbidden: It may not do this.
            Overloaded: It has asked too much.
            NotFound: There is no such place.
            KeysWanted: ``fetch`` must be called first.
        """
        if need is Need.METRICS:
            need = self._metrics
        if need is Need.OPEN:
            return None
        principal = self._identified(authorization, certificate)
        if need is Need.NOWHERE:
            raise NotFound("no such path; /openapi.json lists them")
        if need not in principal.scopes:
            raise Forbidden(f"this needs the scope {need}", scope=need)
        self.rates.take(principal)
        return principal

    def fetch(self) -> None:
        """Get the published keys of tokens; takes as long as whoever has them."""
        if self._tokens is not None and self._tokens.keys is not None:
            self._tokens.keys.fetch()

    def _identified(self, authorization: str, certificate: str) -> Principal:
        if self._holders is not None:
            if not certificate:
                raise Unauthenticated("connect with a client certificate")
            if self.by_certificate:
                return Principal(f"certificate {certificate}", self._holders, self._rate)
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != BEARER or not credential:
            raise Unauthenticated("send authorization: Bearer and a key or token")
        found = [keys.current().find(credential) for keys in self._keys]
        for principal in found:
            if principal is not None:
                return principal
        if self._tokens is None:
            raise Unauthenticated("the key is not known", given=True)
        return self._tokens.check(credential)


def access_of(settings: Settings) -> Access | None:
    """What lets callers in, as an operator set it; None where everybody is.

    Raises:
        ParameterInvalid: Settings that do not go together, or lists that cannot be read.
        OSError: A file cannot be read.
    """
    rate = Rate(settings.rate_requests, settings.rate_bytes)
    keys, tokens = _keys(settings, rate), _tokens(settings, rate)
    holders = None
    if settings.tls_client_authority:
        holders = scopes_of(settings.tls_client_scopes.split())
    if not keys and tokens is None and holders is None:
        if any(rate):
            raise ParameterInvalid(
                "a rate is a principal's: set keys, tokens or a client authority",
                field="rate_requests" if rate.requests else "rate_bytes",
            )
        return None
    opened = settings.metrics_access == "open" or (
        settings.metrics_access == "auto" and is_loopback(settings.host)
    )
    return Access(keys, tokens, holders, rate, Need.OPEN if opened else Need.READ)


def check_address(settings: Settings, access: Access | None) -> None:
    """Refuse to let other machines in without asking who they are, unless told so.

    Raises:
        ParameterInvalid: The address is not this machine's alone.
    """
    if access is None and not settings.open_to_all and not is_loopback(settings.host):
        raise ParameterInvalid(
            "other machines reach this address, and nothing asks who calls: set --keys-file, "
            "--jwt-keys or --tls-client-authority, or say --open-to-all",
            field="host",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address or a name."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ip_address(address[0]).is_loopback for *_, address in found)


def _keys(settings: Settings, rate: Rate) -> tuple[Watched[Keys], ...]:
    found = []
    if settings.keys_file:
        path = settings.keys_file
        found.append(Watched([path], lambda: read_keys(Path(path).read_bytes(), rate, "keys_file")))
    if settings.keys:
        found.append(Watched([], lambda: read_keys(settings.keys, rate, "keys")))
    return tuple(found)


def _tokens(settings: Settings, rate: Rate) -> "Tokens | None":
    secret = _secret(settings)
    if not settings.jwt_keys and not secret:
        return None
    for name in ("jwt_issuer", "jwt_audience"):
        if not getattr(settings, name):
            raise ParameterInvalid("tokens are taken of one issuer for one audience", field=name)
    # Slow to import, and needed where tokens are taken alone.
    from lossmeter.access.keyset import key_set  # noqa: PLC0415
    from lossmeter.access.tokens import Tokens  # noqa: PLC0415

    keys = key_set(settings.jwt_keys) if settings.jwt_keys else None
    return Tokens(keys, secret, settings.jwt_issuer, settings.jwt_audience, rate)


def _secret(settings: Settings) -> str:
    secret = settings.jwt_secret.get_secret_value()
    if settings.jwt_secret_file:
        secret = Path(settings.jwt_secret_file).read_text().strip()
    if secret and len(secret) < LEAST_SECRET:
        raise ParameterInvalid(
            f"a secret has at least {LEAST_SECRET} characters", field="jwt_secret"
        )
    return secret
