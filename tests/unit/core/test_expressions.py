"""Expressions: what is read and what is refused, which shapes follow, and what they compute."""

import ast
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossmeter.core.arrays import Array
from lossmeter.core.expressions.functions import FUNCTIONS, OPERATORS
from lossmeter.core.expressions.loss import expression_loss
from lossmeter.core.expressions.text import MOST_CHARACTERS, MOST_DEPTH, parsed
from lossmeter.core.expressions.tree import CONSTANTS, MOST_AXES, MOST_NAMES, MOST_NODES
from lossmeter.errors import LossmeterError, ParameterInvalid, TooLarge
from lossmeter.plan.batch import MOST_CROSSED
from tests.oracle.namespaces import BACKENDS, Backend

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "expressions.md"
A, B = np.array([-1.5, 0.0, 2.0, 0.25]), np.array([0.5, -2.0, 2.0, 1.0])
P = np.array([[-1.0, 0.5, 2.0], [3.0, 0.0, -2.0], [0.25, 0.25, 0.5], [1.0, -4.0, 1.5]])
Q = P[::-1] * 0.5 + 0.125
I = np.array([0, 2, 1, 2])  # noqa: E741 what it is called in the expressions
GIVEN = {"a": A, "b": B, "p": P, "q": Q, "i": I}


def log_softmax(x: Array) -> Array:
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


# Each function, operator and constant with what NumPy says.
VALUES: dict[str, Array] = {
    "a + b": A + B,
    "a - 1": A - 1,
    "2 * a": 2 * A,
    "1 / (b + 0.25)": 1 / (B + 0.25),
    "a ** 2": A**2,
    "b ** a": np.float_power(B, A),
    "2 ** a": 2.0**A,
    "pow(abs(a), 1.5)": np.abs(A) ** 1.5,
    "-a ** 2": -(A**2),
    "+a": A,
    "abs(a)": np.abs(A),
    "exp(a)": np.exp(A),
    "expm1(a)": np.expm1(A),
    "log(abs(b))": np.log(np.abs(B)),
    "log1p(abs(a))": np.log1p(np.abs(A)),
    "sin(a)": np.sin(A),
    "sqrt(abs(a))": np.sqrt(np.abs(A)),
    "square(a)": A * A,
    "sign(a)": np.sign(A),
    "tanh(a)": np.tanh(A),
    "sigmoid(a)": 1 / (1 + np.exp(-A)),
    "softplus(a)": softplus(A),
    "maximum(a, b)": np.maximum(A, B),
    "maximum(0, a)": np.maximum(0, A),
    "minimum(a, 1)": np.minimum(A, 1),
    "clip(a, -1, 1)": np.clip(A, -1, 1),
    "xlogy(abs(a), abs(b))": np.abs(A) * np.log(np.abs(B)),
    "log_add_exp(a, b)": np.logaddexp(A, B),
    "where(a > b, a, b)": np.where(A > B, A, B),
    "where(a >= b, 1, 0)": np.where(A >= B, 1.0, 0.0),
    "where(a < b, 1, a)": np.where(A < B, 1.0, A),
    "where(a <= b, 1, 0)": np.where(A <= B, 1.0, 0.0),
    "where(a == b, 1, 0)": np.where(A == B, 1.0, 0.0),
    "where(a != b, 1, 0)": np.where(A != B, 1.0, 0.0),
    "where((a > 0) & ~(b > 1), 1, 0)": np.where((A > 0) & ~(B > 1), 1.0, 0.0),
    "where((a > 1) | (b > 1), 1, 0)": np.where((A > 1) | (B > 1), 1.0, 0.0),
    "where(True, a, 2)": A,
    "where(1 > 2, a, 2)": np.full(4, 2.0),
    "a * pi + e": A * np.pi + np.e,
    "minimum(a, inf) + 0 * b": A,
    "where(a > 0, nan, a)": np.where(A > 0, np.nan, A),
    "a * (1 / 0 - 1)": np.array([-np.inf, np.nan, np.inf, np.inf]),
    "sum(p, axis=-1)": P.sum(axis=-1),
    "mean(p, axis=-1)": P.mean(axis=-1),
    "max(p, axis=-1)": P.max(axis=-1),
    "min(p, axis=(-1,))": P.min(axis=-1),
    "where(any(p > 2, axis=-1), 1, 0)": np.where((P > 2).any(axis=-1), 1.0, 0.0),
    "where(all(p > -2, axis=-1), 1, 0)": np.where((P > -2).all(axis=-1), 1.0, 0.0),
    "log_sum_exp(p)": np.log(np.exp(P).sum(axis=-1)),
    "sum(p * softmax(q), axis=-1)": (P * np.exp(log_softmax(Q))).sum(axis=-1),
    "sum(log_softmax(p, axis=-1), axis=-1)": log_softmax(P).sum(axis=-1),
    "-pick(log_softmax(p), i)": -log_softmax(P)[np.arange(4), I],
    "sum(square(p - mean(p, axis=-1, keepdims=True)), axis=-1)": P.var(axis=-1) * 3,
    "sum(p, axis=-1) * a": P.sum(axis=-1) * A,
    "sum(p * expand_dims(a, axis=-1), axis=-1)": P.sum(axis=-1) * A,
    "max(abs(expand_dims(p, axis=-1) - expand_dims(q, axis=-2)), axis=(-2, -1))": np.abs(
        P[:, :, None] - Q[:, None, :]
    ).max(axis=(1, 2)),
}


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("text", VALUES)
def test_an_expression_gives_what_numpy_gives(text: str, backend: Backend) -> None:
    loss = expression_loss(text, ())
    inputs = {s.name: backend.array(GIVEN[s.name], index=s.name == "i") for s in loss.inputs}
    with np.errstate(all="ignore"):
        found = np.asarray(backend.values(loss, inputs, {}, {}))
    exact = 4e-6 if backend.dtype is np.float32 else 1e-13
    assert (found.dtype, found.shape) == (np.dtype(backend.dtype), (4,))
    np.testing.assert_allclose(found, VALUES[text], rtol=exact, atol=exact)


