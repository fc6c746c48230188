"""The process that checks a graph before anything runs it.

It is started by its path, under the same limits as the process that runs the graph: the checker
of ONNX is C++ that reads what a stranger may have written. The graph comes as a length and bytes,
the reply goes back as a length and JSON.
"""

import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import onnx
from onnx import TensorProto

READY = b"+"
OLDEST_OPSET = 12
MOST_NODES = 20_000
MOST_INPUTS = 16
MOST_AXES = 8
MOST_BYTES = 64 * 2**20
# Of a name, and of what a graph says of itself.
MOST_CHARACTERS, MOST_WORDS = 64, 4096
# How deep branches of an If may nest.
DEEPEST = 4
DOMAINS = ("", "ai.onnx")
BESIDE = ("sample_weight", "mask")
# What an exported graph gives beside its values: which of them it keeps.
VALUES, KEPT = "loss", "kept"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DTYPES: Mapping[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
    TensorProto.BOOL: "bool",
}
# Bytes of an element, and the field that holds it where it is not raw.
TENSORS: Mapping[int, tuple[int, str]] = {
    TensorProto.FLOAT: (4, "float_data"),
    TensorProto.DOUBLE: (8, "double_data"),
    TensorProto.INT64: (8, "int64_data"),
    TensorProto.UINT64: (8, "uint64_data"),
    TensorProto.UINT32: (4, "uint64_data"),
    TensorProto.INT32: (4, "int32_data"),
    TensorProto.INT16: (2, "int32_data"),
    TensorProto.UINT16: (2, "int32_data"),
    TensorProto.FLOAT16: (2, "int32_data"),
    TensorProto.BFLOAT16: (2, "int32_data"),
    TensorProto.INT8: (1, "int32_data"),
    TensorProto.UINT8: (1, "int32_data"),
    TensorProto.BOOL: (1, "int32_data"),
}
# Pure functions of tensors: nothing random, nothing that loops, no strings, no sequences.
OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization
    BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Compress
    Concat Constant ConstantOfShape Conv Cos Cosh CumSum DepthToSpace Det Div Einsum Elu Equal Erf
    Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Hardmax Identity
    If InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log
    LogSoftmax LpNormalization MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul
    Neg NegativeLogLikelihoodLoss NonZero Not OneHot Or PRelu Pad Pow Range Reciprocal ReduceL1
    ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND Selu Shape Shrink Sigmoid
    Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split
    Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Where
    Xor
    """.split()
)


class Refused(Exception):
    """Why a graph is no loss."""


def check(content: bytes) -> dict[str, Any]:
    """What a graph takes and gives.

    Returns:
        Its ``inputs`` by name, each a dtype and the sizes of the axes after the first: a number,
        the name of a free one, or nothing; the dtype of its ``output``; and what it ``says``.

    Raises:
        Refused: It is no loss, or holds what none may.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception:
        raise Refused("is no ONNX model") from None
    _check_model(model)
    nodes = 0
    for graph in _graphs(model.graph):
        nodes += len(graph.node)
        if nodes > MOST_NODES:
            raise Refused(f"has more than {MOST_NODES} nodes")
        _check_graph(graph)
    signature = _signature(model.graph)
    try:
        onnx.checker.check_model(content, full_check=True)
    except Exception as error:
        raise Refused(f"fails the checker of ONNX: {error}") from None
    says = _text(model.doc_string or model.graph.doc_string)[:MOST_WORDS]
    return {**signature, "says": "".join(c for c in says if c.isprintable() or c == "\n")}


def _text(found: str | bytes) -> str:
    """Text, which comes as bytes where it is none."""
    if isinstance(found, bytes):
        raise Refused("holds text that is not UTF-8")
    return found


def _check_model(model: onnx.ModelProto) -> None:
    opsets = [entry.version for entry in model.opset_import if entry.domain in DOMAINS]
    if len(model.opset_import) != 1 or not opsets:
        raise Refused("must import the operators of ai.onnx, once, and no others")
    if opsets[0] < OLDEST_OPSET:
        raise Refused(f"has operator set {opsets[0]}; the oldest taken is {OLDEST_OPSET}")
    if model.functions or model.training_info:
        raise Refused("holds functions or training steps; a loss is one graph")


def _graphs(graph: onnx.GraphProto, depth: int = 0) -> Iterator[onnx.GraphProto]:
    """The graph and those nested in it."""
    if depth > DEEPEST:
        raise Refused(f"nests graphs more than {DEEPEST} deep")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            own = [attribute.g] if attribute.HasField("g") else []
            for nested in (*own, *attribute.graphs):
                yield from _graphs(nested, depth + 1)


