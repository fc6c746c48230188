"""KServe with a model of one's own."""

import sys

import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer, model_server

from servers.loss import weighted_bce


class Loss(Model):
    def __init__(self) -> None:
        super().__init__("loss")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        value = weighted_bce(*(x.as_numpy() for x in payload.inputs))
        output = InferOutput("loss", [1], "FP32")
        output.set_data_from_numpy(np.array([value], np.float32), binary_data=False)
        return InferResponse(payload.id or "none", self.name, [output])


model_server.args.grpc_max_receive_message_length = -1
http_port, grpc_port = map(int, sys.argv[1:])
ModelServer(http_port, grpc_port, enable_latency_logging=False, access_log_format=None).start(
    [Loss()]
)
