"""The service beside its catalogue: every loss, parameter and symbol of it, and no others."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lossmeter.catalog.descriptors import descriptor
from lossmeter.core.declare import CLASS_WEIGHT, REGISTRY, TEMPERATURE, Loss
from lossmeter.dialects import SYMBOLS
from lossmeter.dialects.symbols import Symbol, Variant
from lossmeter.errors import ParameterInvalid
from lossmeter.plan.parameters import default_of
from lossmeter.plan.plan import prepare
from tests.golden.cases import by_hand, of_frameworks
from tests.oracle.formulas import ORACLES

ROOT = Path(__file__).parents[2]
CATALOG = json.loads((ROOT / "tests" / "golden" / "catalog.json").read_bytes())
LOSSES: Mapping[str, Mapping[str, Any]] = {entry["name"]: entry for entry in CATALOG["losses"]}
COMMON = (TEMPERATURE.name, CLASS_WEIGHT.name)
LONG, SHORT = "optax.losses.", "optax."


class Told(NamedTuple):
    """What the catalogue says of a symbol as one of its losses."""

    framework: str
    loss: str
    says: Mapping[str, Any]

    @property
    def symbol(self) -> Symbol:
        """The symbol."""
        return SYMBOLS[self.says["symbol"]]

    @property
    def variants(self) -> list[Variant]:
        """The symbol where it stands for this loss."""
        return [v for v in self.symbol.variants if v.loss.name == self.loss]

    @property
    def keywords(self) -> set[str]:
        """Its keywords, those that the service adds among them."""
        known = {*self.says["params"].values(), *self.says["fixed"]}
        own = {param.name for param in REGISTRY[self.loss].params}
        return {*self.says["params"], *(n for n in COMMON if n in own and n not in known)}


def told() -> Iterator[Told]:
    """Every symbol, once for each of its losses."""
    for name, entry in LOSSES.items():
        for framework, symbols in entry["dialects"].items():
            yield from (Told(framework, name, says) for says in symbols)


ALL_TOLD = list(told())
EVERY_LOSS = pytest.mark.parametrize("name", LOSSES)
EVERY_SYMBOL = pytest.mark.parametrize("name", sorted(SYMBOLS))
EVERY_MEANING = pytest.mark.parametrize(
    "said", ALL_TOLD, ids=lambda said: f"{said.says['symbol']} as {said.loss}"
)
# Where the code differs from the catalogue on purpose.
NO_DEFAULT = "the framework has no default, so it must be given"
NULL_IS_IT = "null is the framework's default, and means what the catalogue says"
DEFAULTS_APART: Mapping[tuple[str, str], str] = {
    ("tf.nn.weighted_cross_entropy_with_logits", "pos_weight"): NO_DEFAULT,
    ("keras.losses.categorical_generalized_cross_entropy", "q"): NO_DEFAULT,
    ("optax.losses.make_fenchel_young_loss", "max_fun"): NO_DEFAULT,
    ("torch.nn.functional.linear_cross_entropy", "ignore_index"): NULL_IS_IT,
    ("torch.nn.TripletMarginWithDistanceLoss", "distance_function"): NULL_IS_IT,
    ("torch.nn.functional.triplet_margin_with_distance_loss", "distance_function"): NULL_IS_IT,
    ("tf.nn.ctc_loss", "blank_index"): NULL_IS_IT,
}
REDUCTIONS_APART: Mapping[tuple[str, str], str] = {
    (
        "torchmetrics.functional.mean_squared_error",
        "root_mean_squared_error",
    ): "the mean of a loss that reduces as a root is the root, which the catalogue calls rms"
}


def test_the_catalogue_and_the_service_have_the_same_losses() -> None:
    assert LOSSES.keys() == REGISTRY.keys()


@EVERY_LOSS
def test_a_loss_is_declared_as_the_catalogue_has_it(name: str) -> None:
    entry, loss = LOSSES[name], REGISTRY[name]
    assert {
        "names": list(loss.names),
        "kind": loss.kind,
        "inputs": [
            {"name": spec.name, "shape": spec.kind.shape, "domain": spec.kind.domain.name}
            for spec in loss.inputs
        ],
        "output": loss.output,
        "output_shape": loss.output_shape,
        "reduces_as": loss.reduces_as,
    } == {
        "reduces_as": None,
        **{key: entry[key] for key in entry.keys() & DECLARED},
    }


DECLARED = {"names", "kind", "inputs", "output", "output_shape", "reduces_as"}


@EVERY_LOSS
def test_a_loss_has_its_parameters_with_their_defaults(name: str) -> None:
    declared = {param.name: param.default for param in REGISTRY[name].open_params}
    assert declared == {param["name"]: param["default"] for param in LOSSES[name]["params"]}


# What lies inside and outside of a range, by its words.
RANGES: Mapping[str, tuple[list[Any], list[Any]]] = {
    "> 0": ([1e-9, 7.5], [0.0, -1.0]),
    ">= 0": ([0.0, 7.5], [-1e-9]),
    "[0, 1]": ([0.0, 0.5, 1.0], [-1e-9, 1.001]),
    "(0, 1)": ([1e-9, 0.999], [0.0, 1.0]),
    "[-1, 1]": ([-1.0, 1.0], [-1.001, 1.001]),
    "<= 0 or >= 1": ([-1.0, 0.0, 1.0, 2.5], [1e-9, 0.5, 0.999]),
    "any real": ([-7.5, 0.0, 7.5], []),
    "any integer": ([-100, 0, 7], []),
    "[0, C)": ([0, 2], [-1]),
    "axes other than 0": ([[1], [-1, 2], None], [[0], 1, "last"]),
    "C numbers": ([[0.5, 2.0], None], ["even", ["a"]]),
    ">= 0, broadcast over the last axis": ([2.0, [0.0, 2.0]], [-1.0, [1.0, -1.0]]),
    ">= 0, a number or one per class": ([0.0, [0.0, 2.0]], [-1.0, [1.0, -1.0]]),
    'one number per class, or "balanced"': (
        [[0.5, 2.0], {"0": 0.5}, "balanced", None],
        ["even", ["a"], 2.0, {"0": "a"}],
    ),
}
# What is never of a type.
FOREIGN: Mapping[str, list[Any]] = {
    "number": ["1", True, [1.0]],
    "integer": ["1", 0.5, [1]],
    "boolean": [1, "true", [True]],
    "string": [1, ["mean"]],
}


def around(param: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Values that a parameter takes, and values that it does not."""
    foreign = FOREIGN.get(param["type"], [])
    if isinstance(param["range"], list):
        return param["range"], [*foreign, "hunter2", -7]
    inside, outside = RANGES[param["range"]]
    return [*inside, param["default"]], [*outside, *foreign]


