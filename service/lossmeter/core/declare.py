"""The declaration of a loss: one decorated function, from which everything else is derived.

The signature gives the inputs (annotated with their domains) and the parameters (keyword-only,
annotated with their bounds); the docstring gives the documentation; the body is the kernel.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le

from lossmeter.core.arrays import Array
from lossmeter.core.domains import Input, shape_words

Output = Literal["elementwise", "per_sample", "batch"]
ReducesAs = Literal["root", "median", "max", "sum", "ratio"]
Kernel = Callable[..., Array]


@dataclass(frozen=True, slots=True)
class Guard:
    """Marks a parameter that only a dialect may set: a framework's clipping, say."""


@dataclass(frozen=True, slots=True)
class PerOutput:
    """Marks a parameter that may be a list, broadcast over the last axis of the loss values."""


@dataclass(frozen=True, slots=True)
class PerClass:
    """Marks a parameter that is a list of one number a class."""


@dataclass(frozen=True, slots=True)
class PerSample:
    """Marks a parameter that is filled with the sample weights: they are part of the formula."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """An input of a declared loss."""

    name: str
    kind: Input
    description: str


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a declared loss: its annotation holds type and bounds."""

    name: str
    annotation: Any
    default: Any
    description: str

    def marked(self, mark: type) -> bool:
        """Whether the annotation carries this mark: ``Guard``, ``PerOutput`` and so on."""
        return any(isinstance(note, mark) for note in get_args(self.annotation)[1:])


@dataclass(frozen=True, slots=True)
class Example:
    """One worked value, shown in the documentation and run on every backend.

    Attributes:
        inputs: Arrays or numbers by input name.
        expected: The loss values.
        params: Parameters that differ from their defaults.
    """

    inputs: Mapping[str, Any]
    expected: Any
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """A declared loss; one that is declared anew is another.

    Attributes:
        name: Its canonical name, that of the function.
        names: Other names it answers to.
        kind: Its family, the first word of the module it is declared in.
        inputs: What it takes, in the order of the signature.
        params: What can be set, guards included.
        output: Whether it gives a value per element, one per sample because an axis is used up, or
            values that the batch as a whole defines, so that no batch can be merged with another.
        output_shape: Shape of its values, where weights and masks act.
        reduces_as: How its values become one number, if not by their mean.
        source: The paper with its DOI, or the framework whose rule it is.
        examples: Worked values.
        summary: First line of the docstring.
        formula: LaTeX, from the docstring.
        notes: What the docstring says besides.
        kernel: The function itself.
        backend: The backend that alone can run it; empty if any can.
        stated: What its states call it, where its name may come to mean another loss.
        wide: The axes of what a kernel makes of an entry, where those are more than any input has.
        graph: SHA-256 of the graph that computes it, which tells it from another of its name;
            empty if a function does.
        dtype: The dtype it is computed in whatever it is given; empty if its inputs decide.
    """

    name: str
    names: tuple[str, ...]
    kind: str
    inputs: tuple[InputSpec, ...]
    params: tuple[Param, ...]
    output: Output
    output_shape: str
    reduces_as: ReducesAs | None
    source: str
    examples: tuple[Example, ...]
    summary: str
    formula: str
    notes: str
    kernel: Kernel
    backend: str = ""
    stated: str = ""
    wide: tuple[tuple[str, ...], ...] = ()
    graph: str = ""
    dtype: Literal["", "float32", "float64"] = ""

    @property
    def called(self) -> str:
        """What messages call it: they repeat no expression of a caller."""
        return "the expression" if self.name.startswith("expression(") else self.name

    @property
    def collapses(self) -> bool:
        """Whether a batch has one value, of which its samples have no share."""
        return self.output == "batch" and self.output_shape == "()"

    @property
    def weighs_samples(self) -> str | None:
        """The parameter of the kernel that takes the sample weights, if one does."""
        return _weighs_samples(self)

    @property
    def open_params(self) -> tuple[Param, ...]:
        """The parameters that a request may set: all but the guards."""
        return tuple(param for param in self.params if not param.marked(Guard))


@lru_cache(maxsize=1024)
def _weighs_samples(loss: Loss) -> str | None:
    return next((param.name for param in loss.params if param.marked(PerSample)), None)


REGISTRY: dict[str, Loss] = {}
NAMES: dict[str, str] = {}

# Parameters that the plan applies around a kernel, so that no kernel repeats them.
TEMPERATURE = Param(
    "temperature",
    Annotated[float, Gt(0)],
    1.0,
    "Predictions are divided by it before anything else.",
)
IGNORE_INDEX = Param(
    "ignore_index",
    int | None,
    None,
    "Target class whose entries leave the loss like masked ones.",
)
CLASS_WEIGHT = Param(
    "class_weight",
    list[float] | dict[str, float] | Literal["balanced"] | None,
    None,
    "Weight picked by target class, multiplied with sample_weight: a list, a mapping, or "
    '"balanced" for scikit-learn\'s formula on this request.',
)


