"""Files in each format: the bits of their columns given as arrays."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

from clients.python.tests.asking import target
from lossmeter_client import AsyncClient, Client, InvalidRequest, files
from lossmeter_client.arrays import Arrays
from tests.integration.servers import Service

ROWS = 1000
LOSS = "categorical_cross_entropy"


def columns() -> Arrays:
    rng = np.random.default_rng(3)
    p = rng.random(ROWS)
    return {
        "p0": p,
        "p1": 1.0 - p,
        "t0": rng.integers(0, 2, ROWS).astype(float),
        "w": rng.random(ROWS),
        "country": np.asarray(["de", "fr"])[rng.integers(0, 2, ROWS)],
    }


COLUMNS = columns()
WEIGHTED: Any = {"predictions": "p0,p1", "targets": "t0,t1", "sample_weight": "w"}


def table() -> pa.Table:
    made = {**COLUMNS, "t1": 1.0 - COLUMNS["t0"]}
    pairs = np.stack([COLUMNS["p0"], COLUMNS["p1"]], axis=-1)
    return pa.table(made).append_column("pair", pa.array(pairs.tolist(), pa.list_(pa.float64())))


def write_stream(given: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, given.schema) as writer:
        writer.write_table(given, max_chunksize=100)


def write_npz(given: pa.Table, path: Path) -> None:
    kept = [name for name in given.column_names if name != "pair"]
    np.savez(path, **{name: given[name].to_numpy() for name in kept if name != "country"})


WRITERS: Mapping[str, Callable[[pa.Table, Path], object]] = {
    ".parquet": lambda given, path: pyarrow.parquet.write_table(given, path, row_group_size=300),
    ".arrow": write_stream,
    ".feather": lambda given, path: pyarrow.feather.write_feather(given, str(path)),
    ".csv": lambda given, path: pyarrow.csv.write_csv(given.drop(["pair"]), path),
    ".npz": write_npz,
}


@pytest.fixture(params=WRITERS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = tmp_path / f"rows{request.param}"
    WRITERS[request.param](table(), made)
    return made


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS", 64)


def arrays() -> dict[str, Any]:
    t = COLUMNS["t0"]
    return {
        "predictions": np.stack([COLUMNS["p0"], COLUMNS["p1"]], axis=-1),
        "targets": np.stack([t, 1.0 - t], axis=-1),
        "sample_weight": COLUMNS["w"],
    }


@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize("reduction", ["weighted_mean", "median", {"name": "cvar", "alpha": 0.1}])
def test_a_file_has_the_bits_of_its_columns(service: Service, path: Path, reduction: Any) -> None:
    asked: Any = {**WEIGHTED, "reduction": reduction}

    async def awaited() -> str:
        async with AsyncClient(target(service)) as client:
            return repr(await client.evaluate_file(path, LOSS, **asked))

    with Client(target(service)) as client:
        whole = repr(client.evaluate(LOSS, arrays(), reduction=reduction))
        found = repr(client.evaluate_file(path, LOSS, **asked))
    assert {found, asyncio.run(awaited())} == {whole}


def test_a_list_column_has_a_last_axis(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(table(), path)
    with Client(target(service)) as client:
        found = client.evaluate_file(path, LOSS, predictions="pair", targets="t0,t1")
        joined = client.evaluate_file(path, LOSS, predictions="p0,p1", targets="t0,t1")
    assert found == joined


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_groups_come_from_the_column_that_by_names(
    service: Service, tmp_path: Path, ending: str
) -> None:
    path, by = tmp_path / f"rows{ending}", {"name": "mean", "by": "country"}
    WRITERS[ending](table(), path)
    with Client(target(service)) as client:
        whole = client.evaluate(LOSS, arrays(), country=COLUMNS["country"], reduction=by)
        assert client.evaluate_file(path, LOSS, reduction=by, **WEIGHTED) == whole


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("rows.txt", b"", "UNSUPPORTED_MEDIA"),
        ("rows.parquet", b"PAR1", "MALFORMED_REQUEST"),
        ("rows.arrow", b"hunter2", "MALFORMED_REQUEST"),
        ("rows.npz", b"hunter2", "MALFORMED_REQUEST"),
        ("rows.csv", b"predictions,targets\n1,2\n", "MISSING_INPUT"),
    ],
)
def test_a_file_that_is_none_is_refused(
    service: Service, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with Client(target(service)) as client, pytest.raises(InvalidRequest) as raised:
        client.evaluate_file(tmp_path / name, LOSS, sample_weight="w")
    assert raised.value.reason == reason


def test_a_file_that_is_not_there_is_not_there(service: Service, tmp_path: Path) -> None:
    with Client(target(service)) as client, pytest.raises(FileNotFoundError):
        client.evaluate_file(tmp_path / "rows.parquet", LOSS)
