"""The command line: serve, new-key, evaluate, explain, merge, losses, export."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.text import Text

from lossmeter.access.keys import new_key as made_key
from lossmeter.api import engine, losses_of
from lossmeter.app.answer import Answer, Answers
from lossmeter.app.engine import Engine
from lossmeter.app.explain import Explanation
from lossmeter.app.streaming import together
from lossmeter.catalog.descriptors import find_descriptor
from lossmeter.catalog.search import Query, find_descriptors
from lossmeter.errors import LossmeterError, MalformedRequest, ParameterInvalid
from lossmeter.files import evaluated, tables_of, with_progress
from lossmeter.flags import (
    BackendOption,
    ByOption,
    DeviceOption,
    ExpressionOption,
    FolderOption,
    FormatOption,
    InputOption,
    LossOption,
    MaskOption,
    ParamsOption,
    PredictionsOption,
    ReductionOption,
    StateOption,
    TargetsOption,
    WeightOption,
    form,
    with_settings,
)
from lossmeter.plan.own import take_expressions
from lossmeter.plan.plan import default_reduction, prepare
from lossmeter.plan.request import (
    EvaluateSpec,
    Expression,
    MergeSpec,
    read,
    read_evaluate,
)
from lossmeter.printing import (
    Format,
    format_of,
    print_answer,
    print_explanation,
    print_list,
    print_loss,
)
from lossmeter.settings import Settings
from lossmeter.wire.answers import explanation_body
from lossmeter.wire.json import json_of, read_export
from lossmeter.wire.states import read_state, state_bytes

app = typer.Typer(
    help="One loss, one number.", no_args_is_help=True, pretty_exceptions_enable=False
)
err = Console(stderr=True)


@app.callback()
def begin() -> None:
    """Take the losses that the settings declare, whatever is to be done."""
    with _mistakes_told():
        take_expressions(_settings({}).expressions)


@app.command()
@with_settings
def serve(**flags: Any) -> None:
    """Serve REST and gRPC until told to stop. Every flag is also a LOSSMETER_* variable."""
    from lossmeter.transports.serve import serve as run  # noqa: PLC0415 slow, needed here alone

    given = {name: value for name, value in flags.items() if value is not None}
    with _mistakes_told():
        if "expressions" in given:
            given["expressions"] = json_of(given["expressions"], "expressions")
        run(_settings(given))


@app.command()
def new_key(
    name: Annotated[str, typer.Argument(help="Of whoever is to have it.")],
    scopes: Annotated[str, typer.Option(help="Of evaluate, read and admin.")] = "evaluate read",
) -> None:
    """Make an API key: the key, for its holder, and the entry to list it by, which holds no key."""
    with _mistakes_told():
        made = orjson.dumps(made_key(name, scopes.split()), option=orjson.OPT_INDENT_2)
        sys.stdout.write(made.decode() + "\n")


def _settings(flags: dict[str, Any]) -> Settings:
    try:
        return Settings(**flags)
    except SettingsError:
        raise MalformedRequest("LOSSMETER_EXPRESSIONS is not JSON", field="expressions") from None
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        name = str(found["loc"][0])
        raise ParameterInvalid(found["msg"], field=name) from None


@app.command()
def evaluate(  # noqa: PLR0913, PLR0917 one option each, and typer passes them by name
    files: Annotated[list[Path], typer.Argument(help="Parquet, Arrow, CSV or npz.")],
    loss: LossOption = None,
    expression: ExpressionOption = None,
    predictions: PredictionsOption = "predictions",
    targets: TargetsOption = "targets",
    sample_weight: WeightOption = None,
    mask: MaskOption = None,
    other: InputOption = None,
    by: ByOption = None,
    reduction: ReductionOption = None,
    params: ParamsOption = "{}",
    state: StateOption = None,
    batch_id: Annotated[str | None, typer.Option(help="Name of the batch in the state.")] = None,
    backend: BackendOption = None,
    device: DeviceOption = None,
    folder: FolderOption = None,
    output: FormatOption = None,
) -> None:
    """Evaluate files of predictions in blocks, with the bits that the service gives."""
    with _mistakes_told(), _own(folder):
        asked = _loss(loss, expression)
        spec = _spec(asked, params, reduction, by, state is not None, batch_id)
        named = _named(predictions, targets, sample_weight, mask, by, other)
        tables = tables_of(named, spec, files)
        answer = evaluated(spec, tables, _engine(backend, device), err)
        _write_state(answer, state)
        print_answer(answer, output)


@app.command()
def explain(  # noqa: PLR0913, PLR0917 one option each, and typer passes them by name
    file: Annotated[Path, typer.Argument(help="Parquet, Arrow, CSV or npz.")],
    loss: LossOption = None,
    expression: ExpressionOption = None,
    predictions: PredictionsOption = "predictions",
    targets: TargetsOption = "targets",
    sample_weight: WeightOption = None,
    mask: MaskOption = None,
    other: InputOption = None,
    by: ByOption = None,
    reduction: ReductionOption = None,
    params: ParamsOption = "{}",
    backend: BackendOption = None,
    device: DeviceOption = None,
    folder: FolderOption = None,
    output: FormatOption = None,
) -> None:
    """Say step by step how a loss comes about, and what every other framework says."""
    with _mistakes_told(), _own(folder):
        spec = _spec(_loss(loss, expression), params, reduction, by, False, None)
        named = _named(predictions, targets, sample_weight, mask, by, other)
        tensors = together(list(with_progress(tables_of(named, spec, [file]), err)))
        explanation = _engine(backend, device).explain(spec, tensors)
        assert isinstance(explanation, Explanation)
        if format_of(output) is Format.JSON:
            sys.stdout.write(explanation_body(explanation).decode() + "\n")
        else:
            print_explanation(explanation)


@app.command()
def merge(  # noqa: PLR0917 one option each, and typer passes them by name
    states: Annotated[list[Path], typer.Argument(help="Files that evaluate --state wrote.")],
    reduction: ReductionOption = None,
    state: StateOption = None,
    any_profile: Annotated[
        bool, typer.Option(help="Merge states of different versions or machines.")
    ] = False,
    folder: FolderOption = None,
    output: FormatOption = None,
) -> None:
    """Finish states made apart, as if their batches had been one."""
    with _mistakes_told(), _own(folder):
        options = {"state": state is not None, "profiles": "any" if any_profile else "same"}
        spec = read(MergeSpec, {"reduction": _reduction(reduction), "options": options})
        answer = _engine().merge([read_state(path.read_bytes()) for path in states], spec)
        _write_state(answer, state)
        print_answer(answer, output)


@app.command()
def losses(
    name: Annotated[str | None, typer.Argument(help="Canonical name or symbol.")] = None,
    framework: Annotated[
        str, typer.Option(help="Only losses that a symbol of it stands for, as torch.")
    ] = "",
    search: Annotated[str, typer.Option(help="Only losses with all of these words.")] = "",
    folder: FolderOption = None,
    output: FormatOption = None,
) -> None:
    """List the losses, or describe one."""
    with _mistakes_told(), _own(folder):
        if name and (framework or search):
            raise MalformedRequest("give a name, or what to list by", field="name")
        query = read(Query, {"framework": framework, "search": search})
        found = find_descriptor(name) if name else {"losses": find_descriptors(query)}
        if format_of(output) is Format.JSON:
            sys.stdout.write(orjson.dumps(found).decode() + "\n")
        elif name:
            print_loss(found)
        else:
            print_list(found["losses"])


@app.command()
def export(  # noqa: PLR0913, PLR0917 one option each, and typer passes them by name
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the graph to this file.")],
    name: Annotated[str, typer.Argument(help="Canonical name or symbol.")] = "",
    expression: ExpressionOption = None,
    params: ParamsOption = "{}",
    reduction: ReductionOption = None,
    dtype: Annotated[str, typer.Option(help=form("dtype"))] = "float64",
    opset: Annotated[str, typer.Option(help=form("opset"))] = "17",
    ir_version: Annotated[str, typer.Option(help=form("ir_version"))] = "8",
    sizes: Annotated[str, typer.Option(help=form("sizes"))] = "{}",
    rank: Annotated[str | None, typer.Option(help=form("rank"))] = None,
    stands_for: Annotated[str | None, typer.Option(help=form("stands_for"))] = None,
) -> None:
    """Write a loss as an ONNX graph that runs elsewhere, weights, mask and reduction inside."""
    asked = {
        "params": params,
        "reduction": reduction,
        "dtype": dtype,
        "opset": opset,
        "ir_version": ir_version,
        "sizes": sizes,
        "rank": rank,
        "stands_for": stands_for,
        "expression": expression,
    }
    with _mistakes_told():
        spec = read_export({field: text for field, text in asked.items() if text is not None})
        from lossmeter.app.export.model import exported  # noqa: PLC0415 slow, needed here alone

        output.write_bytes(exported(name, spec))


def main() -> None:
    """Run the command line."""
    app()


@contextmanager
def _mistakes_told() -> Iterator[None]:
    """A caller's mistake as one line and an exit status, never a stack trace."""
    try:
        yield
    except LossmeterError as error:
        where = f" at {error.field}" if error.field else ""
        _tell(f"{error.detail} ({error.reason}{where})")
        raise typer.Exit(1) from None
    except OSError as error:
        _tell(f"{error.filename or 'cannot listen'}: {error.strerror}")
        raise typer.Exit(1) from None


