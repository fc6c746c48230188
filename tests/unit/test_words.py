"""What symbols do besides the formula has words, of which explanations and pages are made."""

import pytest

from lossmeter.core.declare import REGISTRY, Guard
from lossmeter.core.guards import GUARDS, RECODING
from lossmeter.core.program import OWN_EXTRAS
from lossmeter.core.reductions import RULES
from lossmeter.dialects import SYMBOLS, words
from lossmeter.dialects.symbols import Variant

# Parameters that are arrays, of which a setting says nothing: weights.
WEIGHTS = {"class_factor", "sample_weight"}
GUARDED = {param.name for loss in REGISTRY.values() for param in loss.params if param.marked(Guard)}
VARIANTS = [
    pytest.param(variant, id=f"{symbol.name}, variant {at}")
    for symbol in SYMBOLS.values()
    for at, variant in enumerate(symbol.variants)
]


def test_every_guard_has_words_and_no_words_are_of_nothing() -> None:
    assert words.GUARDED.keys() == GUARDS.keys()
    assert words.RECODED.keys() == RECODING


def test_every_parameter_of_dialects_has_words_and_no_words_are_of_nothing() -> None:
    assert words.FIXED.keys() == GUARDED - WEIGHTS


def test_every_array_of_a_symbol_has_words() -> None:
    assert words.GIVEN.keys() == OWN_EXTRAS - {"factor"} | {"class_factor"}


def test_every_mean_says_what_it_divides_by() -> None:
    means = {name for name, rule in RULES.items() if rule.mean}
    assert means <= words.DIVISORS.keys()
    assert {*words.SUMMED, *words.OUTER} <= words.DIVISORS.keys() <= RULES.keys()


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_a_variant_does_can_be_said(variant: Variant) -> None:
    told = [words.guarded(*guard) for guard in variant.guards]
    told += words.fixed(variant.fixed).values()
    assert [says for says in told if not says or "None" in says or "(" in says] == []
