"""What the README says, done; and the example beside it."""

import subprocess
import sys
from pathlib import Path

import pytest

from clients.python.tests.asking import target
from tests.integration.servers import Service
from tests.integration.test_docs import ROOT, blocks, here, run_session

PACKAGE = ROOT / "clients/python"


def test_the_readme_does_what_it_says(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    document = PACKAGE / "README.md"
    told = [text for language, text in blocks(document) if language == "python"]
    run_session(here("\n".join(told), service), document)


def test_the_readme_has_code_by_line_6() -> None:
    head = (PACKAGE / "README.md").read_text().splitlines()[:6]
    assert any(line.startswith(">>> ") for line in head)


@pytest.mark.parametrize("name", ["digits.csv", "digits.parquet"])
def test_the_example_prints_its_table(service: Service, name: str) -> None:
    example, data = PACKAGE / "examples/digits.py", ROOT / "demo" / name
    command = [sys.executable, str(example), str(data), "--target", target(service)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path("/"))
    rows = [line.split("  ")[0].strip() for line in told.stdout.splitlines()]
    assert rows[0] == "log loss"
    assert "log loss                 0.203314249018531   719 samples" in told.stdout