def takes(name: str, params: Mapping[str, Any]) -> bool:
    """Whether a loss takes parameters; a refusal names the one at fault."""
    try:
        prepare(name, params, None)
    except ParameterInvalid as error:
        assert error.field is not None
        assert error.field.removeprefix("params.") in params
        return False
    return True


PARAMETERS = [
    pytest.param(name, param, id=f"{name}: {param['name']}")
    for name, entry in LOSSES.items()
    for param in entry["params"]
]


@pytest.mark.parametrize(("name", "param"), PARAMETERS)
def test_a_parameter_has_its_range(name: str, param: Mapping[str, Any]) -> None:
    inside, outside = around(param)
    assert [value for value in inside if not takes(name, {param["name"]: value})] == []
    assert [value for value in outside if takes(name, {param["name"]: value})] == []


def test_every_loss_has_an_oracle() -> None:
    assert LOSSES.keys() - ORACLES.keys() == set()


def test_every_loss_has_a_golden_value() -> None:
    asked = [*of_frameworks(), *(name for name, _ in by_hand())]
    valued = {v.loss.name for name in asked if name in SYMBOLS for v in SYMBOLS[name].variants}
    assert LOSSES.keys() - valued - set(asked) == set()


@EVERY_LOSS
def test_a_loss_has_its_page(name: str) -> None:
    assert (ROOT / "docs" / "losses" / f"{name}.md").is_file()


def test_the_catalogue_and_the_service_have_the_same_symbols() -> None:
    listed = {said.says["symbol"] for said in ALL_TOLD}
    short = {name.replace(LONG, SHORT) for name in listed if name.startswith(LONG)}
    assert listed | short == SYMBOLS.keys()


@EVERY_SYMBOL
def test_a_symbol_stands_for_its_losses(name: str) -> None:
    long = name if name.startswith(LONG) else name.replace(SHORT, LONG)
    meant = {said.loss for said in ALL_TOLD if said.says["symbol"] in (name, long)}
    assert {variant.loss.name for variant in SYMBOLS[name].variants} == meant


