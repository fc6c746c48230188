"""What the documents say, done: every block runs, and prints what stands below it."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from lossmeter.core.reductions import RULES
from tests.integration.servers import Service
from tests.oracle.formulas import ORACLES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 60


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    text: str


def blocks(document: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(document.read_text())]


def here(text: str, service: Service) -> str:
    """The text, at the ports of the service that runs."""
    return text.replace("localhost:8080", f"localhost:{service.http_port}").replace(
        "localhost:8081", f"localhost:{service.grpc_port}"
    )


def shell(text: str, folder: Path) -> str:
    """What a script prints; make targets are looked up rather than run again."""
    script = re.sub(r"^make (\w+).*$", rf"make -C '{ROOT}' -n \1 > /dev/null", text, flags=re.M)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_document_does_what_it_says(document: Path, service: Service, tmp_path: Path) -> None:
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    printed, session = "", ""
    for language, text in blocks(document):
        if language == "sh":
            printed = shell(here(text, service), tmp_path)
        elif language in ("json", "text"):
            assert lines(printed) == lines(text)
        elif language not in ("math", "mermaid"):
            assert language == "python"
            session += here(text, service) + "\n"
    run_session(session, document)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def run_session(session: str, document: Path) -> None:
    """Run an interactive session and demand that it prints what it says."""
    test = doctest.DocTestParser().get_doctest(session, {}, document.name, str(document), 0)
    runner = doctest.DocTestRunner(verbose=False)
    told: list[str] = []
    runner.run(test, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the loss that CONTRIBUTING adds, as one file."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "service" / "lossmeter", folder / "lossmeter")
    declaration = next(b.text for b in blocks(ROOT / "CONTRIBUTING.md") if b.language == "python")
    (folder / "lossmeter" / "core" / "losses" / "robust.py").write_text(
        f'"""Losses that bound what an outlier counts."""\n\n{declaration}'
    )
    return folder


def in_copy(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_loss_of_contributing_does_what_it_says(extended: Path) -> None:
    session = [b.text for b in blocks(ROOT / "CONTRIBUTING.md") if b.language == "python"][1]
    (extended / "session.txt").write_text(session)
    assert "Test passed" in in_copy(extended, "-m", "doctest", "-v", "session.txt")


@pytest.mark.parametrize(
    ("where", "code"),
    [
        (
            "the catalogue",
            "from lossmeter.catalog.descriptors import find_descriptor as f;"
            "print(f('geman_mcclure'))",
        ),
        (
            "the list over gRPC",
            "from lossmeter.transports.grpc.servicer import LossService as S, pb;"
            "print(S(None).ListLosses(pb.ListLossesRequest(), None))",
        ),
        ("the command line", "from lossmeter.cli import app; app(['losses', 'geman_mcclure'])"),
    ],
    ids=lambda text: text if " " in text and "(" not in text else "",
)
def test_a_loss_added_as_one_function_is_in(where: str, code: str, extended: Path) -> None:
    assert "geman_mcclure" in in_copy(extended, "-c", code)


def test_its_examples_are_run_by_the_tests_there_are(extended: Path) -> None:
    told = in_copy(
        extended,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(ROOT),
        "-c",
        str(ROOT / "pyproject.toml"),
        "-o",
        "pythonpath=",
        "-k",
        "geman_mcclure",
        str(ROOT / "tests" / "unit" / "core" / "test_declared_examples.py"),
    )
    assert " passed" in told


def test_the_accuracy_document_has_the_bounds_that_are_tested() -> None:
    told = re.findall(r"^\| (\w+) \| (\d+) \|$", (ROOT / "docs/accuracy.md").read_text(), re.M)
    assert {name: int(ulp) for name, ulp in told} == {n: o.ulp for n, o in ORACLES.items()}


def test_the_guide_to_reductions_has_every_reduction() -> None:
    told = re.findall(r"^\| `(\w+)`", (ROOT / "docs/guides/reductions.md").read_text(), re.M)
    assert told == list(RULES)
