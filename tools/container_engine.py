"""A Docker engine: the one that answers, or one out of Debian's packages while it is needed.

The latter is unpacked into a folder, not installed, and has no network of its own: containers use
the machine's. So the machine's packages, bridges and firewall stay as they are. What it cannot have
is a registry; a Debian root with Debian's Python stands in for the base image.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path("/var/cache/lossmeter-container")
# Those that this Debian has: its command line was a package of its own only later.
PACKAGES = ("docker.io", "docker-cli", "docker-buildx", "containerd", "runc", "mmdebstrap")
LIBRARIES = ("libdevmapper1.02.1",)
SUITES = {"3.11": "bookworm", "3.13": "trixie"}
START_SECONDS = 60
PLUGINS = "usr/libexec/docker/cli-plugins"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Unavailable(Exception):
    """No engine can be had on this machine."""


@dataclass(frozen=True)
class Engine:
    """Runs Docker's command line.

    Attributes:
        brought: Whether it was brought up here.
        variables: The environment of the command.
    """

    brought: bool = False
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __call__(self, *command: str) -> str:
        """What a command prints; its complaints go where ours go."""
        asked = ["docker", *command]
        done = subprocess.run(
            asked, env=self.variables, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        """Whether an image is here, or can be had from its registry."""
        if self("images", "--quiet", image):
            return True
        if self.brought:
            return False
        pull = ["docker", "pull", "--quiet", image]
        return subprocess.run(pull, env=self.variables, check=False).returncode == 0

    def answers(self) -> bool:
        asked = ["docker", "version", "--format", "{{.Server.Version}}"]
        try:
            done = subprocess.run(asked, env=self.variables, capture_output=True, check=False)
        except OSError:
            return False
        return done.returncode == 0


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine that answers.

    Raises:
        Unavailable: There is none, and none can be brought up.
    """
    found = Engine()
    if found.answers():
        yield found
        return
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        raise Unavailable("no Docker engine answers, and this is not root on Debian, to bring one")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        # One at a time: a second would wait for its own daemon, and find the first one's.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            unpack()
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"Debian's packages of Docker cannot be had: {error}") from None
        with running() as started:
            yield started
            # An image is half a gigabyte, and only layers that a build may use again are of use.
            started("image", "prune", "--force")
            started("builder", "prune", "--force", "--keep-storage", "3GB")


def unpack() -> None:
    """Put the packages' files into a folder, unless they are there."""
    target = FOLDER / "tools"
    if target.exists():
        return
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        every = ("apt-cache", "pkgnames")
        here = subprocess.run(every, capture_output=True, text=True, check=True).stdout.split()
        wanted = sorted({*PACKAGES, *LIBRARIES} & {*here})
        subprocess.run(["apt-get", "download", "-qq", *wanted], cwd=folder, check=True)
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, f"{folder}/tools"], check=True)
        os.rename(f"{folder}/tools", target)


@contextmanager
def running() -> Iterator[Engine]:
    """The engine of the folder, until the end of the block."""
    tools, socket = FOLDER / "tools", f"unix://{FOLDER}/docker.sock"
    variables = {
        **os.environ,
        "PATH": f"{tools}/usr/sbin:{tools}/usr/bin:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": ":".join(map(str, tools.glob("lib/*-linux-gnu*"))),
        "DOCKER_HOST": socket,
        "DOCKER_CONFIG": str(FOLDER / "config"),
        "DOCKER_BUILDKIT": "1",
    }
    plugins = FOLDER / "config" / "cli-plugins"
    plugins.parent.mkdir(exist_ok=True)
    if not plugins.is_symlink():
        plugins.symlink_to(tools / PLUGINS)
    flags = ["--data-root", f"{FOLDER}/data", "--exec-root", f"{FOLDER}/exec", "--host", socket]
    flags += ["--pidfile", f"{FOLDER}/pid", "--iptables=false", "--ip-forward=false"]
    # Without a bridge it would take that of another engine away.
    flags += [] if Path("/sys/class/net/docker0").exists() else ["--bridge", "none"]
    with (FOLDER / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", *flags], env=variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield started(Engine(True, variables), daemon)
    finally:
        daemon.terminate()
        daemon.wait()


def started(found: Engine, daemon: subprocess.Popen[bytes]) -> Engine:
    """The engine, once it answers."""
    end = time.monotonic() + START_SECONDS
    while not found.answers():
        if daemon.poll() is not None or time.monotonic() > end:
            last = (FOLDER / "log").read_text(errors="replace").splitlines()[-1:]
            raise Unavailable(f"an engine was brought, but does not start: {''.join(last)}")
        time.sleep(0.2)
    return found


def stand_in(docker: Engine, image: str) -> None:
    """Make python:X.Y-slim of Debian's own Python.

    Raises:
        Unavailable: No Debian has this Python, or its packages cannot be had.
    """
    version = image.removeprefix("python:").removesuffix("-slim")
    if version not in SUITES:
        raise Unavailable(f"no Debian that is known here has the Python of {image}")
    hook = 'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED; ln -s python3 "$1/usr/bin/python"'
    include = "--include=python3,python3-pip,ca-certificates"
    source = f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {SUITES[version]} main"
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", include]
    command += [f"--customize-hook={hook}", SUITES[version], "-", source]
    # Found first: a program is looked for in our own PATH, whatever environment it is given.
    program = shutil.which(command[0], path=docker.variables["PATH"])
    try:
        with tempfile.NamedTemporaryFile(dir=FOLDER, suffix=".tar") as root:
            subprocess.run([program or command[0], *command[1:]], stdout=root, check=True)
            docker("import", root.name, image)
    except (subprocess.CalledProcessError, OSError) as error:
        raise Unavailable(f"no stand-in for {image} can be made: {error}") from None
