"""An environment for each peer, outside the tree and kept between runs."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lossmeter-peers"
HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


class NotInstalled(Exception):
    """Its packages cannot be had here."""


@cache
def python(server: str) -> Path:
    """The interpreter of a peer's environment, which is made where it is missing or stale.

    Raises:
        NotInstalled: Its requirements cannot be installed.
    """
    wanted = HERE / "servers" / f"{server}.txt"
    folder = CACHE / server
    stamp, found = folder / "installed.txt", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--python", str(found), "--requirement", str(wanted))
        stamp.write_text(wanted.read_text())
    return found


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [BIN / "uv", "--quiet", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line.strip(" ×╰─▶") for line in done.stderr.splitlines() if line.strip()]
        raise NotInstalled("; ".join(lines[:2]) or "uv failed")


def requirements(server: str) -> list[str]:
    """What its requirements pin."""
    return (HERE / "servers" / f"{server}.txt").read_text().split()
