"""What is refused of a graph before anything runs it."""

import random
from collections.abc import Callable

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, parser

from lossmeter.backends.graphs.checks import (
    DEEPEST,
    MOST_BYTES,
    MOST_NODES,
    OPERATORS,
    Refused,
    check,
)
from tests.graphs import SQUARED, graph

GOOD = graph(SQUARED)
Spoil = Callable[[ModelProto], None]


def model(text: str = SQUARED) -> ModelProto:
    """A fresh copy, to be spoiled."""
    return onnx.load_model_from_string(graph(text))


def refusal(content: bytes) -> str:
    with pytest.raises(Refused) as told:
        check(content)
    return str(told.value)


def test_a_good_graph_tells_what_it_takes_and_gives() -> None:
    found = check(
        graph(
            "own (float[N, C, 4] predictions, int64[N] targets, bool[M, D] seen)"
            " => (float[N] loss) { z = ReduceSum<keepdims = 0, axes = [1, 2]>(predictions)"
            " t = Cast<to = 1>(targets) loss = Add(z, t) }",
            opset=12,
        )
    )
    assert found == {
        "inputs": {
            "predictions": ("float32", ["C", 4]),
            "targets": ("int64", []),
            "seen": ("bool", ["D"]),
        },
        "output": "float32",
        "says": "",
    }


def test_an_input_that_the_graph_fills_itself_is_none() -> None:
    spoiled = model(
        "own (double[N] predictions, double[1] factor) => (double[N] loss) "
        "{ loss = Mul(predictions, factor) }"
    )
    spoiled.graph.initializer.append(helper.make_tensor("factor", TensorProto.DOUBLE, [1], [2.0]))
    assert list(check(spoiled.SerializeToString())["inputs"]) == ["predictions"]


@pytest.mark.parametrize("size", [0, 1, 10, 1000, 100_000])
def test_random_bytes_are_no_graph(size: int) -> None:
    refusal(random.Random(size).randbytes(size))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(share: float) -> None:
    refusal(GOOD[: int(len(GOOD) * share)])


@pytest.mark.parametrize("seed", range(200))
def test_a_damaged_file_is_refused_or_is_a_graph(seed: int) -> None:
    damaged = bytearray(GOOD)
    draw = random.Random(seed)
    for _ in range(3):
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
    try:
        assert check(bytes(damaged))["output"] in ("float32", "float64")
    except Refused:
        pass


# By what is wrong: the arguments and the body of a graph.
TEXTS = {
    "has 2 outputs": "own (double[N] predictions) => (double[N] a, double[N] b)"
    " { a = Abs(predictions) b = Neg(predictions) }",
    "or loss and kept": "own (double[N] predictions) => (double[N] kept, double[N] loss)"
    " { loss = Abs(predictions) kept = Neg(predictions) }",
    "kept in a dtype": "own (double[N] predictions) => (double[N] loss, double[N] kept)"
    " { loss = Abs(predictions) kept = Neg(predictions) }",
    "input sample_weight": "own (double[N] sample_weight) => (double[N] loss)"
    " { loss = Abs(sample_weight) }",
    "input mask": "own (double[N] mask) => (double[N] loss) { loss = Abs(mask) }",
    "fixes axis 0": "own (double[3] predictions) => (double[N] loss) { loss = Abs(predictions) }",
    "from 1 to 8 axes": "own (double predictions) => (double[N] loss)"
    " { o = Constant<value = int64[1] {1}>() loss = Reshape(predictions, o) }",
    "name of that of the samples": "own (double[N, N] predictions) => (double[N] loss)"
    " { loss = ReduceMax<keepdims = 0, axes = [1]>(predictions) }",
    "input predictions of a dtype": "own (float16[N] predictions) => (float[N] loss)"
    " { loss = Cast<to = 1>(predictions) }",
    "input targets of a dtype": "own (double[N] predictions, string[N] targets)"
    " => (double[N] loss) { loss = Abs(predictions) }",
    "neither float32 nor float64": "own (double[N] predictions) => (int64[N] loss)"
    " { loss = Cast<to = 7>(predictions) }",
    "one value per sample": "own (double[N, C] predictions) => (double[N, C] loss)"
    " { loss = Abs(predictions) }",
    "must give": "own (double[N] predictions) => (double[1] loss)"
    " { loss = ReduceSum<keepdims = 1>(predictions) }",
    "ai.onnx.RandomUniformLike": "own (double[N] predictions) => (double[N] loss)"
    " { loss = RandomUniformLike(predictions) }",
    "ai.onnx.Bernoulli": "own (double[N] predictions) => (double[N] loss)"
    " { loss = Bernoulli(predictions) }",
    "ai.onnx.Dropout": "own (double[N] predictions) => (double[N] loss)"
    " { loss = Dropout(predictions) }",
    "fails the checker": "own (double[N] predictions) => (double[N] loss)"
    " { loss = Add(predictions, nothing) }",
}


