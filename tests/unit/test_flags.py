"""Flags that are made of the settings, and keys that are made by the command line."""

import hashlib
import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from lossmeter import cli
from lossmeter.settings import Settings
from lossmeter.transports import serve

WIDE = {"COLUMNS": "200", "TERM": "dumb"}


def run(*words: str) -> Any:
    return CliRunner().invoke(cli.app, words, env=WIDE)


def test_every_setting_but_the_secret_is_a_flag_with_its_default() -> None:
    told = run("serve", "--help").output
    flags = set(re.findall(r"--([a-z0-9-]+)", told))
    settings = {name.replace("_", "-") for name in Settings.model_fields} - {"jwt-secret"}
    assert settings <= flags
    assert "jwt-secret" not in flags
    assert "1073741824" in told


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--open-to-all", "--host", "0.0.0.0"], {"open_to_all": True, "host": "0.0.0.0"}),
        (["--rate-requests", "2.5"], {"rate_requests": 2.5}),
        (
            ["--expressions", '{"own": {"expression": "x"}}'],
            {"expressions": {"own": {"expression": "x"}}},
        ),
        ([], {}),
    ],
)
def test_flags_are_settings(
    words: list[str], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Settings] = []
    monkeypatch.setattr(serve, "serve", served.append)
    assert run("serve", *words).exit_code == 0
    assert served == [Settings(**given)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--workers", "0"], "workers"),
        (["--expressions", "{"], "expressions"),
        (["--tls-client-scopes", "write"], "tls_client_scopes"),
        (["--rate-bytes", "-1"], "rate_bytes"),
    ],
)
def test_a_wrong_flag_is_one_line(words: list[str], told: str) -> None:
    done = run("serve", *words)
    assert done.exit_code == 1
    assert told in done.output
    assert done.output.count("\n") == 1


def test_a_key_is_made() -> None:
    made = json.loads(run("new-key", "dashboard", "--scopes", "read admin").output)
    assert made["entry"] == {
        "name": "dashboard",
        "sha256": hashlib.sha256(made["key"].encode()).hexdigest(),
        "scopes": ["read", "admin"],
    }


@pytest.mark.parametrize("words", [["a b"], ["a", "--scopes", "write"], ["a", "--scopes", ""]])
def test_a_key_that_cannot_be_is_not_made(words: list[str]) -> None:
    done = run("new-key", *words)
    assert (done.exit_code, "PARAMETER_INVALID" in done.output) == (1, True)
