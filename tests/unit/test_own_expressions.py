"""Expressions that the settings declare: taken by name, or refused before anything starts."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from lossmeter import evaluate, export, merge
from lossmeter.app.answer import Answer
from lossmeter.backends.numpy import NumpyBackend
from lossmeter.catalog.descriptors import find_descriptor
from lossmeter.catalog.search import Query, find_descriptors
from lossmeter.core.arrays import Array
from lossmeter.core.own import OWN
from lossmeter.core.program import Program
from lossmeter.core.state import State
from lossmeter.errors import LossmeterError, LossNotFound, StateMismatch
from lossmeter.plan.own import take_expressions
from lossmeter.plan.request import read_evaluate
from lossmeter.plan.tensors import Tensors
from lossmeter.settings import Settings
from tests.unit.engines import engine_on

BLOCK = NumpyBackend.block
GAP = {
    "expression": "k * square(predictions - targets)",
    "params": {"k": 2},
    "summary": "Squared twice.",
}
ROWS = {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}
STATE = {"state": True, "batch_id": "a"}


def answer(loss: Any, **params: float) -> Answer:
    found = evaluate(loss, ROWS, params=params, options=STATE)
    assert isinstance(found, Answer)
    return found


def state(loss: Any, **params: float) -> State:
    found = answer(loss, **params).state
    assert found is not None
    return found


@pytest.fixture
def gap() -> Iterator[None]:
    take_expressions({"my_gap": GAP})
    yield
    take_expressions({})


@pytest.mark.usefixtures("gap")
def test_an_expression_of_the_settings_answers_to_its_name() -> None:
    assert (answer("my_gap").value, answer("my_gap").loss) == (9.25, "my_gap")
    assert answer("my_gap", k=1).value == 4.625


@pytest.mark.usefixtures("gap")
def test_an_expression_of_the_settings_is_listed_and_described() -> None:
    found = find_descriptor("my_gap")
    assert found in find_descriptors(Query())
    assert find_descriptors(Query(search="squared twice")) == [found]
    assert (found["kind"], found["summary"], found["formula"]) == (
        "own",
        "Squared twice.",
        "k * square(predictions - targets)",
    )
    assert found["params"]["properties"]["k"]["default"] == 2.0


@pytest.mark.usefixtures("gap")
def test_a_name_misspelt_finds_it() -> None:
    with pytest.raises(LossNotFound, match="my_gap"):
        answer("my_gapp")


@pytest.mark.usefixtures("gap")
def test_its_states_are_those_of_the_expression() -> None:
    named, plain = state("my_gap"), state({"expression": GAP["expression"]}, k=2)
    assert named == plain
    take_expressions({})
    assert merge([named]).value == 9.25


def test_a_name_that_means_another_expression_now_does_not_mix() -> None:
    states = []
    for text in ("abs(predictions - targets)", "square(predictions - targets)"):
        take_expressions({"my_gap": {"expression": text}})
        states.append(state("my_gap"))
    take_expressions({})
    with pytest.raises(StateMismatch):
        merge(states)


@pytest.mark.parametrize(
    ("name", "told", "field"),
    [
        pytest.param("huber", GAP, "expressions.huber", id="a loss"),
        pytest.param("mse", GAP, "expressions.mse", id="an alias"),
        pytest.param("torch.nn.MSELoss", GAP, "expressions.torch.nn.MSELoss", id="a symbol"),
        pytest.param("MyGap", GAP, "expressions.MyGap", id="no snake case"),
        pytest.param("my gap", GAP, "expressions.my gap", id="a blank"),
        pytest.param("", GAP, "expressions.", id="no name"),
        pytest.param("gap", {"expression": "x["}, "expressions.gap.expression", id="wrong"),
        pytest.param("gap", {**GAP, "params": {}}, None, id="an input in place of a parameter"),
        pytest.param("gap", {**GAP, "params": {"q": 1}}, "expressions.gap.params.q", id="unused"),
        pytest.param("gap", {**GAP, "params": {"k": "1"}}, "expressions.gap.params.k", id="text"),
        pytest.param(
            "gap", {**GAP, "params": {"k": float("nan")}}, "expressions.gap.params.k", id="NaN"
        ),
        pytest.param("gap", {"expresion": "x"}, "expressions.gap.expresion", id="a field"),
        pytest.param("gap", 5, "expressions.gap", id="a number"),
    ],
)
def test_a_bad_expression_of_the_settings_is_refused(
    name: str, told: Any, field: str | None
) -> None:
    before = dict(OWN)
    try:
        take_expressions({name: told})
        found = None
    except LossmeterError as error:
        found = error.field
    finally:
        OWN.replace("settings", before)
    assert found == field


def test_text_alone_is_told_what_to_be() -> None:
    with pytest.raises(LossmeterError, match=r'it is written {"expression": ...}'):
        take_expressions({"gap": "x - y"})


def test_an_expression_of_any_name_is_exported() -> None:
    take_expressions({"expression": GAP})
    try:
        assert export("expression") != export("expression", params={"k": 3})
    finally:
        take_expressions({})


class Watching(NumpyBackend):
    """Notes how many entries it is given at a time."""

    entries: ClassVar[list[int]] = []

    def run(
        self,
        program: Program,
        operands: Mapping[str, Array],
        extras: Mapping[str, Array],
        shared: frozenset[str],
    ) -> Array:
        self.entries.append(len(operands["x"]))
        return super().run(program, operands, extras, shared)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("sum(square(x), axis=-1)", BLOCK // 100),
        (
            "max(expand_dims(x, axis=-1) * expand_dims(x, axis=-2), axis=(-1, -2))",
            BLOCK // 100**2,
        ),
    ],
)
def test_blocks_are_cut_by_the_widest_step(text: str, most: int) -> None:
    Watching.entries.clear()
    spec = read_evaluate({"loss": {"expression": text}})
    engine_on(Watching()).evaluate(spec, Tensors({"x": np.ones((1000, 100))}))
    assert (max(Watching.entries), sum(Watching.entries)) == (most, 1000)


def test_the_settings_read_them_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSMETER_EXPRESSIONS", json.dumps({"my_gap": GAP}))
    assert Settings().expressions == {"my_gap": GAP}
