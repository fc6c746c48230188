"""The Open Inference Protocol: losses as models, over REST and gRPC."""

import base64
import gzip
import zlib
from typing import Any

import grpc
import httpx
import numpy as np
import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

import lossmeter
from lossmeter.core.declare import REGISTRY
from lossmeter.dialects import SYMBOLS
from lossmeter.inference import grpc_service_pb2 as pb
from lossmeter.transports.oip import schema
from lossmeter.wire.states import read_state
from tests.integration.inference import (
    LENGTH,
    Fields,
    as_binary,
    as_json,
    infer,
    infer_binary,
    message,
    outputs_of_json,
    outputs_of_message,
    path_of,
    stub_of,
)
from tests.integration.servers import Service
from tests.integration.wires import JSON

pytestmark = pytest.mark.usefixtures("unharmed")
NAME = "inference.GRPCInferenceService"
ARRAYS = {"predictions": np.array([1.5, 5.0]), "targets": np.array([1.0, 2.0])}
INPUTS: list[Fields] = [as_json(name, x) for name, x in ARRAYS.items()]
HUBER: Fields = {"inputs": INPUTS}
BY_COUNTRY = {"reduction": '{"name": "mean", "by": "country"}'}


def fields_of(found: Message) -> Any:
    """A message as JSON with the names of the protocol, and all of its fields."""
    return json_format.MessageToDict(
        found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def test_both_wires_tell_the_same_of_the_service(service: Service) -> None:
    found = service.http.get("/v2").json()
    assert found == fields_of(stub_of(service).ServerMetadata(pb.ServerMetadataRequest()))
    assert found["version"] == lossmeter.__version__


@pytest.mark.parametrize("name", ["huber", "mse", "torch.nn.CrossEntropyLoss", "ctc"])
def test_both_wires_tell_the_same_of_a_model(service: Service, name: str) -> None:
    stub, version = stub_of(service), {"name": name, "version": "1"}
    metadata = service.http.get(f"/v2/models/{name}").json()
    rpc = fields_of(stub.ModelMetadata(pb.ModelMetadataRequest(**version)))
    for port in (*rpc["inputs"], *rpc["outputs"]):
        port["shape"] = [int(size) for size in port["shape"]]
    assert metadata == rpc
    config = service.http.get(f"/v2/models/{name}/config").json()
    rpc = fields_of(stub.ModelConfig(pb.ModelConfigRequest(**version)).config)
    for port in (*rpc["input"], *rpc["output"]):
        port["dims"] = [int(size) for size in port["dims"]]
    assert config == rpc


def test_a_model_has_the_inputs_of_its_loss(service: Service) -> None:
    found = service.http.get("/v2/models/sparse_categorical_cross_entropy").json()
    assert [(one["name"], one["datatype"], one["shape"]) for one in found["inputs"]] == [
        ("predictions", "FP32", [-1, -1]),
        ("targets", "INT64", [-1]),
        ("sample_weight", "FP32", [-1]),
        ("mask", "BOOL", [-1]),
    ]
    assert found["properties"]["loss"] == "sparse_categorical_cross_entropy"
    boxes = service.http.get("/v2/models/complete_box_iou").json()["inputs"]
    assert [one["shape"] for one in boxes][:2] == [[-1, 4], [-1, 4]]


def test_every_loss_and_symbol_is_a_model(service: Service) -> None:
    names = service.http.get("/v2/models").json()["models"]
    assert names == sorted({*REGISTRY, *SYMBOLS})
    index = service.http.post("/v2/repository/index", json={"ready": True}).json()
    rpc = stub_of(service).RepositoryIndex(pb.RepositoryIndexRequest())
    assert [one["name"] for one in index] == [one.name for one in rpc.models] == names
    assert {(one["version"], one["state"], one["reason"]) for one in index} == {("1", "READY", "")}
    assert not any("/" in name for name in names)
    for name in names:
        config = service.http.get(f"/v2/models/{name}/config").json()
        assert [one["name"] for one in config["input"]][-2:] == ["sample_weight", "mask"]


def test_readiness(service: Service) -> None:
    stub = stub_of(service)
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert stub.ServerReady(pb.ServerReadyRequest()).ready
    assert service.http.get("/v2/models/huber/ready").json() == {"name": "huber", "ready": True}
    asked = [("huber", ""), ("huber", "1"), ("huber", "2"), ("hubber", "")]
    ready = [stub.ModelReady(pb.ModelReadyRequest(name=n, version=v)).ready for n, v in asked]
    assert ready == [True, True, False, False]
    health = HealthStub(service.channel).Check(health_pb2.HealthCheckRequest(service=NAME))
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_describes_the_protocol(service: Service) -> None:
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME)
    replies = ServerReflectionStub(service.channel).ServerReflectionInfo(iter([asked]))
    files = next(iter(replies)).file_descriptor_response.file_descriptor_proto
    assert pb.DESCRIPTOR.serialized_pb in files


