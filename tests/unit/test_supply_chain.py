"""What is installed is what is locked, to the hash, and its licences are listed."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def entries(lock: Path) -> list[str]:
    """One requirement each, with its hashes."""
    return lock.read_text().replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_with_hashes(lock: Path) -> None:
    for entry in entries(lock):
        assert re.match(r"[a-z0-9.-]+==\S+( ; [^-]+)?( +--hash=sha256:[0-9a-f]{64})+$", entry)


def test_the_image_installs_nothing_without_its_hash() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for options in re.findall(r"pip (?:--python \S+ )?install ([^\n]*)", text):
        # The wheel that has just been built of what is here is the one exception.
        assert options.startswith("--require-hashes -r requirements") or (
            options == "--no-deps dist/*.whl"
        )


def test_the_list_of_licences_is_that_of_what_is_locked() -> None:
    locked = {
        (canonicalize_name(found.name), str(found.specifier).removeprefix("=="))
        for entry in entries(ROOT / "requirements.lock")
        if not (found := Requirement(entry.partition(" --hash")[0])).marker
        or found.marker.evaluate()
    }
    page = (ROOT / "docs" / "licences.md").read_text()
    rows = re.findall(r"^\| (\S+) \| (\d\S*) \| \S", page, re.MULTILINE)
    assert {(canonicalize_name(name), version) for name, version in rows} == locked
