"""Triton with NVIDIA's PyTriton in front of a Python function."""

import os
import sys
import sysconfig

import numpy as np
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from servers.loss import weighted_bce


def loss(requests):
    values = [weighted_bce(*request.data.values()) for request in requests]
    return [{"loss": np.array([value], np.float32)} for value in values]


# Its processes of Python load the library of the interpreter, which the loader may not know.
os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
http_port, grpc_port = map(int, sys.argv[1:])
config = TritonConfig(
    http_address="127.0.0.1",
    grpc_address="127.0.0.1",
    http_port=http_port,
    grpc_port=grpc_port,
    allow_metrics=False,
    log_verbose=0,
)
with Triton(config=config) as server:
    server.bind(
        model_name="loss",
        infer_func=loss,
        inputs=[
            Tensor(name="predictions", dtype=np.float32, shape=(-1, -1)),
            Tensor(name="targets", dtype=np.float32, shape=(-1, -1)),
            Tensor(name="sample_weight", dtype=np.float32, shape=(-1,)),
        ],
        outputs=[Tensor(name="loss", dtype=np.float32, shape=(1,))],
        config=ModelConfig(batching=False),
    )
    server.serve()
