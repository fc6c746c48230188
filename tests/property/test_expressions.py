"""What holds of any text and of any expression that can be drawn from the grammar."""

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossmeter import evaluate
from lossmeter.api import engine
from lossmeter.app.answer import Answer
from lossmeter.core.arrays import Array
from lossmeter.core.expressions.functions import FUNCTIONS, OPERATORS
from lossmeter.core.expressions.loss import expression_loss
from lossmeter.errors import InvalidRequest, TooLarge
from lossmeter.transports.rest.evaluation import answer_evaluation, answer_explanation

MANY = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
WORDS = (
    *FUNCTIONS,
    *(function.name for function in OPERATORS.values()),
    *("predictions", "targets", "x", "k", "pi", "nan", "True", "None", "lambda", "for", "if"),
    *("axis=-1", "axis=(-1, -2)", "keepdims=True", "axis", "=", ":=", "(", ")", ",", "[", "]"),
    *("1", "2.5", "1e308", "9**9**9", ".", "..", "__class__", "'", '"', "\\", "\0", "\n", " "),
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=25).map("".join),
    st.text(alphabet="()-~+*x1,.", max_size=5000),
)
ARRAYS = {"predictions": [[1.0, -2.0], [0.5, 3.0]], "targets": [[0.0, 1.0], [1.0, 0.0]]}


@MANY
@given(text=TEXTS)
def test_no_text_is_a_fault_of_the_service(text: str) -> None:
    body = {"loss": {"expression": text}, "inputs": ARRAYS}
    try:
        content = orjson.dumps(body)
    except TypeError:  # half of a pair of surrogates, which no JSON has
        return
    for answer in (answer_evaluation, answer_explanation):
        try:
            assert orjson.loads(answer(engine(), content))["loss"].startswith("expression(")
        except (InvalidRequest, TooLarge) as error:
            assert error.field is None or error.field.partition(".")[0] in ("loss", "inputs")


# The same functions of NumPy's own, on arrays of the rank that the text says.
NUMPY: Mapping[str, Any] = {
    **{name: getattr(np, name) for name in ("abs", "exp", "square", "sign", "tanh", "sin")},
    **{name: getattr(np, name) for name in ("maximum", "minimum", "where", "clip", "expm1")},
    "log_add_exp": np.logaddexp,
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
}


def numbers(depth: int, rank: int) -> st.SearchStrategy[str]:
    """Texts of numbers, with so many axes of their own."""
    leaves = ["a", "b", "0.5"] if rank == 0 else ["p", "q", "2"]
    if depth == 0:
        return st.sampled_from(leaves)
    one = numbers(depth - 1, rank)
    made = [
        one,
        st.tuples(one, st.sampled_from("+-*/"), one).map(lambda x: f"({x[0]} {x[1]} {x[2]})"),
        st.tuples(st.sampled_from(["abs", "square", "sign", "tanh", "sin"]), one).map(
            lambda x: f"{x[0]}({x[1]})"
        ),
        st.tuples(st.sampled_from(["maximum", "minimum", "log_add_exp"]), one, one).map(
            lambda x: f"{x[0]}({x[1]}, {x[2]})"
        ),
        st.tuples(one, st.sampled_from(["<", ">=", "=="]), one, one, one).map(
            lambda x: f"where({x[0]} {x[1]} {x[2]}, {x[3]}, {x[4]})"
        ),
        one.map(lambda x: f"clip({x}, -1, 1)"),
        one.map(lambda x: f"-{x}"),
    ]
    reducing = st.sampled_from(["sum", "mean", "max", "min"])
    arrays = numbers(depth - 1, 1).map(lambda x: f"(p + {x})")
    if rank == 0:
        made.append(st.tuples(reducing, arrays).map(lambda x: f"{x[0]}({x[1]}, axis=-1)"))
    else:
        made.append(
            st.tuples(reducing, arrays).map(lambda x: f"{x[0]}({x[1]}, axis=-1, keepdims=True)")
        )
    return st.one_of(made)


def numpy_says(text: str, inputs: Mapping[str, Array]) -> Array:
    """The text as NumPy's own functions have it: drawn here, so it may be executed."""
    return eval(text, {"__builtins__": {}}, {**NUMPY, **inputs})


@MANY
@given(text=numbers(4, 0).map(lambda x: f"(a + {x})"), seed=st.integers(0, 2**32 - 1))
def test_a_drawn_expression_gives_what_numpy_gives(text: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = {"a": rng.normal(size=5), "b": rng.normal(size=5)}
    inputs |= {"p": rng.normal(size=(5, 3)), "q": rng.normal(size=(5, 3))}
    given = {name: x for name, x in inputs.items() if name in names(text)}
    with np.errstate(all="ignore"):
        expected = numpy_says(text, inputs)
    found = evaluate({"expression": text}, given, reduction="none")
    assert isinstance(found, Answer)
    assert same_or_beyond(np.asarray(found.value), expected)


def names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def same_or_beyond(found: Array, expected: Array) -> bool:
    """Equal but for rounding, which a difference may have made all of the number."""
    with np.errstate(all="ignore"):
        return bool(np.allclose(found, expected, rtol=1e-9, atol=1e-9, equal_nan=True))


@settings(MANY, max_examples=100)
@given(text=numbers(4, 0).map(lambda x: f"(a + {x})"), cut=st.integers(1, 36))
def test_a_drawn_expression_gives_the_same_on_a_graph(text: str, cut: int) -> None:
    rng = np.random.default_rng(cut)
    inputs = {"a": rng.normal(size=37), "b": rng.normal(size=37)}
    inputs |= {"p": rng.normal(size=(37, 7)), "q": rng.normal(size=(37, 7))}
    given = {name: x for name, x in inputs.items() if name in names(text)}

    def values(backend: str, rows: slice) -> Array:
        part = {name: x[rows] for name, x in given.items()}
        options = {"backend": backend}
        found = evaluate({"expression": text}, part, reduction="none", options=options)
        assert isinstance(found, Answer)
        return np.asarray(found.value)

    whole = values("onnx", slice(None))
    assert same_or_beyond(whole, values("numpy", slice(None)))
    parts = [values("onnx", rows) for rows in (slice(0, cut), slice(cut, None))]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@MANY
@given(text=numbers(4, 0).map(lambda x: f"(a + {x})"), cut=st.integers(1, 36))
def test_a_value_depends_on_its_own_sample_alone(text: str, cut: int) -> None:
    rng = np.random.default_rng(cut)
    inputs = {"a": rng.normal(size=37), "b": rng.normal(size=37)}
    inputs |= {"p": rng.normal(size=(37, 7)), "q": rng.normal(size=(37, 7))}
    kernel = expression_loss(text, ()).kernel
    given = {name: x for name, x in inputs.items() if name in names(text)}
    with np.errstate(all="ignore"):
        whole = kernel(np, **given)
        parts = [
            kernel(np, **{name: x[rows] for name, x in given.items()})
            for rows in (slice(0, cut), slice(cut, None))
        ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
