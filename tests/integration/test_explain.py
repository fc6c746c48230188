"""Explanations: an evaluation's value, how it comes about, and the other frameworks' values."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lossmeter.cli import app
from lossmeter.core.declare import REGISTRY
from lossmeter.printing import WIDTH
from tests.golden.cases import Case, Refusal, of_frameworks, refusals
from tests.integration.commands import write_npz
from tests.integration.explainable import LOGITS, NAN, ODD, P, W, X, Y, request
from tests.integration.explanations import (
    WIRES,
    faults,
    in_process,
    over_grpc,
    over_rest,
    printed,
)
from tests.integration.forms import Array, Request, array
from tests.integration.replies import Refused
from tests.integration.servers import Service
from tests.integration.wires import in_process as evaluated

pytestmark = pytest.mark.usefixtures("unharmed")
SYMBOLS = [pytest.param(cases, id=symbol) for symbol, cases in of_frameworks().items()]


@pytest.mark.parametrize("cases", SYMBOLS)
def test_a_golden_case_is_explained_alike_over_all_wires(
    service: Service, cases: list[Case]
) -> None:
    for case in [*cases[:1], cases[-1]]:
        found = [ask(service, case.request) for ask in WIRES.values()]
        assert found[1:] == found[:-1], case.id
        assert list(faults(found[0], evaluated(None, case.request))) == [], case.id


@pytest.mark.parametrize("cases", SYMBOLS)
def test_a_golden_case_is_explained(cases: list[Case]) -> None:
    wrong = {
        case.id: told
        for case in cases
        if (told := list(faults(in_process(None, case.request), evaluated(None, case.request))))
    }
    assert wrong == {}


EXAMPLES = [
    pytest.param(loss.name, example, id=f"{loss.name}, example {at}")
    for loss in REGISTRY.values()
    for at, example in enumerate(loss.examples)
]


@pytest.mark.parametrize(("loss", "example"), EXAMPLES)
def test_a_declared_example_is_explained(loss: str, example: Any) -> None:
    inputs = {name: np.asarray(x) for name, x in example.inputs.items()}
    asked = {"loss": loss, "params": dict(example.params), "inputs": inputs}
    assert list(faults(in_process(None, asked), evaluated(None, asked))) == []


@pytest.mark.parametrize("asked", ODD.values(), ids=ODD)
def test_an_odd_request_is_explained(service: Service, asked: Request) -> None:
    try:
        reply = evaluated(None, asked)
    except Refused as refused:
        pytest.fail(f"evaluate refuses: {refused}")
    found = [ask(service, asked) for ask in WIRES.values()]
    assert found[1:] == found[:-1]
    assert list(faults(found[0], reply)) == []


STEPS = {
    "loss": "keras.losses.BinaryCrossentropy (keras 3.15.1) stands for binary_cross_entropy, with "
    "label_smoothing = 0.0",
    "shapes": "predictions [2, 2] float64, targets [2, 2] float64; loss values [2], computed in "
    "float64",
    "mask": "keeps 1 of 2 entries; left out: 1 under the mask",
    "guard": "keras.losses.BinaryCrossentropy clips predictions to [1e-07, 1 − 1e-07]: 1 number "
    "changed",
    "values": "the formula gives 2 values, from 0.693147 to 16.1181",
    "inner": "keras.losses.BinaryCrossentropy averages the last axis first, 2 values each",
    "weights": "2 weights for 2 loss values; those of the kept sum to 2",
    "numerator": "the weighted loss values sum to 16.81124283",
    "divisor": "the number of loss values = 1",
}


def test_the_steps_are_told_in_their_order() -> None:
    asked = request(
        "keras.losses.BinaryCrossentropy",
        predictions=np.array([[0.0, 0.5], [NAN, NAN]]),
        targets=np.array([[1.0, 1.0], [1.0, 0.0]]),
        sample_weight=np.array([2.0, 3.0]),
        mask=np.array([True, False]),
    )
    found = {name: says for name, says, _ in in_process(None, asked).steps}
    result = found.pop("result")
    assert (list(found), found) == (list(STEPS), STEPS)
    assert result == f"mean = {float(np.asarray(evaluated(None, asked).value))!r}"


SEVERAL: dict[str, Any] = {
    "losses": {
        "box": {"loss": "torch.nn.SmoothL1Loss", "inputs": {"predictions": "p", "targets": "y"}},
        "cls": {
            "loss": "keras.losses.BinaryCrossentropy",
            "params": LOGITS,
            "inputs": {"predictions": "p", "targets": "z", "sample_weight": "w"},
            "loss_weight": 2.0,
        },
        "absent": {"loss": "huber", "inputs": {"predictions": "p", "targets": "none"}},
    },
    "inputs": {"p": X, "y": P, "z": Y, "w": W},
}


def test_several_losses_are_explained_one_by_one(service: Service) -> None:
    asked = {**SEVERAL, "losses": {k: v for k, v in SEVERAL["losses"].items() if k != "absent"}}
    found = [ask(service, asked) for ask in WIRES.values()]
    assert found[1:] == found[:-1]
    assert list(found[0].results) == ["box", "cls"]
    assert list(faults(found[0], evaluated(None, asked))) == []


REFUSALS = [pytest.param(refusal, id=refusal.id) for refusal in refusals()]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_wrong_request_is_refused_as_by_evaluate(service: Service, refusal: Refusal) -> None:
    for ask in (in_process, over_rest, over_grpc):
        with pytest.raises(Refused) as caught:
            ask(service, refusal.request)
        assert (caught.value.reason, caught.value.field) == (refusal.reason, refusal.field)


@pytest.mark.parametrize("cases", SYMBOLS)
def test_the_table_fits_and_the_pipe_is_what_rest_says(cases: list[Case], tmp_path: Path) -> None:
    given = [{n: array(n, x) for n, x in case.request["inputs"].items()} for case in cases]
    of_rows = [at for at, found in enumerate(given) if _are_rows(found)]
    if not of_rows:
        pytest.skip("no columns of one length")
    asked, inputs = cases[of_rows[0]].request, given[of_rows[0]]
    file = tmp_path / "rows.npz"
    write_npz(file, inputs)
    table, pipe = (_ran(file, asked, inputs, form) for form in ("table", "json"))
    assert [line for line in table.splitlines() if len(line) > WIDTH] == []
    assert printed(pipe) == in_process(None, {**asked, "inputs": inputs})


def _are_rows(inputs: Mapping[str, Array]) -> bool:
    shapes = {x.shape[:1] for x in inputs.values()}
    return len(shapes) == 1 and shapes != {()}


def _ran(file: Path, asked: Request, inputs: Mapping[str, Array], form: str) -> str:
    settings = {"params": asked.get("params", {}), "reduction": asked.get("reduction")}
    flags = [
        word
        for name, x in settings.items()
        if x is not None
        for word in (f"--{name}", x if isinstance(x, str) else json.dumps(x))
    ]
    for name in inputs:
        shared = name in ("sample_weight", "mask")
        flags += [f"--{name.replace('_', '-')}", name] if shared else ["--input", f"{name}={name}"]
    words = ["explain", str(file), "--loss", asked["loss"], *flags, "--format", form]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_groups_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("predictions,targets,country\n1.5,1,de\n5,2,fr\n")
    words = ["explain", str(file), "--loss", "huber", "--by", "country", "--format", "json"]
    found = printed(CliRunner().invoke(app, words).stdout)
    assert found.bits == {"de": (0.125).hex(), "fr": (2.5).hex()}
