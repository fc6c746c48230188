"""An environment for each client, outside the tree and kept between runs."""

import ctypes
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lossmeter-interop"
UV = Path(sys.executable).with_name("uv")


@cache
def environment(client: str) -> Path:
    """The folder of a client's environment, which is made where it is missing or stale.

    The test is skipped where it cannot be made.
    """
    wanted = (HERE / "requirements" / f"{client}.txt").read_text()
    folder = CACHE / client
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        python = str(folder / "bin" / "python")
        _run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        # The files hold all that is to be installed.
        requirements = ("--no-deps", "--requirement", str(HERE / "requirements" / f"{client}.txt"))
        _run(UV, "pip", "install", "--quiet", "--python", python, *requirements)
        stamp.write_text(wanted)
    return folder


@cache
def debian_library(package: str, name: str) -> str:
    """The folder of a shared library of one of Debian's packages; empty where it is installed.

    Else the package is unpacked and not installed, and the test skipped where it cannot be had.
    """
    with suppress(OSError):
        ctypes.CDLL(name)
        return ""
    folder = CACHE / package
    if not list(folder.rglob(name)):
        if shutil.which("apt-get") is None:
            pytest.skip(f"{name} comes from Debian's {package}, and this is no Debian")
        folder.mkdir(parents=True, exist_ok=True)
        _run("apt-get", "--quiet", "download", package, cwd=folder)
        _run("dpkg-deb", "--extract", *map(str, folder.glob("*.deb")), ".", cwd=folder)
    return str(next(folder.rglob(name)).parent)


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command; the test is skipped with what it says if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip(" ×╰─▶") for line in done.stderr.splitlines() if line.strip()]
        pytest.skip(f"{Path(command[0]).name}: {'; '.join(lines[:2]) or 'failed'}")
