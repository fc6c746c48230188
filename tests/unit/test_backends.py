"""The backends: chosen by name and device, graphs made once, memory flat, blocks side by side."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import cast

import ndonnx as ndx
import numpy as np
import onnxruntime as ort
import pytest

from lossmeter import evaluate
from lossmeter.app.answer import Answer
from lossmeter.app.backend import Backends
from lossmeter.backends import onnx, runtime, tracing
from lossmeter.backends.graphs.folder import Folder
from lossmeter.backends.graphs.graph import GraphBackend
from lossmeter.backends.graphs.sandbox import Limits
from lossmeter.backends.numpy import NumpyBackend
from lossmeter.backends.onnx import DEVICES, OnnxBackend, Session, Sessions
from lossmeter.core.arrays import Array
from lossmeter.core.declare import REGISTRY, Example, Loss
from lossmeter.core.program import Program
from lossmeter.errors import BackendUnsupported
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import Tensors
from lossmeter.settings import Settings
from lossmeter.transports.serve import serve
from tests.golden.cases import Case, of_frameworks
from tests.unit.engines import engine_on

MIB = 2**20
NOTHING: frozenset[str] = frozenset()
EXAMPLES = [
    pytest.param(loss, example, id=f"{loss.name} of example {at}")
    for loss in REGISTRY.values()
    for at, example in enumerate(loss.examples, start=1)
]
RNG = np.random.default_rng(7)


def has_cuda() -> bool:
    """Whether a GPU can be used here."""
    try:
        OnnxBackend("cuda")
    except BackendUnsupported:
        return False
    return True


needs_cuda = pytest.mark.skipif(not has_cuda(), reason="no CUDA GPU can be used here")


@pytest.mark.parametrize(("loss", "example"), EXAMPLES)
def test_an_example_holds_on_a_graph(loss: Loss, example: Example) -> None:
    answer = evaluate(
        loss.name,
        example.inputs,
        params=example.params,
        reduction="none",
        options={"backend": "onnx"},
    )
    assert isinstance(answer, Answer)
    assert (answer.backend, answer.device) == ("onnx", "cpu")
    values = np.asarray(answer.value).tolist()
    assert values == pytest.approx(example.expected, rel=1e-14, abs=0.0)


def test_a_condition_turned_round_and_read_twice_is_a_graph() -> None:
    # ONNX Runtime takes the Not away for the sake of the Where, and fails to load what is left.
    loss = {"expression": "where(~(x < 1), 1, 2)"}
    assert evaluate(loss, x=[0.0, 3.0], options={"backend": "onnx"})["value"] == 1.5


def test_an_expression_makes_no_graph_without_end() -> None:
    loss = {"expression": "+".join(["tanh(" * 50 + "x" + ")" * 50] * 8)}
    assert evaluate(loss, x=[0.0])["value"] == 0.0
    with pytest.raises(BackendUnsupported, match="too large; the numpy backend") as refused:
        evaluate(loss, x=[0.0], options={"backend": "onnx"})
    assert refused.value.field == "options.backend"


@pytest.mark.parametrize(
    ("service", "asked", "words"),
    [
        pytest.param({}, {"name": "abacus"}, "numpy, onnx", id="no such backend"),
        pytest.param({}, {"device": "cuda"}, "runs on cpu", id="NumPy on a GPU"),
        pytest.param({"device": "cuda"}, {}, "runs on cpu", id="a service of NumPy on a GPU"),
        pytest.param({}, {"name": "onnx", "device": "tpu"}, "cuda or cpu", id="no such device"),
    ],
)
def test_a_backend_that_is_not_here_is_refused(
    service: Mapping[str, str], asked: Mapping[str, str], words: str
) -> None:
    with pytest.raises(BackendUnsupported, match=words):
        Backends(**service).of(asked.get("name"), asked.get("device"))


@pytest.mark.skipif(has_cuda(), reason="a CUDA GPU is here")
def test_a_gpu_that_is_not_here_is_refused_and_auto_takes_the_cpu() -> None:
    with pytest.raises(BackendUnsupported, match="CUDA"):
        Backends().of("onnx", "cuda")
    assert Backends().of("onnx", "auto").device == "cpu"
    assert Backends("onnx", "auto").of(None, None).device == "cpu"


@pytest.mark.parametrize(
    "need",
    [
        pytest.param(lambda _: Backends().of("onnx", None), id="a backend"),
        pytest.param(lambda folder: Folder(str(folder), Limits()), id="a folder of graphs"),
        pytest.param(lambda folder: serve(Settings(losses=str(folder))), id="a service of them"),
    ],
)
def test_without_the_runtime_it_is_said_what_to_install(
    need: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runtime, "DISTRIBUTIONS", ("no such distribution",))
    with pytest.raises(BackendUnsupported, match=r"lossmeter\[cpu\]"):
        need(tmp_path)


def test_the_runtime_of_gpus_goes_by_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(name: str) -> str:
        if name == "onnxruntime-gpu":
            return "1.2.3"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(runtime, "version", told)
    assert GraphBackend().profile.startswith("onnx-1.2.3/")


def test_a_service_on_another_device_still_has_numpy() -> None:
    backends = Backends("onnx", "cpu")
    assert backends.of("numpy", None).name == "numpy"
    assert backends.of(None, None) is backends.of("onnx", "cpu")


class Counted:
    """Counts the graphs that are traced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.traced = 0
        trace = tracing.trace

        def counted(*given: object) -> object:
            self.traced += 1
            return trace(*given)  # type: ignore[arg-type]  # as it came

        monkeypatch.setattr(onnx, "trace", counted)