def test_inferences_are_counted(service: Service) -> None:
    def counted(kind: str) -> int:
        stats = service.http.get("/v2/models/log_cosh/stats").json()["model_stats"][0]
        duration = stats["inference_stats"][kind]
        assert (duration["ns"] > 0) == (duration["count"] > 0)
        return int(duration["count"])

    before = counted("success"), counted("fail")
    stub = stub_of(service)
    infer(service, "log_cosh", HUBER)
    stub.ModelInfer(message("log_cosh", ARRAYS))
    infer(service, "log_cosh", {})
    assert (counted("success"), counted("fail")) == (before[0] + 2, before[1] + 1)
    rpc = stub.ModelStatistics(pb.ModelStatisticsRequest()).model_stats
    (found,) = (one for one in rpc if one.name == "log_cosh")
    assert found.inference_count == found.inference_stats.success.count == counted("success")


def test_the_outputs_asked_for_come_in_their_order(service: Service) -> None:
    asked = {**HUBER, "outputs": [{"name": name} for name in ("weight", "loss", "kept")]}
    found = outputs_of_json(infer(service, "huber", asked))
    assert {name: x.tolist() for name, x in found.items()} == {
        "weight": [2.0],
        "loss": [1.3125],
        "kept": [],
    }
    wanted = [pb.ModelInferRequest.InferRequestedOutputTensor(name=n) for n in ("count", "loss")]
    answer = stub_of(service).ModelInfer(message("huber", ARRAYS, outputs=wanted))
    assert {name: x.tolist() for name, x in outputs_of_message(answer).items()} == {
        "count": [2],
        "loss": [1.3125],
    }


def test_an_output_is_binary_if_it_or_all_of_them_are_asked_to_be(service: Service) -> None:
    outputs = [{"name": "loss"}, {"name": "count", "parameters": {"binary_data": False}}]
    asked = {**HUBER, "parameters": {"binary_data_output": True}, "outputs": outputs}
    response = infer(service, "huber", asked)
    length = int(response.headers["inference-header-content-length"])
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.content[length:] == np.float64(1.3125).tobytes()
    assert orjson.loads(response.content[:length])["outputs"][1]["data"] == [2]


def test_bytes_and_json_in_one_request(service: Service) -> None:
    told, raw = as_binary("targets", ARRAYS["targets"])
    response = infer_binary(service, "huber", {"inputs": [INPUTS[0], told]}, raw)
    assert outputs_of_json(response)["loss"] == 1.3125


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"])
def test_every_datatype_in_every_form(service: Service, dtype: str) -> None:
    arrays = {"predictions": np.array([1, 0, 1], dtype), "targets": np.array([0, 0, 1], dtype)}
    inputs = [as_json(name, x) for name, x in arrays.items()]
    found = [outputs_of_json(infer(service, "squared_error", {"inputs": inputs}))["loss"]]
    told = [as_binary(name, x) for name, x in arrays.items()]
    binary = {"inputs": [fields for fields, _ in told]}
    response = infer_binary(service, "squared_error", binary, *(raw for _, raw in told))
    found.append(outputs_of_json(response)["loss"])
    raw = message("squared_error", arrays)
    typed = pb.ModelInferRequest(model_name="squared_error")
    place = {"?": "bool", "u8": "uint64", "i8": "int64", "f4": "fp32", "f8": "fp64"}.get(
        dtype, "uint" if dtype[0] == "u" else "int"
    )
    for one, x in zip(raw.inputs, arrays.values(), strict=True):
        made = typed.inputs.add(name=one.name, datatype=one.datatype, shape=one.shape)
        getattr(made.contents, f"{place}_contents").extend(x.tolist())
    for asked in (raw, typed):
        found.append(outputs_of_message(stub_of(service).ModelInfer(asked))["loss"])
    assert [float(x[0]) for x in found] == [1 / 3] * 4


