"""Every loss has its page, and every symbol its place in the index; `make check` holds the rest."""

import re
from pathlib import Path

import pytest

from lossmeter.core.declare import REGISTRY
from lossmeter.dialects import SYMBOLS
from tools.pages.__main__ import DOCS, made

FOLDER = DOCS / "losses"
INDEX = FOLDER / "README.md"
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
DOCUMENTS = sorted(made())


def anchors(path: Path) -> set[str]:
    """What can be linked to in a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_loss_has_a_page_and_no_page_is_of_nothing() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == {*REGISTRY, "README"}


@pytest.mark.parametrize("known", [REGISTRY, SYMBOLS], ids=["every loss", "every symbol"])
def test_the_index_has(known: dict[str, object]) -> None:
    told = set(re.findall(r"^\| (?:\[|`)([\w.]+)", INDEX.read_text(), re.MULTILINE))
    assert known.keys() <= told


def test_every_symbol_is_on_the_pages_of_its_losses() -> None:
    pages = {name: (FOLDER / f"{name}.md").read_text() for name in REGISTRY}
    for symbol in SYMBOLS.values():
        for variant in symbol.variants:
            assert f"`{symbol.name}`" in pages[variant.loss.name]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(DOCS)))
def test_every_link_of_a_page_leads_somewhere(path: Path) -> None:
    for file, heading in LINK.findall(path.read_text()):
        target = (path.parent / file).resolve() if file else path
        assert target.exists()
        assert not heading or heading in anchors(target)
