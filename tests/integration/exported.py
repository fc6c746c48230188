"""Graphs that the package exports, run as anybody would: plain ONNX Runtime, default options."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort

from lossmeter import export
from lossmeter.core.arrays import Array
from lossmeter.dialects import optax
from lossmeter.plan.batch import Batch, bind
from lossmeter.plan.plan import prepare
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import Tensors

NUMPY = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class Graph:
    """An exported graph, checked, in a session of its own."""

    def __init__(self, model: bytes) -> None:
        self.model = onnx.load_from_string(model)
        onnx.checker.check_model(self.model, full_check=True)
        options = ort.SessionOptions()
        options.log_severity_level = 4  # it warns of inputs that may be left out
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(model, options, ["CPUExecutionProvider"])
        given = [*self._session.get_inputs(), *self._session.get_overridable_initializers()]
        self.inputs = {one.name: (NUMPY[one.type], len(one.shape)) for one in given}
        self.outputs = [one.name for one in self._session.get_outputs()]

    def run(self, arrays: Mapping[str, Any]) -> dict[str, Array]:
        """The outputs; arrays that are no inputs are left out."""
        fed: dict[str, Array] = {
            name: np.asarray(arrays[name], dtype)
            for name, (dtype, _) in self.inputs.items()
            if name in arrays
        }
        return dict(zip(self.outputs, self._session.run(None, fed), strict=True))

    def facts(self) -> dict[str, str]:
        """The metadata."""
        return {fact.key: fact.value for fact in self.model.metadata_props}


@cache
def _graph(asked: str) -> Graph:
    return Graph(export(**json.loads(asked)))


def graph(loss: str | Mapping[str, str], **asked: Any) -> Graph:
    """The graph of a loss, made once."""
    return _graph(json.dumps({"loss": loss, **asked}, sort_keys=True))


class Asked(NamedTuple):
    """An export that fits a request, and the arrays that it takes of it."""

    form: Mapping[str, Any]
    arrays: Mapping[str, Array]


def asked_of(spec: EvaluateSpec, tensors: Tensors) -> Asked:
    """How a request is asked of a graph."""
    assert spec.loss is not None
    plan = prepare(spec.loss, spec.params, spec.reduction)
    batch = bind(plan, tensors)
    variant, given = batch.candidate.variant, tensors.arrays
    loss = variant.loss
    values = [given[name] for name in _values(batch) if name in given]
    wide = not values or any(x.dtype != np.float32 for x in values)
    form: dict[str, Any] = {
        "loss": spec.loss,
        "params": spec.params,
        "reduction": spec.reduction
        if spec.reduction is None or isinstance(spec.reduction, str)
        else spec.reduction.model_dump(exclude_none=True),
        "dtype": "float64" if wide else "float32",
        "sizes": _sizes(batch, given),
        "stands_for": loss.name,
    }
    if not any(one.kind.lead == "N" for one in loss.inputs):
        form["rank"] = len(batch.shape)
    if "..." in loss.inputs[0].kind.core:
        classes = variant.by_class or len(loss.inputs[0].kind.core) - 1
        channels = 0 if variant.arrange is optax.one_channel else classes
        form["rank"] = given["predictions"].ndim - channels
    return Asked(form, _arrays(batch, given))


def fits(asked: Asked, exported: Graph) -> bool:
    """Whether arrays have the ranks that a graph takes; a service brings some to others."""
    ranks = {name: rank for name, (_, rank) in exported.inputs.items()}
    return all(asked.arrays[name].ndim == ranks[name] for name in ranks.keys() & asked.arrays)


def _values(batch: Batch) -> list[str]:
    return [name for name, domain in batch.candidate.domains.items() if not domain.integers]


def _sizes(batch: Batch, given: Mapping[str, Array]) -> dict[str, int]:
    variant = batch.candidate.variant
    first = variant.loss.inputs[0]
    sizes = {"T": batch.sizes["T"]} if "T" in batch.sizes else {}
    values = batch.shape[:1] if variant.loss.output == "elementwise" else batch.shape
    if first.kind.optional and batch.inputs[first.name].ndim > len(values):
        sizes["C"] = batch.inputs[first.name].shape[-1]
    if variant.arrange is optax.overlapping_classes:
        sizes["C"] = given["predictions"].shape[-1]
    return sizes


def _arrays(batch: Batch, given: Mapping[str, Array]) -> dict[str, Array]:
    aliases = batch.candidate.variant.aliases
    arrays = {aliases.get(name, name): np.asarray(x) for name, x in given.items()}
    for name, x in (("sample_weight", batch.weights), ("mask", batch.mask)):
        if x is not None:
            # What was broadcast along an axis is of size 1 there.
            arrays[name] = x[tuple(slice(1) if step == 0 else slice(None) for step in x.strides)]
    if batch.candidate.variant.loss.collapses and "sample_weight" in arrays:
        weights = arrays["sample_weight"]
        together = batch.candidate.variant.loss.weighs_samples
        arrays["sample_weight"] = weights if together else weights.reshape(-1)[0]
    return arrays