@pytest.mark.parametrize("name", [name for name in sorted(SYMBOLS) if name.startswith(LONG)])
def test_optax_has_its_losses_under_the_short_name_too(name: str) -> None:
    long, short = SYMBOLS[name], SYMBOLS[name.replace(LONG, SHORT)]
    assert (long.variants, long.default_reduction) == (short.variants, short.default_reduction)


@EVERY_MEANING
def test_a_symbol_has_its_keywords(said: Told) -> None:
    for variant in said.variants:
        assert {*variant.keywords, *variant.spellings} == said.keywords


@EVERY_MEANING
def test_a_keyword_is_its_parameter_with_the_frameworks_default(said: Told) -> None:
    variant = said.variants[0]
    for keyword, param in _canonical(said).items():
        if (said.symbol.name, keyword) not in DEFAULTS_APART:
            assert variant.keywords[keyword] == param
            assert default_of(variant, keyword) == _default(said, param)


@pytest.mark.parametrize(("name", "keyword"), DEFAULTS_APART)
def test_a_default_that_is_another_on_purpose_is_another(name: str, keyword: str) -> None:
    (said,) = (said for said in ALL_TOLD if said.says["symbol"] == name)
    expected = _default(said, _canonical(said)[keyword])
    assert default_of(said.variants[0], keyword) != expected


@EVERY_MEANING
def test_what_a_framework_fixes_is_fixed(said: Told) -> None:
    known = {param.name: param.default for param in REGISTRY[said.loss].params}
    # What is no parameter of the loss is done to its inputs; golden values show it.
    fixed = {k: v for k, v in said.says["fixed"].items() if k in known and k not in SETTLED_LATE}
    for variant in said.variants:
        assert {name: variant.fixed.get(name, known[name]) for name in fixed} == fixed


# Added to the differences by torch's own distance alone.
SETTLED_LATE = {"difference_add"}


def _canonical(said: Told) -> Mapping[str, str]:
    """The keywords that are a parameter of the loss, or a guard of its kernel."""
    params = said.says["params"].items()
    return {
        keyword: meaning.removeprefix("guard:")
        for keyword, meaning in params
        if not meaning.startswith("rule:")
    }


def _default(said: Told, param: str) -> object:
    declared = {p.name: p.default for p in REGISTRY[said.loss].params}
    return said.says.get("defaults", {}).get(param, declared[param])


@EVERY_MEANING
def test_a_symbol_has_its_default_reduction_and_version(said: Told) -> None:
    (found,) = (
        symbol
        for symbol in descriptor(REGISTRY[said.loss])["symbols"]
        if symbol["symbol"] == said.symbol.name
    )
    assert found["framework"] == said.framework
    assert found["version"] in CATALOG["dialects"][said.framework]
    apart = (said.symbol.name, said.loss) in REDUCTIONS_APART
    assert (found["default_reduction"] != said.says["default_reduction"]) == apart


# A value of every keyword that must be given.
NEEDED = {
    "axis": -1,
    "max_fun": "max",
    "num_classes": 3,
    "pos_weight": 1.0,
    "q": 0.5,
    "task": "binary",
}


def needed(variant: Variant) -> dict[str, Any]:
    """The keywords that a variant cannot do without."""
    required = (k for k in variant.keywords if default_of(variant, k) is ...)
    return {keyword: NEEDED[keyword] for keyword in required}


@EVERY_MEANING
def test_a_switch_chooses_the_loss(said: Told) -> None:
    when = said.says.get("when", {})
    switched = {k: v for k, v in when.items() if k in said.says["params"]}
    if when.get("otherwise"):
        switched = {"alpha": 0.25}
    if switched:
        plan = prepare(said.symbol.name, {**needed(said.variants[0]), **switched}, None)
        assert [candidate.variant.loss.name for candidate in plan.candidates] == [said.loss]


@EVERY_SYMBOL
def test_a_symbol_refuses_a_keyword_that_is_not_its_own(name: str) -> None:
    symbol = SYMBOLS[name]
    known = {k for v in symbol.variants for k in (*v.keywords, *v.spellings)}
    params = needed(symbol.variants[0])
    assert takes(name, params)
    for foreign in {"hunter2", *_all_params(symbol)} - known:
        with pytest.raises(ParameterInvalid) as told:
            prepare(name, {**params, foreign: 1.0}, None)
        assert told.value.field == f"params.{foreign}"


def _all_params(symbol: Symbol) -> set[str]:
    """The parameters of a symbol's losses, those among them that only a framework sets."""
    losses: list[Loss] = [variant.loss for variant in symbol.variants]
    return {param.name for loss in losses for param in loss.params}
