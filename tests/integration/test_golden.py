"""The frameworks' numbers, and those worked out by hand, over every wire."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.golden.cases import Case, by_hand, of_frameworks
from tests.integration.forms import Request
from tests.integration.replies import Refused
from tests.integration.servers import Service
from tests.integration.wires import UNARY, Ask, answered, over_rest

BY_SYMBOL = of_frameworks()
SYMBOLS = [pytest.param(cases, id=symbol) for symbol, cases in BY_SYMBOL.items()]
BY_HAND = [pytest.param(case, id=f"{loss}: {case.id}") for loss, case in by_hand()]
WIRES = [pytest.param(ask, id=wire) for wire, ask in UNARY.items()]


@pytest.mark.parametrize("ask", WIRES)
@pytest.mark.parametrize("cases", SYMBOLS)
def test_the_frameworks_number(service: Service, cases: list[Case], ask: Ask) -> None:
    replies = [(case, ask(service, case.request)) for case in cases]
    wrong = [
        (case.id, reply.value, case.expected)
        for case, reply in replies
        if not case.accepts(np.asarray(reply.value, np.float64))
    ]
    assert wrong == []


@pytest.mark.parametrize("cases", SYMBOLS)
def test_the_frameworks_number_from_a_graph(service: Service, cases: list[Case]) -> None:
    replies = [(case, over_rest(service, on_onnx(case.request))) for case in cases]
    wrong = [
        (case.id, reply.value, case.expected)
        for case, reply in replies
        if reply.fields["backend"] != "onnx"
        or not case.accepts(np.asarray(reply.value, np.float64))
    ]
    assert wrong == []


def on_onnx(request: Request) -> Request:
    """The request, computed by ONNX Runtime."""
    return {**request, "options": {**request.get("options", {}), "backend": "onnx"}}


@pytest.mark.parametrize("cases", SYMBOLS)
def test_all_wires_give_the_same_bits(service: Service, cases: list[Case]) -> None:
    bits = {case.id: [ask(service, case.request).bits for ask in UNARY.values()] for case in cases}
    differing = {name: found for name, found in bits.items() if found.count(found[0]) < len(found)}
    assert differing == {}


@pytest.mark.parametrize("request_of", [dict, on_onnx], ids=["numpy", "onnx"])
@pytest.mark.parametrize("ask", WIRES)
@pytest.mark.parametrize("case", BY_HAND)
def test_a_case_worked_out_by_hand(
    service: Service, case: Case, ask: Ask, request_of: Callable[[Request], Request]
) -> None:
    found = answered(ask, service, request_of(case.request))
    assert (found.code if isinstance(found, Refused) else None) == case.code
    assert isinstance(found, Refused) or case.accepts(np.asarray(found.value, np.float64))
