"""The frameworks' own numbers, from exported graphs in plain ONNX Runtime."""

import json

import numpy as np
import pytest

from lossmeter.errors import BackendUnsupported, ShapeMismatch
from lossmeter.wire.json import read_fields
from tests.golden.cases import of_frameworks
from tests.integration.exported import asked_of, fits, graph

CASES = of_frameworks()
# A graph takes longer to make than a case to run: so many of each symbol, whichever come first.
MOST_GRAPHS = 3
# What cannot be exported as it is asked there: labels are not named, a median is no sum.
REFUSED = {
    "sklearn.metrics.brier_score_loss",
    "sklearn.metrics.log_loss",
    "sklearn.metrics.median_absolute_error",
}


@pytest.mark.parametrize("symbol", CASES)
def test_a_graph_gives_the_frameworks_number(symbol: str) -> None:
    graphs: set[str] = set()
    run = 0
    for case in CASES[symbol]:
        found = asked_of(*read_fields(case.request))
        name = json.dumps(found.form, sort_keys=True)
        if name not in graphs and len(graphs) == MOST_GRAPHS:
            continue
        graphs.add(name)
        try:
            exported = graph(**found.form)
        except (BackendUnsupported, ShapeMismatch):
            continue
        if fits(found, exported):
            value = exported.run(found.arrays)["loss"]
            assert case.accepts(np.asarray(value, np.float64)), case.id
            run += 1
    assert bool(run) != (symbol in REFUSED)
