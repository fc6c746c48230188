"""The page of one loss."""

import inspect
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from lossmeter.catalog.descriptors import descriptor
from lossmeter.core.declare import Loss
from tools.pages import examples, symbols
from tools.pages.disagreements import Rows, section
from tools.pages.graph import picture
from tools.pages.markdown import code, formula, join, literal, plain, table, words

REDUCES = {
    "root": "the square root of their {}",
    "ratio": "their sum over the sum of the targets' sizes, both weighted",
}
WHOLE = (
    "**The batch as a whole defines these values.** So batches evaluated apart cannot be merged, "
    "and a stream is refused."
)
APART = "Batches can be streamed, or evaluated apart and [merged](../guides/merging.md)."
MARKS = (
    "`sample_weight` and `mask` (true keeps) may come with them: in the shape of the loss values, "
    "or in a leading part of it."
)
BODY = "The same as a request; as JSON, it is the body of `POST /v1/evaluate`:"


def _marks(loss: Loss) -> str:
    """What weights and a mask do."""
    if not loss.collapses:
        return MARKS
    weighed = "one number a sample" if loss.weighs_samples else "one number, which multiplies it"
    return (
        "`mask` (true keeps), a boolean a sample, may come with them, and `sample_weight`: "
        f"{weighed}."
    )


def page(loss: Loss, rows: Rows) -> str:
    """The page, whole."""
    found = descriptor(loss)
    return join(
        f"# {loss.name}",
        plain(loss.summary),
        formula(loss.formula),
        plain(loss.notes),
        _names(loss),
        f"## Inputs\n\n{_inputs(found)}",
        _marks(loss),
        f"## Parameters\n\n{_params(found['params'])}",
        f"## Answer\n\n{_answer(loss, found['default_reduction'])}",
        f"## Examples\n\n{examples.session(loss)}\n\n{BODY}\n\n{examples.request(loss)}",
        f"## Frameworks\n\n{_frameworks(loss)}",
        section(loss.name, rows),
        _graph(loss),
        f"## Source\n\n{source(loss.source)}",
        "[All losses](README.md)",
    )


def _graph(loss: Loss) -> str:
    """The loss as a graph."""
    drawn = picture(loss)
    told = "What [an export](../guides/export.md) computes before weights, mask and reduction:"
    return f"## Graph\n\n{told}\n\n{drawn}" if drawn else ""


def _names(loss: Loss) -> str:
    also = f" Also called {', '.join(map(code, loss.names))}." if loss.names else ""
    return f"Kind: [{loss.kind}](README.md#{loss.kind}).{also}"


def _inputs(found: Mapping[str, Any]) -> str:
    return table(
        ("input", "shape", "values", "meaning"),
        [
            (code(one["name"]), code(one["shape"]), one["values"], plain(one["description"]))
            for one in found["inputs"]
        ],
    )


def _params(schema: Mapping[str, Any]) -> str:
    rows = [
        (
            code(name),
            words(one),
            code(literal(one["default"])) if "default" in one else "required",
            plain(one.get("description", "")),
        )
        for name, one in schema.get("properties", {}).items()
    ]
    return table(("parameter", "values", "default", "meaning"), rows) if rows else "None."


def _answer(loss: Loss, default: str) -> str:
    how = REDUCES.get(loss.reduces_as or "", "their {}").format(code(default))
    reduced = (
        f"Without a `reduction` the answer is {how}; [others](../guides/reductions.md) go by name."
    )
    return join(
        plain(_returns(loss)),
        "" if loss.output_shape == "()" else reduced,
        WHOLE if loss.output == "batch" else APART,
    )


def _returns(loss: Loss) -> str:
    """What the docstring says that the kernel gives: shape and unit."""
    doc = inspect.cleandoc(loss.kernel.__doc__ or "")
    found = re.search(r"^Returns:\n(.*?)(?=^\S|\Z)", doc, re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else f"Values of shape {code(loss.output_shape)}."


def _frameworks(loss: Loss) -> str:
    if not symbols.symbols_of(loss):
        return "No symbol of a framework stands for it."
    return (
        "Each symbol goes as a request's `loss`, and its keywords as `params`.\n\n"
        f"{symbols.table_of(loss)}"
    )


def source(text: str) -> str:
    """The source, with its DOI as a link."""
    return re.sub(r"doi:(10\.\S*[^\s.,;)])", _doi, text)


def _doi(found: re.Match[str]) -> str:
    told = found[0].replace("<", r"\<").replace(">", r"\>")
    return f"[{told}](https://doi.org/{quote(found[1], safe='/.:;-_')})"
