"""TLS on both ports: one certificate, used anew as soon as its files change."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from lossmeter.access.watched import Watched
from lossmeter.errors import ParameterInvalid
from lossmeter.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """What the service shows, and by which it knows its callers.

    Attributes:
        chain: The certificate and those between it and its authority, PEM.
        key: Its key, PEM.
        authority: Whose certificates callers must show; empty where they need none.
        context: The same, as Python's ssl has it.
    """

    chain: bytes
    key: bytes
    authority: bytes
    context: ssl.SSLContext


class Certificates:
    """The certificate as its files are.

    Raises:
        OSError: A file cannot be read.
        ParameterInvalid: A file is wrong, missing, or not the other's.
    """

    def __init__(self, settings: Settings) -> None:
        for name in ("tls_certificate", "tls_key"):
            if not getattr(settings, name):
                raise ParameterInvalid("TLS takes a certificate and its key", field=name)
        paths = [settings.tls_certificate, settings.tls_key]
        paths += [settings.tls_client_authority] if settings.tls_client_authority else []
        self._of_files = Watched(paths, lambda: _read(*paths))

    def context(self) -> ssl.SSLContext:
        """For REST: each handshake takes the certificate of its moment."""
        listening = self._of_files.current().context

        def renew(one: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
            one.context = self._of_files.current().context

        listening.sni_callback = renew  # called whether or not a caller names the server
        return listening

    def credentials(self) -> grpc.ServerCredentials:
        """For gRPC, which asks for the certificate before each handshake."""
        given = self._of_files.current()

        def renewed() -> Any:  # the stubs of grpc do not know None: as before
            nonlocal given
            found = self._of_files.current()
            if found is given:
                return None
            given = found
            return _configuration(found)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(given), renewed, require_client_authentication=bool(given.authority)
        )


def certificates_of(settings: Settings) -> Certificates | None:
    """The certificate of the service; None where it speaks in the clear.

    Raises:
        OSError, ParameterInvalid: As ``Certificates``.
    """
    if settings.tls_certificate or settings.tls_key or settings.tls_client_authority:
        return Certificates(settings)
    return None


def _read(certificate: str, key: str, authority: str = "") -> Certificate:
    """What the files hold, if it goes together."""
    paths = (certificate, key, authority)
    before = [Path(path).read_bytes() if path else b"" for path in paths]
    try:
        context = _context(*paths)
    except ssl.SSLError:
        raise ParameterInvalid(
            "these must be PEM, the key in the clear and the certificate's own",
            field="tls_certificate",
        ) from None
    # Only files are taken by ssl, only bytes by gRPC: both must have seen the same.
    if before != [Path(path).read_bytes() if path else b"" for path in paths]:
        raise ParameterInvalid("the files change while they are read", field="tls_certificate")
    chain, private, authorities = before
    return Certificate(chain, private, authorities, context)


def _context(certificate: str, key: str, authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 and later
    context.load_cert_chain(certificate, key, password=lambda: b"")  # ask nobody for it
    context.set_alpn_protocols(["http/1.1"])
    if authority:
        # Who shows no certificate may ask for what is open, as probes do, and is told so elsewhere;
        # who shows a wrong one is not spoken to.
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(authority)
        context.num_tickets = 0  # else a caller could resume under an authority that is gone
    return context


def _configuration(certificate: Certificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificate.key, certificate.chain)], certificate.authority or None
    )


def named(subject: str, alternatives: Iterable[str]) -> str:
    """What the holder of a certificate is called; empty where there is none.

    Args:
        subject: The common name in it.
        alternatives: Its other names.
    """
    return next(filter(None, (subject, *alternatives)), "")
