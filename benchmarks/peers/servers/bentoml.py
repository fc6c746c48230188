"""A BentoML service of NumPy arrays."""

import os
import sys
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType

from servers.loss import weighted_bce

Floats = Annotated[np.ndarray, DType("float32")]


@bentoml.service(traffic={"timeout": 600}, logging={"access": {"enabled": False}})
class Loss:
    @bentoml.api
    def loss(self, predictions: Floats, targets: Floats, sample_weight: Floats) -> float:
        return weighted_bce(predictions, targets, sample_weight)


if __name__ == "__main__":
    command = ["bentoml", "serve", "servers.bentoml:Loss", "--port", sys.argv[1]]
    os.execv(sys.executable, [sys.executable, "-m", *command, "--host", "127.0.0.1"])
