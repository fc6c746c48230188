"""ONNX Runtime, which is optional: which version is installed, and what to install."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from lossmeter.errors import BackendUnsupported

# Both hold the package onnxruntime; one of them is what an extra installs.
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")


def runtime_version(field: str) -> str:
    """The version of ONNX Runtime, without importing it: only a process of its own loads graphs.

    Args:
        field: What of a request or of the settings needs it.

    Raises:
        BackendUnsupported: It is not installed.
    """
    for name in DISTRIBUTIONS:
        with suppress(PackageNotFoundError):
            return version(name)
    raise BackendUnsupported(
        "ONNX Runtime is not installed; pip install 'lossmeter[cpu]' or 'lossmeter[gpu]'",
        field=field,
    )
