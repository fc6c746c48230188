"""The check of the image where there is no engine, and where the image is not as it has to be."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tools import container_check
from tools.container_engine import Engine, Unavailable, engine


def test_without_an_engine_it_says_why_and_is_content(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Engine, "answers", lambda _: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert container_check.main() == 0
    assert capsys.readouterr().out.startswith("SKIP: no Docker engine answers")
    with pytest.raises(Unavailable), engine():
        pass


def test_an_image_that_is_wrong_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def one() -> Iterator[Engine]:
        yield Engine()

    monkeypatch.setattr(container_check, "engine", one)
    monkeypatch.setattr(
        container_check, "build", lambda _: container_check.told("it builds", False)
    )
    assert container_check.main() == 1
    assert capsys.readouterr().out == "FAIL: it builds\n"
