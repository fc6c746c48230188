"""Run the suites of the clients against one service: python -m tests.clients [LANGUAGE ...]."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from lossmeter_client import Client
from tests.clients.conformance import cases_of
from tests.integration.servers import HOST, LOSSMETER, Service, serving

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
STATES = ROOT / "tests/golden/states/vectors.json"
NPM_CI = ("npm", "ci", "--no-audit", "--no-fund")
DASHBOARD = "typescript/examples/dashboard"
# What a language's tests are run with, and where.
SUITES: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "go": (("go", ("go", "test", "./...")),),
    "typescript": (
        ("typescript", NPM_CI),
        ("typescript", ("npm", "test")),
        (DASHBOARD, NPM_CI),
        (DASHBOARD, ("npm", "test")),
    ),
    "java": (("java", ("mvn", "-q", "-B", "verify")),),
    "rust": (("rust", ("cargo", "test", "--locked", "--quiet")),),
    "python": (("..", (sys.executable, "-m", "pytest", "-q", "clients/python/tests")),),
}
# Compilers take both cores already.
AT_ONCE = 2
SHOWN_LINES = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a suite ended.

    Attributes:
        language: Whose it is.
        passed: Whether all its tests did.
        told: What it printed.
        seconds: How long it took.
    """

    language: str
    passed: bool
    told: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.language:12}{'passed' if self.passed else 'FAILED'}{self.seconds:8.0f} s"


def run(language: str, environment: Mapping[str, str]) -> Outcome:
    """Run the suite of a language to its end."""
    started, told = time.monotonic(), ""
    for folder, words in SUITES[language]:
        if shutil.which(words[0]) is None:
            return Outcome(language, False, f"{words[0]} is not installed", 0.0)
        done = subprocess.run(
            words,
            cwd=CLIENTS / folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        told += done.stdout
        if done.returncode:
            break
    return Outcome(language, not done.returncode, told, time.monotonic() - started)


def prepared(service: Service, folder: Path) -> dict[str, str]:
    """What the suites are told of the service and of the cases."""
    cases = folder / "conformance.json"
    with Client(f"{HOST}:{service.grpc_port}") as client:
        cases.write_bytes(orjson.dumps(cases_of(client)))
    return {
        "LOSSMETER_GRPC": f"{HOST}:{service.grpc_port}",
        "LOSSMETER_HTTP": f"http://{HOST}:{service.http_port}",
        "LOSSMETER_COMMAND": LOSSMETER,
        "LOSSMETER_CONFORMANCE": str(cases),
        "LOSSMETER_STATES": str(STATES),
    }


def outcomes(languages: Iterable[str], environment: Mapping[str, str]) -> list[Outcome]:
    """How each suite ended, told as soon as it has."""
    found = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(lambda language: run(language, environment), languages):
            print(outcome, flush=True)
            found.append(outcome)
    return found


def main(languages: Iterable[str]) -> int:
    """Run the suites of these languages, or of all; how many failed."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder / "log") as service:
            found = outcomes(list(languages) or list(SUITES), prepared(service, folder))
    failed = [outcome for outcome in found if not outcome.passed]
    for outcome in failed:
        print(f"\n==> {outcome.language}", *outcome.told.splitlines()[-SHOWN_LINES:], sep="\n")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