AXIS = Param(
    "axis",
    list[Annotated[int, Ge(1)] | Annotated[int, Le(-1)]] | None,
    None,
    "Axes summed, other than that of the samples; none is all of them.",
)


def loss(
    *,
    source: str,
    examples: list[Example],
    names: tuple[str, ...] = (),
    output: Output | None = None,
    output_shape: str | None = None,
    reduces_as: ReducesAs | None = None,
    weighs_classes: bool = False,
    ignores_classes: bool | None = None,
    sums_axes: bool = False,
) -> Callable[[Kernel], Kernel]:
    """Declare a loss.

    Args:
        source: Author, year and DOI, or the framework whose rule it is.
        examples: Worked values; at least one.
        names: Other names it answers to.
        output: Where it is not that axes used up leave one value per sample, else one per element.
        output_shape: Shape of the values of a batch, if it is not one number.
        reduces_as: ``"root"`` if the square root of the mean is the loss, ``"sum"`` if their sum,
            ``"median"``, ``"max"``; ``"ratio"`` if Σw·ℓ / max(Σw·|targets|, epsilon).
        weighs_classes: Whether each target has a class that ``class_weight`` can weigh.
        ignores_classes: Whether ``ignore_index`` has a meaning, if not by a class index.
        sums_axes: Whether a request may name the axes that are summed.

    Returns:
        The function unchanged: a kernel can call another.
    """

    def register(kernel: Kernel) -> Kernel:
        inputs, params = _signature(kernel)
        params += _common(inputs, weighs_classes, ignores_classes)
        params += (AXIS,) if sums_axes else ()
        used_up = any(spec.kind.core for spec in inputs)
        gives = output or ("per_sample" if used_up else "elementwise")
        doc = inspect.cleandoc(kernel.__doc__ or "")
        declared = Loss(
            name=kernel.__name__,
            names=names,
            kind=kernel.__module__.rsplit(".", 1)[-1].partition("_")[0],
            inputs=inputs,
            params=params,
            output=gives,
            output_shape=output_shape or _values_shape(inputs[0].kind, gives),
            reduces_as=reduces_as,
            source=source,
            examples=tuple(examples),
            summary=doc.partition("\n\n")[0],
            formula=_formula(doc),
            notes=_notes(doc),
            kernel=kernel,
        )
        _register(declared)
        return kernel

    return register


def _register(declared: Loss) -> None:
    for name in (declared.name, *declared.names):
        if name in NAMES:
            raise ValueError(f"two losses answer to {name!r}")
        NAMES[name] = declared.name
    REGISTRY[declared.name] = declared


def _signature(kernel: Kernel) -> tuple[tuple[InputSpec, ...], tuple[Param, ...]]:
    """The inputs and parameters of a kernel, from its annotations and its docstring."""
    described = _described(inspect.cleandoc(kernel.__doc__ or ""))
    hints = get_type_hints(kernel, include_extras=True)
    after_namespace = list(inspect.signature(kernel).parameters.values())[1:]
    inputs = tuple(
        InputSpec(p.name, _input(hints[p.name]), described[p.name])
        for p in after_namespace
        if p.kind is p.POSITIONAL_OR_KEYWORD
    )
    params = tuple(
        Param(p.name, hints[p.name], p.default, described[p.name])
        for p in after_namespace
        if p.kind is p.KEYWORD_ONLY
    )
    return inputs, params


def _values_shape(first: Input, output: Output) -> str:
    if output == "batch":
        return "()"
    return first.shape if output == "elementwise" else shape_words(first.lead)


def _common(
    inputs: tuple[InputSpec, ...],
    weighs_classes: bool,
    ignores_classes: bool | None,
) -> tuple[Param, ...]:
    """The parameters that the plan applies, where the inputs give them a meaning."""
    indexed = any(spec.kind.domain.index for spec in inputs)
    applies = {
        IGNORE_INDEX: indexed if ignores_classes is None else ignores_classes,
        TEMPERATURE: any(spec.kind.domain.logits for spec in inputs),
        CLASS_WEIGHT: weighs_classes,
    }
    return tuple(param for param, does in applies.items() if does)


def _formula(doc: str) -> str:
    found = re.search(r"\$\$(.+?)\$\$", doc, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def _notes(doc: str) -> str:
    body = doc.partition("\n\nArgs:")[0].partition("\n\n")[2]
    return re.sub(r"\$\$.+?\$\$", "", body, flags=re.DOTALL).strip()


def _input(hint: Any) -> Input:
    if get_origin(hint) is Annotated:
        for note in get_args(hint)[1:]:
            if isinstance(note, Input):
                return note
    raise TypeError("an input of a loss is annotated with a domain of core.domains")


def _described(doc: str) -> Mapping[str, str]:
    """What the docstring's ``Args`` say of each name."""
    args = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", doc, re.DOTALL | re.MULTILINE)
    entries = re.findall(
        r"^    (\w+): (.*?)(?=^    \w+: |\Z)", args[1] if args else "", re.M | re.S
    )
    return MappingProxyType({name: " ".join(text.split()) for name, text in entries})
