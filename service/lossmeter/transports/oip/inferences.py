"""What REST and gRPC share of the protocol: the engine, the shared memory, the statistics."""

from lossmeter.app.answer import Answer
from lossmeter.app.engine import Engine
from lossmeter.settings import Settings
from lossmeter.transports.metrics import Metrics
from lossmeter.transports.oip.models import EXTENSIONS, SHARED_MEMORY
from lossmeter.transports.oip.shared_memory import NoSharedMemory, Registry, SharedMemory
from lossmeter.transports.rest.exchange import Limits
from lossmeter.wire.inference.request import Inference, told_as_asked


class Inferences:
    """Answers inferences.

    Args:
        engine: What evaluates.
        settings: Whether shared memory is taken, and which; the largest body.
        metrics: What counts the inferences.
    """

    def __init__(self, engine: Engine, settings: Settings, metrics: Metrics) -> None:
        self.engine = engine
        self.limits = Limits.of(settings)
        self.metrics = metrics
        self.memory: Registry = NoSharedMemory()
        self.extensions = EXTENSIONS
        if settings.shared_memory:
            self.memory = SharedMemory(settings.shared_memory_prefix, settings.max_body_bytes)
            self.extensions = (*EXTENSIONS, SHARED_MEMORY)

    def evaluate(self, inference: Inference) -> Answer:
        """The answer of one loss.

        Raises:
            LossmeterError: The request is wrong, or cannot be served.
        """
        with told_as_asked():
            answer = self.engine.evaluate(inference.spec, inference.tensors)
        assert isinstance(answer, Answer)
        return answer
