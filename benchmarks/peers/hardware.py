"""What a benchmark ran on."""

import os
import platform
from pathlib import Path

GIB = 2**30


def hardware() -> str:
    """Processor, cores, memory and system, and nothing that names the machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    processor = models[0] if models else platform.machine()
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{processor}, {cores} cores, {memory:.0f} GiB, {system}"
