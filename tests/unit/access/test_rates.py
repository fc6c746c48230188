"""Rates: what is let in of each principal, on a clock of the test's own."""

import pytest

from lossmeter.access.principals import Principal, Rate
from lossmeter.access.rates import MOST_PRINCIPALS, Rates
from lossmeter.errors import Overloaded


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def principal(name: str = "one", requests: float = 0.0, size: float = 0.0) -> Principal:
    return Principal(name, frozenset(), Rate(requests, size))


def taken(rates: Rates, who: Principal, most: int = 100) -> int:
    """How many requests are let in now."""
    for count in range(most):
        try:
            rates.take(who)
        except Overloaded:
            return count
    return most


def test_a_seconds_worth_is_let_in_at_once_and_then_as_it_comes() -> None:
    clock = Clock()
    rates, who = Rates(clock), principal(requests=5)
    assert taken(rates, who) == 5
    clock.now += 0.4
    assert taken(rates, who) == 2
    clock.now += 60
    assert taken(rates, who) == 5


def test_less_than_one_a_second() -> None:
    clock = Clock()
    rates, who = Rates(clock), principal(requests=0.1)
    assert taken(rates, who) == 1
    with pytest.raises(Overloaded, match=r"0\.1 requests a second; try again in 10 s") as caught:
        rates.take(who)
    assert caught.value.seconds == 10
    clock.now += 10
    assert taken(rates, who) == 1


def test_bytes_are_paid_off() -> None:
    clock = Clock()
    rates, who = Rates(clock), principal(size=1000)
    rates.take(who)
    rates.spend(who, 5000)
    with pytest.raises(Overloaded) as caught:
        rates.take(who)
    assert caught.value.seconds == 4
    clock.now += 4
    rates.take(who)


def test_what_was_announced_and_did_not_come_is_given_back() -> None:
    rates, who = Rates(Clock()), principal(size=1000)
    rates.take(who)
    rates.spend(who, 10**15)
    rates.spend(who, 10 - 10**15)
    rates.take(who)


def test_each_principal_has_its_own() -> None:
    rates = Rates(Clock())
    assert taken(rates, principal("one", 3)) == 3
    assert taken(rates, principal("two", 3)) == 3


def test_without_a_rate_nothing_is_counted() -> None:
    rates, who = Rates(Clock()), principal()
    rates.spend(who, 10**18)
    assert taken(rates, who) == 100


def test_only_so_many_are_remembered() -> None:
    rates, first = Rates(Clock()), principal("first", 1)
    rates.take(first)
    for number in range(MOST_PRINCIPALS):
        rates.take(principal(str(number), 1))
    assert taken(rates, first) == 1
    assert taken(rates, principal(str(MOST_PRINCIPALS - 1), 1)) == 0
