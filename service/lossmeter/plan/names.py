"""From a name in a request to the symbol it means."""

from rapidfuzz import process
from rapidfuzz.fuzz import WRatio

from lossmeter.core.declare import NAMES, REGISTRY
from lossmeter.core.own import OWN
from lossmeter.dialects import SYMBOLS
from lossmeter.dialects.symbols import Symbol, canonical
from lossmeter.errors import LossNotFound

SIMILAR = 70.0


def nearest(name: str, known: list[str], most: int = 3) -> list[str]:
    """The known names most like this one."""
    found = process.extract(
        name[:200], known, scorer=WRatio, limit=most, score_cutoff=SIMILAR, processor=str.lower
    )
    return [match for match, _, _ in found]


def symbol_named(name: str, field: str = "loss") -> Symbol:
    """The symbol of a framework, or the canonical loss as one.

    Raises:
        LossNotFound: Nothing has this name; the message gives the nearest.
    """
    if name in SYMBOLS:
        return SYMBOLS[name]
    if name in NAMES:
        return canonical(REGISTRY[NAMES[name]])
    if name in OWN:
        return canonical(OWN[name])
    near = nearest(name, [*NAMES, *SYMBOLS, *OWN])
    hint = f"did you mean {' or '.join(near)}" if near else "GET /v1/losses lists them"
    raise LossNotFound(f"no loss or symbol has this name; {hint}", field=field)
