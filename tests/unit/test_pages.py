"""Every loss has its page, and every symbol its place in the index; `make check` holds the rest."""

import re
from pathlib import Path

import pytest

from lossmeter.core.declare import REGISTRY
from lossmeter.dialects import SYMBOLS
from tools.pages import disagreements
from tools.pages.__main__ import DOCS, made
from tools.pages.markdown import anchor

FOLDER = DOCS / "losses"
INDEX = FOLDER / "README.md"
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
DOCUMENTS = sorted(made())


def anchors(path: Path) -> set[str]:
    """What can be linked to in a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {anchor(heading) for heading in headings}


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


def _answer(says: str, loss: str, expected: object) -> dict[str, object]:
    asked = {"loss": loss, "reduction": "mean", "inputs": {"predictions": TENSOR}}
    return {"says": says, "request": asked, "expected": expected, "rtol": 1e-6}


TENSOR = {"dtype": "float32", "data": [[1.0], [2.0]]}
ROWS = [
    {
        "row": 7,
        "title": "Masked NaN",
        "losses": ["huber"],
        "answers": [
            _answer("keras mean", "keras.losses.Huber", 0.1 + 0.2),
            _answer("torch none", "torch.nn.HuberLoss", [[0.5], ["NaN"]]),
            {**_answer("sklearn", "huber", None), "error": "EMPTY_REDUCTION"},
        ],
        "why": "One multiplies by the mask.",
    }
]
BEYOND = [{"row": 8, "what": "a gradient", "why_not": "there is none to ask for"}]


def test_the_page_of_a_loss_has_its_disagreements() -> None:
    told = disagreements.section("huber", ROWS)
    assert "| keras mean | 0.3 |" in told
    assert "| torch none | [[0.5], [NaN]] |" in told
    assert "| sklearn | refused: `EMPTY_REDUCTION` |" in told
    assert "(../disagreements.md#7-masked-nan)" in told
    assert disagreements.section("hinge", ROWS) == ""


def test_the_disagreements_have_their_requests() -> None:
    told = disagreements.document({"rows": ROWS, "beyond": BEYOND})
    assert '| keras mean | `keras.losses.Huber`, reduction `"mean"` | 0.3 |' in told
    assert "`predictions` `[[1.0], [2.0]]` (float32)" in told
    assert "| 8 | a gradient | there is none to ask for |" in told
    assert anchor("7. Masked NaN") in {
        anchor(line.removeprefix("## ")) for line in told.splitlines()
    }


def test_without_cases_there_are_no_disagreements(tmp_path: Path) -> None:
    assert disagreements.read(tmp_path / "absent.json") == {"rows": [], "beyond": []}
