"""The way in: plain ASGI before FastAPI, short for what is asked most.

FastAPI documents what is answered here and serves everything else. Measured: a FastAPI route costs
a small request more than its evaluation.
"""

from collections.abc import Callable
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from lossmeter.transports.rest.exchange import (
    Body,
    Disconnected,
    Endpoint,
    Limits,
    Reply,
    Request,
)
from lossmeter.transports.rest.problems import problem

# What answers a verb and a path; None where FastAPI does.
Router: TypeAlias = Callable[[str, str], Endpoint | None]


class Front:
    """The application that the server runs.

    Args:
        router: What is answered here.
        rest: The application behind, FastAPI.
        limits: How much is read of a body.
    """

    def __init__(self, router: Router, rest: ASGIApp, limits: Limits) -> None:
        self._router = router
        self._rest = rest
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        body = Body(receive, self._limits, headers)
        endpoint = self._router(scope["method"], scope["path"])
        if endpoint is None:
            await self._rest(scope, body.receive, body.draining(send))
            return
        request = Request(scope["path"], scope["query_string"], headers, body)
        try:
            reply = await endpoint(request)
        except Disconnected:
            return
        except Exception as error:
            status, fields, told = problem(error, headers.get("accept", ""))
            reply = Reply(told, status, fields)
            await body.drop()
        await _respond(send, reply)


async def _respond(send: Send, reply: Reply) -> None:
    headers = [(name.encode(), value.encode()) for name, value in reply.fields.items()]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
