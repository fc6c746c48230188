"""The same data in another encoding, for frameworks that know a loss only in that one."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from lossmeter.core.arrays import NUMPY, Array
from lossmeter.core.declare import REGISTRY, Loss
from lossmeter.core.stable import log_softmax, sigmoid, softmax
from lossmeter.errors import OutOfDomain
from lossmeter.plan.encodings import SAME, WORDS, domains_of

Arrays = dict[str, Array]


def _same(x: Array) -> Array:
    return x


def _log_odds(p: Array) -> Array:
    return np.log(p) - np.log1p(-p)


# From one encoding of predictions to another; the softmax of ln p is p where p sums to 1.
PREDICTIONS: Mapping[tuple[str, str], Callable[[Array], Array]] = {
    ("distribution", "logits"): np.log,
    ("distribution", "log_probability"): np.log,
    ("logits", "distribution"): partial(softmax, NUMPY),
    ("logits", "log_probability"): partial(log_softmax, NUMPY),
    ("log_probability", "distribution"): np.exp,
    ("log_probability", "logits"): _same,
    ("probability", "logits"): _log_odds,
    ("logits", "probability"): partial(sigmoid, NUMPY),
}


def kin(loss: Loss) -> Iterator[Loss]:
    """Losses that are the same of another encoding, those of the same targets first."""
    names = dict.fromkeys(name for family in SAME if loss.name in family for name in family)
    found = [REGISTRY[name] for name in names if name != loss.name]
    targets = domains_of(loss).get("targets")
    yield from sorted(found, key=lambda other: domains_of(other)["targets"] != targets)


def retold(loss: Loss, other: Loss, inputs: Arrays) -> Arrays:
    """The inputs of one loss as the other takes them.

    Raises:
        OutOfDomain: They cannot be told so.
    """
    mine, its = domains_of(loss), domains_of(other)
    predictions = _predictions(mine["predictions"], its["predictions"], inputs["predictions"])
    targets = _targets(mine["targets"], its["targets"], inputs["targets"], inputs["predictions"])
    if predictions is None or targets is None:
        raise OutOfDomain("the targets are no single classes", field="inputs.targets")
    return {"predictions": predictions, "targets": targets}


def told_how(loss: Loss, other: Loss) -> str:
    """What another framework is given in place of what was sent."""
    mine, its = domains_of(loss), domains_of(other)
    told = [WORDS[its[name]] for name in ("predictions", "targets") if mine[name] != its[name]]
    return f"is given the same as {' and '.join(told)}"


def limits(loss: Loss, other: Loss) -> str:
    """What one of the two encodings can say and the other cannot."""
    names = {domains_of(one)["predictions"] for one in (loss, other)}
    if "log_probability" in names and "logits" in names:
        return "logits always mean probabilities that sum to 1, and logarithms need not"
    return "probabilities of 0 and 1 are infinite as logits and logarithms"


def _predictions(mine: str, its: str, x: Array) -> Array | None:
    if mine == its:
        return x
    convert = PREDICTIONS.get((mine, its))
    if convert is None:
        return None
    with np.errstate(all="ignore"):
        return convert(x.astype(np.result_type(x, np.float32)))


def _targets(mine: str, its: str, y: Array, predictions: Array) -> Array | None:
    if mine == its:
        return y
    if (mine, its) == ("class_index", "distribution"):
        classes = predictions.shape[-1]
        place = np.clip(np.nan_to_num(y), 0, classes - 1).astype(np.int64)
        return np.eye(classes, dtype=predictions.dtype)[place]
    if not y.size:
        return None
    one_hot = np.isin(y, (0, 1)).all() and bool((y.sum(axis=-1) == 1).all())
    return y.argmax(axis=-1) if its == "class_index" and one_hot else None
