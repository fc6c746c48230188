"""A specification that is remembered is changed by nobody who uses it."""

from contextlib import suppress

import numpy as np
import orjson
import pytest

from lossmeter.app.backend import Backends
from lossmeter.app.engine import Engine
from lossmeter.errors import LossmeterError
from lossmeter.wire.json import read_request
from tests.golden.cases import Case, by_hand, of_frameworks

# A few of each loss and symbol.
OF_EACH = 3
CASES: dict[str, list[Case]] = {
    name: list(cases[:OF_EACH]) for name, cases in of_frameworks().items()
}
for loss, one in by_hand():
    CASES.setdefault(loss, []).append(one)


@pytest.mark.parametrize("name", CASES)
def test_a_specification_stays_as_it_was_read(name: str) -> None:
    engine = Engine(Backends())
    for case in CASES[name]:
        body = orjson.dumps({"reduction": "mean", **case.request})
        try:
            spec, tensors = read_request(body)
        except LossmeterError:
            continue
        before = spec.model_dump_json()
        for ask in (engine.evaluate, engine.explain):
            with suppress(LossmeterError), np.errstate(all="ignore"):
                ask(spec, tensors)
        assert spec.model_dump_json() == before
        assert read_request(body)[0] == spec