def test_every_function_and_operator_is_tried() -> None:
    tried = " ".join(VALUES)
    missing = [name for name in FUNCTIONS if not re.search(rf"\b{name}\(", tried)]
    assert missing == [x.name for x in OPERATORS.values() if x.name not in tried] == []


@pytest.mark.parametrize(
    ("text", "params", "values"),
    [
        ("a * k + b", {"k": 3.0}, 3 * A + B),
        ("where(up, a, b)", {"up": True}, A),
        ("where(up & (a > 0), 1, 0)", {"up": False}, np.zeros(4)),
        ("maximum(a ** k, 2 * k)", {"k": 2.0}, np.maximum(A**2, 4.0)),
    ],
)
def test_parameters_are_numbers_and_conditions(
    text: str, params: dict[str, Any], values: Array
) -> None:
    kinds = tuple((name, isinstance(x, bool)) for name, x in params.items())
    loss = expression_loss(text, kinds)
    inputs = {spec.name: GIVEN[spec.name] for spec in loss.inputs}
    np.testing.assert_allclose(loss.kernel(np, **inputs, **params), values)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("predictions - targets", {"predictions": (), "targets": ()}),
        ("mean(square(a - b), axis=-1)", {"a": ("K",), "b": ("K",)}),
        ("mean(a, axis=-1) - b", {"a": ("K",), "b": ()}),
        ("mean(a, axis=-1) - mean(b, axis=-1)", {"a": ("K",), "b": ("K2",)}),
        ("sum(a - mean(b, axis=-1, keepdims=True), axis=-1)", {"a": ("K",), "b": ("K2",)}),
        ("pick(a * b, i)", {"a": ("C",), "b": ("C",), "i": ()}),
        ("sum(sum(a, axis=-2) * b, axis=-1)", {"a": ("K", "K2"), "b": ("K2",)}),
        ("mean(a, axis=(-1, -3)) + 0 * sum(b, axis=-1)", None),
        ("sum(max(a, axis=-3), axis=(-1, -2))", {"a": ("K", "K2", "K3")}),
        ("sum(expand_dims(a, axis=-1) * b, axis=(-1, -2))", {"a": ("K",), "b": ("K", "K2")}),
    ],
)
def test_the_axes_of_inputs_follow_from_the_text(
    text: str, shapes: dict[str, tuple[str, ...]] | None
) -> None:
    try:
        found = {spec.name: spec.kind.core for spec in expression_loss(text, ()).inputs}
    except ParameterInvalid:
        found = None
    assert found == shapes


def test_what_crosses_axes_is_known() -> None:
    crossed = "max(abs(expand_dims(a, axis=-1) - expand_dims(b, axis=-2)), axis=(-1, -2))"
    assert expression_loss(crossed, ()).wide == (("K", "K2"),)
    assert expression_loss("sum(a * expand_dims(b, axis=-1), axis=-1)", ()).wide == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [("a-b", "a - b"), ("( a\n -b )", "a - b"), ("exp(  (a))", "exp(a)"), ("\ta", "a")],
)
def test_the_same_text_is_the_same_loss(one: str, other: str) -> None:
    assert expression_loss(one, ()) is expression_loss(other, ())
    assert expression_loss(one, ()).name == f"expression({other})"


