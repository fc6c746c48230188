"""The backends beside each other, and beside the frameworks that are installed.

    python -m benchmarks.backends          20 million rows and 32,000 classes
    python -m benchmarks.backends 1e8      more

torch and JAX have a column where they can be imported, GPUs where there is one. Every figure is
the median of interleaved rounds; the ratios are what carries to other machines.
"""

import importlib
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table

from lossmeter.api import evaluate
from lossmeter.app.backend import Backends
from lossmeter.backends.onnx import OnnxBackend
from lossmeter.core.arrays import Array
from lossmeter.core.declare import REGISTRY
from lossmeter.core.program import Program
from lossmeter.errors import BackendUnsupported

Arrays: TypeAlias = Mapping[str, Array]
Way: TypeAlias = Callable[[], object]
ROUNDS = 5
MANY = 20_000_000
CLASSES = 32_000
REQUESTS = 10_000
MILLISECONDS = 1000.0
MIB = 2**20
THREADS = 1


@dataclass(frozen=True, slots=True)
class Job:
    """A mean over one batch.

    Attributes:
        title: What it is called in the table.
        loss: The loss.
        arrays: Its inputs.
        torch: The function of torch that is the same.
        optax: The same in JAX's functions.
    """

    title: str
    loss: str
    arrays: Arrays
    torch: str
    optax: Callable[[Any, Any, Any], Any]


def jobs(numbers: int) -> list[Job]:
    """Binary cross-entropy of many rows, and cross-entropy of many classes."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(numbers, np.float32)
    labels = (rng.random(numbers, np.float32) < 0.5).astype(np.float32)
    rows = max(1, numbers // CLASSES // 10)
    logits = rng.standard_normal((rows, CLASSES), np.float32)
    return [
        Job(
            f"BCE with logits, {numbers:,} rows",
            "binary_cross_entropy_with_logits",
            {"predictions": scores, "targets": labels},
            "binary_cross_entropy_with_logits",
            lambda jnp, x, y: (jnp.maximum(x, 0) - x * y + jnp.log1p(jnp.exp(-jnp.abs(x)))).mean(),
        ),
        Job(
            f"softmax cross-entropy, {rows:,} × {CLASSES:,}",
            "sparse_softmax_cross_entropy",
            {"predictions": logits, "targets": rng.integers(0, CLASSES, rows)},
            "cross_entropy",
            lambda jnp, x, y: (
                jnp.log(jnp.exp(x - x.max(1, keepdims=True)).sum(1))
                + x.max(1)
                - jnp.take_along_axis(x, y[:, None], 1)[:, 0]
            ).mean(),
        ),
    ]


def ours(job: Job) -> dict[str, Way]:
    """The backends that are here."""
    ways: dict[str, Way] = {}
    for backend, device in (("numpy", "cpu"), ("onnx", "cpu"), ("onnx", "cuda")):
        try:
            Backends().of(backend, device)
        except BackendUnsupported:
            continue
        options = {"backend": backend, "device": device}
        ways[f"{backend} {device}"] = partial(evaluate, job.loss, job.arrays, options=options)
    return ways


def installed(name: str) -> Any:
    """A package, or nothing where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def theirs(job: Job) -> dict[str, Way]:
    """The frameworks that are here, on arrays that they hold already."""
    ways: dict[str, Way] = {}
    if torch := installed("torch"):
        torch.set_num_threads(THREADS)
        function = getattr(torch.nn.functional, job.torch)
        held = [torch.from_numpy(x) for x in job.arrays.values()]
        ways["torch cpu"] = lambda: function(*held).item()
        if torch.cuda.is_available():
            ways["to the GPU"] = lambda: _moved(torch, held)
            there = _moved(torch, held)
            ways["torch cuda"] = lambda: function(*there).item()
    if jax := installed("jax"):
        run = jax.jit(partial(job.optax, jax.numpy))
        arrays = [jax.numpy.asarray(x) for x in job.arrays.values()]
        ways["JAX"] = lambda: run(*arrays).block_until_ready()
    return ways


def _moved(torch: Any, held: list[Any]) -> list[Any]:
    """Arrays copied to the GPU, and all of them there."""
    there = [x.cuda() for x in held]
    torch.cuda.synchronize()
    return there


def timed(ways: Mapping[str, Way]) -> dict[str, float]:
    """Median seconds of each way, in interleaved rounds, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for counted in [False] + [True] * ROUNDS:
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if counted:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def measure_means(numbers: int) -> Table:
    """Every way of one mean, float32."""
    table = Table(title="float32, one mean, ms (× NumPy's time)")
    for job in jobs(numbers):
        taken = timed({**ours(job), **theirs(job)})
        if not table.columns:
            for heading in ("", *taken):
                table.add_column(heading)
        cells = [f"{t * MILLISECONDS:.1f} ({t / taken['numpy cpu']:.2f})" for t in taken.values()]
        table.add_row(job.title, *cells)
    return table


def measure_sessions() -> Table:
    """What the first request of a kind costs, and the next ones."""
    table = Table("loss", "first request", "the next", title="sessions, 1,000 rows, ms")
    rng = np.random.default_rng(0)
    for name in ("squared_error", "binary_cross_entropy_with_logits", "softmax_cross_entropy"):
        shape = (1000, 10) if name.startswith("softmax") else (1000,)
        batch = {key: rng.random(shape) for key in ("predictions", "targets")}
        backend, program = OnnxBackend(), Program(REGISTRY[name])
        run = partial(backend.run, program, batch, {}, frozenset())
        start = time.perf_counter()
        run()
        cold = time.perf_counter() - start
        warm = timed({"warm": run})["warm"]
        table.add_row(name, f"{cold * MILLISECONDS:.1f}", f"{warm * MILLISECONDS:.3f}")
    return table


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure_memory() -> Table:
    """Memory after requests of changing shapes."""
    table = Table("requests", "resident MiB", title="requests of 1 to 100,000 rows, changing")
    rng = np.random.default_rng(0)
    names = ("squared_error", "log_cosh", "binary_cross_entropy")
    for at in range(REQUESTS + 1):
        if at % (REQUESTS // 4) == 0:
            table.add_row(f"{at:,}", f"{resident() / MIB:.0f}")
        rows = int(rng.integers(1, 100_000))
        batch = {key: rng.random(rows) for key in ("predictions", "targets")}
        evaluate(names[at % len(names)], batch, options={"backend": "onnx"})
    return table


def hardware() -> str:
    """What this ran on."""
    found = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(": ")[2] for line in found.splitlines() if "model name" in line]
    torch = installed("torch")
    gpu = torch.cuda.get_device_name(0) if torch and torch.cuda.is_available() else "no GPU"
    return f"{models[0] if models else platform.machine()} × {len(models)}, {gpu}"


def main() -> None:
    """Print the tables."""
    numbers = int(float(sys.argv[1])) if sys.argv[1:] else MANY
    console = Console(width=120)
    console.print(f"{hardware()}; CPU one thread, JAX as many as it likes; {ROUNDS} rounds")
    console.print(measure_sessions())
    console.print(measure_memory())
    console.print(measure_means(numbers))


if __name__ == "__main__":
    main()