@pytest.mark.parametrize(("name", "bits"), [("FP16", 0x3E00), ("BF16", 0x3FC0)])
def test_halves_as_bytes(service: Service, name: str, bits: int) -> None:
    raw = bits.to_bytes(2, "little")
    told = {"name": "predictions", "datatype": name, "shape": [1]}
    target = as_json("targets", np.zeros(1))
    fields = {"inputs": [{**told, "parameters": {"binary_data_size": 2}}, target]}
    response = infer_binary(service, "absolute_error", fields, raw)
    assert outputs_of_json(response)["loss"] == 1.5
    asked = message("absolute_error", {"predictions": np.zeros(1), "targets": np.zeros(1)})
    asked.inputs[0].datatype = name
    asked.raw_input_contents[0] = raw
    assert outputs_of_message(stub_of(service).ModelInfer(asked))["loss"] == 1.5


def test_groups_have_their_labels(service: Service) -> None:
    labels = {"country": np.array(["fr", "de"])}
    inputs = [*INPUTS, as_json("country", labels["country"])]
    names = ("loss", "group", "count", "weight", "denominator")
    outputs = [{"name": name} for name in names]
    asked = {"parameters": BY_COUNTRY, "inputs": inputs, "outputs": outputs}
    answer = stub_of(service).ModelInfer(
        message("huber", {**ARRAYS, **labels}, parameters=BY_COUNTRY)
    )
    found = outputs_of_json(infer(service, "huber", asked))
    assert {name: x.tolist() for name, x in found.items()} == {
        "loss": [2.5, 0.125],
        "group": ["de", "fr"],
        "count": [1, 1],
        "weight": [1.0, 1.0],
        "denominator": [1.0, 1.0],
    }
    assert {name: x.tolist() for name, x in outputs_of_message(answer).items()} == {
        "loss": [2.5, 0.125],
        "group": ["de", "fr"],
    }


def test_what_a_mask_hides(service: Service) -> None:
    mask = np.array([True, False])
    fields = {
        "parameters": {"reduction": "none"},
        "inputs": [*INPUTS, as_json("mask", mask)],
    }
    (loss, kept) = infer(service, "huber", fields).json()["outputs"]
    assert (loss["data"], kept["data"]) == ([0.125, None], [True, False])
    asked = message("huber", {**ARRAYS, "mask": mask}, parameters={"reduction": "none"})
    found = outputs_of_message(stub_of(service).ModelInfer(asked))
    assert np.array_equal(found["loss"], [0.125, np.nan], equal_nan=True)
    assert found["kept"].tolist() == [True, False]


def test_the_loss_values_keep_their_shape(service: Service) -> None:
    arrays = {"predictions": np.ones((2, 3), np.float32), "targets": np.zeros((2, 3), np.float32)}
    inputs = [as_json(name, x) for name, x in arrays.items()]
    fields = {"parameters": {"reduction": "none"}, "inputs": inputs}
    (loss, _) = infer(service, "squared_error", fields).json()["outputs"]
    assert (loss["datatype"], loss["shape"], loss["data"]) == ("FP64", [2, 3], [1.0] * 6)


def test_nested_data(service: Service) -> None:
    told = {"datatype": "FP32", "shape": [2, 2], "data": [[1, 2], [3, "NaN"]]}
    inputs = [{"name": name, **told} for name in ("predictions", "targets")]
    fields = {"parameters": {"nonfinite": "omit"}, "inputs": inputs}
    assert outputs_of_json(infer(service, "squared_error", fields))["loss"] == 0.0


