"""The four clients as one kind of function: requests in, answers or errors out."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from lossmeter_client import (
    Answer,
    Answers,
    AsyncClient,
    AsyncHttpClient,
    Client,
    HttpClient,
    LossmeterError,
)
from tests.integration.forms import Request, array, settings_of
from tests.integration.replies import Reply
from tests.integration.servers import HOST, Service

Outcome: TypeAlias = Answer | Answers | LossmeterError
Ask: TypeAlias = Callable[..., list[Outcome]]
AT_ONCE = 32
# What a reply says besides its value that the answer of every client says too.
FIELDS = (
    *("loss", "reduction", "count", "weight", "denominator", "backend", "device", "dtype"),
    *("index", "batch_id", "relative_error", "omitted", "state", "state_hash"),
)


def target(service: Service) -> str:
    return f"{HOST}:{service.grpc_port}"


def url(service: Service) -> str:
    return f"http://{HOST}:{service.http_port}"


def given(request: Request) -> dict[str, Any]:
    """A request as the arguments of ``evaluate``."""
    inputs = {name: array(name, x) for name, x in request["inputs"].items()}
    return {**settings_of(request), "inputs": inputs}


def waiting(kind: Callable[..., Any], place: Callable[[Service], str]) -> Ask:
    """A client that waits."""

    def ask(service: Service, requests: Sequence[Request], **options: Any) -> list[Outcome]:
        with kind(place(service), **options) as client:
            return [outcome(client, request) for request in requests]

    return ask


def outcome(client: Any, request: Request) -> Outcome:
    try:
        found: Outcome = client.evaluate(**given(request))
    except LossmeterError as error:
        return error
    return found


def awaiting(kind: Callable[..., Any], place: Callable[[Service], str]) -> Ask:
    """A client that is awaited, many requests at once."""

    async def asked(client: Any, request: Request, room: asyncio.Semaphore) -> Outcome:
        async with room:
            try:
                found: Outcome = await client.evaluate(**given(request))
            except LossmeterError as error:
                return error
            return found

    async def all_asked(
        service: Service, requests: Sequence[Request], options: Mapping[str, Any]
    ) -> list[Outcome]:
        room = asyncio.Semaphore(AT_ONCE)
        async with kind(place(service), **options) as client:
            return await asyncio.gather(*(asked(client, request, room) for request in requests))

    def ask(service: Service, requests: Sequence[Request], **options: Any) -> list[Outcome]:
        return asyncio.run(all_asked(service, requests, options))

    return ask


CLIENTS: Mapping[str, Ask] = {
    "Client": waiting(Client, target),
    "AsyncClient": awaiting(AsyncClient, target),
    "HttpClient": waiting(HttpClient, url),
    "AsyncHttpClient": awaiting(AsyncHttpClient, url),
}
OVER_GRPC = {name: ask for name, ask in CLIENTS.items() if "Http" not in name}


def reply_of(answer: Outcome) -> Reply:
    """An answer in the form that the service's own tests compare."""
    if isinstance(answer, LossmeterError):
        raise answer
    if isinstance(answer, Answers):
        results = {name: reply_of(one) for name, one in answer.results.items()}
        told: dict[str, Any] = {"total": answer.total, "skipped": list(answer.skipped)}
        return Reply(np.zeros(0), _present(told), results)
    fields = {name: getattr(answer, name) for name in FIELDS}
    fields["warnings"] = list(answer.warnings)
    if answer.groups is not None:
        names = ("value", "count", "weight", "denominator")
        fields["groups"] = {
            label: _present({name: getattr(group, name) for name in names})
            for label, group in answer.groups.items()
        }
    value = answer.value
    return Reply(value if isinstance(value, Mapping) else np.asarray(value), _present(fields))


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: x for name, x in fields.items() if x is not None and x != []}