@pytest.mark.parametrize("reason", TEXTS)
def test_a_graph_that_is_no_loss_is_refused(reason: str) -> None:
    assert reason in refusal(graph(TEXTS[reason], opset=12 if "axes = [" in TEXTS[reason] else 18))


def loops(spoiled: ModelProto) -> None:
    """A Loop of 2^60 trips, in a branch of an If."""
    body = parser.parse_graph(
        "body (int64 i, bool go) => (bool on, double[1] x)"
        " { on = Identity(go) x = Constant<value = double[1] {1.0}>() }"
    )
    branch = onnx.GraphProto(name="branch")
    branch.initializer.append(helper.make_tensor("trips", TensorProto.INT64, [], [2**60]))
    branch.node.append(helper.make_node("Loop", ["trips", ""], ["xs"], body=body))
    branch.output.append(helper.make_tensor_value_info("xs", TensorProto.DOUBLE, None))
    spoiled.graph.node.append(
        helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch)
    )


def nested(spoiled: ModelProto) -> None:
    inner = onnx.GraphProto(name="g")
    for _ in range(DEEPEST):
        outer = onnx.GraphProto(name="g")
        node = helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)
        outer.node.append(node)
        inner = outer
    spoiled.graph.node.append(
        helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)
    )


def external(spoiled: ModelProto) -> None:
    spoiled.graph.initializer.append(elsewhere())


def elsewhere() -> TensorProto:
    tensor = TensorProto(name="c", data_type=TensorProto.UINT8, dims=[100])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def external_constant(spoiled: ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"])
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=elsewhere())
    spoiled.graph.node.append(node)


def external_without_a_word(spoiled: ModelProto) -> None:
    tensor = elsewhere()
    tensor.data_location = TensorProto.DEFAULT
    tensor.raw_data = bytes(100)
    spoiled.graph.initializer.append(tensor)