def test_a_state_is_an_output(service: Service) -> None:
    asked = {"parameters": {"state": True, "batch_id": "one"}, "inputs": INPUTS}
    found = outputs_of_json(infer(service, "huber", asked))
    state = read_state(base64.b64decode(found["state"][0]))
    assert lossmeter.merge([state]).value == 1.3125
    asked = {"parameters": {"state": '["max"]'}, "inputs": INPUTS}
    text = outputs_of_json(infer(service, "huber", asked))["state"][0]
    assert lossmeter.merge([read_state(base64.b64decode(text))], reduction="max").value == 2.5


def test_the_index_of_an_extreme(service: Service) -> None:
    asked = {"parameters": {"reduction": "max"}, "inputs": INPUTS}
    found = outputs_of_json(infer(service, "huber", asked))
    assert (found["loss"].tolist(), found["index"].tolist()) == ([2.5], [1])


def test_parameters_that_other_servers_read(service: Service) -> None:
    reserved = {
        "sequence_id": 7,
        "sequence_start": True,
        "sequence_end": True,
        "priority": 1,
        "timeout": 5,
        "headers": "x",
        "triton_enable_empty_final_response": False,
    }
    assert outputs_of_json(infer(service, "huber", {**HUBER, "parameters": reserved}))
    answer = stub_of(service).ModelInfer(message("huber", ARRAYS, parameters=reserved))
    assert outputs_of_message(answer)["loss"] == 1.3125


def test_lists_and_mappings_are_json_in_a_string(service: Service) -> None:
    arrays = {"predictions": np.array([[0.2, 0.8], [0.6, 0.4]]), "targets": np.array([0, 1])}
    inputs = [as_json(name, x) for name, x in arrays.items()]
    found = [
        outputs_of_json(
            infer(
                service,
                "sparse_categorical_cross_entropy",
                {"inputs": inputs, "parameters": {"class_weight": text}},
            )
        )["loss"][0]
        for text in ("[1, 2]", '{"0": 1, "1": 2}', "balanced", "null")
    ]
    first, second = -np.log([0.2, 0.4])
    assert found[0] == found[1] == pytest.approx((first + 2 * second) / 2)
    assert found[2] == found[3] == pytest.approx((first + second) / 2)


def test_ids_are_given_back(service: Service) -> None:
    stub = stub_of(service)
    assert infer(service, "huber", {**HUBER, "id": "a b"}).json()["id"] == "a b"
    assert stub.ModelInfer(message("huber", ARRAYS, id="a b")).id == "a b"
    ours = {infer(service, "huber", {**HUBER, "id": None}).json()["id"] for _ in range(2)}
    ours |= {stub.ModelInfer(message("huber", ARRAYS)).id for _ in range(2)}
    assert len(ours) == 4 and "" not in ours


def test_what_looks_wrong_is_told(service: Service) -> None:
    arrays = {"predictions": np.array([0.2, 0.8]), "targets": np.array([0.0, 1.0])}
    name, inputs = "binary_cross_entropy_with_logits", [as_json(n, x) for n, x in arrays.items()]
    told = infer(service, name, {"inputs": inputs}).json()["parameters"]["warnings"]
    answer = stub_of(service).ModelInfer(message(name, arrays))
    assert told == answer.parameters["warnings"].string_param != ""


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [False, True], ids=["JSON", "bytes"])
def test_a_request_may_be_packed(service: Service, encoding: str, binary: bool) -> None:
    told = [as_binary(name, x) for name, x in ARRAYS.items()]
    head = orjson.dumps({"inputs": [fields for fields, _ in told]} if binary else HUBER)
    body = b"".join((head, *(raw for _, raw in told))) if binary else head
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    headers = {**JSON, "content-encoding": encoding}
    if binary:
        headers |= {LENGTH: str(len(head)), "content-type": "application/octet-stream"}
    response = service.http.post(path_of("huber"), content=packed, headers=headers)
    assert outputs_of_json(response)["loss"] == 1.3125
    cut = service.http.post(path_of("huber"), content=packed[:-9], headers=headers)
    assert (cut.status_code, cut.json()["reason"]) == (400, "MALFORMED_REQUEST")


