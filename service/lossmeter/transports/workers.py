"""Processes that serve the same ports: how they are watched, replaced and let go."""

import asyncio
import socket
from collections.abc import Callable
from typing import ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

# For which a connection that is idle when the service stops may still bring a request.
LAST_SECONDS = 1.0


class Workers(Multiprocess):
    """uvicorn's supervisor, which replaces a worker that died and renews all on SIGHUP.

    The socket of REST is one, shared by all workers: connections that wait in it outlive a worker.

    Args:
        config: Of each worker.
        sockets: Those of REST, bound.
        forget: Told the process id of each worker that has ended.
    """

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], forget: Callable[[int], None]
    ) -> None:
        super().__init__(config, sockets)
        self._forget = forget
        self._known: set[int] = set()

    def keep_subprocess_alive(self) -> None:
        for process in self.processes:
            # uvicorn 0.54 keeps the worker's end of their pipe open here too, and so waits for the
            # pong of one that was killed while it booted until the time for it is over.
            process.child_conn.close()
        super().keep_subprocess_alive()
        alive = {process.pid for process in self.processes if process.pid is not None}
        for pid in self._known - alive:
            self._forget(pid)
        self._known = alive

    def terminate_all(self) -> None:
        # Else callers would be let in here, and wait for workers that take no more.
        for shared in self.sockets:
            shared.close()
        super().terminate_all()


class Connection(HttpToolsProtocol):
    """A connection of REST that is not cut while its caller may be sending.

    uvicorn 0.54 closes idle ones at once when it stops: also one whose request is on its way.
    """

    # Of all connections of this process.
    draining: ClassVar[bool] = False

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.draining:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]
            asyncio.get_running_loop().call_later(LAST_SECONDS, super().shutdown)
        else:
            super().shutdown()
