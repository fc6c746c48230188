"""MLServer with a runtime of one's own, inference in the same process."""

import asyncio
import sys
import tempfile

import numpy as np
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from servers.loss import weighted_bce


class Loss(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        value = weighted_bce(*(NumpyCodec.decode_input(x) for x in payload.inputs))
        output = NumpyCodec.encode_output("loss", np.array([value], np.float32))
        return InferenceResponse(model_name=self.name, outputs=[output])


async def serve() -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=int(sys.argv[1]),
        grpc_port=int(sys.argv[2]),
        metrics_endpoint=None,
        grpc_max_message_length=-1,
        parallel_workers=0,
        debug=False,
        model_repository_root=tempfile.mkdtemp(),
    )
    server = MLServer(settings)
    model = ModelSettings(name="loss", implementation=Loss)
    await server.start([model])


asyncio.run(serve())
