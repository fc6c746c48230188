"""Batches that become streams by themselves: the number must not change by it."""

from pathlib import Path

import numpy as np
import pytest

from clients.python.tests.asking import CLIENTS, OVER_GRPC, Ask, given, reply_of, target
from clients.python.tests.test_golden import SETS, differing, here, told
from lossmeter_client import Client, chunks
from lossmeter_client.arrays import Arrays
from tests.golden.cases import Case
from tests.integration.servers import Service, serving
from tests.integration.test_service import REQUESTS, comparable
from tests.integration.wires import in_process

BY_GRPC = [pytest.param(ask, id=name) for name, ask in OVER_GRPC.items()]


@pytest.fixture
def rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message holds one row."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1)


@pytest.mark.usefixtures("rows_alone")
@pytest.mark.parametrize("cases", SETS.values(), ids=SETS)
def test_every_golden_case_row_by_row_has_the_bits_of_the_whole(
    service: Service, cases: list[Case]
) -> None:
    found = CLIENTS["Client"](service, [case.request for case in cases], unary_bytes=0)
    assert list(differing(cases, found)) == []


@pytest.mark.usefixtures("rows_alone")
@pytest.mark.parametrize("ask", BY_GRPC)
def test_all_that_an_answer_says_is_the_same_row_by_row(service: Service, ask: Ask) -> None:
    found = ask(service, list(REQUESTS.values()), unary_bytes=0)
    wrong = {
        name: (comparable(reply_of(one)), expected)
        for (name, request), one in zip(REQUESTS.items(), found, strict=True)
        if comparable(reply_of(one)) != (expected := comparable(in_process(None, request)))
    }
    assert wrong == {}


ROWS = 1_000_000


def large() -> Arrays:
    """A batch of 16 MB."""
    rng = np.random.default_rng(0)
    return {"predictions": rng.normal(size=ROWS), "targets": rng.normal(size=ROWS)}


def test_a_large_batch_goes_where_no_message_of_its_size_would(tmp_path: Path) -> None:
    request = {"loss": "squared_error", "inputs": large()}
    with serving(tmp_path / "log", max_message_bytes=2 * chunks.MIB) as small:
        found = [ask(small, [request])[0] for ask in OVER_GRPC.values()]
    assert {told(one) for one in found} == {here(request)}


@pytest.mark.parametrize("loss", ["squared_error", "median_absolute_error"])
@pytest.mark.parametrize("reduction", ["median", {"name": "cvar", "alpha": 0.1}, None])
def test_what_needs_all_samples_goes_whole(service: Service, loss: str, reduction: object) -> None:
    request = {"loss": loss, "inputs": large(), **({"reduction": reduction} if reduction else {})}
    with Client(target(service)) as client:
        answer = client.evaluate(**given(request))
    assert (answer.is_exact, told(answer)) == (True, here(request))
