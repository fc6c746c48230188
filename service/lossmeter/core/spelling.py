"""Numbers that JSON cannot hold, by their names."""

import math
from typing import Any

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number(x: float) -> float | str:
    """A number as JSON holds it."""
    if math.isfinite(x):
        return x
    return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"


def numbers(x: Any) -> Any:
    """Nested lists of numbers as JSON holds them."""
    return [numbers(inner) for inner in x] if isinstance(x, list) else number(x)
