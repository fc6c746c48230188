"""Clients over REST: what they share, and the two of them."""

import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from os import fspath
from typing import Any, ClassVar, TypeVar

import httpx

from lossmeter_client import documents
from lossmeter_client.answers import Answer, Answers
from lossmeter_client.arrays import Arrays
from lossmeter_client.async_methods import AsyncMethods
from lossmeter_client.calls import Call, Certificate, FilePath, Settings, Wire
from lossmeter_client.chunks import MIB
from lossmeter_client.errors import LossmeterError, error_of
from lossmeter_client.methods import Methods
from lossmeter_client.requests import Evaluation

T = TypeVar("T")
DEFAULT_SECONDS = 60.0
UNARY_BYTES = 4 * MIB
# Where a status has one code only, or is not the service's own.
CODES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "FAILED_PRECONDITION",
    413: "RESOURCE_EXHAUSTED",
    415: "UNIMPLEMENTED",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# Where the reason says more than the status.
OF_REASON: Mapping[str, str] = dict.fromkeys(
    ("NOT_MERGEABLE", "NOT_STREAMABLE", "BACKEND_UNSUPPORTED"), "FAILED_PRECONDITION"
)
# Under asyncio what goes wrong within TLS comes through httpx as it is (httpx 0.28).
BROKEN = (httpx.TransportError, ssl.SSLError)


def error_from(response: httpx.Response) -> LossmeterError:
    """The error in a problem document, or behind a status that has none."""
    try:
        found = json.loads(response.content)
    except ValueError:
        found = None
    told = found if isinstance(found, dict) else {}
    code = OF_REASON.get(told.get("reason", "")) or CODES.get(response.status_code, "UNKNOWN")
    detail = told.get("detail") or f"the answer was HTTP {response.status_code}"
    wait = response.headers.get("retry-after", "")
    return error_of(code, detail, told, float(wait) if wait.isdecimal() else None)


def broken(error: Exception) -> LossmeterError:
    """The error that a broken exchange stands for."""
    late = isinstance(error, httpx.TimeoutException)
    code = "DEADLINE_EXCEEDED" if late else "UNAVAILABLE"
    return error_of(code, str(error) or type(error).__name__)


class HttpConnection(Settings):
    """What both clients are of: connections, and what is said on each."""

    _httpx: ClassVar[Any]
    _wire: ClassVar[Wire] = documents

    def __init__(
        self,
        url: str = "http://localhost:8080",
        *,
        tls: FilePath | None = None,
        certificate: Certificate | None = None,
        token: str | None = None,
        timeout: float | None = DEFAULT_SECONDS,
        unary_bytes: int = UNARY_BYTES,
    ) -> None:
        """Connect when the first call is made.

        Args:
            url: Where the service is.
            tls: Path of a PEM file with the authority of its certificate, where that is none of
                the usual ones.
            certificate: Paths of two PEM files, the client's own certificate and its key, where the
                service asks for one (mTLS).
            token: Bearer token; send it to an ``https`` URL alone.
            timeout: Seconds that nothing may come or go where a call does not say; streams may
                take as long as they do.
            unary_bytes: The largest batch that is sent as JSON, if pyarrow is installed.
        """
        super().__init__(timeout, unary_bytes)
        self._http = self._httpx(
            base_url=url,
            headers={} if token is None else {"authorization": f"Bearer {token}"},
            verify=_context(tls, certificate),
        )

    def _request(self, call: Call[T], timeout: float | None) -> httpx.Request:
        verb, _, path = call.name.partition(" ")
        request: httpx.Request = self._http.build_request(
            verb, path, timeout=timeout, **call.request
        )
        return request

    def _goes_in_pieces(self, evaluation: Evaluation) -> bool:
        return _has_arrow() and super()._goes_in_pieces(evaluation)


def _context(tls: FilePath | None, certificate: Certificate | None) -> ssl.SSLContext:
    """What secures connections, where they are https."""
    own = None if tls is None else ssl.create_default_context(cafile=fspath(tls))
    context = own or httpx.create_ssl_context()
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def _has_arrow() -> bool:
    try:
        import pyarrow.ipc  # noqa: F401, PLC0415 whether it is there
    except ImportError:
        return False
    return True


def _read(call: Call[T], response: httpx.Response) -> T:
    if not response.is_success:
        raise error_from(response)
    return call.read(response.content)


class HttpClient(HttpConnection, Methods):
    """A client over REST that waits for its answers; threads may share one."""

    _httpx: ClassVar[Any] = httpx.Client

    def close(self) -> None:
        self._http.close()

    def _made(self, call: Call[T], timeout: float | None) -> T:
        try:
            response = self._http.send(self._request(call, timeout))
        except BROKEN as error:
            raise broken(error) from None
        return _read(call, response)

    def _sent(
        self, evaluation: Evaluation, batches: Iterator[Arrays], timeout: float | None
    ) -> Answer | Answers:
        def body() -> Iterator[bytes]:
            arrow = documents.ArrowStream()
            for batch in batches:
                yield from arrow.of(batch)
            yield arrow.end()

        return self._made(documents.stream(evaluation, body()), timeout)


class AsyncHttpClient(HttpConnection, AsyncMethods):
    """The same client on asyncio: cancelling a task ends its exchange."""

    _httpx: ClassVar[Any] = httpx.AsyncClient

    async def close(self) -> None:
        await self._http.aclose()

    async def _made(self, call: Call[T], timeout: float | None) -> T:
        try:
            response = await self._http.send(self._request(call, timeout))
        except BROKEN as error:
            raise broken(error) from None
        return _read(call, response)

    async def _sent(
        self, evaluation: Evaluation, batches: AsyncIterator[Arrays], timeout: float | None
    ) -> Answer | Answers:
        async def body() -> AsyncIterator[bytes]:
            arrow = documents.ArrowStream()
            async for batch in batches:
                for part in arrow.of(batch):
                    yield part
            yield arrow.end()

        return await self._made(documents.stream(evaluation, body()), timeout)
