"""Errors, and what is tried again: against servers that answer what the test wants."""

import pickle
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import lossmeter_client
from clients.python.tests.scripted import DATA, scripted, status
from lossmeter_client import (
    DeadlineExceeded,
    HttpClient,
    Internal,
    LossmeterError,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from lossmeter_client.errors import OF_CODE, error_of


@pytest.mark.parametrize("unary_bytes", [10_000, 0])
def test_an_overloaded_service_is_asked_again_when_it_says(unary_bytes: int) -> None:
    busy = status("OVERLOADED", seconds=0.01)
    with scripted(busy, busy, unary_bytes=unary_bytes) as (client, servicer):
        assert client.evaluate("huber", DATA).count == 2
    assert len(servicer.calls) == 3


def test_a_service_overloaded_for_long_is_given_up() -> None:
    with (
        scripted(*[status("OVERLOADED", seconds=0.01)] * 9) as (client, servicer),
        pytest.raises(Overloaded),
    ):
        client.evaluate("huber", DATA)
    assert len(servicer.calls) == 5


def test_a_pause_beyond_the_timeout_is_not_waited_for() -> None:
    with (
        scripted(status("OVERLOADED", seconds=0.9), timeout=0.5) as (client, servicer),
        pytest.raises(Overloaded) as raised,
    ):
        client.evaluate("huber", DATA)
    assert raised.value.retry_after == pytest.approx(0.9)
    assert len(servicer.calls) == 1


def test_what_is_too_large_stays_so() -> None:
    with scripted(status("TOO_LARGE")) as (client, servicer), pytest.raises(TooLarge):
        client.evaluate("huber", DATA)
    assert len(servicer.calls) == 1


@pytest.mark.parametrize("rows", [2, 2_000_000])
@pytest.mark.parametrize("unary_bytes", [2**30, 0])
def test_a_service_that_is_stopping_is_asked_again(rows: int, unary_bytes: int) -> None:
    away = status("DRAINING", "UNAVAILABLE")
    data = {"predictions": np.ones(rows), "targets": np.zeros(rows)}
    with scripted(away, away, unary_bytes=unary_bytes) as (client, servicer):
        assert client.evaluate("huber", data).count == 2
    assert len(servicer.calls) == 3


@pytest.mark.parametrize("reduction", ["mean", "median"])
def test_a_file_is_read_again(tmp_path: Path, reduction: str) -> None:
    np.savez(tmp_path / "data.npz", allow_pickle=False, **DATA)
    with scripted(status("DRAINING", "UNAVAILABLE")) as (client, servicer):
        found = client.evaluate_file(tmp_path / "data.npz", "huber", reduction=reduction)
        assert found.count == 2
    assert len(servicer.calls) == 2


def test_a_stream_of_ones_own_is_sent_once() -> None:
    away = status("DRAINING", "UNAVAILABLE")
    with scripted(away) as (client, servicer), pytest.raises(Unavailable):
        client.evaluate_stream("huber", [DATA])
    assert len(servicer.calls) == 1


def test_a_token_goes_with_every_call() -> None:
    with scripted(token="abc") as (client, servicer):
        client.evaluate("huber", DATA)
        client.evaluate_stream("huber", [DATA])
    assert [call["authorization"] for call in servicer.calls] == ["Bearer abc"] * 2


def over(answer: Callable[[httpx.Request], httpx.Response], **options: Any) -> HttpClient:
    """A client whose requests go nowhere."""
    client = HttpClient(**options)
    client._http.close()
    client._http = httpx.Client(
        transport=httpx.MockTransport(answer), base_url="http://x", headers=client._http.headers
    )
    return client


def test_rest_tries_again_as_it_is_told() -> None:
    answers = [
        httpx.Response(429, json={"reason": "OVERLOADED"}, headers={"retry-after": "0"}),
        httpx.Response(503, json={"reason": "DRAINING"}, headers={"retry-after": "0"}),
        httpx.Response(200, json={"losses": []}),
    ]
    with over(lambda _: answers.pop(0)) as client:
        assert client.list_losses() == []


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (401, b"", Unauthenticated),
        (500, b"<html>", Internal),
        (413, b'{"reason": "TOO_LARGE", "limit": 1, "actual": 2}', TooLarge),
        (504, b"[]", DeadlineExceeded),
        (418, b"{}", LossmeterError),
    ],
)
def test_whatever_stands_between_is_an_error_of_ours(
    code: int, body: bytes, kind: type[LossmeterError]
) -> None:
    with (
        over(lambda _: httpx.Response(code, content=body)) as client,
        pytest.raises(LossmeterError) as raised,
    ):
        client.get_loss("huber")
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (httpx.ReadTimeout, DeadlineExceeded),
        (httpx.ConnectError, Unavailable),
        (ssl.SSLError, Unavailable),
    ],
)
def test_a_broken_exchange_is_an_error_of_ours(
    fault: type[Exception], kind: type[LossmeterError]
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise fault("hurt")

    with over(answer, timeout=0.3) as client, pytest.raises(kind):
        client.get_loss("huber")


@pytest.mark.parametrize("code", OF_CODE)
def test_an_error_survives_its_way_to_another_process(code: str) -> None:
    made = error_of(code, "told", {"reason": "R", "field": "inputs.x", "limit": "3"}, 0.5)
    again = pickle.loads(pickle.dumps(made))
    assert (type(again), vars(again)) == (type(made), vars(made))
    assert str(again) == "R at inputs.x: told"


def test_every_error_is_offered() -> None:
    offered = {getattr(lossmeter_client, name) for name in lossmeter_client.__all__}
    assert {error_of(code, "").__class__ for code in OF_CODE} <= offered
