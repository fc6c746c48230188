"""The gate of REST: callers are let in before anything of their body is held."""

import asyncio
from functools import partial
from typing import NoReturn

from starlette.types import Scope

from lossmeter.access.control import Access
from lossmeter.access.needs import need_of_path
from lossmeter.access.principals import KeysWanted
from lossmeter.errors import LossmeterError
from lossmeter.transports.rest.exchange import Endpoint, Request


class Gate:
    """What asks callers who they are.

    Args:
        access: What knows them.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def let_in(
        self, scope: Scope, request: Request, endpoint: Endpoint | None
    ) -> Endpoint | None:
        """What answers a request: as without a gate, or what refuses it."""
        certificate = scope.get("extensions", {}).get("tls", {}).get("client_cert_name", "")
        authorization = request.headers.get("authorization", "")
        enter = partial(
            self._access.enter,
            need_of_path(scope["method"], scope["path"]),
            authorization,
            certificate,
        )
        try:
            try:
                request.principal = enter()
            except KeysWanted:
                await asyncio.to_thread(self._access.fetch)
                request.principal = enter()
        except LossmeterError as error:
            return partial(_refuse, error)
        # What it announces is taken now, so that many at once are counted while they come.
        self._spend(request, request.body.announced)
        return endpoint

    def settle(self, request: Request) -> None:
        """Count what came of a body in place of what was announced."""
        self._spend(request, request.body.size - request.body.announced)

    def _spend(self, request: Request, size: int) -> None:
        if request.principal is not None:
            self._access.rates.spend(request.principal, size)


async def _refuse(error: LossmeterError, _: Request) -> NoReturn:
    raise error
