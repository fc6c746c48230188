"""Sample weights and masks met by the loss values that they act on."""

from collections.abc import Mapping
from math import prod

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.dialects.symbols import Pair, Variant
from lossmeter.errors import ShapeMismatch, TooLarge
from lossmeter.plan.plan import Plan
from lossmeter.plan.tensors import SHARED, boolean, numeric

# As often as Keras may repeat loss values under larger weights.
MOST_REPEATED = 2**28


def beside_of(plan: Plan, variant: Variant, given: Mapping[str, Array]) -> dict[str, Array]:
    """Weights and mask, if given, before they meet the loss values."""
    beside = {name: given[name] for name in SHARED if name in given}
    if "sample_weight" in beside:
        weights = numeric(beside["sample_weight"], "sample_weight")
        if variant.loss.collapses and variant.loss.weighs_samples is None and weights.ndim:
            raise ShapeMismatch(
                f"{variant.loss.name} has one value for the batch, which one number can weigh",
                field="inputs.sample_weight",
            )
    if "mask" in beside:
        beside["mask"] = boolean(beside["mask"])
    pair = plan.symbol.dialect.pair
    return beside if pair is None or len(beside) < len(SHARED) else _paired(pair, beside)


def _paired(pair: Pair, beside: Mapping[str, Array]) -> dict[str, Array]:
    """Weights and mask of the rank that the dialect gives them together."""
    weights, mask = pair(beside["sample_weight"], beside["mask"])
    try:
        np.broadcast_shapes(weights.shape, mask.shape)
    except ValueError:
        raise ShapeMismatch(
            f"mask has shape {list(mask.shape)}, which does not fit sample_weight of shape "
            f"{list(weights.shape)}",
            field="inputs.mask",
        ) from None
    return {"sample_weight": weights, "mask": mask}


def aligned(
    plan: Plan, beside: Mapping[str, Array], shape: tuple[int, ...]
) -> tuple[Array | None, Array | None, tuple[int, ...]]:
    """Weights and mask broadcast to the loss values, and the shape that those grow to."""
    weights, mask = (
        plan.symbol.dialect.align(beside[name], shape, name) if name in beside else None
        for name in SHARED
    )
    # What is aligned has the shape of the loss values, or the larger one they are repeated to.
    aligned = [x.shape for x in (weights, mask) if x is not None]
    grown = np.broadcast_shapes(*aligned) if aligned else shape
    return (
        None if weights is None else np.broadcast_to(weights, grown),
        None if mask is None else np.broadcast_to(mask, grown),
        grown,
    )


def weight_entries(plan: Plan, own: list[tuple[int, ...]]) -> int:
    """How many weights there are, those of a mask among them, before they meet the loss values."""
    if plan.symbol.dialect.pair is None:
        rank = max(len(shape) for shape in own)
        own = [shape + (1,) * (rank - len(shape)) for shape in own]
    return prod(np.broadcast_shapes(*own))


def repeated(x: Array, shape: tuple[int, ...], grown: tuple[int, ...]) -> Array:
    """Keras lets weights be larger than the loss values, which are then repeated."""
    if grown == shape:
        return x
    more = (1,) * (len(grown) - len(shape))
    lead = (*shape, *more) if grown == (*shape, *more) else (*more, *shape)
    own = x.shape[len(shape) :]
    often = np.broadcast_to(x.reshape(*lead, *own), (*grown, *own))
    if often.size > MOST_REPEATED:
        raise TooLarge(
            "weights repeat the loss values too often",
            field="inputs.sample_weight",
            limit=MOST_REPEATED,
            actual=often.size,
        )
    return often
