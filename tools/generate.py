"""Generate the Python modules of proto/ into packages below service/lossmeter."""

import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
PROTO = ROOT / "proto"
SERVICE = ROOT / "service"
# Folder of a package's protos, and the package below service/.
PACKAGES = {
    PROTO / "lossmeter/v1": Path("lossmeter/v1"),
    PROTO / "inference": Path("lossmeter/inference"),
}
INIT = '"""Generated from {} by tools/generate.py; not edited by hand."""\n'


def compile_protos(protos: Path, package: Path, out: Path) -> None:
    """Write messages, stubs and the types of both below `out`."""
    scripts = Path(sys.executable).parent  # not resolved: the plugins lie beside the venv's python
    arguments = [
        "protoc",
        # Under the package's name, so that what is made is imported from there.
        f"--proto_path={package}={protos}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
        *(f"--{kind}_out={out}" for kind in ("python", "grpc_python")),
        *(f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")),
        *(str(path) for path in sorted(protos.glob("*.proto"))),
    ]
    if status := protoc.main(arguments):
        sys.exit(status)


def replace_changed(made: Path, kept: Path) -> None:
    """Make `kept` equal to `made`, leaving files alone that are equal already."""
    fresh = {path.name: path.read_bytes() for path in made.iterdir()}
    kept.mkdir(parents=True, exist_ok=True)
    for stale in kept.glob("*.py*"):
        if stale.name not in fresh:
            stale.unlink()
    for name, content in fresh.items():
        target = kept / name
        if not target.exists() or target.read_bytes() != content:
            target.write_bytes(content)


def main() -> None:
    for protos, package in PACKAGES.items():
        with TemporaryDirectory() as folder:
            out = Path(folder)
            compile_protos(protos, package, out)
            (out / package / "__init__.py").write_text(INIT.format(protos.relative_to(ROOT)))
            replace_changed(out / package, SERVICE / package)


if __name__ == "__main__":
    main()
