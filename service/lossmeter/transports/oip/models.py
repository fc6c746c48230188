"""Losses as models: what the protocol tells of them, the same over REST and gRPC."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from lossmeter import __version__
from lossmeter.core.declare import REGISTRY
from lossmeter.core.domains import Input
from lossmeter.core.own import OWN
from lossmeter.dialects import SYMBOLS
from lossmeter.dialects.symbols import Symbol
from lossmeter.errors import MethodNotAllowed, NotFound
from lossmeter.plan.names import symbol_named
from lossmeter.plan.parameters import model_of
from lossmeter.transports.oip.statistics import Counted, Statistics
from lossmeter.wire.inference.datatypes import OUTPUTS
from lossmeter.wire.inference.request import VERSION

Fields = dict[str, Any]
NAME = "lossmeter"
EXTENSIONS: tuple[str, ...] = (
    *("binary_tensor_data", "model_configuration", "model_repository"),
    *("parameters", "statistics"),
)
SHARED_MEMORY = "system_shared_memory"
NANO = 1e9
# What every loss takes besides its own inputs; as an input of any rank it is told with one axis.
BESIDE = {"sample_weight": "FP32", "mask": "BOOL"}


def model_named(name: str, version: str = "") -> Symbol:
    """The loss or symbol that a request names.

    Raises:
        LossNotFound: Nothing has this name.
        NotFound: It has no such version.
    """
    symbol = symbol_named(name, "model_name")
    if version not in ("", VERSION):
        raise NotFound(f"a loss has the version {VERSION} alone", field="model_version")
    return symbol


def is_ready(name: str, version: str) -> bool:
    """Whether there is such a loss."""
    try:
        model_named(name, version)
    except NotFound:
        return False
    return True


def server(extensions: Sequence[str]) -> Fields:
    """Name, version and extensions of the service."""
    return {"name": NAME, "version": __version__, "extensions": list(extensions)}


def metadata(name: str, version: str) -> Fields:
    """Inputs and outputs of a loss."""
    symbol = model_named(name, version)
    return {
        "name": name,
        "versions": [VERSION],
        "platform": NAME,
        "inputs": [
            {"name": port, "datatype": datatype, "shape": shape}
            for port, datatype, shape, _ in _inputs(symbol)
        ],
        "outputs": [
            {"name": port, "datatype": kind.datatype, "shape": [-1]}
            for port, kind in OUTPUTS.items()
        ],
        "properties": _properties(symbol),
    }


def _properties(symbol: Symbol) -> dict[str, str]:
    loss = symbol.variants[0].loss
    return {
        "loss": loss.name,
        "summary": loss.summary,
        "default_reduction": symbol.default_reduction,
        "parameters": orjson.dumps(model_of(symbol, 0).model_json_schema()["properties"]).decode(),
    }


def config(name: str, version: str) -> Fields:
    """Inputs and outputs of a loss, in the words of a model's configuration."""
    symbol = model_named(name, version)
    return {
        "name": name,
        "platform": NAME,
        "backend": NAME,
        "max_batch_size": 0,
        "input": [
            {"name": port, "data_type": _type(datatype), "dims": dims, "optional": optional}
            for port, datatype, dims, optional in _inputs(symbol)
        ],
        "output": [
            {"name": port, "data_type": _type(kind.datatype), "dims": [-1]}
            for port, kind in OUTPUTS.items()
        ],
        "model_transaction_policy": {"decoupled": False},
    }


def _type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _inputs(symbol: Symbol) -> list[tuple[str, str, list[int], bool]]:
    """Name, datatype, shape of each input, and whether it may be absent."""
    found: dict[str, tuple[str, str, list[int], bool]] = {}
    for variant in symbol.variants:
        for spec in variant.loss.inputs:
            optional = spec.name in variant.lacks or any(
                all(other.name != spec.name for other in one.loss.inputs) for one in symbol.variants
            )
            datatype = "INT64" if spec.kind.domain.integers else "FP32"
            found.setdefault(spec.name, (spec.name, datatype, _dims(spec.kind), optional))
        for name in variant.beside:
            found.setdefault(name, (name, "FP32", [-1], True))
    ours = {name: (name, datatype, [-1], True) for name, datatype in BESIDE.items()}
    return list({**found, **ours}.values())


def _dims(kind: Input) -> list[int]:
    """A size for each axis, -1 for any: of axes of any number, the one that they mostly are."""
    axes = [axis for axis in (kind.lead, *kind.core) if axis]
    return [int(axis) if axis.isdecimal() else -1 for axis in axes]


def index() -> list[Fields]:
    """Every loss and symbol."""
    names = sorted({*REGISTRY, *SYMBOLS, *OWN})
    return [{"name": n, "version": VERSION, "state": "READY", "reason": ""} for n in names]


def load(name: str, parameters: Mapping[str, Any]) -> None:
    """Nothing is done: every loss is loaded.

    Raises:
        LossNotFound: There is no such loss.
        MethodNotAllowed: It shall have another configuration.
    """
    model_named(name)
    if parameters:
        raise MethodNotAllowed("a loss has no configuration that could be changed")


def unload(name: str) -> None:
    """Refuse to unload a loss.

    Raises:
        LossNotFound: There is no such loss.
        MethodNotAllowed: There is.
    """
    model_named(name)
    raise MethodNotAllowed("losses come with the service, and none is unloaded")


def statistics(name: str, version: str, counted: Statistics) -> Fields:
    """The inferences of a loss, or of all that were asked for."""
    by_loss = counted.by_loss()
    if name:
        model_named(name, version)
        by_loss = {name: by_loss.get(name, Counted())}
    return {"model_stats": [_statistics(name, one) for name, one in sorted(by_loss.items())]}


def _statistics(name: str, counted: Counted) -> Fields:
    nothing = {"count": 0, "ns": 0}
    answered = {"count": counted.answered, "ns": round(counted.answered_seconds * NANO)}
    return {
        "name": name,
        "version": VERSION,
        "inference_count": counted.answered,
        "execution_count": counted.answered,
        "inference_stats": {
            "success": answered,
            "fail": {"count": counted.refused, "ns": round(counted.refused_seconds * NANO)},
            "queue": nothing,
            "compute_input": nothing,
            "compute_infer": answered,
            "compute_output": nothing,
        },
    }
