"""Batches that become streams by themselves: the number must not change by it."""

import numpy as np
import pytest

from clients.python.tests.asking import CLIENTS, OVER_GRPC, Ask, reply_of, target
from clients.python.tests.test_golden import SETS, differing
from lossmeter_client import Client, chunks
from lossmeter_client.arrays import Arrays
from tests.golden.cases import Case
from tests.integration.servers import Service
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
