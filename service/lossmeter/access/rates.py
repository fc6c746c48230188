"""How much each principal may ask: token buckets, one second deep."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from time import monotonic

from lossmeter.access.principals import Principal, Rate
from lossmeter.errors import Overloaded

# Principals that are remembered. Who is forgotten has not asked for longest, and gains at most what
# a second brings.
MOST_PRINCIPALS = 10_000


class _Account:
    """What a principal has left."""

    __slots__ = ("at", "bytes", "requests")

    def __init__(self, rate: Rate, now: float) -> None:
        self.requests, self.bytes, self.at = max(rate.requests, 1.0), rate.bytes, now

    def fill(self, rate: Rate, now: float) -> None:
        passed, self.at = now - self.at, now
        self.requests = min(max(rate.requests, 1.0), self.requests + passed * rate.requests)
        self.bytes = min(rate.bytes, self.bytes + passed * rate.bytes)

    def wait(self, rate: Rate) -> float:
        """Seconds until the next request is let in."""
        for_requests = (1.0 - self.requests) / rate.requests if rate.requests else 0.0
        for_bytes = -self.bytes / rate.bytes if rate.bytes else 0.0
        return max(for_requests, for_bytes)


class Rates:
    """The buckets of all principals of this process.

    A request is let in while something is left, and its bytes are taken as they come: so one may
    be larger than a second's worth, and its principal then waits until that is paid off.

    Args:
        clock: Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, principal: Principal) -> None:
        """Count a request.

        Raises:
            Overloaded: Its principal has asked too much.
        """
        rate = principal.rate
        if not any(rate):
            return
        with self._lock:
            account = self._account(principal)
            wait = account.wait(rate)
            if wait <= 0.0:
                account.requests -= 1.0
                return
        seconds = max(1, ceil(wait))
        raise Overloaded(
            f"more was asked than {_told(rate)} a second; try again in {seconds} s",
            seconds=seconds,
        )

    def spend(self, principal: Principal, size: int) -> None:
        """Count bytes; fewer than none gives some back."""
        if principal.rate.bytes and size:
            with self._lock:
                self._account(principal).bytes -= size

    def _account(self, principal: Principal) -> _Account:
        now, rate = self._clock(), principal.rate
        account = self._accounts.get(principal.name)
        if account is None:
            account = self._accounts[principal.name] = _Account(rate, now)
            if len(self._accounts) > MOST_PRINCIPALS:
                self._accounts.popitem(last=False)
        self._accounts.move_to_end(principal.name)
        account.fill(rate, now)
        return account


def _told(rate: Rate) -> str:
    requests = [f"{rate.requests:g} requests"] if rate.requests else []
    return " or ".join(requests + ([f"{rate.bytes:g} bytes"] if rate.bytes else []))
