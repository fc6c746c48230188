"""Graphs for tests, written as ONNX writes them."""

from pathlib import Path

import onnx
from onnx import parser

SQUARED = (
    "own (double[N] predictions, double[N] targets) => (double[N] loss)"
    " { error = Sub(predictions, targets) loss = Mul(error, error) }"
)
CUBIC = (
    "own (double[N] predictions, double[N] targets) => (double[N] loss)"
    " { error = Sub(predictions, targets) size = Abs(error) square = Mul(error, error)"
    " loss = Mul(square, size) }"
)


def graph(text: str, opset: int = 18) -> bytes:
    """A graph as a file holds it."""
    header = f'<ir_version: 8, opset_import: ["" : {opset}]>\n'
    made: onnx.ModelProto = parser.parse_model(header + text)
    return made.SerializeToString()


def slow(steps: int = 400) -> str:
    """A graph that takes as long as the cube of its greatest target; of small ones, no time."""
    chain = "".join(f" m{i + 1} = MatMul(m{i}, m0)" for i in range(steps))
    return (
        "own (double[N] predictions, double[N] targets) => (double[N] loss)"
        " { first = Constant<value = int64[1] {0}>() zero = Constant<value = double[1] {0.0}>()"
        " most = ReduceMax<keepdims = 0>(targets) size = Cast<to = 7>(most)"
        " side = Unsqueeze(size, first) sides = Concat<axis = 0>(side, side)"
        f" m0 = Expand(zero, sides){chain} nothing = ReduceSum<keepdims = 0>(m{steps})"
        " error = Sub(predictions, targets) loss = Add(error, nothing) }"
    )


def processes(parent: int) -> list[int]:
    """The processes of graphs that a process has."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            child = f"\nPPid:\t{parent}\n" in status.read_text()
            if child and b"graphs/child.py" in status.with_name("cmdline").read_bytes():
                found.append(int(status.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def put(folder: Path, name: str, text: str) -> None:
    """Lay a graph into a folder, whole at once."""
    beside = folder / f".{name}"
    beside.write_bytes(graph(text))
    beside.rename(folder / f"{name}.onnx")
