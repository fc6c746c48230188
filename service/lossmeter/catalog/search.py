"""The losses that a caller asks for, by framework and by words."""

from typing import Annotated

from pydantic import Field

from lossmeter.catalog.descriptors import Descriptor, descriptor
from lossmeter.core.declare import REGISTRY, Loss
from lossmeter.core.own import OWN
from lossmeter.dialects import SYMBOLS
from lossmeter.errors import ParameterInvalid
from lossmeter.plan.request import Body

MOST_CHARACTERS = 256


class Query(Body):
    """Which losses to list; all of them, if nothing is said."""

    framework: str = Field(
        "",
        description="Only losses that a symbol of this framework stands for.",
        examples=["torch"],
    )
    search: Annotated[str, Field(max_length=MOST_CHARACTERS)] = Field(
        "",
        description="Only losses with all of these words in their names, symbols or summary, best "
        "match first.",
        examples=["focal"],
    )


def frameworks() -> list[str]:
    """The frameworks whose symbols are known."""
    return sorted({symbol.dialect.name for symbol in SYMBOLS.values()})


def find_descriptors(query: Query) -> list[Descriptor]:
    """The losses that match, best first; by name among equals.

    Raises:
        ParameterInvalid: No such framework.
    """
    words = query.search.casefold().split()
    losses = _of(query.framework)
    ranks = {name: _rank(descriptor(loss), words) for name, loss in losses.items()}
    found = sorted((rank, name) for name, rank in ranks.items() if rank is not None)
    return [descriptor(losses[name]) for _, name in found]


def _of(framework: str) -> dict[str, Loss]:
    if not framework:
        return {**REGISTRY, **OWN}
    if framework not in frameworks():
        raise ParameterInvalid(
            f"no such framework; those known: {', '.join(frameworks())}", field="framework"
        )
    return {
        variant.loss.name: variant.loss
        for symbol in SYMBOLS.values()
        if symbol.dialect.name == framework
        for variant in symbol.variants
    }


def _rank(found: Descriptor, words: list[str]) -> int | None:
    """How well a loss matches, 0 best; None where a word is nowhere in it."""
    names = [name.casefold() for name in (found["name"], *found["names"])]
    if not words or "_".join(words) in names:
        return 0
    symbols = [symbol["symbol"].casefold() for symbol in found["symbols"]]
    places = (names, symbols, [found["summary"].casefold()])
    ranks = [_place(word, places) for word in words]
    return None if None in ranks else max(rank for rank in ranks if rank is not None)


def _place(word: str, places: tuple[list[str], ...]) -> int | None:
    return next(
        (at for at, texts in enumerate(places, start=1) if any(word in text for text in texts)),
        None,
    )
