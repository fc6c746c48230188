"""Losses as models: what the protocol tells of them, the same over REST and gRPC."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from lossmeter import __version__
from lossmeter.catalog.models import Model, model_named, model_names
from lossmeter.errors import MethodNotAllowed, NotFound
from lossmeter.plan.names import known, symbol_named
from lossmeter.transports.metrics import Counted
from lossmeter.wire.inference.datatypes import DATATYPES, OUTPUTS
from lossmeter.wire.inference.request import VERSION

Fields = dict[str, Any]
NAME = "lossmeter"
EXTENSIONS: tuple[str, ...] = (
    *("binary_tensor_data", "model_configuration", "model_repository"),
    *("parameters", "statistics"),
)
SHARED_MEMORY = "system_shared_memory"
NANO = 1e9


def check(name: str, version: str = "") -> None:
    """Refuse a name that is no loss or symbol.

    Raises:
        LossNotFound: Nothing has this name.
        NotFound: It has no such version.
    """
    symbol_named(name, "model_name")
    if version not in ("", VERSION):
        raise NotFound(f"a loss has the version {VERSION} alone", field="model_version")


def is_ready(name: str, version: str) -> bool:
    """Whether there is such a loss."""
    try:
        check(name, version)
    except NotFound:
        return False
    return True


def server(extensions: Sequence[str]) -> Fields:
    """Name, version and extensions of the service."""
    return {"name": NAME, "version": __version__, "extensions": list(extensions)}


def metadata(name: str, version: str) -> Fields:
    """Inputs and outputs of a loss."""
    model = _model(name, version)
    return {
        "name": name,
        "versions": [VERSION],
        "platform": NAME,
        "inputs": [
            {"name": port.name, "datatype": DATATYPES[port.dtype], "shape": list(port.sizes)}
            for port in model.inputs
        ],
        "outputs": [
            {"name": port, "datatype": kind.datatype, "shape": [-1]}
            for port, kind in OUTPUTS.items()
        ],
        "properties": {
            "loss": model.loss,
            "summary": model.summary,
            "default_reduction": model.default_reduction,
            "parameters": orjson.dumps(model.params).decode(),
        },
    }


def _model(name: str, version: str) -> Model:
    check(name, version)
    return model_named(name, "model_name")


def config(name: str, version: str) -> Fields:
    """Inputs and outputs of a loss, in the words of a model's configuration."""
    model = _model(name, version)
    return {
        "name": name,
        "platform": NAME,
        "backend": NAME,
        "max_batch_size": 0,
        "input": [
            {
                "name": port.name,
                "data_type": _type(DATATYPES[port.dtype]),
                "dims": list(port.sizes),
                "optional": port.optional,
            }
            for port in model.inputs
        ],
        "output": [
            {"name": port, "data_type": _type(kind.datatype), "dims": [-1]}
            for port, kind in OUTPUTS.items()
        ],
        "model_transaction_policy": {"decoupled": False},
    }


def _type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def index() -> list[Fields]:
    """Every loss and symbol."""
    told = {"version": VERSION, "state": "READY", "reason": ""}
    return [{"name": name, **told} for name in model_names()]


def load(name: str, parameters: Mapping[str, Any]) -> None:
    """Nothing is done: every loss is loaded.

    Raises:
        LossNotFound: There is no such loss.
        MethodNotAllowed: It shall have another configuration.
    """
    check(name)
    if parameters:
        raise MethodNotAllowed("a loss has no configuration that could be changed")


def unload(name: str) -> None:
    """Refuse to unload a loss.

    Raises:
        LossNotFound: There is no such loss.
        MethodNotAllowed: There is.
    """
    check(name)
    raise MethodNotAllowed("losses come with the service, and none is unloaded")


def statistics(name: str, version: str, counted: Mapping[str, Counted]) -> Fields:
    """What was asked of a loss, over any wire and of any worker; or of all that were asked for."""
    by_loss = {loss: one for loss, one in counted.items() if known(loss)}
    if name:
        check(name, version)
        by_loss = {name: counted.get(known(name) or name, Counted())}
    return {"model_stats": [_statistics(name, one) for name, one in sorted(by_loss.items())]}


def _statistics(name: str, counted: Counted) -> Fields:
    # perf_analyzer takes the version whose queue let requests through for the one it measured.
    at_once = {"count": counted.answered, "ns": 0}
    answered = {"count": counted.answered, "ns": round(counted.answered_seconds * NANO)}
    return {
        "name": name,
        "version": VERSION,
        "inference_count": counted.answered,
        "execution_count": counted.answered,
        "inference_stats": {
            "success": answered,
            "fail": {"count": counted.refused, "ns": round(counted.refused_seconds * NANO)},
            "queue": at_once,
            "compute_input": at_once,
            "compute_infer": answered,
            "compute_output": at_once,
        },
    }
