"""Files that change while they are used."""

import os
from pathlib import Path

import pytest

from lossmeter.access import watched
from lossmeter.access.watched import Watched


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.0)


def number_in(path: Path) -> Watched[int]:
    return Watched([str(path)], lambda: int(path.read_text()))


def test_a_change_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    number = number_in(path)
    assert number.current() == 1
    path.write_text("22")
    assert number.current() == 22


def test_a_link_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (0, 0))
    link = tmp_path / "link"
    link.symlink_to("1")
    number = number_in(link)
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(link)
    assert number.current() == 2


@pytest.mark.parametrize("wrong", ["half", None])
def test_what_cannot_be_read_changes_nothing(
    wrong: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    number = number_in(path)
    if wrong is None:
        path.unlink()
    else:
        path.write_text(wrong)
    assert [number.current() for _ in range(3)] == [1, 1, 1]
    assert len(caplog.records) == 1
    path.write_text("333")
    assert number.current() == 333


def test_it_is_read_only_when_it_changes(tmp_path: Path) -> None:
    path, made = tmp_path / "number", []
    path.write_text("1")
    number = Watched([str(path)], lambda: made.append(1))
    for _ in range(3):
        number.current()
    assert made == [1]


def test_it_must_be_readable_at_first(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        number_in(tmp_path / "none")
