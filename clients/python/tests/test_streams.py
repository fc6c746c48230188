"""Streams of batches: as one batch, and what becomes of them when something goes wrong."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from clients.python.tests.asking import target, url
from lossmeter_client import (
    Answer,
    AsyncClient,
    AsyncHttpClient,
    Client,
    DeadlineExceeded,
    FailedPrecondition,
    HttpClient,
    InvalidRequest,
    LossmeterError,
    Unavailable,
)
from lossmeter_client.arrays import Arrays
from tests.integration.columns import batches, columns
from tests.integration.servers import HOST, Service, free_ports, start, stop, until

LOSS = "squared_error"
WHOLE = {name: x for name, x in columns(LOSS, "float32", 1000).items() if name != "country"}
BATCHES = batches(WHOLE, 77)
BIG: Arrays = {"predictions": np.zeros(200_000), "targets": np.zeros(200_000)}
SECONDS = 60.0
HALF: Arrays = {"predictions": BIG["predictions"]}


async def slowly(given: list[Arrays]) -> AsyncIterator[Arrays]:
    for batch in given:
        await asyncio.sleep(0)
        yield batch


def test_a_stream_has_the_bits_of_the_whole(service: Service) -> None:
    async def awaited() -> list[Answer]:
        async with AsyncClient(target(service)) as client:
            return [
                await client.evaluate_stream(LOSS, BATCHES, reduction="weighted_mean"),
                await client.evaluate_stream(LOSS, slowly(BATCHES), reduction="weighted_mean"),
            ]

    with Client(target(service)) as client:
        whole = client.evaluate(LOSS, WHOLE, reduction="weighted_mean")
        streamed = client.evaluate_stream(LOSS, iter(BATCHES), reduction="weighted_mean")
    assert {repr(one) for one in (streamed, *asyncio.run(awaited()))} == {repr(whole)}


def test_a_stream_over_rest_has_the_bits_of_the_whole(service: Service) -> None:
    async def awaited() -> Answer:
        async with AsyncHttpClient(url(service)) as client:
            return await client.evaluate_stream(LOSS, slowly(BATCHES), reduction="weighted_mean")

    with HttpClient(url(service)) as client:
        whole = client.evaluate(LOSS, WHOLE, reduction="weighted_mean")
    with HttpClient(url(service), unary_bytes=0) as client:
        found = [
            client.evaluate(LOSS, WHOLE, reduction="weighted_mean"),
            client.evaluate_stream(LOSS, iter(BATCHES), reduction="weighted_mean"),
            asyncio.run(awaited()),
        ]
    assert {repr(one) for one in found} == {repr(whole)}


def test_several_losses_in_a_stream(service: Service) -> None:
    losses = {"a": {"loss": LOSS}, "b": {"loss": "huber", "reduction": "max"}}
    with Client(target(service)) as client:
        streamed = client.evaluate_stream(None, BATCHES, losses=losses)
        assert repr(streamed) == repr(client.evaluate(inputs=WHOLE, losses=losses))


def test_a_median_of_a_stream_says_how_near_it_is(service: Service) -> None:
    with Client(target(service)) as client:
        exact = client.evaluate(LOSS, WHOLE, reduction="median")
        found = client.evaluate_stream(LOSS, BATCHES, reduction="median")
    assert found.relative_error is not None
    assert abs(float(found) - float(exact)) <= found.relative_error * abs(float(exact))


# How a refusal can come: at once, after some rows, and of a batch that is none.
REFUSED: dict[str, tuple[list[Arrays], Any, type[LossmeterError], str]] = {
    "at once": (
        [BIG] * 20,
        {"name": "cvar", "alpha": 0.5},
        FailedPrecondition,
        "NOT_STREAMABLE",
    ),
    "after some rows": (
        [BIG] * 3 + [HALF] * 9,
        "mean",
        InvalidRequest,
        "MISSING_INPUT",
    ),
    "of a batch that is none": (
        [{"predictions": np.asarray([1j]), "targets": np.zeros(1)}],
        "mean",
        InvalidRequest,
        "DTYPE_UNSUPPORTED",
    ),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_refusal_comes_through_whenever_it_comes(service: Service, how: str) -> None:
    given, reduction, kind, reason = REFUSED[how]
    with Client(target(service)) as client:
        for _ in range(5):
            with pytest.raises(kind) as raised:
                client.evaluate_stream(LOSS, given, reduction=reduction)
            assert raised.value.reason == reason


def test_a_refusal_says_which_message_it_is_of(service: Service) -> None:
    with Client(target(service)) as client, pytest.raises(InvalidRequest) as raised:
        client.evaluate_stream(LOSS, [*BATCHES[:3], HALF])
    assert raised.value.facts == {"chunk": 3}


@pytest.mark.parametrize("how", REFUSED)
def test_a_refusal_comes_through_to_asyncio(service: Service, how: str) -> None:
    given, reduction, kind, reason = REFUSED[how]

    async def awaited() -> None:
        async with AsyncClient(target(service)) as client:
            # Often, since grpc.aio alone would forget it now and then.
            for _ in range(10):
                with pytest.raises(kind) as raised:
                    await client.evaluate_stream(LOSS, given, reduction=reduction)
                assert raised.value.reason == reason

    asyncio.run(awaited())


class MyFault(Exception):
    """What a caller's own code raises."""


