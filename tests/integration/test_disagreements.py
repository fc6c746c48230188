"""Where frameworks disagree on the same data: each symbol gives its own framework's number."""

import numpy as np
import pytest

from tests.golden.cases import Case, disagreements, rows_of_disagreements
from tests.integration.replies import Refused
from tests.integration.servers import Service
from tests.integration.wires import UNARY, Ask, answered

ANSWERS = [pytest.param(case, id=case.id) for case in disagreements()]
WIRES = [pytest.param(ask, id=wire) for wire, ask in UNARY.items()]
# The rows of the catalogue's table of measured disagreements.
ROWS = set(range(1, 59))


@pytest.mark.parametrize("ask", WIRES)
@pytest.mark.parametrize("case", ANSWERS)
def test_each_framework_gives_its_own_number(service: Service, case: Case, ask: Ask) -> None:
    found = answered(ask, service, case.request)
    assert (found.reason if isinstance(found, Refused) else None) == case.reason
    if not isinstance(found, Refused):
        value = np.asarray(found.value, np.float64)
        assert case.accepts(value), (value, case.expected)


def test_every_row_is_answered_or_says_why_not() -> None:
    assert rows_of_disagreements() == ROWS