def external_in_a_sparse_tensor(spoiled: ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"])
    sparse = onnx.SparseTensorProto(values=elsewhere(), dims=[100])
    node.attribute.add(
        name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse
    )
    spoiled.graph.node.append(node)


def external_under_another_type(spoiled: ModelProto) -> None:
    spoiled.graph.node[0].attribute.add(name="x", type=onnx.AttributeProto.INT, i=1, t=elsewhere())


def sparse(spoiled: ModelProto) -> None:
    spoiled.graph.sparse_initializer.add(values=elsewhere(), dims=[100])


def lying(spoiled: ModelProto) -> None:
    spoiled.graph.initializer.append(
        TensorProto(name="c", data_type=TensorProto.DOUBLE, dims=[1000], raw_data=bytes(8))
    )


def gigantic(spoiled: ModelProto) -> None:
    dims = [MOST_BYTES // 8 + 1]
    spoiled.graph.initializer.append(
        TensorProto(name="c", data_type=TensorProto.DOUBLE, dims=dims, raw_data=b"")
    )


def overflowing(spoiled: ModelProto) -> None:
    spoiled.graph.initializer.append(
        TensorProto(name="c", data_type=TensorProto.DOUBLE, dims=[2**32, 2**32], raw_data=b"")
    )


def negative(spoiled: ModelProto) -> None:
    spoiled.graph.initializer.append(
        TensorProto(name="c", data_type=TensorProto.DOUBLE, dims=[-1, -1], raw_data=bytes(8))
    )


def of_strings(spoiled: ModelProto) -> None:
    spoiled.graph.initializer.append(
        TensorProto(name="c", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"])
    )


def constant_of_strings(spoiled: ModelProto) -> None:
    spoiled.graph.node.append(helper.make_node("Constant", [], ["c"], value_string=b"x"))


def many_nodes(spoiled: ModelProto) -> None:
    node = spoiled.graph.node[0]
    spoiled.graph.node.extend([node] * MOST_NODES)


def of_another_domain(spoiled: ModelProto) -> None:
    spoiled.opset_import.add(domain="com.microsoft", version=1)


def node_of_another_domain(spoiled: ModelProto) -> None:
    spoiled.graph.node[0].domain = "com.microsoft"


def without_operators(spoiled: ModelProto) -> None:
    del spoiled.opset_import[:]


def old(spoiled: ModelProto) -> None:
    spoiled.opset_import[0].version = 11


def of_the_future(spoiled: ModelProto) -> None:
    spoiled.opset_import[0].version = 2**40


def with_functions(spoiled: ModelProto) -> None:
    spoiled.functions.add(name="f", domain="")


def of_two_inputs_of_a_name(spoiled: ModelProto) -> None:
    spoiled.graph.input.append(spoiled.graph.input[0])


def without_inputs(spoiled: ModelProto) -> None:
    del spoiled.graph.input[:]


def of_a_name_that_is_none(spoiled: ModelProto) -> None:
    spoiled.graph.input.add().CopyFrom(spoiled.graph.input[0])
    spoiled.graph.input[-1].name = "../../etc/passwd"


def without_a_shape(spoiled: ModelProto) -> None:
    spoiled.graph.input[0].type.tensor_type.ClearField("shape")


def of_two_outputs_of_a_name(spoiled: ModelProto) -> None:
    spoiled.graph.output.append(spoiled.graph.output[0])


def of_a_value_given_twice(spoiled: ModelProto) -> None:
    spoiled.graph.node.append(spoiled.graph.node[-1])


def of_a_shape_that_contradicts(spoiled: ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0])
    spoiled.graph.node.append(node)
    spoiled.graph.value_info.append(helper.make_tensor_value_info("c", TensorProto.INT64, [7]))


SPOILED: dict[Spoil, str] = {
    loops: "ai.onnx.Loop",
    nested: "nests graphs",
    external: "outside of its file",
    external_constant: "outside of its file",
    external_without_a_word: "outside of its file",
    external_in_a_sparse_tensor: "sparse",
    external_under_another_type: "outside of its file",
    sparse: "sparse",
    lying: "says 1000 entries and has 1",
    gigantic: f"more than {MOST_BYTES} bytes",
    overflowing: f"more than {MOST_BYTES} bytes",
    negative: f"more than {MOST_BYTES} bytes",
    of_strings: "not of numbers",
    constant_of_strings: "holds strings",
    many_nodes: f"more than {MOST_NODES} nodes",
    of_another_domain: "no others",
    node_of_another_domain: "com.microsoft.Sub",
    without_operators: "must import",
    old: "operator set 11",
    of_the_future: "fails the checker",
    with_functions: "holds functions",
    of_two_inputs_of_a_name: "different names",
    without_inputs: "from 1 to",
    of_a_name_that_is_none: "no identifier",
    without_a_shape: "axes of the input predictions",
    of_two_outputs_of_a_name: "has 2 outputs",
    of_a_value_given_twice: "fails the checker",
    of_a_shape_that_contradicts: "fails the checker",
}


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: str(spoil.__name__))
def test_a_hostile_graph_is_refused(spoil: Spoil) -> None:
    spoiled = model()
    spoil(spoiled)
    assert SPOILED[spoil] in refusal(spoiled.SerializeToString())


def test_deeply_nested_bytes_end_no_process() -> None:
    inner = b""
    for _ in range(2000):
        # A graph (field 7) with a node (1) with an attribute (5) with a graph (6), and so on.
        inner = _field(6, _field(1, _field(5, inner)))
    refusal(_field(7, inner))


def _field(number: int, content: bytes) -> bytes:
    size, rest = bytearray(), len(content)
    while rest > 127:
        size.append(rest & 127 | 128)
        rest >>= 7
    return bytes([number << 3 | 2, *size, rest]) + content


def test_every_operator_that_is_taken_is_one_of_onnx() -> None:
    known = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}
    assert known >= OPERATORS
    assert not {name for name in OPERATORS if name.startswith(("Random", "Sequence", "Optional"))}
