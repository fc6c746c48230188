"""The index of all losses, by task and by framework."""

import sys
from collections.abc import Sequence

from lossmeter.core.declare import REGISTRY, Loss
from lossmeter.dialects import SYMBOLS
from lossmeter.dialects.symbols import Symbol
from tools.pages.markdown import BREAK, code, join, plain, table
from tools.pages.symbols import condition

INTRODUCTION = """# Losses

Every loss has a page: formula, inputs, parameters, examples, and what each framework calls it. The
same stands in `GET /v1/losses/{name}` and `lossmeter losses NAME`; `?search=` and `--search` look
for words, `?framework=` and `--framework` for the losses of a framework.

A loss goes by its name, by another of its names, or by a framework's symbol, which brings that
framework's defaults, clipping, divisors and reduction words with it."""


def index() -> str:
    """The index."""
    kinds = sorted({loss.kind for loss in REGISTRY.values()})
    frameworks = sorted({symbol.dialect.name for symbol in SYMBOLS.values()})
    return join(
        INTRODUCTION,
        "## By task",
        _contents(kinds),
        *(_kind(kind) for kind in kinds),
        "## By framework",
        _contents(frameworks),
        *(_framework(name) for name in frameworks),
    )


def _contents(names: Sequence[str]) -> str:
    return " · ".join(f"[{name}](#{name})" for name in names)


def _kind(kind: str) -> str:
    losses = sorted(
        (loss for loss in REGISTRY.values() if loss.kind == kind), key=lambda loss: loss.name
    )
    rows = [(_link(loss), plain(loss.summary), ", ".join(map(code, loss.names))) for loss in losses]
    return join(
        f"### {kind}",
        _told_by(f"lossmeter.core.losses.{kind}"),
        table(("loss", "what it measures", "other names"), rows),
    )


def _framework(name: str) -> str:
    symbols = [symbol for symbol in SYMBOLS.values() if symbol.dialect.name == name]
    rows = [
        (code(symbol.name), _losses(symbol), code(symbol.default_reduction))
        for symbol in sorted(symbols, key=lambda symbol: symbol.name)
    ]
    return join(
        f"### {name}",
        _told_by(f"lossmeter.dialects.{name}") or f"{name} {symbols[0].dialect.version}.",
        table(("I use", "page", "default reduction"), rows),
    )


def _losses(symbol: Symbol) -> str:
    return BREAK.join(
        ", where ".join(filter(None, [_link(variant.loss), condition(symbol, variant)]))
        for variant in symbol.variants
    )


def _link(loss: Loss) -> str:
    return f"[{loss.name}]({loss.name}.md)"


def _told_by(module: str) -> str:
    """What a module says of itself, if it is there."""
    return plain((getattr(sys.modules.get(module), "__doc__", "") or "").strip())
