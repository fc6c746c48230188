"""What the engine asks of a backend."""

from collections.abc import Mapping
from typing import Protocol

from lossmeter.core.arrays import Array
from lossmeter.core.program import Program


class Backend(Protocol):
    """What runs an array program.

    Attributes:
        name: What a request calls it.
        device: Where it computes: ``cpu`` or ``cuda``.
        profile: The library with its version, and what else its bits depend on.
        block: How many numbers it likes to be given at a time.
        multiple: Of how many entries a block is best a multiple.
    """

    name: str
    device: str
    profile: str
    block: int
    multiple: int

    def run(
        self,
        program: Program,
        operands: Mapping[str, Array],
        extras: Mapping[str, Array],
        shared: frozenset[str],
    ) -> Array:
        """Loss values of one block.

        Args:
            program: What to compute.
            operands: The inputs of the loss, each of shape ``(n, *core)``.
            extras: Parameters and factors that are arrays.
            shared: Names of those of both that all entries share, whose axis 0 is not ``n``.

        Raises:
            BackendUnsupported: This backend cannot run the program.
        """
