"""A folder of graphs in process: what becomes a loss, what it does, and what is refused."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossmeter import evaluate, explain, export, merge
from lossmeter.api import engine
from lossmeter.app.answer import Answer
from lossmeter.app.explain import Explanation
from lossmeter.backends.graphs import folder as folders
from lossmeter.backends.graphs import graph as graphs
from lossmeter.backends.graphs import sandbox
from lossmeter.backends.graphs.folder import MOST_BYTES, Folder
from lossmeter.backends.graphs.sandbox import Confined, Limits
from lossmeter.core.own import OWN
from lossmeter.errors import LossmeterError
from lossmeter.plan.own import take_expressions
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import Tensors
from tests.graphs import CUBIC, SQUARED, graph, processes, slow

MIB = 2**20
LIMITS = Limits(seconds=2.0, memory=512 * MIB)
PAIR = {"predictions": [1.0, 5.0], "targets": [0.0, 2.0]}
ROWS = (
    "own (double[N, C] predictions, double[N, C] targets) => (double[N] loss)"
    " { error = Sub(predictions, targets) square = Mul(error, error)"
    " last = Constant<value = int64[1] {-1}>() loss = ReduceSum<keepdims = 0>(square, last) }"
)
Open = Callable[..., Folder]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the folder of the test, with these graphs by name."""
    folders = []

    def open_with(limits: Limits = LIMITS, **texts: str) -> Folder:
        for name, text in texts.items():
            put(tmp_path, name, graph(text))
        folders.append(Folder(str(tmp_path), limits))
        return folders[-1]

    yield open_with
    for folder in folders:
        folder.close()


def put(path: Path, name: str, content: bytes) -> None:
    (path / f"{name}.onnx").write_bytes(content)


def value(loss: str, **inputs: Any) -> Any:
    return ask(loss, **inputs).value


def ask(loss: str, **inputs: Any) -> Answer:
    answer = evaluate(loss, **inputs)
    assert isinstance(answer, Answer)
    return answer


def refused(loss: str, **inputs: Any) -> LossmeterError:
    with pytest.raises(LossmeterError) as told:
        evaluate(loss, **inputs)
    return told.value


def test_a_graph_is_a_loss_by_the_name_of_its_file(opened: Open) -> None:
    opened(cubic=CUBIC)
    answer = ask("cubic", **PAIR, sample_weight=[1.0, 2.0], mask=[True, True])
    assert (answer.value, answer.backend, answer.dtype) == (27.5, "onnx", "float64")
    assert value("cubic", predictions=[[2.0, 9.0], [1.0, 9.0]], targets=[[0.0, 9.0]] * 2) == 2.25
    assert value("cubic", **PAIR, mask=[True, False]) == 1.0
    assert value("cubic", **PAIR, reduction={"name": "sum", "by": "g"}, g=["a", "b"]) == {
        "a": 1.0,
        "b": 27.0,
    }


def test_an_exported_graph_is_a_loss_of_the_folder(opened: Open, tmp_path: Path) -> None:
    put(tmp_path, "own", export("huber", params={"delta": 0.5}, reduction="none"))
    opened()
    answer = ask("own", **PAIR, sample_weight=[1.0, 2.0])
    assert answer.value == value("huber", **PAIR, sample_weight=[1.0, 2.0], params={"delta": 0.5})


def test_what_an_exported_graph_leaves_out_is_no_number(opened: Open, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"params": {"ignore_index": 1}}
    symbol = "torch.nn.CrossEntropyLoss"
    put(tmp_path, "own", export(symbol, reduction="none", sizes={"C": 2}, **asked))
    opened()
    given = {"predictions": [[1.0, 3.0], [2.0, 0.5], [0.0, 9.0]], "targets": [1, 0, 0]}
    assert np.isnan(value("own", **given))
    omitted = value("own", **given, options={"nonfinite": "omit"})
    assert omitted == pytest.approx(value(symbol, **given, **asked), rel=1e-15)


def test_few_rows_and_none_are_taken(opened: Open) -> None:
    opened(cubic=CUBIC, rows=ROWS)
    assert value("cubic", predictions=3.0, targets=1.0) == 8.0
    assert value("rows", predictions=[3.0, 1.0], targets=[1.0, 1.0]) == 4.0
    for loss in ("cubic", "rows"):
        assert value(loss, predictions=[], targets=[], reduction="sum") == 0.0
        assert refused(loss, predictions=[], targets=[]).reason == "EMPTY_REDUCTION"


