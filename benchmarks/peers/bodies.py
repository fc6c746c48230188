"""One batch in every form that a server here takes, and the value in what it answers."""

from functools import partial
from typing import Any, TypeAlias

import grpc
import numpy as np
import orjson
import pyarrow as pa

from benchmarks.peers.batch import COLUMNS, ROW_BYTES, Arrays, Batch
from benchmarks.peers.servers.loss import ANSWER, HEADER
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import tensor_pb2

LOSS = "binary_cross_entropy_with_logits"
REDUCTION = "weighted_mean"
MIB = 2**20
ARROW_ROWS = 65_536
DTYPES = {tensor_pb2.DATA_TYPE_FLOAT32: np.float32, tensor_pb2.DATA_TYPE_FLOAT64: np.float64}
Body: TypeAlias = tuple[dict[str, str], bytes]  # headers and content of a REST request

dumps = partial(orjson.dumps, option=orjson.OPT_SERIALIZE_NUMPY)
# Compiled as it is imported: generated code would have to suit every environment's protobuf.
messages: Any = grpc.protos("benchmarks/peers/servers/messages.proto")


def bare(batch: Batch) -> bytes:
    """N, K and the three arrays."""
    arrays = (np.ascontiguousarray(x).tobytes() for x in batch.arrays.values())
    return b"".join([HEADER.pack(batch.rows, COLUMNS), *arrays])


def bare_body(batch: Batch) -> Body:
    return {"content-type": "application/octet-stream"}, bare(batch)


def bare_stream(batch: Batch) -> list[bytes]:
    """The same in pieces of 1 MiB."""
    whole = bare(batch)
    return [whole[at : at + MIB] for at in range(0, len(whole), MIB)]


def bare_value(answer: bytes) -> float:
    return float(ANSWER.unpack(answer)[0])


def repeated_floats(batch: Batch) -> list[bytes]:
    """What one writes first in a .proto."""
    logits, targets, weights = (x.ravel() for x in batch.arrays.values())
    request = messages.Floats(logits=logits, targets=targets, weights=weights)
    return [request.SerializeToString()]


def repeated_value(answer: bytes) -> float:
    return float(messages.Loss.FromString(answer).value)


def lists(batch: Batch) -> Body:
    """Nested lists by name."""
    return {"content-type": "application/json"}, dumps(batch.arrays)


def lists_value(answer: bytes) -> float:
    """A number, or the member `loss` of an object."""
    found = orjson.loads(answer)
    return float(found["loss"] if isinstance(found, dict) else found)


def _oip(batch: Batch, parameters: dict[str, str], member: str) -> dict[str, Any]:
    """A request of the Open Inference Protocol, without data."""
    inputs = [
        {"name": name, "shape": list(x.shape), "datatype": "FP32", member: None}
        for name, x in batch.arrays.items()
    ]
    return {"parameters": parameters, "inputs": inputs} if parameters else {"inputs": inputs}


def oip_json(batch: Batch, parameters: dict[str, str]) -> Body:
    """Data in the JSON, flat."""
    request = _oip(batch, parameters, "data")
    for entry, x in zip(request["inputs"], batch.arrays.values(), strict=True):
        entry["data"] = x.ravel()
    return {"content-type": "application/json"}, dumps(request)


def oip_binary(batch: Batch, parameters: dict[str, str]) -> Body:
    """Data after the JSON."""
    request = _oip(batch, parameters, "parameters")
    for entry, x in zip(request["inputs"], batch.arrays.values(), strict=True):
        entry["parameters"] = {"binary_data_size": x.nbytes}
    header = dumps(request)
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(header)),
    }
    return headers, b"".join([header, *(x.tobytes() for x in batch.arrays.values())])


def oip_value(answer: bytes) -> float:
    return float(orjson.loads(answer)["outputs"][0]["data"][0])


def oip_grpc(batch: Batch, model: str, parameters: dict[str, str]) -> list[bytes]:
    """Raw tensors."""
    request = messages.InferRequest(model_name=model)
    for name, value in parameters.items():
        request.parameters[name].string_param = value
    for name, x in batch.arrays.items():
        request.inputs.add(name=name, datatype="FP32", shape=x.shape)
        request.raw_input_contents.append(x.tobytes())
    return [request.SerializeToString()]


def oip_grpc_value(answer: bytes) -> float:
    response = messages.InferResponse.FromString(answer)
    output = response.outputs[0]
    if response.raw_output_contents:
        dtype = np.float64 if output.datatype == "FP64" else np.float32
        return float(np.frombuffer(response.raw_output_contents[0], dtype)[0])
    return float([*output.contents.fp32_contents, *output.contents.fp64_contents][0])


def own_json(batch: Batch) -> Body:
    """Ours: nested lists of float32."""
    inputs = {name: {"dtype": "float32", "data": x} for name, x in batch.arrays.items()}
    request = {"loss": LOSS, "reduction": REDUCTION, "inputs": inputs}
    return {"content-type": "application/json"}, dumps(request)


def own_value(answer: bytes) -> float:
    return float(orjson.loads(answer)["value"])


def arrow_batches(batch: Batch) -> list[pa.RecordBatch]:
    """Record batches of 64K rows."""
    return [pa.record_batch(columns(part)) for part in batch.parts(ARROW_ROWS)]


def columns(arrays: Arrays) -> dict[str, pa.Array]:
    """A column for each; one of lists of fixed size for two axes."""
    flat = {name: pa.array(x.ravel()) for name, x in arrays.items()}
    wide = [name for name, x in arrays.items() if x.ndim > 1]
    return flat | {n: pa.FixedSizeListArray.from_arrays(flat[n], COLUMNS) for n in wide}


def own_arrow(batch: Batch) -> Body:
    """Ours: an Arrow stream."""
    batches = arrow_batches(batch)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for part in batches:
            writer.write_batch(part)
    return {"content-type": "application/vnd.apache.arrow.stream"}, sink.getvalue().to_pybytes()


def tensors(arrays: Arrays) -> dict[str, tensor_pb2.Tensor]:
    """Ours, on every gRPC wire."""
    dtype = tensor_pb2.DATA_TYPE_FLOAT32
    return {
        name: tensor_pb2.Tensor(dtype=dtype, shape=x.shape, data=x.tobytes())
        for name, x in arrays.items()
    }


def specified(arrays: Arrays) -> pb.EvaluateRequest:
    """Ours: what is to be computed, and arrays or none."""
    request = pb.EvaluateRequest(loss=LOSS, inputs=tensors(arrays))
    request.reduction.string_value = REDUCTION
    return request


def own_grpc(batch: Batch) -> list[bytes]:
    """Ours: one message."""
    return [specified(batch.arrays).SerializeToString()]


def own_stream(batch: Batch) -> list[bytes]:
    """Ours: the specification, and chunks of about 1 MiB."""
    requests = [pb.EvaluateStreamRequest(spec=specified({}))]
    for part in batch.parts(MIB // ROW_BYTES):
        chunk = pb.EvaluateStreamRequest.Chunk(inputs=tensors(part))
        requests.append(pb.EvaluateStreamRequest(chunk=chunk))
    return [request.SerializeToString() for request in requests]


def own_grpc_value(answer: bytes) -> float:
    value = pb.EvaluateResponse.FromString(answer).value
    return float(np.frombuffer(value.data, DTYPES[value.dtype])[0])