def failing() -> Iterator[Arrays]:
    yield from [BIG] * 5
    raise MyFault


def test_what_the_batches_raise_comes_through(service: Service) -> None:
    async def awaited() -> None:
        async with AsyncClient(target(service)) as client:
            with pytest.raises(MyFault):
                await client.evaluate_stream(LOSS, failing())

    with Client(target(service)) as client, pytest.raises(MyFault):
        client.evaluate_stream(LOSS, failing())
    asyncio.run(awaited())


def lasting() -> Iterator[Arrays]:
    while True:
        time.sleep(0.01)
        yield BIG


def test_a_deadline_ends_a_stream(service: Service) -> None:
    with Client(target(service)) as client, pytest.raises(DeadlineExceeded):
        client.evaluate_stream(LOSS, lasting(), timeout=0.5)


def test_cancelling_a_task_cancels_its_stream(service: Service) -> None:
    async def endless() -> AsyncIterator[Arrays]:
        while True:
            await asyncio.sleep(0.01)
            yield BIG

    async def awaited() -> Answer:
        async with AsyncClient(target(service)) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await client.evaluate_stream(LOSS, endless())
            return await client.evaluate(LOSS, BIG)

    assert asyncio.run(awaited()).value == 0.0


class Killable:
    """A service that can be killed and started again on its ports."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.http_port, self.grpc_port = free_ports()
        self.process: subprocess.Popen[bytes]
        self.begin()

    def begin(self) -> None:
        with self._log.open("ab") as sink:
            self.process = start(self.http_port, self.grpc_port, log=sink.fileno())
        assert until(self._answers)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://{HOST}:{self.http_port}/readyz").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def deadly(self) -> Iterator[Arrays]:
        """Batches in whose middle the service dies."""
        yield from [BIG] * 5
        self.kill()
        yield from [BIG] * 50


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Killable]:
    made = Killable(tmp_path / "log")
    yield made
    stop(made.process)


Make = Callable[[Killable], Any]
WAITING: dict[str, Make] = {
    "Client": lambda killable: Client(f"{HOST}:{killable.grpc_port}", timeout=SECONDS),
    "HttpClient": lambda killable: HttpClient(
        f"http://{HOST}:{killable.http_port}", timeout=SECONDS
    ),
}
AWAITED: dict[str, Make] = {
    "AsyncClient": lambda killable: AsyncClient(f"{HOST}:{killable.grpc_port}", timeout=SECONDS),
    "AsyncHttpClient": lambda killable: AsyncHttpClient(
        f"http://{HOST}:{killable.http_port}", timeout=SECONDS
    ),
}


# What comes after the deadline would be another error: DeadlineExceeded.
@pytest.mark.parametrize("make", WAITING.values(), ids=WAITING)
def test_a_service_killed_in_a_stream_and_back_again(killable: Killable, make: Make) -> None:
    with make(killable) as client:
        with pytest.raises(Unavailable):
            client.evaluate_stream(LOSS, killable.deadly(), timeout=SECONDS)
        with pytest.raises(Unavailable):
            client.evaluate(LOSS, WHOLE)
        killable.begin()
        assert client.evaluate(LOSS, BIG).value == 0.0
        assert client.evaluate_stream(LOSS, [BIG]).value == 0.0


@pytest.mark.parametrize("make", AWAITED.values(), ids=AWAITED)
def test_the_same_awaited(killable: Killable, make: Make) -> None:
    async def awaited() -> None:
        async with make(killable) as client:
            with pytest.raises(Unavailable):
                await client.evaluate_stream(LOSS, killable.deadly(), timeout=SECONDS)
            with pytest.raises(Unavailable):
                await client.evaluate(LOSS, WHOLE)
            killable.begin()
            assert (await client.evaluate(LOSS, BIG)).value == 0.0
            assert (await client.evaluate_stream(LOSS, [BIG])).value == 0.0

    asyncio.run(awaited())
