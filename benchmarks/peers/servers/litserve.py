"""LitServe with one worker."""

import sys

import litserve
import numpy as np

from servers.loss import weighted_bce


class Loss(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        names = ("predictions", "targets", "sample_weight")
        return [np.array(request[name], np.float32) for name in names]

    def predict(self, x):
        return weighted_bce(*x)

    def encode_response(self, output):
        return {"loss": output}


if __name__ == "__main__":
    server = litserve.LitServer(Loss(api_path="/loss"), accelerator="cpu", timeout=600)
    server.run(
        "127.0.0.1",
        int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
