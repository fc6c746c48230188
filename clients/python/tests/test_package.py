"""The package apart from the service, and its four clients beside each other."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lossmeter_client
from lossmeter_client.async_methods import AsyncMethods
from lossmeter_client.methods import Methods

PACKAGE = Path(lossmeter_client.__file__).parent
METHODS = (
    *("evaluate", "evaluate_stream", "evaluate_file", "explain", "merge_states"),
    *("list_losses", "get_loss", "export"),
)


def imported(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text()))
    names = {
        name
        for node in tree
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py*")), ids=lambda path: path.name)
def test_no_module_imports_the_service(path: Path) -> None:
    if path.suffix in (".py", ".pyi"):
        assert "lossmeter" not in imported(path)


def test_importing_it_loads_no_service_and_no_pyarrow() -> None:
    code = "import sys, lossmeter_client; print(*sys.modules, sep=chr(10))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"lossmeter", "pyarrow", "pandas"} & set(told.stdout.split())


@pytest.mark.parametrize("first", ["lossmeter", "lossmeter_client"])
def test_both_packages_are_imported_by_one_process(first: str) -> None:
    second = {"lossmeter": "lossmeter_client", "lossmeter_client": "lossmeter"}[first]
    code = f"import {first}.v1.loss_service_pb2_grpc, {second}.v1.loss_service_pb2_grpc"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_the_same_whether_awaited_or_not(name: str) -> None:
    one, other = (inspect.signature(getattr(kind, name)) for kind in (Methods, AsyncMethods))
    assert one.parameters.keys() == other.parameters.keys()
    assert inspect.iscoroutinefunction(getattr(AsyncMethods, name))


def test_the_dependencies_can_run_the_generated_code() -> None:
    project = (PACKAGE.parents[1] / "pyproject.toml").read_text()
    messages = (PACKAGE / "v1/loss_service_pb2.py").read_text()
    stubs = (PACKAGE / "v1/loss_service_pb2_grpc.py").read_text()
    protobuf = re.findall(r"Protobuf Python Version: ([\d.]+)", messages)
    grpcio = re.findall(r"GRPC_GENERATED_VERSION = '([\d.]+)'", stubs)
    assert f'"protobuf>={protobuf[0]}"' in project
    assert f'"grpcio>={grpcio[0]}"' in project
