"""Which settings let whom in, and which are refused before anything listens."""

from itertools import count
from typing import Any

import pytest

from lossmeter.access.control import access_of, check_address, is_loopback
from lossmeter.access.keys import new_key
from lossmeter.access.needs import Need
from lossmeter.errors import Forbidden, NotFound, ParameterInvalid, Unauthenticated
from lossmeter.settings import Settings
from tests.integration.guarded import SECRET

KEY = new_key("reader", ["read"])
HASH = KEY["entry"]["sha256"]
KEYS = f'[{{"name": "reader", "sha256": "{HASH}", "scopes": ["read"]}}]'
SIGNED = {"jwt_secret": SECRET, "jwt_issuer": "i", "jwt_audience": "a"}


def check(**settings: Any) -> None:
    given = Settings(**settings)
    check_address(given, access_of(given))


@pytest.mark.parametrize(
    "settings",
    [
        *({}, {"host": "::1"}, {"host": "localhost"}, {"host": "127.8.8.8"}),
        {"host": "0.0.0.0", "open_to_all": True},
        {"host": "0.0.0.0", "keys": KEYS},
        {"host": "::", **SIGNED},
        {"host": "0.0.0.0", "tls_client_authority": "ca.pem"},
    ],
    ids=count(),
)
def test_what_may_listen(settings: dict[str, Any]) -> None:
    check(**settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "192.168.0.1", "0", "", "no.such"])
def test_others_are_not_let_in_by_chance(host: str) -> None:
    with pytest.raises(ParameterInvalid, match="--open-to-all") as caught:
        check(host=host)
    assert caught.value.field == "host"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"rate_requests": 5}, "rate_requests"),
        ({"rate_bytes": 5}, "rate_bytes"),
        ({**SIGNED, "jwt_issuer": ""}, "jwt_issuer"),
        ({**SIGNED, "jwt_audience": ""}, "jwt_audience"),
        ({**SIGNED, "jwt_secret": "short"}, "jwt_secret"),
        ({"keys": "nonsense"}, "keys"),
    ],
    ids=count(),
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ParameterInvalid) as caught:
        check(**settings)
    assert caught.value.field == field
    assert "nonsense" not in caught.value.detail


def entered(need: Need, authorization: str = "", **settings: Any) -> Any:
    access = access_of(Settings(**{"keys": KEYS, **settings}))
    assert access is not None
    return access.enter(need, authorization, settings.get("certificate", ""))


def test_without_settings_nobody_is_asked() -> None:
    assert access_of(Settings()) is None


@pytest.mark.parametrize(
    ("need", "error"),
    [(Need.READ, None), (Need.EVALUATE, Forbidden), (Need.NOWHERE, NotFound), (Need.OPEN, None)],
)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_a_key(need: Need, error: type[Exception] | None, scheme: str) -> None:
    if error is None:
        found = entered(need, f"{scheme} {KEY['key']}")
        assert (found.name if found else None) == (None if need is Need.OPEN else "key reader")
    else:
        with pytest.raises(error):
            entered(need, f"{scheme} {KEY['key']}")


@pytest.mark.parametrize(
    "shown",
    ["", "Bearer", "Bearer ", KEY["key"], f"Basic {KEY['key']}", f"Bearer {HASH}"],
    ids=count(),
)
@pytest.mark.parametrize("need", [Need.READ, Need.NOWHERE])
def test_what_is_no_key(shown: str, need: Need) -> None:
    with pytest.raises(Unauthenticated):
        entered(need, shown)


@pytest.mark.parametrize(
    ("host", "setting", "is_open"),
    [
        ("127.0.0.1", "auto", True),
        ("127.0.0.1", "read", False),
        ("0.0.0.0", "auto", False),
        ("0.0.0.0", "open", True),
    ],
)
def test_the_metrics_are_open_to_this_machine(host: str, setting: str, is_open: bool) -> None:
    settings = {"host": host, "metrics_access": setting}
    if is_open:
        assert entered(Need.METRICS, **settings) is None
    else:
        with pytest.raises(Unauthenticated):
            entered(Need.METRICS, **settings)
        assert entered(Need.METRICS, f"Bearer {KEY['key']}", **settings) is not None


def test_a_certificate_is_asked_for_beside_a_key() -> None:
    settings = {"tls_client_authority": "ca.pem"}
    with pytest.raises(Unauthenticated, match="certificate"):
        entered(Need.READ, f"Bearer {KEY['key']}", **settings)
    access = access_of(Settings(keys=KEYS, tls_client_authority="ca.pem"))
    assert access is not None
    with pytest.raises(Unauthenticated, match="key"):
        access.enter(Need.READ, "", "trainer")
    assert access.enter(Need.READ, f"Bearer {KEY['key']}", "trainer") is not None


def test_a_certificate_alone_is_enough_where_nothing_else_is_asked() -> None:
    access = access_of(Settings(tls_client_authority="ca.pem", tls_client_scopes="read"))
    assert access is not None
    found = access.enter(Need.READ, "", "trainer")
    assert found is not None
    assert found.name == "certificate trainer"
    with pytest.raises(Forbidden):
        access.enter(Need.EVALUATE, "", "trainer")


def test_a_machine_is_alone_on_loopback() -> None:
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
