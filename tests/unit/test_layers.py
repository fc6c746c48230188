"""Dependencies point inward: transports → app → plan, backends → core."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lossmeter

PACKAGE = Path(lossmeter.__file__).parent
# What each layer may import of the others.
INWARD = {
    "errors": set(),
    "core": {"errors"},
    "dialects": {"core", "errors"},
    "plan": {"dialects", "core", "errors"},
    "backends": {"core", "errors"},
    "catalog": {"plan", "dialects", "core", "errors"},
    "app": {"plan", "backends", "dialects", "core", "errors"},
    "wire": {"app", "plan", "core", "errors", "inference", "v1"},
    "api": {"wire", "app", "backends", "plan", "core", "errors"},
    "settings": set(),
    "access": {"settings", "errors"},
    "transports": {
        *("wire", "app", "plan", "catalog", "backends", "settings", "errors", "inference", "v1"),
        *("access", ""),
    },
    "printing": {"wire", "app"},
    "flags": {"printing", "plan", "settings"},
    "files": {"wire", "app", "plan", "core", "errors"},
    "cli": {
        "flags",
        "files",
        "printing",
        "api",
        "access",
        "transports",
        "wire",
        "app",
        "catalog",
        "plan",
        "settings",
        "errors",
    },
    "__main__": {"cli"},
    "": {"api"},
}
# Slow to import, and needed by graphs, or by tokens, alone.
HEAVY = {"ndonnx", "onnx", "onnxruntime", "spox", "cryptography", "jwt"}
# The mathematics stands on the standard library, NumPy and annotated_types alone.
OUTSIDE_CORE = {"numpy", "annotated_types"}


def layer(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if layer(p) not in ("inference", "v1")]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_inner_layers_alone(path: Path) -> None:
    ours = (name for name in imported(path) if name.split(".")[0] == "lossmeter")
    reached = {[*name.split("."), ""][1] for name in ours} - {layer(path)}
    assert reached <= INWARD[layer(path)]


@pytest.mark.parametrize("module", ["backends.onnx", "app.export.model"])
def test_the_runtime_is_told_to_send_nothing_before_anyone_imports_it(module: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", AT_IMPORT.format(module)],
        env={name: value for name, value in os.environ.items() if name != TELEMETRY},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(told.stdout.split()) == {"1"}


TELEMETRY = "ORT_DISABLE_TELEMETRY"
AT_IMPORT = """
import importlib.abc, os, sys

class Look(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Look())
import lossmeter.{}
"""


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda p: p.stem)
def test_the_core_needs_numpy_alone(path: Path) -> None:
    others = {name.split(".")[0] for name in imported(path)} - {"lossmeter"}
    assert others - OUTSIDE_CORE <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("module", ["cli", "transports.serve"])
def test_what_makes_graphs_is_imported_when_one_is_asked_for(module: str) -> None:
    code = f"import sys, lossmeter.{module}; print(*sys.modules, sep=chr(10))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(told.stdout.split())