REFUSED: dict[str, str] = {
    "": "cannot be read",
    "   ": "cannot be read",
    "a b": "cannot be read",
    "exp(a": "cannot be read",
    "exp a)": "cannot be read",
    "a = 1": "cannot be read",
    "a\nb": "cannot be read",
    "sum(a, axis=-1, axis=-1)": "axis and keepdims by name",
    "2": "needs an input",
    "9 ** 9 ** 9 ** 9": "needs an input",
    "a * 9 ** 9 ** 9 ** 9": "no finite float64",
    "a + 0 ** -1": "no finite float64",
    "a > 0": "where(condition, 1, 0)",
    "(a > 0) * a": "where(condition, 1, 0)",
    "where(a, a, a)": "takes conditions",
    "~a": "takes conditions",
    "a & b": "takes conditions",
    "a < b < 2": "(a < b) & (b < c)",
    "a // 2": "the operators of an expression",
    "a << 2": "the operators of an expression",
    "a % 2": "character 3",
    "a @ b": "character 3",
    "a ^ b": "character 3",
    "__import__('os')": "begins with a letter",
    "__builtins__": "begins with a letter",
    "_": "begins with a letter",
    "a" * 65: "at most 64",
    "a.__class__": "no attributes",
    "().__class__": "no attributes",
    "(1).real * a": "no attributes",
    "1..real * a": "character",
    "a[0]": "no subscripts",
    '"a"["b"]': "no strings",
    "f'{a}'": "no strings",
    "{a}": "no sets",
    "[x for x in a]": "no lists",
    "sum(x for x in a)": "for is no part",
    "lambda: a": "lambda is no part",
    "lambda x: a": "lambda is no part",
    "(x := a)": "no colons",
    "a if b else a": "where(condition, a, b)",
    "a and b": "& is and",
    "not a": "~ is not",
    "await a": "await is no part",
    "None": "None is no part",
    "a # b": "no comments",
    "a\\\n": "no backslashes",
    "a\0": "character 2",
    "1j * a": "decimal numbers",
    "0x1 * a": "decimal numbers",
    "1if a": "decimal numbers",
    "1e999 * a": "beyond float64",
    f"1{'0' * 400} * a": "beyond float64",
    "\uff41 + 1": "character 1",  # NFKC makes an ASCII a of it
    "\u0430 + 1": "character 1",  # a Cyrillic a
    "a\u00b2": "character 2",
    "eval(a)": "eval is no function",
    "a(1)": "a is no function",
    "exp(a)(a)": "what is called is no function",
    "exp()": "1 argument,",
    "max(a, b)": "1 argument, not 2; maximum takes two",
    "where(a > 0, a)": "3 arguments",
    "exp(*a)": "no Starred",
    "exp(**a)": "1 argument,",
    "exp(a, **b)": "nothing by name",
    "exp(a, axis=-1)": "nothing by name",
    "softmax(a, keepdims=True)": "axis by name",
    "(a, b)": "no Tuple",
    "exp": "meaning of its own",
    "axis": "meaning of its own",
    "mask * a": "acts on the loss values",
    "a * sample_weight": "acts on the loss values",
    "mean(a)": "axis of mean",
    "mean(a, axis=0)": "reduced by the reduction of the request",
    "mean(a, axis=(-1, -1))": "axis of mean",
    "mean(a, axis=())": "axis of mean",
    "mean(a, axis=b)": "axis of mean",
    "mean(a, axis=-5)": "axis of mean",
    "mean(a, axis=-True)": "axis of mean",
    "expand_dims(a)": "axis of expand_dims",
    "sum(a, axis=-1, keepdims=1)": "True or False",
    "log_sum_exp(a, axis=-2)": "axis of log_sum_exp is -1",
    "a - mean(a, axis=-1)": "keepdims=True keeps",
    "softmax(a)": "one value per entry",
    "sum(a, axis=-1, keepdims=True)": "one value per entry",
    "mean(a, axis=-2)": "one value per entry",
    "expand_dims(a, axis=-1)": "one value per entry",
    "sum(2, axis=-1) + a": "needs an array",
    "pick(2, i) + a": "needs an array",
    "pick(a, a)": "in another",
    "pick(a, 2)": "class indices",
    "pick(a, i) + i": "used as a number besides",
    "i + pick(a, i)": "used as a number besides",
    "pick(sum(a, axis=-1, keepdims=True), i)": "one entry",
    "sum(pick(a, i), axis=-1)": "class indices",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ParameterInvalid) as refused:
        expression_loss(text, ())
    assert REFUSED[text] in refused.value.detail
    assert len(refused.value.detail) < 400


