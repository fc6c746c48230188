"""Who calls, and what they may."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from lossmeter.access.needs import SCOPES


class KeysWanted(Exception):
    """Published keys must be fetched first, for which an event loop cannot wait."""


class Rate(NamedTuple):
    """How much a principal may ask in a second; 0 is without limit.

    Attributes:
        requests: Requests, calls, and messages of streams that are requests.
        bytes: Of bodies and messages as they are sent.
    """

    requests: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that is known.

    Attributes:
        name: By which its requests are counted against its rate; never a credential.
        scopes: What it may: evaluate, read, admin.
        rate: How much.
    """

    name: str
    scopes: frozenset[str]
    rate: Rate


def scopes_of(words: Iterable[str]) -> frozenset[str]:
    """The words that are scopes of this service; a token may hold those of others too."""
    return SCOPES & set(words)