def pair(rows: int, dtype: type[np.floating] = np.float64) -> dict[str, Array]:
    """Predictions and targets of a loss of probabilities."""
    return {name: RNG.random(rows).astype(dtype) for name in ("predictions", "targets")}


def test_a_session_is_made_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, backend = Counted(monkeypatch), OnnxBackend()
    program, batch = Program(REGISTRY["log_cosh"]), pair(100)
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda _: backend.run(program, batch, {}, NOTHING).tobytes(), range(32))
    assert len(set(found)) == 1
    for rows in (0, 1, 5, 16, 4000):
        assert backend.run(program, pair(rows), {}, NOTHING).shape == (rows,)
    assert counted.traced == 1
    backend.run(program, pair(3, np.float32), {}, NOTHING)
    backend.run(Program(REGISTRY["log_cosh"], temperature=2.0), pair(3), {}, NOTHING)
    assert counted.traced == 3


def test_the_session_least_lately_used_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, sessions = Counted(monkeypatch), Sessions(DEVICES["cpu"], "cpu", most=2)

    def ask(delta: float) -> Session:
        shape = (np.dtype(np.float64), ("n",))
        program = Program(REGISTRY["huber"], (("delta", delta),))
        return sessions.of(program, {"predictions": shape, "targets": shape}, {})

    first = ask(1.0)
    ask(2.0)
    assert ask(1.0) is first
    ask(3.0)
    assert ask(1.0) is first
    assert counted.traced == 3
    ask(2.0)
    assert counted.traced == 4


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_requests_of_changing_shapes_leave_memory_flat() -> None:
    backend = OnnxBackend()
    names = ("squared_error", "log_cosh", "binary_cross_entropy", "softmax_cross_entropy")

    def ask(many: int) -> None:
        for at in range(many):
            rows = int(RNG.integers(1, 32_768))
            name = names[at % len(names)]
            batch = pair(rows)
            if name.startswith("softmax"):
                batch = {k: x[: rows - rows % 8].reshape(-1, 8) for k, x in batch.items()}
            backend.run(Program(REGISTRY[name]), batch, {}, NOTHING)

    ask(400)
    before = resident()
    ask(2000)
    assert resident() - before < 24 * MIB


def test_extended_optimisation_is_off_as_it_computes_in_float32() -> None:
    """What `_options` guards against; if this fails, the guard may go."""
    x, y = RNG.normal(size=(5, 2)), np.array([0, 0, 1, 1, 2])
    signature = {
        "predictions": (x.dtype, ("n", 2)),
        "targets": (np.dtype(np.int64), ("n",)),
    }
    program = Program(REGISTRY["ntxent"])
    model = tracing.trace(program, signature, {}, tracing.by_product).SerializeToString()
    loose = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (fused,) = loose.run(None, {"predictions": x, "targets": y})
    ours = OnnxBackend().run(program, {"predictions": x, "targets": y}, {}, NOTHING)
    exact = NumpyBackend().run(program, {"predictions": x, "targets": y}, {}, NOTHING)
    assert abs(ours / exact - 1.0) < 1e-14 < abs(fused / exact - 1.0)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 33, 130])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_halves_add_up_to_the_sum(size: int, dtype: type[np.floating]) -> None:
    x = ndx.argument(shape=("n", size), dtype=ndx.from_numpy_dtype(np.dtype(dtype)))
    model = ndx.build({"x": x}, {"y": tracing.by_halves(x)}).SerializeToString()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    rows = RNG.normal(size=(40, size)).astype(dtype)
    (found,) = session.run(None, {"x": rows})
    near = np.finfo(dtype).eps * np.abs(rows).sum(axis=1) * 8
    assert (np.abs(found - rows.sum(axis=1, dtype=np.float64)) <= near).all()
    alone = [session.run(None, {"x": rows[at : at + 1]})[0] for at in range(len(rows))]
    assert np.concatenate(alone).tobytes() == found.tobytes()


