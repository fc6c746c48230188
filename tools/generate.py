"""Generate the Python modules of proto/lossmeter/v1 for the service and for its client."""

import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
PROTO = ROOT / "proto"
PACKAGE = Path("lossmeter/v1")
# Where the modules go, and by what name they are imported from there.
SERVICE = ROOT / "service/lossmeter/v1"
CLIENT, CLIENT_MODULE = ROOT / "clients/python/src/lossmeter_client/v1", "lossmeter_client.v1"
# Where a generated module names its own package as Python's, and not as that of its messages.
OWN_NAME = re.compile(
    r"(?<=^from )lossmeter\.v1(?= import)|(?<=')lossmeter\.v1(?=\.\w+_pb2')", re.M
)
INIT = '"""Generated from proto/lossmeter/v1 by tools/generate.py; not edited by hand."""\n'


def compile_protos(out: Path) -> None:
    """Write messages, stubs and the types of both below `out`."""
    scripts = Path(sys.executable).parent  # not resolved: the plugins lie beside the venv's python
    arguments = [
        "protoc",
        f"--proto_path={PROTO}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
        *(f"--{kind}_out={out}" for kind in ("python", "grpc_python")),
        *(f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")),
        *(str(path) for path in sorted((PROTO / PACKAGE).glob("*.proto"))),
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
    with TemporaryDirectory() as folder:
        compile_protos(Path(folder))
        made = {path.name: path.read_text() for path in (Path(folder) / PACKAGE).iterdir()}
    made["__init__.py"] = INIT
    replace_changed(made, SERVICE)
    # protoc has no option for it: descriptors keep their names, so that both packages can be
    # imported by one process, and only the modules move.
    moved = {name: OWN_NAME.sub(CLIENT_MODULE, text) for name, text in made.items()}
    replace_changed(moved, CLIENT)


if __name__ == "__main__":
    main()