TOO_MUCH = {
    "a + " * 1024 + "a": (MOST_CHARACTERS, 4097),
    "(" * 65 + "a" + ")" * 65: (MOST_DEPTH, MOST_DEPTH + 1),
    "-" * 3000 + "a": (MOST_DEPTH, MOST_DEPTH + 1),
    "~ " * 2000 + "a": (MOST_DEPTH, MOST_DEPTH + 1),
    "(---" * 20 + "a": (MOST_DEPTH, MOST_DEPTH + 1),
    "a" + "**a" * 1000: (MOST_DEPTH, MOST_DEPTH + 1),
    "a" + "**-a" * 1000: (MOST_DEPTH, MOST_DEPTH + 1),
    "a" + "+a" * 64: (MOST_DEPTH, MOST_DEPTH + 1),
    "a" + "+a" * 600: (MOST_DEPTH, MOST_DEPTH + 1),
    "+".join(["(" + "+".join(["a"] * 16) + ")"] * 17): (MOST_NODES, MOST_NODES + 1),
    "sum(sum(a, axis=(-1, -2, -3)), axis=(-1, -2))": (MOST_AXES, MOST_AXES + 1),
    "+".join(f"a{number}" for number in range(25)): (MOST_NAMES, MOST_NAMES + 1),
}


@pytest.mark.parametrize("text", TOO_MUCH, ids=lambda text: text[:8])
def test_what_is_too_large_is_refused(text: str) -> None:
    with pytest.raises(TooLarge) as refused:
        expression_loss(text, ())
    assert refused.value.facts == dict(zip(("limit", "actual"), TOO_MUCH[text], strict=True))


def test_the_parser_never_meets_what_is_deep() -> None:
    """On the small stack of a thread, where Python's own parser would end the process."""
    texts = ["(" * 60 + "a" + ")" * 60, *TOO_MUCH, "a" + "()" * 2000, "a" + "+a" * 2000]

    def parse() -> None:
        for text in texts:
            try:
                parsed(text)
            except LossmeterError:
                continue

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=parse)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)


@pytest.mark.parametrize("text", ["a" + "+a" * 63, "exp(" * 63 + "a" + ")" * 63])
def test_what_is_just_not_too_deep_is_read_again_as_it_is_told(text: str) -> None:
    loss = expression_loss(text, ())
    assert expression_loss(loss.formula, ()) is loss


def test_a_refusal_takes_no_time() -> None:
    began = time.monotonic()
    for text in ("a*" + "9**" * 60 + "9", "(" * 1_000_000, "a" * 1_000_000, "-" * 4096):
        try:
            loss = expression_loss(text, ())
        except LossmeterError:
            continue
        with np.errstate(all="ignore"):
            loss.kernel(np, a=A)
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, "a * 2") for name in ("b", "exp", "pi", "axis", "mask", "_a", "", "a b", "é")),
        ("loss", "a * loss"),
        ("exp", "exp(a)"),
        ("pi", "a * pi"),
    ],
)
def test_parameters_are_names_of_the_expression(name: str, text: str) -> None:
    with pytest.raises(ParameterInvalid) as refused:
        expression_loss(text, ((name, False),))
    assert refused.value.field == f"params.{name}"


def test_nothing_of_the_text_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    real = compile
    for name in ("eval", "exec"):
        monkeypatch.setattr(f"builtins.{name}", never)
    # Parsing goes by way of compile, which must be told to make a tree and no code.
    monkeypatch.setattr(
        "builtins.compile",
        lambda *args, **how: real(*args, **how) if args[3] & ast.PyCF_ONLY_AST else never(),
    )
    for text in VALUES:
        expression_loss.__wrapped__(text, ())


def test_the_guide_has_every_function_operator_constant_and_limit() -> None:
    text = GUIDE.read_text()
    rows = " ".join(re.findall(r"^\| (`.*?) \| ", text, re.MULTILINE)).replace("\\|", "|")
    assert {*re.findall(r"`([a-z]\w*)[(`]", rows)} == {*FUNCTIONS, *CONSTANTS}
    assert {*re.findall(r"`(?:\w )?([^\w\s]+) ?\w`", rows)} == {x.name for x in OPERATORS.values()}
    limits = (MOST_CHARACTERS, MOST_DEPTH, MOST_NODES, MOST_NAMES, MOST_AXES, MOST_CROSSED)
    assert [limit for limit in limits if not re.search(rf"\b{limit:,}\b", text)] == []