class Slow(NumpyBackend):
    """NumPy, several blocks at a time, with a look at how many."""

    block = 64
    ahead = 2

    def __init__(self) -> None:
        super().__init__()
        self.most = self._now = 0
        self._lock = threading.Lock()
        self._together = threading.Barrier(2)

    def run(
        self,
        program: Program,
        operands: Mapping[str, Array],
        extras: Mapping[str, Array],
        shared: frozenset[str],
    ) -> Array:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._together.wait(timeout=10.0)
        with np.errstate(all="ignore"):
            values = super().run(program, operands, extras, shared)
        with self._lock:
            self._now -= 1
        return values


def test_blocks_computed_ahead_have_the_same_bits() -> None:
    arrays = {**pair(640), "mask": RNG.random(640) < 0.9, "sample_weight": RNG.random(640)}
    for reduction in ("mean", "none", "max", "quantile"):
        body = {"name": reduction, "q": 0.3} if reduction == "quantile" else reduction
        spec = EvaluateSpec.model_validate({"loss": "binary_cross_entropy", "reduction": body})
        slow = Slow()
        answers = [
            cast(Answer, engine_on(backend).evaluate(spec, Tensors(arrays)))
            for backend in (slow, NumpyBackend())
        ]
        assert slow.most == 2
        values = [np.asarray(answer.value).tobytes() for answer in answers]
        assert values[0] == values[1]
        assert answers[0].index == answers[1].index


@needs_cuda
def test_the_frameworks_numbers_on_a_gpu() -> None:
    wrong = [
        (symbol, case.id)
        for symbol, cases in of_frameworks().items()
        for case in cases
        if not case.accepts(_on_the_gpu(case))
    ]
    assert wrong == []


def _on_the_gpu(case: Case) -> Array:
    answer = evaluate({**case.request, "options": {"backend": "onnx", "device": "cuda"}})
    assert isinstance(answer, Answer) and answer.device == "cuda"
    found = list(answer.value.values()) if isinstance(answer.value, Mapping) else answer.value
    return np.asarray(found, np.float64)


@needs_cuda
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "binary_cross_entropy", "log_cosh"])
def test_a_row_has_the_same_bits_on_a_gpu_wherever_it_lies(name: str) -> None:
    backend, program = OnnxBackend("cuda"), Program(REGISTRY[name])
    shape = (1000, 33) if name.startswith("softmax") else (1000,)
    batch = {k: RNG.random(shape) for k in ("predictions", "targets")}
    whole = backend.run(program, batch, {}, NOTHING)
    for start in (0, 1, 5, 333, 990):
        part = {k: x[start : start + 7] for k, x in batch.items()}
        found = backend.run(program, part, {}, NOTHING)
        assert found.tobytes() == whole[start : start + 7].tobytes()


def test_arrays_bound_to_a_device_give_the_same_bits() -> None:
    """How GPUs are fed, tried on the CPU."""
    shape = (np.dtype(np.float64), ("n",))
    program = Program(REGISTRY["log_cosh"])
    signature = {"predictions": shape, "targets": shape}
    model = tracing.trace(program, signature, {}, tracing.by_halves).SerializeToString()
    session, batch = Session(model, DEVICES["cpu"], "cpu"), pair(160)
    assert session.bound(batch).tobytes() == session.run(batch).tobytes()


PRODUCTS = """
import numpy as np
from hashlib import sha256
from lossmeter.backends.numpy import NUMPY
x = np.random.default_rng(1).normal(size=(500, 1000))
print(sha256(NUMPY.matmul(x, x.T).tobytes()).hexdigest())
"""


def test_the_bits_of_a_product_do_not_depend_on_the_cores() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", PRODUCTS],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(found) == 1