@contextmanager
def _own(folder: str | None) -> Iterator[None]:
    """The losses of a folder, named by the flag or by its variable."""
    found = _settings({} if folder is None else {"losses": folder})
    with losses_of(found.losses, found.graph_seconds, found.graph_memory_bytes):
        yield


def _engine(backend: str | None = None, device: str | None = None) -> Engine:
    """What evaluates, as the flags say, or the variables of the service."""
    found = _settings({})
    return engine(backend or found.backend, device or found.device)


def _tell(mistake: str) -> None:
    # As Text, for a file's name may hold what rich takes for markup.
    err.print(Text.assemble(("error: ", "red"), mistake), soft_wrap=True)


def _loss(name: str | None, expression: str | None) -> str | Expression:
    if name is not None and expression is None:
        return name
    if expression is None or name is not None:
        raise MalformedRequest("give either --loss or --expression", field="loss")
    return Expression(expression=expression)


def _spec(  # noqa: PLR0917 as many as the command has
    loss: str | Expression,
    params: str,
    reduction: str | None,
    by: str | None,
    state: bool,
    batch_id: str | None,
) -> EvaluateSpec:
    asked, given = _reduction(reduction), json_of(params, "params")
    if by is not None:
        if asked is None:
            plan = prepare(loss, given, None)
            asked = default_reduction(plan.symbol, plan.candidates[0])
        asked = {**(asked if isinstance(asked, dict) else {"name": asked}), "by": by}
    options = {"state": state, **({"batch_id": batch_id} if batch_id else {})}
    return read_evaluate({"loss": loss, "params": given, "reduction": asked, "options": options})


def _reduction(text: str | None) -> str | dict[str, Any] | None:
    if text is None or not text.startswith("{"):
        return text
    found: dict[str, Any] = json_of(text, "reduction")
    return found


def _pair(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not equals:
        raise MalformedRequest("--input takes NAME=COLUMN", field="input")
    return name, column


def _named(  # noqa: PLR0917 as many as the commands have
    predictions: str,
    targets: str,
    sample_weight: str | None,
    mask: str | None,
    by: str | None,
    other: list[str] | None,
) -> dict[str, str]:
    """The columns that the flags name, by input."""
    named = {
        "predictions": predictions,
        "targets": targets,
        "sample_weight": sample_weight,
        "mask": mask,
        by or "": by,
        **dict(_pair(text) for text in other or []),
    }
    return {name: columns for name, columns in named.items() if columns}


def _write_state(answer: Answer | Answers, path: Path | None) -> None:
    if path is not None and isinstance(answer, Answer) and answer.state is not None:
        path.write_bytes(state_bytes(answer.state))
