"""System shared memory: tensors of callers on the same host."""

import json  # writes whole numbers of any size
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from lossmeter.errors import TooLarge
from lossmeter.inference import grpc_service_pb2 as pb
from lossmeter.transports.oip.shared_memory import MOST_REGIONS, SharedMemory
from tests.integration.inference import (
    Fields,
    as_json,
    infer,
    infer_binary,
    message,
    outputs_of_message,
    stub_of,
)
from tests.integration.refusals import faults_of_response, told_by_http, told_by_rpc
from tests.integration.servers import LOSSMETER, Service, serving

FOLDER = Path("/dev/shm")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="there is no shared memory here")
# Of this process alone, as other tests run beside it.
PREFIX = f"lossmeter-test-{os.getpid()}"
PATH = "/v2/systemsharedmemory"
X, Y = np.array([1.5, 5.0]), np.array([1.0, 2.0])
WHERE = {"predictions": 8, "targets": 24}
SIZE = 64


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that takes shared memory."""
    log = tmp_path_factory.mktemp("sharing") / "log"
    with serving(
        log, shared_memory="true", shared_memory_prefix=PREFIX, max_body_bytes=4096
    ) as started:
        yield started
        assert infer(started, "huber", GOOD).status_code == httpx.codes.OK
        assert started.faults() == []


@pytest.fixture
def memory(sharing: Service) -> Iterator[Path]:
    """Memory that holds predictions and targets, and room for an answer after them."""
    path = FOLDER / f"{PREFIX}-one"
    path.write_bytes(bytes(8) + X.tobytes() + Y.tobytes() + bytes(SIZE - 40))
    yield path
    sharing.http.post(f"{PATH}/unregister")
    path.unlink(missing_ok=True)


GOOD: Fields = {"inputs": [as_json("predictions", X), as_json("targets", Y)]}


def register(service: Service, name: str = "one", **changed: Any) -> httpx.Response:
    fields = {"key": f"/{PREFIX}-one", "offset": 0, "byte_size": SIZE, **changed}
    return service.http.post(f"{PATH}/region/{name}/register", json=fields)


def shared(name: str, **changed: Any) -> Fields:
    """An input that lies in the region."""
    place = {
        "shared_memory_region": "one",
        "shared_memory_offset": WHERE[name],
        "shared_memory_byte_size": 16,
    }
    return {"name": name, "datatype": "FP64", "shape": [2], "parameters": {**place, **changed}}


def in_memory(**changed: Any) -> Fields:
    return {"inputs": [shared("predictions", **changed), shared("targets")]}


def asked_by_message() -> pb.ModelInferRequest:
    made = pb.ModelInferRequest(model_name="huber")
    for name in WHERE:
        told = shared(name)
        one = made.inputs.add(name=name, datatype="FP64", shape=[2])
        for key, x in told["parameters"].items():
            kind = "string_param" if isinstance(x, str) else "int64_param"
            setattr(one.parameters[key], kind, x)
    return made


def test_it_is_advertised(sharing: Service) -> None:
    assert "system_shared_memory" in sharing.http.get("/v2").json()["extensions"]


def test_inputs_in_shared_memory(sharing: Service, memory: Path) -> None:
    assert register(sharing).status_code == httpx.codes.OK
    response = infer(sharing, "huber", in_memory())
    assert response.json()["outputs"][0]["data"] == [1.3125]
    answer = stub_of(sharing).ModelInfer(asked_by_message())
    assert outputs_of_message(answer)["loss"] == 1.3125


def test_inputs_here_and_there(sharing: Service, memory: Path) -> None:
    register(sharing)
    told = {"name": "targets", "datatype": "FP64", "shape": [2]}
    fields = {"inputs": [shared("predictions"), {**told, "parameters": {"binary_data_size": 16}}]}
    response = infer_binary(sharing, "huber", fields, Y.tobytes())
    assert response.json()["outputs"][0]["data"] == [1.3125]
    made = asked_by_message()
    made.inputs[1].ClearField("parameters")
    made.raw_input_contents.append(Y.tobytes())
    assert outputs_of_message(stub_of(sharing).ModelInfer(made))["loss"] == 1.3125


def test_what_is_there_now_is_read(sharing: Service, memory: Path) -> None:
    register(sharing)
    with memory.open("r+b") as file:
        file.seek(WHERE["predictions"])
        file.write(Y.tobytes())
    assert infer(sharing, "huber", in_memory()).json()["outputs"][0]["data"] == [0.0]


@pytest.mark.parametrize("wire", ["REST", "gRPC"])
def test_an_output_in_shared_memory(sharing: Service, memory: Path, wire: str) -> None:
    register(sharing, offset=40, byte_size=24)
    place = {"shared_memory_region": "one", "shared_memory_byte_size": 16}
    place["shared_memory_offset"] = 8
    if wire == "REST":
        asked = {**GOOD, "outputs": [{"name": "loss", "parameters": place}, {"name": "count"}]}
        told, count = infer(sharing, "huber", asked).json()["outputs"]
        assert told == {"name": "loss", "datatype": "FP64", "shape": [1]}
        assert count["data"] == [2]
    else:
        made = message("huber", {"predictions": X, "targets": Y})
        output = made.outputs.add(name="loss")
        for key, x in place.items():
            kind = "string_param" if isinstance(x, str) else "int64_param"
            setattr(output.parameters[key], kind, x)
        answer = stub_of(sharing).ModelInfer(made)
        assert answer.outputs[0].parameters["shared_memory_byte_size"].int64_param == 8
        assert [*answer.raw_output_contents] == [b""]
    assert memory.read_bytes()[48:56] == np.float64(1.3125).tobytes()
    assert memory.stat().st_size == SIZE


def test_what_is_registered_is_told(sharing: Service, memory: Path) -> None:
    register(sharing, offset=8, byte_size=16)
    told = {"name": "one", "key": f"{PREFIX}-one", "offset": 8, "byte_size": 16}
    for path in ("status", "region/one/status"):
        assert sharing.http.get(f"{PATH}/{path}").json() == [told]
    found = stub_of(sharing).SystemSharedMemoryStatus(pb.SystemSharedMemoryStatusRequest())
    region = found.regions["one"]
    assert (region.key, region.offset, region.byte_size) == (f"{PREFIX}-one", 8, 16)
    assert sharing.http.get(f"{PATH}/region/hunter2/status").status_code == 404


def test_a_region_is_forgotten(sharing: Service, memory: Path) -> None:
    stub = stub_of(sharing)
    for forget in (
        lambda: sharing.http.post(f"{PATH}/region/one/unregister"),
        lambda: sharing.http.post(f"{PATH}/unregister"),
        lambda: stub.SystemSharedMemoryUnregister(
            pb.SystemSharedMemoryUnregisterRequest(name="one")
        ),
    ):
        asked = pb.SystemSharedMemoryRegisterRequest(
            name="one", key=f"{PREFIX}-one", byte_size=SIZE
        )
        stub.SystemSharedMemoryRegister(asked)
        forget()
        assert sharing.http.get(f"{PATH}/status").json() == []
        assert infer(sharing, "huber", in_memory()).status_code == 404


def test_files_are_closed_when_nobody_uses_them(sharing: Service, memory: Path) -> None:
    files = Path(f"/proc/{sharing.process.pid}/fd")

    def opened() -> int:
        return sum(str(memory) in os.readlink(one) for one in files.iterdir() if one.is_symlink())

    register(sharing)
    assert opened() == 1
    register(sharing)  # the name is taken
    register(sharing, "two", byte_size=10**6)  # the memory ends before
    sharing.http.post(f"{PATH}/unregister")
    assert opened() == 0


def test_a_region_is_not_replaced(sharing: Service, memory: Path) -> None:
    register(sharing)
    response = register(sharing)
    assert told_by_http(response) == (400, "PARAMETER_INVALID", "name")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("hunter2", id="another program's"),
        pytest.param(f"/{PREFIX}/../hunter2", id="a path that climbs"),
        pytest.param(f"{PREFIX}/hunter2", id="a path"),
        pytest.param(f"//{PREFIX}-one", id="two slashes"),
        pytest.param("..", id="the folder above"),
        pytest.param("", id="nothing"),
        pytest.param(f"{PREFIX}-one\0", id="a NUL"),
        pytest.param(f"{PREFIX}-one\n", id="a line's end"),
        pytest.param(f"{PREFIX}{'7919' * 100}", id="too long"),
        pytest.param(7919, id="a number"),
        pytest.param(None, id="null"),
    ],
)
def test_a_key_that_is_not_taken(sharing: Service, memory: Path, key: Any) -> None:
    response = register(sharing, key=key)
    assert told_by_http(response) == (400, "PARAMETER_INVALID", "key")
    assert faults_of_response(response) == []


@pytest.fixture
def other(memory: Path) -> Iterator[Path]:
    path = FOLDER / f"{PREFIX}-hunter2"
    yield path
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["nothing", "link", "folder", "pipe"])
def test_memory_that_is_none(sharing: Service, memory: Path, other: Path, kind: str) -> None:
    if kind == "link":
        other.symlink_to(memory)
    elif kind == "folder":
        other.mkdir()
    elif kind == "pipe":
        os.mkfifo(other)
    response = register(sharing, key=other.name)
    assert told_by_http(response) == (404, "NOT_FOUND", "key")
    assert faults_of_response(response) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make memory of another user")
def test_memory_of_another_user(sharing: Service, memory: Path) -> None:
    os.chown(memory, 12345, 12345)
    response = register(sharing)
    assert told_by_http(response) == (404, "NOT_FOUND", "key")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"byte_size": SIZE + 1}, "byte_size"),
        ({"offset": 1}, "byte_size"),
        ({"offset": 2**62, "byte_size": 2**62}, "byte_size"),
        ({"offset": 2**64 - 8, "byte_size": 16}, "offset"),
        ({"byte_size": 2**64}, "byte_size"),
        ({"offset": -1}, "offset"),
        ({"byte_size": 0}, "byte_size"),
        ({"byte_size": -16}, "byte_size"),
        ({"byte_size": 8.5}, "byte_size"),
        ({"byte_size": True}, "byte_size"),
        ({"byte_size": "7919"}, "byte_size"),
        ({"byte_size": None}, "byte_size"),
        ({"hunter2": 1}, "hunter2"),
    ],
)
def test_a_bad_region(sharing: Service, memory: Path, changed: Fields, field: str) -> None:
    content = {"key": f"{PREFIX}-one", "offset": 0, "byte_size": SIZE, **changed}
    response = sharing.http.post(
        f"{PATH}/region/one/register",
        content=json.dumps(content),
        headers={"content-type": "application/json"},
    )
    assert (response.status_code, response.json()["field"]) == (400, field)
    assert faults_of_response(response) == []


def test_a_bad_region_over_grpc(sharing: Service, memory: Path) -> None:
    for offset, size in ((2**64 - 8, 16), (0, 2**64 - 1), (8, SIZE), (0, 0)):
        asked = pb.SystemSharedMemoryRegisterRequest(
            name="one", key=f"{PREFIX}-one", offset=offset, byte_size=size
        )
        with pytest.raises(grpc.RpcError) as raised:
            stub_of(sharing).SystemSharedMemoryRegister(asked)
        assert told_by_rpc(raised.value)[:2] == ("INVALID_ARGUMENT", "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"shared_memory_region": "hunter2"}, 404),
        ({"shared_memory_region": 7919}, 400),
        ({"shared_memory_offset": SIZE - 8}, 400),
        ({"shared_memory_offset": -8}, 400),
        ({"shared_memory_offset": 2**63}, 400),
        ({"shared_memory_byte_size": 24}, 400),
        ({"shared_memory_byte_size": SIZE + 8}, 400),
        ({"shared_memory_byte_size": 0}, 400),
        ({"shared_memory_byte_size": "16"}, 400),
    ],
)
def test_a_bad_place(sharing: Service, memory: Path, changed: Fields, status: int) -> None:
    register(sharing)
    response = infer(sharing, "huber", in_memory(**changed))
    assert response.status_code == status
    assert faults_of_response(response) == []


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"shared_memory_region": "hunter2"}, 404),
        ({"shared_memory_byte_size": 7}, 400),
        ({"shared_memory_offset": SIZE - 4}, 400),
    ],
)
def test_a_bad_place_of_an_output(
    sharing: Service, memory: Path, changed: Fields, status: int
) -> None:
    register(sharing)
    place = {"shared_memory_region": "one", "shared_memory_byte_size": 8, **changed}
    asked = {**GOOD, "outputs": [{"name": "loss", "parameters": place}]}
    before = memory.read_bytes()
    response = infer(sharing, "huber", asked)
    assert response.status_code == status
    assert memory.read_bytes() == before


def test_memory_that_becomes_shorter_ends_no_process(sharing: Service, memory: Path) -> None:
    register(sharing)
    os.truncate(memory, 16)
    refused = [infer(sharing, "huber", in_memory())]
    place = {"shared_memory_region": "one", "shared_memory_byte_size": 8}
    place["shared_memory_offset"] = 16
    asked = {**GOOD, "outputs": [{"name": "loss", "parameters": place}]}
    refused.append(infer(sharing, "huber", asked))
    assert [told_by_http(one)[:2] for one in refused] == [(400, "MALFORMED_REQUEST")] * 2
    assert memory.stat().st_size == 16


def test_a_request_reads_no_more_than_a_body_may_hold(sharing: Service, memory: Path) -> None:
    os.truncate(memory, 4096)
    register(sharing, byte_size=4096)
    place = {"shared_memory_offset": 0, "shared_memory_byte_size": 4096}
    inputs = [
        {**shared("predictions", **place), "name": name, "shape": [512]} for name in ("a", "b")
    ]
    response = infer(sharing, "huber", {"inputs": inputs})
    assert told_by_http(response) == (413, "TOO_LARGE", "inputs.b")


def test_regions_are_not_without_number(memory: Path) -> None:
    regions = SharedMemory(PREFIX, 4096)
    for number in range(MOST_REGIONS):
        regions.register(str(number), memory.name, 0, SIZE)
    with pytest.raises(TooLarge):
        regions.register("one more", memory.name, 0, SIZE)
    regions.unregister("")
    assert regions.status("") == []


def test_it_is_refused_with_several_workers() -> None:
    done = subprocess.run(
        [LOSSMETER, "serve", "--workers", "2", "--http-port", "0", "--grpc-port", "0"],
        env={**os.environ, "LOSSMETER_SHARED_MEMORY": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "1 worker" in done.stdout + done.stderr


def test_it_is_off_by_default(service: Service) -> None:
    assert told_by_http(register(service))[:2] == (404, "NOT_FOUND")
    assert infer(service, "huber", in_memory()).status_code == 404
