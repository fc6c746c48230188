"""What a process that is let near a graph has left."""

import os
import textwrap
from pathlib import Path

import pytest

from lossmeter.backends.graphs.sandbox import Confined, Failed, Limits

MIB = 2**20
LIMITS = Limits(seconds=2.0, memory=64 * MIB)
START = """
import os, resource, socket, time
wire = socket.socket(fileno=0)
wire.sendall(b"+")
wire.recv(1)
"""


def attempt(tmp_path: Path, code: str) -> bytes:
    """What a script comes to once it is confined: "+" if it does all of this code."""
    body = textwrap.indent(code, "    ")
    end = 'except (OSError, ValueError, MemoryError):\n    wire.sendall(b"-")\n'
    script = tmp_path / "script.py"
    script.write_text(f'{START}try:\n{body}\n    wire.sendall(b"+")\n{end}time.sleep(60)\n')
    process = Confined(script, LIMITS)
    try:
        process.send([b"!"])
        return bytes(process.receive(1))
    finally:
        process.stop()


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd')",
        "open('/proc/self/environ')",
        "open('file', 'w')",
        "socket.socket()",
        "os.pipe()",
        "bytearray(100 * 2**20)",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); open('/etc/passwd')",
        pytest.param(
            "os.fork()",
            marks=pytest.mark.skipif(os.getuid() == 0, reason="root is exempt from this limit"),
        ),
    ],
)
def test_it_has_no_right_to(code: str, tmp_path: Path) -> None:
    if "setrlimit" in code and os.getuid() == 0:
        pytest.skip("root may raise its own limits")
    assert attempt(tmp_path, code) == b"-"


@pytest.mark.parametrize(
    "code",
    [
        "bytearray(10 * 2**20)",
        "assert os.getcwd() == '/'",
        "assert not {name for name in os.environ if 'SECRET' in name or 'LOSSMETER' in name}",
    ],
)
def test_it_has(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSMETER_SECRET", "x")
    assert attempt(tmp_path, code) == b"+"


@pytest.mark.parametrize("code", ["time.sleep(60)", "while True: pass"])
def test_it_ends_at_its_limit(code: str, tmp_path: Path) -> None:
    with pytest.raises(Failed, match="ran past its limit of 2 seconds"):
        attempt(tmp_path, code)


def test_its_death_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="ended its process"):
        attempt(tmp_path, "os.abort()")
