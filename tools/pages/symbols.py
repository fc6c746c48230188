"""What a framework's symbol means, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from lossmeter.core.declare import Loss
from lossmeter.dialects import SYMBOLS, words
from lossmeter.dialects.symbols import Symbol, Variant
from lossmeter.plan.parameters import model_of
from tools.pages.markdown import BREAK, clause, code, literal, table

# What depends on the shapes of the inputs.
SHAPES = {
    "smooths_by_last": "divides label smoothing by the size of the last axis, whatever it holds",
    "counts_batch": "counts the elements of all samples, unless each sample has a weight",
    "by_column": "gives each column a value of its own",
}
HEADINGS = ("symbol", "framework", "where", "default reduction", "keywords, defaults", "besides")


def symbols_of(loss: Loss) -> list[tuple[Symbol, int]]:
    """The symbols that stand for a loss, each with the position of that variant."""
    return [
        (symbol, at)
        for _, symbol in sorted(SYMBOLS.items())
        for at, variant in enumerate(symbol.variants)
        if variant.loss is loss
    ]


def table_of(loss: Loss) -> str:
    """The frameworks' names for a loss; those that differ in the default alone share a row."""
    rows: dict[tuple[str, ...], list[Symbol]] = {}
    for symbol, at in symbols_of(loss):
        variant = symbol.variants[at]
        schema = model_of(symbol, at).model_json_schema().get("properties", {})
        key = (
            _framework(symbol),
            condition(symbol, variant),
            _keywords(variant, schema),
            _besides(variant),
        )
        names = rows.setdefault(key, [])
        if symbol not in names:
            names.append(symbol)
    return table(HEADINGS, [_row(key, symbols) for key, symbols in rows.items()])


def _row(key: tuple[str, ...], symbols: list[Symbol]) -> tuple[str, ...]:
    framework, where, keywords, besides = key
    names = BREAK.join(code(symbol.name) for symbol in symbols)
    defaults = BREAK.join(code(symbol.default_reduction) for symbol in symbols)
    return names, framework, where, defaults, keywords, besides


def _framework(symbol: Symbol) -> str:
    return f"[{symbol.dialect.name}](README.md#{symbol.dialect.name}) {symbol.dialect.version}"


def _keywords(variant: Variant, schema: Mapping[str, Any]) -> str:
    return BREAK.join(
        _keyword(keyword, meaning, schema[keyword]) for keyword, meaning in variant.keywords.items()
    )


def _keyword(keyword: str, meaning: object, schema: Mapping[str, Any]) -> str:
    """A keyword, its default, and the parameter or rule that it is."""
    ours = f" → {code(meaning)}" if isinstance(meaning, str) and meaning != keyword else ""
    default = f" = {code(literal(schema['default']))}" if "default" in schema else " (required)"
    does = "" if isinstance(meaning, str) else f": {clause(schema.get('description', ''))}"
    return f"{code(keyword)}{ours}{default}{does}"


def _besides(variant: Variant) -> str:
    told = [
        *(_fixed(name, value) for name, value in variant.fixed.items()),
        *(words.guarded(name, value) for name, value in variant.guards),
        *_manners(variant),
    ]
    return BREAK.join(told)


def condition(symbol: Symbol, variant: Variant) -> str:
    """When a symbol stands for this loss, if it can stand for several."""
    if len(symbol.variants) == 1:
        return ""
    if variant.when:
        chosen = variant.when.items()
        return " and ".join(f"{code(name)} = {_value(value)}" for name, value in chosen)
    if variant.fits is None:
        return "otherwise"
    doc = (variant.fits.__doc__ or "").partition(";")[0]
    return clause(doc.partition("\n\n")[0].removeprefix("Whether "))


def _fixed(name: str, value: Any) -> str:
    """What a parameter does that no request sets; its value where that says it."""
    return words.fixed({name: value}).get(name, f"{code(name)} = {_value(value)}")


def _value(value: Any) -> str:
    bounds = list(value) if isinstance(value, tuple) else value
    try:
        return code(literal(bounds))
    except TypeError:
        return code(getattr(value, "__name__", type(value).__name__))


def _manners(variant: Variant) -> Iterator[str]:
    if variant.inner:
        yield words.INNER[variant.inner]
    yield from _inputs(variant)
    if variant.own in words.OWN:
        yield f"its own mean divides by {words.OWN[variant.own]}"
    if variant.own == "lengths":
        yield f"its own mean {words.LENGTHS}"
    if variant.survey is not None:
        yield words.reads(variant.survey.why)
    said = {**words.MARKED, **SHAPES}
    yield from (phrase for name, phrase in said.items() if getattr(variant, name))


def _inputs(variant: Variant) -> Iterator[str]:
    """How the inputs differ from those of the loss."""
    if variant.class_axis != -1:
        yield f"classes are on axis {variant.class_axis}"
    for theirs, ours in variant.aliases.items():
        yield f"{code(theirs)} is the input {code(ours)}"
    yield from (f"{code(name)} may be absent" for name in variant.lacks)
    yield from (f"also takes {code(name)}" for name in variant.beside)
    if variant.arrange is not None:
        yield clause((variant.arrange.__doc__ or "").partition("\n\n")[0])