def test_the_settings_keep_the_names_they_gave(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    take_expressions({"own": {"expression": "abs(predictions - targets)"}})
    try:
        opened(own=SQUARED)
        assert value("own", **PAIR) == 2.0
        assert "loss own is refused: it has the name of a loss of the settings" in caplog.text
    finally:
        take_expressions({})


def test_a_folder_takes_so_much_together(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_TOGETHER", len(graph(CUBIC)) + 1)
    opened(one=CUBIC, two=CUBIC)
    assert set(OWN) == {"one"}


def test_a_mask_takes_away_what_a_graph_would_see(opened: Open) -> None:
    opened(cubic=CUBIC)
    assert value("cubic", predictions=[1.0, np.nan], targets=[0.0, 0.0], mask=[1, 0]) == 1.0


def test_an_explanation_says_what_a_graph_gave(opened: Open) -> None:
    opened(cubic=CUBIC)
    explained = explain("cubic", PAIR)
    assert isinstance(explained, Explanation)
    assert "the formula gives 2 values, from 1 to 27" in [step.says for step in explained.steps]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [1, 3, 5, 16, 33])
def test_a_row_has_the_same_bits_wherever_it_stands(opened: Open, dtype: str, classes: int) -> None:
    opened(rows=ROWS.replace("double", {"float32": "float", "float64": "double"}[dtype]))
    draw = np.random.default_rng(0)
    inputs = {name: draw.normal(size=(500, classes)) for name in ("predictions", "targets")}
    whole = ask("rows", **inputs, reduction="none")
    assert whole.dtype == dtype
    alone = [
        value("rows", **{name: x[at : at + 1] for name, x in inputs.items()}) for at in range(500)
    ]
    assert np.asarray(whole.value).tolist() == alone


def test_a_value_that_depends_on_other_samples_is_refused(opened: Open, caplog: Any) -> None:
    opened(
        centred="own (double[N] predictions) => (double[N] loss)"
        " { mean = ReduceMean<keepdims = 1>(predictions) loss = Sub(predictions, mean) }"
    )
    assert "centred" not in OWN
    assert "another value among other samples" in caplog.text


def test_sizes_that_a_graph_fixes_and_names_are_demanded(opened: Open) -> None:
    opened(
        boxed="own (double[N, 2, C] predictions, double[N, C] targets) => (double[N] loss)"
        " { axes = Constant<value = int64[2] {1, 2}>() loss = ReduceMax<keepdims = 0>"
        "(predictions, axes) }"
    )
    good = {"predictions": np.ones((3, 2, 4)), "targets": np.ones((3, 4))}
    assert value("boxed", **good) == 1.0
    for wrong in ({"predictions": np.ones((3, 3, 4))}, {"targets": np.ones((3, 5))}):
        assert refused("boxed", **(good | wrong)).reason == "SHAPE_MISMATCH"


def test_whole_numbers_and_booleans_are_demanded(opened: Open) -> None:
    opened(
        picked="own (double[N] predictions, int32[N] targets, bool[N] seen) => (double[N] loss)"
        " { at = Cast<to = 11>(targets) error = Sub(predictions, at) zero = Sub(at, at)"
        " loss = Where(seen, error, zero) }"
    )
    good = {"predictions": [5.0, 5.0], "targets": [1.0, 2], "seen": [True, False]}
    assert value("picked", **good, reduction="sum") == 4.0
    for wrong in ({"targets": [0.5, 1]}, {"targets": [2**31, 1]}, {"seen": [2, 0]}):
        assert refused("picked", **(good | wrong)).reason == "OUT_OF_DOMAIN"


def test_another_backend_cannot_be_asked(opened: Open) -> None:
    opened(cubic=CUBIC)
    error = refused("cubic", **PAIR, options={"backend": "numpy"})
    assert (error.reason, error.field) == ("BACKEND_UNSUPPORTED", "options.backend")
    assert value("cubic", **PAIR, options={"backend": "onnx", "device": "cpu"}) == 14.0


def test_a_graph_that_fails_says_so_and_nothing_else(opened: Open) -> None:
    opened(
        chosen="own (double[N, C] predictions, int64[N] targets) => (double[N] loss)"
        " { one = Constant<value = int64[1] {1}>() at = Unsqueeze(targets, one)"
        " found = GatherElements<axis = 1>(predictions, at) loss = Squeeze(found, one) }"
    )
    inputs = {"predictions": [[1.0, 2.0]], "targets": [1234567]}
    error = refused("chosen", **inputs)
    assert (error.reason, error.field) == ("BACKEND_UNSUPPORTED", "loss")
    assert "1234567" not in error.detail
    assert value("chosen", **(inputs | {"targets": [1]})) == 2.0


def test_a_graph_that_hangs_ends_at_its_limit(opened: Open) -> None:
    opened(slow=slow())
    error = refused("slow", predictions=[0.0], targets=[1500.0])
    assert error.detail == "the graph of this loss ran past its limit of 2 seconds"
    assert value("slow", predictions=[3.0], targets=[2.0]) == 1.0


def test_a_graph_that_wants_ten_gigabytes_gets_none(opened: Open) -> None:
    opened(slow=slow())
    error = refused("slow", predictions=[0.0], targets=[36_000.0])
    assert error.detail == "the graph of this loss needs more than its limit of 512 MiB of memory"
    assert value("slow", predictions=[3.0], targets=[2.0]) == 1.0


TOO_MUCH = (
    "own (double[N] predictions) => (double[N] loss)"
    " { shape = Constant<value = int64[1] {1250000000}>()"
    " many = ConstantOfShape<value = double[1] {1.0}>(shape)"
    " sum = ReduceSum<keepdims = 0>(many) loss = Add(predictions, sum) }"
)


def no_symlink(path: Path) -> None:
    (path / "outside").write_bytes(graph(CUBIC))
    (path / "own.onnx").symlink_to(path / "outside")


# What lies in the folder under the name of a loss, and what the log says of it.
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "random bytes": (lambda path: put(path, "own", b"\x00" * 100), "loss own is refused"),
    "a name of the catalogue": (
        lambda path: put(path, "huber", graph(CUBIC)),
        "loss huber is refused: it has the name of a loss of the catalogue",
    ),
    "a name that is none": (
        lambda path: put(path, "Own\nloss", graph(CUBIC)),
        "loss Own loss is refused: it has a name",
    ),
    "a symlink": (no_symlink, "loss own is refused: it cannot be opened"),
    "a folder": (lambda path: (path / "own.onnx").mkdir(), "it is no regular file"),
    "a pipe": (lambda path: os.mkfifo(path / "own.onnx"), "it is no regular file"),
    "too large a file": (
        lambda path: put(path, "own", bytes(MOST_BYTES + 1)),
        f"it has more than {MOST_BYTES} bytes",
    ),
    "a constant of 10 GB": (
        lambda path: put(path, "own", graph(TOO_MUCH)),
        "it needs more than its limit of 512 MiB of memory",
    ),
    "samples of 10^12 numbers": (
        lambda path: put(
            path,
            "own",
            graph(
                "own (double[N, 1000000, 1000000] predictions) => (double[N] loss)"
                " { axes = Constant<value = int64[2] {1, 2}>()"
                " loss = ReduceMax<keepdims = 0>(predictions, axes) }"
            ),
        ),
        "samples of more than",
    ),
    "what the runtime lacks": (
        lambda path: put(
            path,
            "own",
            graph("own (double[N] predictions) => (double[N] loss) { loss = Erf(predictions) }"),
        ),
        "it cannot be loaded by ONNX Runtime: [ONNXRuntimeError] : 9 : NOT_IMPLEMENTED",
    ),
    "another number of values": (
        lambda path: put(
            path,
            "own",
            graph(
                "own (double[N] predictions) => (double[M] loss)"
                " { loss = Concat<axis = 0>(predictions, predictions) }"
            ),
        ),
        "gave values of another shape than one per sample",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_told_of_and_disturbs_no_other(
    what: str, opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lay, said = BAD[what]
    lay(tmp_path)
    opened(cubic=CUBIC)
    assert set(OWN) == {"cubic"}
    assert value("cubic", **PAIR) == 14.0
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1 and said in told[0]
    assert str(tmp_path) not in caplog.text


def test_a_file_that_is_replaced_takes_effect(opened: Open, tmp_path: Path) -> None:
    folder = opened(own=SQUARED)
    before = value("own", **PAIR)
    put(tmp_path, "own", graph(CUBIC))
    folder.read()
    assert (before, value("own", **PAIR)) == (5.0, 14.0)


def test_a_file_replaced_by_a_bad_one_stays_what_it_was(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = opened(own=SQUARED)
    put(tmp_path, "own", b"no graph")
    folder.read()
    folder.read()
    assert value("own", **PAIR) == 5.0
    assert caplog.text.count("own is refused: it is no ONNX model; the one before stays") == 1
    put(tmp_path, "own", graph(CUBIC))
    folder.read()
    assert value("own", **PAIR) == 14.0


def test_a_file_that_is_removed_takes_its_loss_away(opened: Open, tmp_path: Path) -> None:
    folder = opened(own=SQUARED, cubic=CUBIC)
    (tmp_path / "own.onnx").unlink()
    folder.read()
    assert set(OWN) == {"cubic"}
    assert refused("own", **PAIR).reason == "LOSS_NOT_FOUND"


def test_a_folder_that_cannot_be_read_keeps_its_losses(opened: Open, tmp_path: Path) -> None:
    folder = opened(own=SQUARED)
    tmp_path.rename(tmp_path.with_name("moved"))
    with pytest.raises(FileNotFoundError):
        folder.read()
    assert value("own", **PAIR) == 5.0


def test_an_evaluation_in_progress_keeps_its_graph(opened: Open, tmp_path: Path) -> None:
    folder = opened(own=SQUARED)
    session = engine().open(EvaluateSpec(loss="own", reduction="sum"), streaming=True)
    rows = Tensors({name: np.asarray(x) for name, x in PAIR.items()})
    session.add(rows)
    put(tmp_path, "own", graph(CUBIC))
    folder.read()
    session.add(rows)
    assert session.finish().value == 20.0  # type: ignore[union-attr]  # one loss was asked


def test_states_of_two_versions_never_mix(opened: Open, tmp_path: Path) -> None:
    folder = opened(own=SQUARED)
    states = [ask("own", **PAIR, options={"state": True, "batch_id": x}).state for x in "ab"]
    put(tmp_path, "own", graph(CUBIC))
    folder.read()
    other = ask("own", **PAIR, options={"state": True, "batch_id": "c"}).state
    assert other is not None
    one, two = (state for state in states if state is not None)
    assert merge([one, two], reduction="sum").value == 20.0
    with pytest.raises(LossmeterError, match="differ in params"):
        merge([one, other])


def test_processes_are_limited_in_number(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MOST_PROCESSES", 2)
    opened(**{f"own{i}": SQUARED.replace("own", f"g{i}") for i in range(4)})
    for _ in range(2):
        assert [value(f"own{i}", **PAIR) for i in range(4)] == [5.0] * 4
        assert len(processes(os.getpid())) == 2


def test_no_process_is_there_beyond_those_in_use(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "MOST_PROCESSES", 1)
    opened(cubic=CUBIC, slow=slow())
    hanging = threading.Thread(
        target=refused, args=("slow",), kwargs={"predictions": [0.0], "targets": [1500.0]}
    )
    assert value("slow", predictions=[3.0], targets=[2.0]) == 1.0
    hanging.start()
    time.sleep(0.5)
    assert refused("cubic", **PAIR).reason == "OVERLOADED"
    hanging.join()
    assert value("cubic", **PAIR) == 14.0


def test_a_fault_between_question_and_answer_mixes_no_answers(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(cubic=CUBIC)
    with monkeypatch.context() as broken:
        broken.setattr(Confined, "receive", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            value("cubic", **PAIR)
    assert value("cubic", predictions=[2.0, 2.0], targets=[0.0, 0.0]) == 8.0


def test_no_process_is_left(opened: Open) -> None:
    folder = opened(own=SQUARED)
    assert len(processes(os.getpid())) == 1
    folder.close()
    assert len(processes(os.getpid())) == 0
    assert "own" not in OWN


def test_those_who_ask_for_one_that_hangs_wait_no_longer_than_the_first_of_them(
    opened: Open,
) -> None:
    opened(Limits(seconds=5.0, memory=512 * MIB), slow=slow())
    stuck = {"predictions": [0.0], "targets": [1600.0]}
    hanging = threading.Thread(target=refused, args=("slow",), kwargs=stuck)
    hanging.start()
    time.sleep(graphs.WAIT_SECONDS + 0.5)
    began = time.monotonic()
    assert refused("slow", **stuck).reason == "OVERLOADED"
    assert time.monotonic() - began < 1.0
    hanging.join()
