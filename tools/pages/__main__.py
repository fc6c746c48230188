"""Write docs/losses and docs/disagreements.md."""

from pathlib import Path

from lossmeter.core.declare import REGISTRY
from tools.pages import disagreements
from tools.pages.index import index
from tools.pages.loss import page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CASES = ROOT / "tests" / "golden" / "disagreements.json"


def made() -> dict[Path, str]:
    """Every generated document."""
    found = disagreements.read(CASES)
    folder = DOCS / "losses"
    pages = {
        folder / f"{name}.md": page(REGISTRY[name], found["rows"]) for name in sorted(REGISTRY)
    }
    whole = {DOCS / "disagreements.md": disagreements.document(found)} if found["rows"] else {}
    return {folder / "README.md": index(), **pages, **whole}


def main() -> None:
    """Write what has changed, and remove what is made no more."""
    documents = made()
    (DOCS / "losses").mkdir(parents=True, exist_ok=True)
    for stale in {*(DOCS / "losses").glob("*.md"), DOCS / "disagreements.md"} - {*documents}:
        stale.unlink(missing_ok=True)
    for path, text in documents.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    main()
