"""The golden cases over the Open Inference Protocol, with the bits of every other wire."""

import numpy as np
import pytest

from tests.golden.cases import Case, by_hand, of_frameworks
from tests.integration.inference import INFERENCES
from tests.integration.replies import Refused, Reply
from tests.integration.servers import Service
from tests.integration.wires import Ask, answered, over_rest

SYMBOLS = [pytest.param(cases, id=symbol) for symbol, cases in of_frameworks().items()]
BY_HAND = [pytest.param(case, id=f"{loss}: {case.id}") for loss, case in by_hand()]
WIRES = [pytest.param(ask, id=wire) for wire, ask in INFERENCES.items()]


def bits(reply: Reply) -> object:
    """The value as text, whether one number has the shape () or (1,)."""
    if isinstance(reply.value, np.ndarray):
        shape = reply.value.shape or (1,)
        return Reply(reply.value.reshape(shape), {}).bits
    return reply.bits


@pytest.mark.parametrize("cases", SYMBOLS)
def test_the_protocol_gives_the_same_bits(service: Service, cases: list[Case]) -> None:
    asks = [over_rest, *INFERENCES.values()]
    found = {case.id: [bits(ask(service, case.request)) for ask in asks] for case in cases}
    assert {name: all_ for name, all_ in found.items() if all_.count(all_[0]) < len(all_)} == {}


@pytest.mark.parametrize("ask", WIRES)
@pytest.mark.parametrize("case", BY_HAND)
def test_a_case_worked_out_by_hand(service: Service, case: Case, ask: Ask) -> None:
    found = answered(ask, service, case.request)
    assert (found.code if isinstance(found, Refused) else None) == case.code
    if not isinstance(found, Refused):
        assert bits(found) == bits(over_rest(service, case.request))
