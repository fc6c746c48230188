"""A picture of the graph that a loss is traced to."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from lossmeter.backends.tracing import Signature, trace
from lossmeter.core.declare import Guard, Loss, PerSample
from lossmeter.core.program import Program
from lossmeter.errors import BackendUnsupported

# More are no picture but a wall.
MOST_NODES = 40
# Constants that a label can hold: a number, or a few.
MOST_NUMBERS = 4
FLOAT, INT = np.dtype(np.float64), np.dtype(np.int64)
THROUGH = ("Identity",)
OVER_AXES = ("ReduceMax", "ReduceSum", "Squeeze", "Unsqueeze", "CumSum")


def picture(loss: Loss) -> str:
    """The graph of a loss with its defaults, as a flowchart; nothing where it is too large."""
    try:
        graph = _traced(loss)
    except BackendUnsupported:
        return ""
    lines = list(_chart(graph))
    nodes = sum("[" in line and "([" not in line for line in lines)
    if nodes > MOST_NODES:
        return ""
    chart = "\n".join(f"    {line}" for line in lines)
    return (
        f"<details>\n<summary>{nodes} operators of ONNX, traced with the defaults</summary>\n\n"
        f"```mermaid\nflowchart TD\n{chart}\n```\n\n</details>"
    )


def _traced(loss: Loss) -> onnx.GraphProto:
    params = {
        param.name: param.default
        for param in loss.open_params
        if not (param.marked(Guard) or param.marked(PerSample)) and param.name in _of_kernel(loss)
    }
    signature: Signature = {
        spec.name: (
            INT if spec.kind.domain.under(params).integers else FLOAT,
            (*(("N",) if spec.kind.lead else ()), *_sizes(spec.kind.core)),
        )
        for spec in loss.inputs
    }
    return trace(Program(loss, tuple(params.items())), signature, {}, None).graph


def _of_kernel(loss: Loss) -> frozenset[str]:
    code = loss.kernel.__code__
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _sizes(core: tuple[str, ...]) -> tuple[int | str, ...]:
    return tuple(int(axis) if axis.isdecimal() else "D" if axis == "..." else axis for axis in core)


def _chart(graph: onnx.GraphProto) -> Iterator[str]:
    """Inputs, operators and the arrows between them."""
    constants = dict(_constants(graph))
    names = {value.name: value.name for value in sorted(graph.input, key=lambda x: x.name)}
    for name in names:
        yield f"{name}([{name}])"
    for number, node in enumerate(graph.node):
        if node.op_type == "Constant":
            continue
        if node.op_type in THROUGH:
            names[node.output[0]] = names[node.input[0]]
            continue
        own = f"n{number}"
        told = [constants[name] for name in node.input if constants.get(name)]
        axes = ["axis"] if told and node.op_type in OVER_AXES else []
        yield f'{own}["{" ".join([node.op_type, *axes, *told])}"]'
        for name in dict.fromkeys(names[name] for name in _read(node) if name in names):
            yield f"{name} --> {own}"
        names |= dict.fromkeys(node.output, own)
    for value in graph.output:
        yield f"{names[value.name]} --> {value.name}([{value.name}])"


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, and the graphs inside it."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _read(inner)


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, str]]:
    """What a label says of each constant; nothing of a long one."""
    tensors: Mapping[str, onnx.TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
    nodes = {
        node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"
    }
    for name, tensor in {**tensors, **nodes}.items():
        numbers = numpy_helper.to_array(tensor).reshape(-1)
        short = numbers.size <= MOST_NUMBERS
        yield name, ", ".join(f"{x:g}" for x in numbers.astype(float)) if short else ""
