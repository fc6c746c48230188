"""What the engine asks of a backend."""

from collections.abc import Mapping
from typing import Protocol

from lossmeter.core.arrays import Array
from lossmeter.core.program import Program


class Backend(Protocol):
    """What runs an array program."""

    name: str
    device: str
    profile: str

    def run(
        self, program: Program, operands: Mapping[str, Array], extras: Mapping[str, Array]
    ) -> Array:
        """Loss values of one block."""
