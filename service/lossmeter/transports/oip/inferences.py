"""What REST and gRPC share of the protocol: the engine, the shared memory, the statistics."""

from lossmeter.app.answer import Answer
from lossmeter.app.engine import Engine
from lossmeter.errors import NotFound
from lossmeter.transports.oip.models import EXTENSIONS
from lossmeter.transports.oip.statistics import Tally
from lossmeter.wire.inference.request import Inference, Memory, Place, told_as_asked


class NoMemory:
    """The service takes no shared memory."""

    def read(self, place: Place) -> memoryview:
        """Refuse."""
        raise _off(place)

    def write(self, place: Place, data: bytes) -> None:
        """Refuse."""
        raise _off(place)


def _off(place: Place) -> NotFound:
    return NotFound("this service takes no shared memory", field=place.field)


class Inferences:
    """Answers inferences.

    Args:
        engine: What evaluates.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.memory: Memory = NoMemory()
        self.statistics = Tally()
        self.extensions = EXTENSIONS

    def evaluate(self, inference: Inference) -> Answer:
        """The answer of one loss.

        Raises:
            LossmeterError: The request is wrong, or cannot be served.
        """
        with told_as_asked():
            answer = self.engine.evaluate(inference.spec, inference.tensors)
        assert isinstance(answer, Answer)
        return answer
