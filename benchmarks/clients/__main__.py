"""Every client beside its language's bare gRPC: python -m benchmarks.clients [LANGUAGE ...].

Each language prints the same figures of itself: the median seconds of an 84 MB batch and the median
milliseconds of a small one, through the client and, as bytes that nothing is done with, through
bare gRPC to an echo.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
from rich.console import Console
from rich.table import Table

from benchmarks.peers.hardware import hardware
from benchmarks.peers.report import as_markdown
from tests.integration.servers import HOST, free_ports, serving

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/clients.json"
BATCH_MB = 84.0
READY_SECONDS = 20.0
ROUNDS = 3
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "go": ("go", "run", "./bench"),
    "typescript": ("npm", "run", "--silent", "bench"),
    "java": ("./bench.sh",),
    "rust": ("cargo", "run", "--release", "--locked", "--quiet", "--example", "bench"),
    "python": (sys.executable, "bench.py"),
}
Figures = Mapping[str, float]


@contextmanager
def echoing() -> Iterator[str]:
    """An echo service; where it listens."""
    port, _ = free_ports()
    words = (sys.executable, "-m", "benchmarks.clients.echo", str(port))
    with subprocess.Popen(words, cwd=ROOT) as process:
        try:
            with grpc.insecure_channel(f"{HOST}:{port}") as channel:
                grpc.channel_ready_future(channel).result(READY_SECONDS)
            yield f"{HOST}:{port}"
        finally:
            process.terminate()


def measured(language: str, environment: Mapping[str, str]) -> dict[str, float]:
    """What a language's command prints: its last line, as JSON."""
    done = subprocess.run(
        COMMANDS[language],
        cwd=ROOT / "clients" / language,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def medians(rounds: Sequence[Figures]) -> dict[str, float]:
    names = [name for name in rounds[0] if name != "client"]
    return {name: statistics.median(one[name] for one in rounds) for name in names}


def table(results: Mapping[str, Figures]) -> Table:
    """The figures with their ratios."""
    made = Table()
    made.add_column("client")
    for heading in ("84 MB: MB/s", "bare: MB/s", "×", "32 rows: ms", "bare: ms", "×"):
        made.add_column(heading, justify="right")
    for language, found in results.items():
        large, bare = found["large_seconds"], found["echo_large_seconds"]
        small, echo = found["small_ms"], found["echo_small_ms"]
        made.add_row(
            language,
            *(f"{BATCH_MB / large:.0f}", f"{BATCH_MB / bare:.0f}", f"{large / bare:.2f}"),
            *(f"{small:.2f}", f"{echo:.2f}", f"{small / echo:.2f}"),
        )
    return made


def main(languages: Sequence[str]) -> None:
    """Measure in interleaved rounds, print the table and, of all languages, write the results."""
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in languages or COMMANDS}
    with TemporaryDirectory() as folder, echoing() as echo:
        with serving(Path(folder) / "log") as service:
            told = {"LOSSMETER_GRPC": f"{HOST}:{service.grpc_port}", "LOSSMETER_ECHO": echo}
            for _ in range(ROUNDS):
                for language, found in rounds.items():
                    found.append(measured(language, told))
    results = {language: medians(found) for language, found in rounds.items()}
    made = table(results)
    Console(width=100).print(made)
    print(as_markdown(made))
    if not languages:
        kept = {"hardware": hardware(), "rounds": ROUNDS, "clients": results}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
