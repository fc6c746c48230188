"""The command line: the bits of the service, from files, and mistakes told in a line."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from traceback import format_exception
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from lossmeter.cli import app
from lossmeter.core.declare import REGISTRY
from tests.integration.columns import columns
from tests.integration.commands import WRITERS, evaluated, said, split_columns, write_parquet
from tests.integration.forms import Array
from tests.integration.replies import of_json
from tests.integration.servers import LOSSMETER, Service
from tests.integration.wires import in_process, merged_in_process, over_rest

ROWS = 1004
MARKED = ["--sample-weight", "sample_weight", "--mask", "mask"]
LOSS, SPARSE = "log_cosh", "sparse_softmax_cross_entropy"
BY = {"name": "mean", "by": "country"}


class Ran(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str


def run(*words: object) -> Ran:
    """The real command, as another process."""
    done = subprocess.run(
        [LOSSMETER, *map(str, words)], capture_output=True, text=True, timeout=60.0, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def run_here(*words: object) -> Ran:
    """The same in this process, which is sooner done."""
    result = CliRunner().invoke(app, [*map(str, words)])
    strange = result.exception is not None and not isinstance(result.exception, SystemExit)
    traceback = format_exception(result.exception) if strange else []
    return Ran(result.exit_code, result.stdout, result.stderr + "".join(traceback))


def given(loss: str, dtype: str = "float64") -> dict[str, Array]:
    """Columns, without NaN: a CSV could not tell it from an empty field."""
    made = columns(loss, dtype, ROWS)
    return {name: np.nan_to_num(x) if x.dtype.kind == "f" else x for name, x in made.items()}


def request(loss: str, inputs: Mapping[str, Array], reduction: Any = "mean") -> dict[str, Any]:
    return {"loss": loss, "reduction": reduction, "inputs": inputs}


def without(inputs: Mapping[str, Array], *names: str) -> dict[str, Array]:
    return {name: x for name, x in inputs.items() if name not in names}


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "max", "median", "none", "std"])
def test_a_file_gives_the_bits_of_the_service(
    service: Service, tmp_path: Path, suffix: str, reduction: str
) -> None:
    inputs = without(given(LOSS), "country")
    file = tmp_path / f"rows{suffix}"
    WRITERS[suffix](file, inputs)
    asked = request(LOSS, inputs, reduction)
    assert evaluated([file], asked).bits == over_rest(service, asked).bits


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("reduction", ["mean", "max", "macro_mean"])
def test_groups_of_a_file(service: Service, tmp_path: Path, suffix: str, reduction: str) -> None:
    inputs, file = given(LOSS), tmp_path / f"rows{suffix}"
    WRITERS[suffix](file, inputs)
    asked = request(LOSS, inputs, {"name": reduction, "by": "country"})
    assert evaluated([file], asked).bits == over_rest(service, asked).bits


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".npz"])
def test_float32_of_a_file(service: Service, tmp_path: Path, suffix: str) -> None:
    inputs, file = without(given(LOSS, "float32"), "country"), tmp_path / f"rows{suffix}"
    WRITERS[suffix](file, inputs)
    reply = evaluated([file], request(LOSS, inputs))
    assert (reply.bits, reply.fields["dtype"]) == (
        over_rest(service, request(LOSS, inputs)).bits,
        "float32",
    )


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows", ".npz"])
def test_a_list_column_is_an_axis(service: Service, tmp_path: Path, suffix: str) -> None:
    inputs, file = without(given(SPARSE), "country"), tmp_path / f"rows{suffix}"
    WRITERS[suffix](file, inputs)
    asked = request(SPARSE, inputs)
    assert evaluated([file], asked).bits == over_rest(service, asked).bits


@pytest.mark.parametrize("suffix", WRITERS)
def test_columns_are_an_axis(service: Service, tmp_path: Path, suffix: str) -> None:
    inputs, file = without(given(SPARSE), "country"), tmp_path / f"rows{suffix}"
    WRITERS[suffix](file, split_columns(inputs))
    asked = request(SPARSE, inputs)
    names = ["--predictions", "p0,p1,p2,p3,p4"]
    assert evaluated([file], asked, *names).bits == over_rest(service, asked).bits


def test_one_column_and_a_comma_are_an_axis_of_one(service: Service, tmp_path: Path) -> None:
    file, x = tmp_path / "rows.npz", np.linspace(0.5, 2.0, 9)
    WRITERS[".npz"](file, {"predictions": x, "targets": x * x})
    asked = request("keras.losses.MeanSquaredError", {"predictions": x, "targets": x * x})
    columns = ["--predictions", "predictions,", "--targets", "targets,"]
    reply = evaluated([file], asked, *columns)
    matrix = {"predictions": x[:, None], "targets": (x * x)[:, None]}
    assert reply.bits == over_rest(service, request(asked["loss"], matrix)).bits
    assert reply.fields["count"] == len(x)


def test_a_parameter_chooses_the_reduction_of_groups_too(tmp_path: Path) -> None:
    file, labels = tmp_path / "rows.npz", np.array([0, 1, 1, 0])
    groups = np.array(["a", "a", "b", "b"])
    WRITERS[".npz"](file, {"predictions": labels, "targets": 1 - labels, "g": groups})
    flags = ["--loss", "sklearn.metrics.zero_one_loss", "--params", '{"normalize": false}']
    assert said("evaluate", str(file), *flags, "--by", "g").value == {"a": 2.0, "b": 2.0}


def test_columns_have_the_names_they_are_given(service: Service, tmp_path: Path) -> None:
    inputs, file = without(given(LOSS), "country"), tmp_path / "rows.parquet"
    write_parquet(file, {f"my_{name}": x for name, x in inputs.items()})
    flags = [x for name in inputs for x in (f"--{name.replace('_', '-')}", f"my_{name}")]
    reply = said("evaluate", str(file), "--loss", LOSS, *flags)
    assert reply.bits == over_rest(service, request(LOSS, inputs)).bits


def test_another_input_is_named(service: Service, tmp_path: Path) -> None:
    x = np.linspace(0.5, 2.0, 9)
    inputs, file = {"predictions": x, "targets": x * x, "variance": x}, tmp_path / "rows.parquet"
    write_parquet(file, {**without(inputs, "variance"), "var": x})
    reply = said("evaluate", str(file), "--loss", "gaussian_nll", "--input", "variance=var")
    assert reply.bits == over_rest(service, request("gaussian_nll", inputs)).bits


@pytest.mark.parametrize("suffixes", [(".parquet", ".arrow"), (".csv", ".npz", ".parquet")])
@pytest.mark.parametrize("reduction", ["mean", "max", "median", "none"])
def test_files_are_read_one_after_another(
    service: Service, tmp_path: Path, suffixes: Sequence[str], reduction: str
) -> None:
    inputs, files = without(given(LOSS), "country"), []
    for at, suffix in enumerate(suffixes):
        files.append(tmp_path / f"{at}{suffix}")
        WRITERS[suffix](files[-1], {name: x[at :: len(suffixes)] for name, x in inputs.items()})
    asked = request(LOSS, joined(inputs, len(suffixes)), reduction)
    assert evaluated(files, asked).bits == over_rest(service, asked).bits


def joined(inputs: Mapping[str, Array], files: int) -> dict[str, Array]:
    """The rows in the order in which the files hold them."""
    return {
        name: np.concatenate([x[at::files] for at in range(files)]) for name, x in inputs.items()
    }


def test_states_of_files_are_merged(service: Service, tmp_path: Path) -> None:
    inputs, states = without(given(LOSS), "country"), []
    for at in range(3):
        file, state = tmp_path / f"{at}.parquet", tmp_path / f"{at}.state"
        write_parquet(file, {name: x[at::3] for name, x in inputs.items()})
        evaluated([file], request(LOSS, inputs), "--state", str(state), "--batch-id", str(at))
        states.append(state)
    whole = over_rest(service, request(LOSS, inputs, "std"))
    assert said("merge", *map(str, states), "--reduction", "std").bits == whole.bits


def test_a_state_of_a_file_is_the_state_of_the_service(service: Service, tmp_path: Path) -> None:
    inputs, file, state = given(LOSS), tmp_path / "rows.parquet", tmp_path / "rows.state"
    write_parquet(file, inputs)
    asked = request(LOSS, inputs, BY) | {"options": {"state": True, "batch_id": "a"}}
    evaluated([file], asked, "--state", str(state), "--batch-id", "a")
    assert state.read_bytes() == over_rest(service, asked).state


def test_the_command_itself(service: Service, tmp_path: Path) -> None:
    inputs, file, state = without(given(LOSS), "country"), tmp_path / "a.parquet", tmp_path / "a"
    write_parquet(file, inputs)
    first = run("evaluate", file, "--loss", LOSS, *MARKED, "--state", state)
    second = run("merge", state, "--reduction", "rms")
    bits = [of_json(json.loads(ran.out)).bits for ran in (first, second)]
    assert bits == [over_rest(service, request(LOSS, inputs, x)).bits for x in ("mean", "rms")]
    assert (first.status, first.err, second.status, second.err) == (0, "", 0, "")


def test_the_variables_say_what_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.csv").write_text("predictions,targets\n1,2\n")
    words = ("evaluate", tmp_path / "rows.csv", "--loss", "huber")
    monkeypatch.setenv("LOSSMETER_BACKEND", "onnx")
    assert '"backend":"onnx"' in run_here(*words).out
    monkeypatch.setenv("LOSSMETER_BACKEND", "numpy")
    monkeypatch.setenv("LOSSMETER_DEVICE", "cuda")
    assert "the numpy backend runs on cpu" in run_here(*words).err


def test_a_table_shows_the_value(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("predictions,targets\n1.5,1\n5,2\n")
    ran = run("evaluate", file, "--loss", "huber", "--format", "table")
    assert (ran.status, "1.3125" in ran.out, ran.err) == (0, True, "")


@pytest.mark.parametrize("words", [[], ["huber"], ["mse"], ["torch.nn.CrossEntropyLoss"]])
@pytest.mark.parametrize("form", ["table", "json"])
def test_the_losses_are_told(words: list[str], form: str) -> None:
    ran = run_here("losses", *words, "--format", form)
    told = {"huber": "delta", "mse": "squared_error"}.get("".join(words), "squared_error")
    assert (ran.status, ran.err) == (0, "")
    assert (told if words != ["torch.nn.CrossEntropyLoss"] else "cross_entropy") in ran.out


def test_every_loss_is_listed() -> None:
    listed = json.loads(run_here("losses", "--format", "json").out)["losses"]
    assert [one["name"] for one in listed] == sorted(REGISTRY)


def csv(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text)

    return write


def lists(*rows: object) -> Callable[[Path], None]:
    """A Parquet file whose predictions are lists."""
    made = pa.table({"predictions": rows, "targets": [1.0] * len(rows)})
    return lambda path: pyarrow.parquet.write_table(made, path)


def times(path: Path) -> None:
    stamps = pa.array([1, 2], pa.timestamp("s"))
    pyarrow.parquet.write_table(pa.table({"predictions": stamps, "targets": [1.0, 2.0]}), path)


def cut_short(path: Path) -> None:
    np.savez(path, predictions=np.zeros(1000), targets=np.zeros(1000))
    path.write_bytes(path.read_bytes()[:9000])


GOOD = csv("predictions,targets,country\n1.5,1,de\n5,2,fr\n")
HUBER = ["--loss", "huber"]
MISTAKES: Mapping[str, tuple[str, Callable[[Path], None], list[str], tuple[str, ...]]] = {
    "no file": ("a.csv", lambda path: None, HUBER, ("a.csv",)),
    "a folder": ("a.csv", lambda path: path.mkdir(), HUBER, ()),
    "no file of an odd name": ("[/b]a.csv", lambda path: None, HUBER, ("[/b]a.csv",)),
    "an npz of objects": (
        "a.npz",
        lambda path: np.savez(path, predictions=np.array([{}, 1], object), targets=[1.0, 2.0]),
        HUBER,
        ("MALFORMED_REQUEST",),
    ),
    "an npz cut short": ("a.npz", cut_short, HUBER, ("MALFORMED_REQUEST",)),
    "a suffix of no kind": ("a.txt", GOOD, HUBER, ("UNSUPPORTED_MEDIA", ".parquet")),
    "no Parquet": ("a.parquet", GOOD, HUBER, ("MALFORMED_REQUEST",)),
    "no Arrow": ("a.arrow", GOOD, HUBER, ("MALFORMED_REQUEST",)),
    "no npz": ("a.npz", GOOD, HUBER, ("MALFORMED_REQUEST",)),
    "an empty Parquet": ("a.parquet", csv(""), HUBER, ("MALFORMED_REQUEST",)),
    "an empty npz": ("a.npz", csv(""), HUBER, ("MALFORMED_REQUEST",)),
    "an empty CSV": ("a.csv", csv(""), HUBER, ("MALFORMED_REQUEST",)),
    "a CSV without rows": ("a.csv", csv("predictions,targets\n"), HUBER, ("EMPTY_REDUCTION",)),
    "a CSV of ragged rows": (
        "a.csv",
        csv("predictions,targets\n1,2\n3\n"),
        HUBER,
        ("MALFORMED_REQUEST",),
    ),
    "a CSV of words": (
        "a.csv",
        csv("predictions,targets\nhunter2,2\n"),
        HUBER,
        ("DTYPE_UNSUPPORTED",),
    ),
    "a CSV with a word late": (
        "a.csv",
        csv("predictions,targets\n" + "1,2\n" * 400_000 + "hunter2,2\n"),
        HUBER,
        ("MALFORMED_REQUEST",),
    ),
    "no targets": ("a.csv", csv("predictions\n1\n"), HUBER, ("MISSING_INPUT", "targets")),
    "a column that is not there": (
        "a.csv",
        GOOD,
        [*HUBER, "--mask", "sure"],
        ("MISSING_INPUT", "sure"),
    ),
    "groups that are not there": (
        "a.csv",
        GOOD,
        [*HUBER, "--by", "town"],
        ("MISSING_INPUT", "town"),
    ),
    "a mask of words": ("a.csv", GOOD, [*HUBER, "--mask", "country"], ("DTYPE_UNSUPPORTED",)),
    "ragged lists": (
        "a.parquet",
        lists([1.0, 2.0], [3.0]),
        ["--loss", SPARSE],
        ("SHAPE_MISMATCH",),
    ),
    "lists as long by chance": (
        "a.parquet",
        lists([1.0], [3.0, 2.0, 3.0]),
        ["--loss", SPARSE],
        ("SHAPE_MISMATCH",),
    ),
    "a list that is null": (
        "a.parquet",
        lists([1.0], None),
        ["--loss", SPARSE],
        ("SHAPE_MISMATCH",),
    ),
    "times": ("a.parquet", times, HUBER, ("DTYPE_UNSUPPORTED",)),
    "a loss that is not there": ("a.csv", GOOD, ["--loss", "hubber"], ("LOSS_NOT_FOUND", "huber")),
    "a reduction that is not there": (
        "a.csv",
        GOOD,
        [*HUBER, "--reduction", "meen"],
        ("UNKNOWN_REDUCTION", "mean"),
    ),
    "a reduction that is no JSON": (
        "a.csv",
        GOOD,
        [*HUBER, "--reduction", "{"],
        ("MALFORMED_REQUEST",),
    ),
    "a quantile without q": (
        "a.csv",
        GOOD,
        [*HUBER, "--reduction", "quantile"],
        ("PARAMETER_INVALID",),
    ),
    "params that are no JSON": (
        "a.csv",
        GOOD,
        [*HUBER, "--params", "delta=1"],
        ("MALFORMED_REQUEST",),
    ),
    "params that are a list": ("a.csv", GOOD, [*HUBER, "--params", "[1]"], ("MALFORMED_REQUEST",)),
    "a bad parameter": (
        "a.csv",
        GOOD,
        [*HUBER, "--params", '{"delta":-1}'],
        ("PARAMETER_INVALID",),
    ),
    "an input without a column": (
        "a.csv",
        GOOD,
        [*HUBER, "--input", "variance"],
        ("MALFORMED_REQUEST",),
    ),
    "an input that it lacks": (
        "a.csv",
        GOOD,
        [*HUBER, "--input", "anchor=targets"],
        ("UNKNOWN_INPUT",),
    ),
    "a state that cannot be written": (
        "a.csv",
        GOOD,
        [*HUBER, "--state", "/nowhere/a.state"],
        ("/nowhere/a.state",),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_a_line(tmp_path: Path, mistake: tuple[Any, ...]) -> None:
    name, write, flags, words = mistake
    write(tmp_path / name)
    ran = run_here("evaluate", tmp_path / name, *flags)
    assert (ran.status, ran.out, len(ran.err.splitlines())) == (1, "", 1)
    assert [word for word in (*words, "error") if word not in ran.err] == []
    assert "hunter2" not in ran.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["merge", "{state}", "{state}"], "DUPLICATE_BATCH", id="a state twice"),
        pytest.param(["merge", "{state}", "{other}"], "STATE_MISMATCH", id="other states"),
        pytest.param(["merge", "{state}", "{csv}"], "MALFORMED_REQUEST", id="no state"),
        pytest.param(["merge", "{state}", "/nowhere"], "/nowhere", id="no file"),
        pytest.param(["merge", "{state}", "--reduction", "none"], "NOT_MERGEABLE", id="no sum"),
        pytest.param(["losses", "hubber"], "huber", id="a loss misspelt"),
    ],
)
def test_another_mistake_is_told_in_a_line(tmp_path: Path, words: list[str], told: str) -> None:
    files = {name: str(tmp_path / f"a.{name}") for name in ("state", "other", "csv")}
    GOOD(Path(files["csv"]))
    for loss, name in (("huber", "state"), ("mse", "other")):
        run_here("evaluate", files["csv"], "--loss", loss, "--state", files[name])
    ran = run(*(word.format(**files) for word in words))
    assert (ran.status, ran.out, len(ran.err.splitlines())) == (1, "", 1)
    assert told in ran.err


def test_what_is_in_the_file_but_not_asked_for_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("predictions,targets,note\n1.5,1,hunter2\n5,2,\n")
    assert said("evaluate", str(file), "--loss", "huber").bits == (1.3125).hex()


def test_nulls_are_nan_and_a_mask_hides_them(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    made = pa.table({"predictions": [1.5, None], "targets": [1.0, 2.0], "keep": [True, False]})
    pyarrow.parquet.write_table(made, file)
    found = [said("evaluate", str(file), "--loss", "huber", *x) for x in ([], ["--mask", "keep"])]
    assert [reply.bits for reply in found] == ["nan", (0.125).hex()]


def test_a_state_of_the_command_merges_with_one_of_the_package(tmp_path: Path) -> None:
    inputs, file, state = without(given(LOSS), "country"), tmp_path / "a.parquet", tmp_path / "a"
    write_parquet(file, {name: x[:500] for name, x in inputs.items()})
    evaluated([file], request(LOSS, inputs), "--state", str(state))
    rest = request(LOSS, {name: x[500:] for name, x in inputs.items()})
    states = [state.read_bytes(), in_process(None, rest | {"options": {"state": True}}).state]
    found = merged_in_process(None, states, {"reduction": "mean"})
    assert found.bits == in_process(None, request(LOSS, inputs)).bits
