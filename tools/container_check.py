"""Build the image, run it as compose does, ask it over both ports, and stop it.

It takes no more than Python's standard library and a Docker engine, one that there is or one that
can be brought up; without an engine it says why and is content.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.container_engine import Engine, Unavailable, engine, stand_in

ROOT = Path(__file__).resolve().parents[1]
IMAGE = "lossmeter:check"
# Read-only, without rights, and without a shell that it could start.
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--volume", "/dev/null:/bin/sh:ro"),
)
HEALTHY_SECONDS = 90.0
GRACE_SECONDS = 40
# Compressed as a registry keeps it.
MOST_BYTES = 350 * 10**6
PIECE = 2**20
PORTS = ("8080", "8081")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")


class Failed(Exception):
    """Something is not as it has to be."""


def main() -> int:
    """Check the image; 1 where it fails."""
    try:
        with engine() as docker:
            build(docker)
            inspect(docker)
            for workers in ("1", "2"):
                run(docker, workers)
    except Unavailable as reason:
        print(f"SKIP: {reason}")
    except (Failed, subprocess.CalledProcessError) as error:
        print(f"FAIL: {error}")
        return 1
    return 0


def told(what: str, good: bool) -> None:
    """Say what was looked at, and end where it is not as it has to be."""
    if not good:
        raise Failed(what)
    print(f"PASS: {what}", flush=True)


def build(docker: Engine) -> None:
    """Build the last stage, which is the one for the CPU."""
    text = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)
    told("the last stage is cpu, the one before it gpu", {"cpu", "gpu"} <= {s[1] for s in stages})
    for base in {base for base, _ in stages} - {name for _, name in stages}:
        if docker.has(base):
            continue
        if not docker.brought:
            raise Unavailable(f"the engine can have no {base}")
        stand_in(docker, base)
    if not docker.brought:
        docker("build", "--quiet", "--tag", IMAGE, str(ROOT))
    else:
        with secrets() as flags, tempfile.NamedTemporaryFile("w") as file:
            mounts = "".join(f" --mount=type=secret,id={k},target={v}" for k, v in SECRETS.items())
            file.write(re.sub("^RUN", f"RUN{mounts}", text, flags=re.MULTILINE))
            file.flush()
            docker("build", *flags, "--quiet", "--tag", IMAGE, "--file", file.name, str(ROOT))
    told("the image builds", True)


# Where a step of the build finds how this machine reaches its package index; nothing of it stays.
SECRETS = {"pip": "/etc/pip.conf", "certificates": "/run/certificates.crt"}


@contextmanager
def secrets() -> Iterator[list[str]]:
    """Flags that give a build this machine's way to the package index."""
    told_pip = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    index = (
        os.environ.get("PIP_INDEX_URL")
        or subprocess.run(told_pip, capture_output=True, text=True, check=False).stdout.strip()
    )
    trusted = os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt")
    with tempfile.NamedTemporaryFile("w") as conf:
        conf.write(f"[global]\ntimeout = 180\ncert = {SECRETS['certificates']}\n")
        conf.write(f"index-url = {index}\n" if index else "")
        conf.flush()
        flags = ["--network", "host", "--secret", f"id=pip,src={conf.name}"]
        flags += ["--secret", f"id=certificates,src={trusted}"]
        for name in (*PROXIES, *map(str.upper, PROXIES)):
            flags += ["--build-arg", name] if name in os.environ else []
        yield flags


def inspect(docker: Engine) -> None:
    """What the image says of itself, and its size."""
    (found,) = json.loads(docker("image", "inspect", IMAGE))
    config = found["Config"]
    told(f"it runs as user {config['User']}", config["User"].isdigit() and config["User"] != "0")
    told("its health is asked without a shell", config["Healthcheck"]["Test"][0] == "CMD")
    told("its command is run without a shell", config["Entrypoint"] == ["lossmeter"])
    told("it has labels", "org.opencontainers.image.version" in config["Labels"])
    size = compressed(docker)
    told(f"it takes {size / 1e6:.0f} MB compressed", size < MOST_BYTES)


def compressed(docker: Engine) -> int:
    """Bytes of the saved image under gzip's algorithm at its fastest: a registry keeps fewer."""
    packing, size = zlib.compressobj(level=1), 0
    command = ["docker", "save", IMAGE]
    with subprocess.Popen(command, env=docker.variables, stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        while piece := saving.stdout.read(PIECE):
            size += len(packing.compress(piece))
    return size + len(packing.flush())


def run(docker: Engine, workers: str) -> None:
    """Start it, ask it, stop it."""
    name = f"lossmeter-check-{os.getpid()}"
    flags, ports = published(docker)
    flags += ["--env", f"LOSSMETER_WORKERS={workers}"]
    docker("run", "--detach", "--name", name, *HARDENED, *flags, IMAGE)
    try:
        told(
            f"with LOSSMETER_WORKERS={workers} it becomes healthy, without a shell",
            healthy(docker, name),
        )
        for port in PORTS if not ports else ():
            ports[port] = docker("port", name, port).partition(":")[2]
        smoke(docker, name, ports)
        began = time.monotonic()
        docker("stop", "--time", str(GRACE_SECONDS), name)
        code = docker("inspect", "--format", "{{.State.ExitCode}}", name)
        told(f"SIGTERM ends it in {time.monotonic() - began:.1f} s, exit status 0", code == "0")
    except Failed:
        print(docker("logs", name))
        raise
    finally:
        docker("rm", "--force", name)


def published(docker: Engine) -> tuple[list[str], dict[str, str]]:
    """Flags that publish the ports, and where they are if that is known before."""
    if not docker.brought:
        return [flag for port in PORTS for flag in ("--publish", f"127.0.0.1::{port}")], {}
    with socket.socket() as first, socket.socket() as second:
        for found in (first, second):
            found.bind(("", 0))
        free = [str(found.getsockname()[1]) for found in (first, second)]
    variables = ("LOSSMETER_HTTP_PORT", "LOSSMETER_GRPC_PORT")
    settings = [f"--env={name}={port}" for name, port in zip(variables, free, strict=True)]
    return ["--network", "host", *settings], dict(zip(PORTS, free, strict=True))


def healthy(docker: Engine, name: str) -> bool:
    """Whether its own health check comes to say so."""
    end = time.monotonic() + HEALTHY_SECONDS
    asked = "{{.State.Status}} {{.State.Health.Status}}"
    while (state := docker("inspect", "--format", asked, name)) == "running starting":
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return state == "running healthy"


def smoke(docker: Engine, name: str, ports: Mapping[str, str]) -> None:
    """Ask over both ports."""
    variables = {f"HOST_PORT_{port}": at for port, at in ports.items()}
    script = ["bash", str(ROOT / "tests" / "container_smoke.sh")]
    env = {**docker.variables, **variables, "CONTAINER": name}
    done = subprocess.run(script, env=env, check=False, stdout=subprocess.PIPE, text=True)
    print(done.stdout if done.returncode else "", end="")
    told("it answers over both ports", done.returncode == 0)


if __name__ == "__main__":
    sys.exit(main())