def test_large_tensors_are_the_same_in_every_form(service: Service) -> None:
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=(30_000, 3)).astype("f4") for name in ARRAYS}
    fields = {"inputs": [as_json(name, x) for name, x in arrays.items()]}
    found = [outputs_of_json(infer(service, "log_cosh", fields))["loss"]]
    told = [as_binary(name, x) for name, x in arrays.items()]
    fields = {"inputs": [one for one, _ in told]}
    response = infer_binary(service, "log_cosh", fields, *(raw for _, raw in told))
    found.append(outputs_of_json(response)["loss"])
    asked = message("log_cosh", arrays)
    found.append(outputs_of_message(stub_of(service).ModelInfer(asked))["loss"])
    stream = stub_of(service).ModelStreamInfer(iter([asked, asked]))
    found += [outputs_of_message(one.infer_response)["loss"] for one in stream]
    value = lossmeter.evaluate("log_cosh", arrays)["value"]
    assert [float(x[0]).hex() for x in found] == [float(value).hex()] * 5


def test_requests_of_one_head_keep_their_own_tensors(service: Service) -> None:
    for shift in (0.0, 1.0, 2.0):
        arrays = {"predictions": np.array([shift]), "targets": np.zeros(1)}
        fields = {"id": "same", "inputs": [as_json(name, x) for name, x in arrays.items()]}
        found = outputs_of_json(infer(service, "absolute_error", fields))
        assert found["loss"].tolist() == [shift]


BIG = {
    "parameters": {"reduction": "none"},
    "inputs": [as_json(name, np.zeros(1000)) for name in ARRAYS],
}


@pytest.mark.parametrize(
    ("accepts", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("br, gzip;q=0.5", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.0", None),
        ("identity", None),
        ("br", None),
        ("", None),
    ],
)
def test_an_answer_is_packed_if_its_caller_takes_it(
    service: Service, accepts: str, encoding: str | None
) -> None:
    headers = {**JSON, "accept-encoding": accepts}
    content = orjson.dumps(BIG)
    with service.http.stream(
        "POST", path_of("huber"), content=content, headers=headers
    ) as response:
        raw = b"".join(response.iter_raw())
        assert response.headers.get("content-encoding") == encoding
    if encoding is not None:
        raw = gzip.decompress(raw) if encoding == "gzip" else zlib.decompress(raw)
    assert orjson.loads(raw)["outputs"][0]["data"] == [0.0] * 1000


def test_a_packed_binary_answer_counts_its_plain_header(service: Service) -> None:
    asked = {**BIG, "parameters": {"reduction": "none", "binary_data_output": True}}
    response = infer(service, "huber", asked, **{"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    found = outputs_of_json(response)
    assert found["loss"].tolist() == [0.0] * 1000


def test_a_small_answer_is_not_packed(service: Service) -> None:
    response = infer(service, "huber", HUBER, **{"accept-encoding": "gzip"})
    assert "content-encoding" not in response.headers


def test_an_inference_is_what_the_openapi_document_says(service: Service) -> None:
    document = service.http.get("/openapi.json").json()
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]
    assert {*operation["requestBody"]["content"]} == {
        "application/json",
        "application/octet-stream",
    }
    (example,) = document["components"]["schemas"]["InferRequest"]["examples"]
    response = infer(service, "huber", example)
    assert response.status_code == httpx.codes.OK
    schema.InferResponse.model_validate(response.json())
    schema.InferRequest.model_validate(example)


def test_what_is_not_there_is_not_advertised(service: Service) -> None:
    extensions = service.http.get("/v2").json()["extensions"]
    assert {"trace", "logging", "system_shared_memory", "cuda_shared_memory"}.isdisjoint(extensions)
    call = service.channel.unary_unary(f"/{NAME}/LogSettings", None, None)
    with pytest.raises(grpc.RpcError) as raised:
        call(b"", timeout=10.0)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
