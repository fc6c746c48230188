"""Generate the Python modules of proto/ for the service and for its client."""

import re
import sys
from collections.abc import Mapping
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
# The package that the client has too, and by what name it is imported there.
SHARED = Path("lossmeter/v1")
CLIENT, CLIENT_MODULE = ROOT / "clients/python/src/lossmeter_client/v1", "lossmeter_client.v1"
# Where a generated module names its own package as Python's, and not as that of its messages.
OWN_NAME = re.compile(
    r"(?<=^from )lossmeter\.v1(?= import)|(?<=')lossmeter\.v1(?=\.\w+_pb2')", re.M
)
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


def replace_changed(fresh: Mapping[str, str], kept: Path) -> None:
    """Make the files of `kept` those that are `fresh`, leaving alone what is equal already."""
    kept.mkdir(parents=True, exist_ok=True)
    for stale in kept.glob("*.py*"):
        if stale.name not in fresh:
            stale.unlink()
    for name, content in fresh.items():
        target = kept / name
        if not target.exists() or target.read_text() != content:
            target.write_text(content)


def main() -> None:
    for protos, package in PACKAGES.items():
        with TemporaryDirectory() as folder:
            out = Path(folder)
            compile_protos(protos, package, out)
            made = {path.name: path.read_text() for path in (out / package).iterdir()}
        made["__init__.py"] = INIT.format(protos.relative_to(ROOT))
        replace_changed(made, SERVICE / package)
        if package == SHARED:
            # protoc has no option for it: descriptors keep their names, so that both packages can
            # be imported by one process, and only the modules move.
            moved = {name: OWN_NAME.sub(CLIENT_MODULE, text) for name, text in made.items()}
            replace_changed(moved, CLIENT)


if __name__ == "__main__":
    main()
