"""Connections of REST: how an answer is written, a large body read, and the last ones let go."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lossmeter.transports.rest.exchange import IS_THERE, REST_OF_BODY, Disconnected, Filling
from lossmeter.transports.tls import named

# For which a connection that is idle when the service stops may still bring a request.
LAST_SECONDS = 1.0


class Connection(HttpToolsProtocol):
    """A connection of REST that is not cut while its caller may be sending.

    uvicorn 0.54 closes idle ones at once when it stops: also one whose request is on its way.
    """

    # Of all connections of this process.
    draining: ClassVar[bool] = False

    def connection_made(  # type: ignore[override]  # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(
            cast(asyncio.Transport, Joined(transport, self.loop, self._is_alone))
        )
        self._holder = _holder(transport.get_extra_info("peercert"))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        cycle = self.cycle
        if self.draining:
            cycle.keep_alive = False
        extensions: Any = {
            REST_OF_BODY: lambda space: self._filling(cycle, space),
            IS_THERE: lambda: not cycle.disconnected,
        }
        if self._holder:
            extensions["tls"] = {"client_cert_name": self._holder}
        self.scope["extensions"] = extensions

    def _is_alone(self) -> bool:
        return len(self.tasks) <= 1

    def _filling(self, cycle: RequestResponseCycle, space: memoryview) -> Filling | None:
        """Read the rest of a body into its place; None where it has come, or the caller is gone."""
        if cycle is not self.cycle or not cycle.more_body or cycle.disconnected:
            return None
        came = len(cycle.body)
        space[:came] = cycle.body
        cycle.body = bytearray()
        filling = _Filling(self, cycle, space[came:])
        self.speak(filling)
        return filling

    def speak(self, protocol: asyncio.BaseProtocol) -> None:
        """Have what comes next read by this protocol."""
        self.flow.pause_reading()  # which way a transport reads is settled when it resumes
        self.transport.set_protocol(protocol)
        self.flow.resume_reading()

    def body_came(self, cycle: RequestResponseCycle) -> None:
        """Go on as after a body that the parser has seen."""
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        cycle.more_body = False
        self.speak(self)

    def shutdown(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]
            asyncio.get_running_loop().call_later(LAST_SECONDS, super().shutdown)
        else:
            super().shutdown()


def _holder(certificate: Mapping[str, Any] | None) -> str:
    """Whose certificate a caller showed; empty where it showed none."""
    if not certificate:
        return ""
    subject = dict(part for parts in certificate.get("subject", ()) for part in parts)
    others = (name for _, name in certificate.get("subjectAltName", ()))
    return named(subject.get("commonName", ""), others) or "unnamed"


class _Filling(asyncio.BufferedProtocol):
    """The rest of a body, read by the kernel to where it stays.

    A parser in between would copy it four times: measured, a third of the time of a large request.
    """

    def __init__(
        self, connection: Connection, cycle: RequestResponseCycle, space: memoryview
    ) -> None:
        self._connection = connection
        self._cycle = cycle
        self._space = space
        self._changed = asyncio.Event()
        self.last = connection.loop.time()

    @property
    def left(self) -> int:
        return len(self._space)

    async def done(self) -> None:
        await self._changed.wait()
        if self._space:
            raise Disconnected

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        self._space = self._space[nbytes:]
        self.last = self._connection.loop.time()
        if not self._space:
            self._connection.body_came(self._cycle)
            self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)
        self._changed.set()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class Joined:
    """A transport on which what is written at once is one write.

    uvicorn writes head and body of an answer apart, which costs a system call and wakes the caller
    for the head alone.

    Args:
        transport: What is written to.
        loop: Its event loop.
        is_alone: Whether no other request waits. Its caller then gets the answer at once; else the
            others are read first, of which more are answered in a second (measured: an eighth).
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        is_alone: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._is_alone = is_alone
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write with what comes next, or when the event loop goes on."""
        self._parts.append(data)
        if len(self._parts) == 1:
            self._loop.call_soon(self._flush)
        elif self._is_alone():
            self._flush()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.writelines(parts)

    def close(self) -> None:
        """Close when all is written."""
        self._flush()
        self._transport.close()
