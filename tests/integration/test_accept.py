"""Loss values in the form that Accept asks for."""

import io
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.ipc
import pytest

from tests.integration.bodies import ARROW, NPZ, parquet
from tests.integration.forms import Array, body
from tests.integration.servers import Service

JSON, NPY = "application/json", "application/x-npy"
MATRIX = {
    "predictions": np.array([[1.5, 5.0], [2.0, np.nan], [0.5, 3.0]]),
    "targets": np.array([[1.0, 2.0], [2.0, 2.0], [2.0, 2.0]]),
    "mask": np.array([[True, True], [True, False], [True, True]]),
}
VALUES = np.array([[0.25, 9.0], [0.0, np.nan], [2.25, 1.0]])
KERAS = "keras.losses.mean_squared_error"


def ask(service: Service, accept: str, **request: Any) -> tuple[str, bytes]:
    """The media type and the body of an answer."""
    asked = {"loss": "squared_error", "reduction": "none", "inputs": MATRIX, **request}
    headers = {"content-type": JSON, "accept": accept}
    response = service.http.post("/v1/evaluate", content=body(asked), headers=headers)
    assert response.is_success, response.text
    return response.headers["content-type"], response.content


def column(content: bytes) -> pa.Table:
    with pa.ipc.open_stream(content) as stream:
        return stream.read_all()


def test_npy(service: Service) -> None:
    media, content = ask(service, NPY)
    assert media == NPY
    assert np.array_equal(np.load(io.BytesIO(content)), VALUES, equal_nan=True)


def test_npz(service: Service) -> None:
    media, content = ask(service, NPZ)
    assert media == NPZ
    with np.load(io.BytesIO(content)) as found:
        assert np.array_equal(found["loss"], VALUES, equal_nan=True)
        assert np.array_equal(found["kept"], MATRIX["mask"])


def test_arrow(service: Service) -> None:
    media, content = ask(service, ARROW)
    found = column(content)
    assert media == ARROW
    assert found["loss"].to_pylist() == [[0.25, 9.0], [0.0, None], [2.25, 1.0]]
    about = orjson.loads(found.schema.metadata[b"lossmeter"])
    assert (about["loss"], about["count"], "value" in about) == ("squared_error", 5, False)


@pytest.mark.parametrize("accept", [ARROW, NPY, NPZ])
def test_float32_stays_what_it_is(service: Service, accept: str) -> None:
    inputs = {n: x if n == "mask" else x.astype(np.float32) for n, x in MATRIX.items()}
    _, content = ask(service, accept, inputs=inputs)
    if accept == ARROW:
        assert column(content).schema.field("loss").type.value_type == pa.float32()
        return
    found: Any = np.load(io.BytesIO(content))
    assert (found if accept == NPY else found["loss"]).dtype == np.float32


def test_a_framework_that_gives_0_where_masked(service: Service) -> None:
    mask: Array = np.array([True, False, True])
    inputs = {**MATRIX, "predictions": VALUES[[0, 2, 2]], "mask": mask}
    answered = orjson.loads(ask(service, JSON, loss=KERAS, inputs=inputs)[1])["value"]
    _, content = ask(service, ARROW, loss=KERAS, inputs=inputs)
    assert column(content)["loss"].to_pylist() == answered
    assert np.load(io.BytesIO(ask(service, NPY, loss=KERAS, inputs=inputs)[1])).tolist() == answered


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        JSON,
        f"{JSON}, {NPY}",
        "text/html",
        f"text/html, {NPY}",
        f"{NPY};q=0",
        "application/*",
    ],
)
def test_json_unless_another_comes_first(service: Service, accept: str) -> None:
    assert ask(service, accept)[0] == JSON


@pytest.mark.parametrize("accept", [f"{NPY}, {JSON}", f"{NPY};q=1, */*", NPY.upper()])
def test_what_comes_first(service: Service, accept: str) -> None:
    assert ask(service, accept)[0] == NPY


@pytest.mark.parametrize("reduction", ["mean", {"name": "sum", "axis": [0]}])
@pytest.mark.parametrize("accept", [NPY, NPZ, ARROW])
def test_other_answers_are_json(service: Service, accept: str, reduction: Any) -> None:
    assert ask(service, accept, reduction=reduction)[0] == JSON


def test_tensors_in_and_out(service: Service) -> None:
    x = np.linspace(0.0, 9.0, 50_000)
    response = service.http.post(
        "/v1/evaluate?loss=absolute_error&reduction=none",
        content=parquet({"predictions": x, "targets": np.zeros(len(x))}, 10_000),
        headers={"content-type": "application/vnd.apache.parquet", "accept": NPY},
    )
    assert np.array_equal(np.load(io.BytesIO(response.content)), x)


def test_the_openapi_document_has_the_forms(service: Service) -> None:
    operation = service.http.get("/openapi.json").json()["paths"]["/v1/evaluate"]["post"]
    assert {JSON, ARROW, NPZ, "text/csv"} <= operation["requestBody"]["content"].keys()
    assert {JSON, ARROW, NPZ, NPY} == operation["responses"]["200"]["content"].keys()
    names = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
    assert {"loss", "reduction", "params", "predictions"} <= names
