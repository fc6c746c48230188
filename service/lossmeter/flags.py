"""The flags that commands share, and those of the service's settings."""

from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from lossmeter.plan.request import ExportSpec
from lossmeter.printing import Format
from lossmeter.settings import Settings


def setting(name: str) -> Any:
    """What a setting of the service is said to be."""
    return Settings.model_fields[name].description


def form(name: str) -> Any:
    """What a field of an export is said to be."""
    return ExportSpec.model_fields[name].description


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command with a flag for each setting but secrets, which other processes could see."""
    fields = Settings.model_fields.items()
    flags = [_flag(name, field) for name, field in fields if field.annotation is not SecretStr]
    command.__signature__ = Signature(flags)  # type: ignore[attr-defined]  # what typer reads
    return command


def _flag(name: str, field: FieldInfo) -> Parameter:
    # A setting that is an object is given as JSON.
    kind: Any = str if field.default_factory else field.annotation
    shown = str(field.default) if field.default and not field.default_factory else False
    option = typer.Option(help=field.description, show_default=shown)
    return Parameter(
        name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="table or json; a table on a terminal, JSON in a pipe."),
]
ReductionOption = Annotated[
    str | None, typer.Option(help='A name, or JSON such as {"name": "quantile", "q": 0.9}.')
]
StateOption = Annotated[Path | None, typer.Option(help="Write the mergeable state to this file.")]
LossOption = Annotated[str | None, typer.Option(help="Canonical name or framework symbol.")]
ExpressionOption = Annotated[
    str | None,
    typer.Option(help="In place of a loss: mean(square(predictions - targets), axis=-1), say."),
]
PredictionsOption = Annotated[
    str, typer.Option(help="Column; P0,P1 for a last axis of two, P, for one of one.")
]
TargetsOption = Annotated[str, typer.Option(help="Column or columns.")]
WeightOption = Annotated[str | None, typer.Option(help="Column.")]
MaskOption = Annotated[str | None, typer.Option(help="Column; true keeps.")]
InputOption = Annotated[
    list[str] | None, typer.Option("--input", help="Another input, as variance=COL.")
]
ByOption = Annotated[str | None, typer.Option(help="Column of groups to answer for apart.")]
ParamsOption = Annotated[str, typer.Option(help="Parameters as JSON.")]
FolderOption = Annotated[str | None, typer.Option("--losses", help=setting("losses"))]
BackendOption = Annotated[Literal["numpy", "onnx"] | None, typer.Option(help=setting("backend"))]
DeviceOption = Annotated[
    Literal["cpu", "cuda", "auto"] | None, typer.Option(help=setting("device"))
]
