"""Graphs brought to an older version of the operators."""

from collections.abc import Iterator

import onnx
from onnx import numpy_helper

# Since opset 18 their axes are an input; before, an attribute.
REDUCES = frozenset({"ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd"})
AXES_AS_INPUT = 18
# Since opset 19 a Cast says what it makes of float8 numbers, of which there are none here.
SATURATES = 19


def lower(model: onnx.ModelProto, opset: int) -> None:
    """Bring a graph that was traced at opset 21 to another, in place.

    Of the operators that tracing uses, no others changed their form since opset 17.
    """
    constants: dict[str, onnx.NodeProto] = {}
    for graph in _graphs(model.graph):
        constants |= {node.output[0]: node for node in graph.node if node.op_type == "Constant"}
        for node in graph.node:
            if opset < AXES_AS_INPUT and node.op_type in REDUCES:
                _drop(node, "noop_with_empty_axes")
                for axes in list(node.input)[1:]:
                    value = numpy_helper.to_array(constants[axes].attribute[0].t)
                    node.attribute.append(onnx.helper.make_attribute("axes", value.tolist()))
                    node.input.remove(axes)
            if opset < SATURATES and node.op_type == "Cast":
                _drop(node, "saturate")
    for domain in model.opset_import:
        if domain.domain in ("", "ai.onnx"):
            domain.version = opset


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _drop(node: onnx.NodeProto, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
