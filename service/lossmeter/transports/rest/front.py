"""The way in: plain ASGI before FastAPI, short for what is asked most.

FastAPI documents what is answered here and serves everything else. Measured: a FastAPI route costs
a small request more than its evaluation.
"""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic, perf_counter
from typing import TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lossmeter.app.wanted import while_wanted
from lossmeter.errors import Code, DeadlineExceeded, LossmeterError
from lossmeter.transports.metrics import ANSWERED, CANCELLED, Metrics
from lossmeter.transports.rest.exchange import (
    IS_THERE,
    REST_OF_BODY,
    Body,
    Disconnected,
    Endpoint,
    Limits,
    Reply,
    Request,
)
from lossmeter.transports.rest.gate import Gate
from lossmeter.transports.rest.problems import problem

# What answers a verb and a path; None where FastAPI does.
Router: TypeAlias = Callable[[str, str], Endpoint | None]
BAD = 400
# What a status stands for where no error tells.
CODE_OF_STATUS: Mapping[int, str] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    405: Code.UNIMPLEMENTED,
    409: Code.FAILED_PRECONDITION,
    413: Code.RESOURCE_EXHAUSTED,
    415: Code.UNIMPLEMENTED,
    422: Code.FAILED_PRECONDITION,
    429: Code.RESOURCE_EXHAUSTED,
    504: Code.DEADLINE_EXCEEDED,
}


class Front:
    """The application that the server runs.

    Args:
        router: What is answered here.
        rest: The application behind, FastAPI.
        limits: How much is read of a body.
        metrics: What counts the requests.
        most_seconds: How long an answer may take; 0 for no limit.
        gate: What lets callers in; None where everybody is.
    """

    def __init__(
        self,
        router: Router,
        rest: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        *,
        most_seconds: float = 0.0,
        gate: Gate | None = None,
    ) -> None:
        self._router = router
        self._rest = rest
        self._limits = limits
        self._metrics = metrics
        self._most_seconds = most_seconds
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        offered = scope.get("extensions", {})
        body = Body(receive, self._limits, headers, offered.get(REST_OF_BODY))
        is_there = offered.get(IS_THERE, _is_there)
        request = Request(scope["path"], scope["query_string"], headers, body, is_there)
        started, code = perf_counter(), CANCELLED
        self._metrics.begun(request)
        try:
            endpoint = self._router(scope["method"], scope["path"])
            if self._gate is not None:
                endpoint = await self._gate.let_in(scope, request, endpoint)
            if endpoint is None:
                code = await self._behind(scope, body, send)
                return
            with while_wanted(request.is_wanted):
                reply, code = await self._reply(endpoint, request)
        except Disconnected:
            return
        finally:
            wire = "oip_rest" if request.path.startswith("/v2") else "rest"
            seconds = perf_counter() - started
            self._metrics.observed(wire, request.loss, code, seconds, body.size)
            self._metrics.ended(request)
            if self._gate is not None:
                self._gate.settle(request)
        await _respond(send, reply)

    async def _reply(self, endpoint: Endpoint, request: Request) -> tuple[Reply, str]:
        """The answer and its code."""
        try:
            seconds = request.within(self._most_seconds)
            reply = await (_in_time(endpoint, request, seconds) if seconds else endpoint(request))
        except Disconnected:
            raise
        except Exception as error:
            if not request.is_there():
                raise Disconnected from None  # what was stopped for that is no fault
            status, fields, told = problem(error, request.headers.get("accept", ""))
            if not await request.body.drop():
                fields["connection"] = "close"
            code = error.code if isinstance(error, LossmeterError) else Code.INTERNAL
            return Reply(told, status, fields), code
        return reply, _code_of(reply.status)

    async def _behind(self, scope: Scope, body: Body, send: Send) -> str:
        """Let FastAPI answer, and say with which code."""
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._rest(scope, body.receive, body.draining(noting))
        return _code_of(status)


def _is_there() -> bool:
    """Of a server that does not tell."""
    return True


async def _in_time(endpoint: Endpoint, request: Request, seconds: float) -> Reply:
    """The answer, if it comes within these seconds.

    Raises:
        DeadlineExceeded: It does not; what computes it stops at its next block.
    """
    request.deadline = monotonic() + seconds
    try:
        async with asyncio.timeout(seconds):
            return await endpoint(request)
    except TimeoutError:
        request.body.give_up()
        raise DeadlineExceeded(f"the answer was not there after {seconds:g} s") from None


def _code_of(status: int) -> str:
    return ANSWERED if status < BAD else CODE_OF_STATUS.get(status, Code.INTERNAL)


async def _respond(send: Send, reply: Reply) -> None:
    headers = [(name.encode(), value.encode()) for name, value in reply.fields.items()]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