def _check_graph(graph: onnx.GraphProto) -> None:
    if graph.sparse_initializer:
        raise Refused("holds sparse tensors")
    for tensor in graph.initializer:
        _check_tensor(tensor)
    for node in graph.node:
        if node.domain not in DOMAINS or node.op_type not in OPERATORS:
            raise Refused(f"uses the operator {node.domain or 'ai.onnx'}.{node.op_type}")
        for attribute in node.attribute:
            _check_attribute(attribute)


def _check_attribute(attribute: onnx.AttributeProto) -> None:
    if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
        raise Refused("holds sparse tensors")
    if _text(attribute.name).startswith("value_string"):
        raise Refused("holds strings")
    own = [attribute.t] if attribute.HasField("t") else []
    for tensor in (*own, *attribute.tensors):
        _check_tensor(tensor)


def _check_tensor(tensor: onnx.TensorProto) -> None:
    """Refuse a tensor that is not whole in the file, or says that it is larger than it is."""
    if tensor.external_data or tensor.data_location != TensorProto.DEFAULT:
        raise Refused("keeps data outside of its file")
    if tensor.data_type not in TENSORS:
        raise Refused("holds a tensor that is not of numbers")
    size, field = TENSORS[tensor.data_type]
    entries = prod(tensor.dims)
    if any(axis < 0 for axis in tensor.dims) or entries * size > MOST_BYTES:
        raise Refused(f"holds a tensor of more than {MOST_BYTES} bytes")
    raw = tensor.HasField("raw_data")
    held = len(tensor.raw_data) / size if raw else len(getattr(tensor, field))
    if held != entries:
        raise Refused(f"holds a tensor that says {entries} entries and has {held}")


def _signature(graph: onnx.GraphProto) -> dict[str, Any]:
    filled = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in filled]
    if len({value.name for value in inputs}) != len(inputs) or not 1 <= len(inputs) <= MOST_INPUTS:
        raise Refused(f"must have from 1 to {MOST_INPUTS} inputs of different names")
    return {
        "inputs": {value.name: _input(value) for value in inputs},
        "output": _outputs(graph.output),
    }


def _input(value: onnx.ValueInfoProto) -> tuple[str, list[int | str | None]]:
    name, tensor = _text(value.name), value.type.tensor_type
    if len(name) > MOST_CHARACTERS or not NAME.fullmatch(name):
        raise Refused("has an input whose name is no identifier")
    if name in BESIDE:
        raise Refused(f"has the input {name}, which is applied to the values that a graph gives")
    if tensor.elem_type not in DTYPES:
        raise Refused(f"has the input {name} of a dtype other than {', '.join(DTYPES.values())}")
    if not tensor.HasField("shape") or not 1 <= len(tensor.shape.dim) <= MOST_AXES:
        raise Refused(f"must say from 1 to {MOST_AXES} axes of the input {name}")
    first, *own = map(_axis, tensor.shape.dim)
    if isinstance(first, int):
        raise Refused(f"fixes axis 0 of the input {name}, which is that of the samples")
    if first is not None and first in own:
        raise Refused(f"gives an axis of the input {name} the name of that of the samples")
    return DTYPES[tensor.elem_type], own


def _axis(axis: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if axis.HasField("dim_value"):
        if axis.dim_value < 1:
            raise Refused("has an input with an axis below 1")
        return int(axis.dim_value)
    name = _text(axis.dim_param)
    if len(name) > MOST_CHARACTERS or not name.isprintable():
        raise Refused("has an axis whose name is too long, or cannot be printed")
    return name or None


def _outputs(outputs: Sequence[onnx.ValueInfoProto]) -> str:
    if [value.name for value in outputs] == [VALUES, KEPT]:
        if outputs[1].type.tensor_type.elem_type != TensorProto.BOOL:
            raise Refused(f"gives {KEPT} in a dtype other than bool")
    elif len(outputs) != 1:
        raise Refused(
            f"has {len(outputs)} outputs; a loss has one, its values, "
            f"or {VALUES} and {KEPT} as an exported graph has them"
        )
    return _output(outputs[0])


def _output(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    if tensor.elem_type not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise Refused("gives values that are neither float32 nor float64")
    sizes = tensor.shape.dim if tensor.HasField("shape") else []
    if tensor.HasField("shape") and (len(sizes) != 1 or sizes[0].HasField("dim_value")):
        raise Refused(
            "must give one value per sample: one axis, of no fixed size; "
            "an exported graph does with the reduction none"
        )
    return DTYPES[tensor.elem_type]


def main() -> None:
    """Check the one graph that comes."""
    with socket.socket(fileno=0) as end, end.makefile("rwb") as wire:
        wire.write(READY)
        wire.flush()
        content = wire.read(int.from_bytes(wire.read(8), "little"))
        try:
            found = check(content)
        except Refused as error:
            found = {"refused": str(error)}
        except Exception:
            found = {"refused": "cannot be checked within the limits"}
        reply = json.dumps(found).encode()
        wire.write(len(reply).to_bytes(8, "little") + reply)


if __name__ == "__main__":
    main()
