"""Which loss takes the same thing told otherwise: indices, distributions, logits, logarithms."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.declare import REGISTRY, Loss
from lossmeter.core.domains import Domain
from lossmeter.dialects.symbols import SYMBOLS, Symbol, Variant
from lossmeter.plan.parameters import default_of
from lossmeter.plan.plan import Candidate, same

# Losses that are the same of other encodings; what each takes is what it declares.
SAME = (
    (
        "categorical_cross_entropy",
        "sparse_categorical_cross_entropy",
        "softmax_cross_entropy",
        "sparse_softmax_cross_entropy",
        "negative_log_likelihood",
    ),
    ("multiclass_log_loss", "sparse_softmax_cross_entropy", "negative_log_likelihood"),
    ("binary_cross_entropy", "binary_cross_entropy_with_logits"),
    ("binary_focal_cross_entropy", "sigmoid_focal"),
    ("kl_divergence", "kl_divergence_log_input"),
)
# Losses of one purpose, among which a wrong encoding finds the one that takes it.
FAMILIES = (*SAME, ("categorical_hinge", "crammer_singer_hinge"))
EITHER = {"distribution_or_log": "distribution"}
WORDS: Mapping[str, str] = {
    "class_index": "class indices",
    "distribution": "distributions",
    "distribution_or_log": "distributions",
    "probability": "probabilities",
    "logits": "logits",
    "log_probability": "logarithms of probabilities",
    "real": "scores",
    "binary": "labels 0 and 1",
    "sign": "labels -1 and +1",
}


def hint(candidate: Candidate, name: str, x: Array) -> str:
    """What values that a loss refuses seem to be, and which loss takes them; or nothing."""
    domain = candidate.domains[name]
    seen = _seen(domain, x, predicted=name == "predictions")
    return f"; {told(candidate, name, seen)}" if seen else ""


def _seen(domain: Domain, x: Array, *, predicted: bool) -> str:
    """The domain that the values seem to be of, in place of the declared one."""
    known = x[~np.isnan(x)] if x.dtype.kind == "f" else x
    if not known.size:
        return ""
    shares = known.min() >= 0 and known.max() <= 1
    whole = known.min() >= 0 and np.array_equal(np.floor(known), known)
    signs = "sign" if np.isin(known, (-1, 1)).all() else ""
    seen = {
        "class_index": "distribution" if shares else "",
        "distribution": "logits" if predicted else "class_index" if whole else "",
        "probability": "logits" if predicted else signs,
        "log_probability": "distribution" if shares else "logits",
        "binary": signs,
        "sign": "binary" if np.isin(known, (0, 1)).all() else "",
    }
    return seen.get(domain.name, "")


def told(candidate: Candidate, name: str, seen: str) -> str:
    """These are such; this loss takes that, another takes these."""
    takes = WORDS[candidate.domains[name].name]
    other = _other(candidate.variant.loss, name, seen)
    return f"these look like {WORDS[seen]}; {_taking(candidate, takes, other, WORDS[seen])}"


def names_of(candidate: Candidate, *, logarithms: bool) -> str:
    """The warning that predictions look like probabilities."""
    takes = "logarithms of probabilities" if logarithms else "logits"
    loss, name = candidate.variant.loss, "predictions"
    other = _other(loss, name, "distribution") or _other(loss, name, "probability")
    taking = _taking(candidate, takes, other, "probabilities")
    return f"predictions look like probabilities; {taking}"


def _taking(candidate: Candidate, takes: str, other: Loss | None, given: str) -> str:
    """What this loss takes, and which other takes what is given."""
    this, apart = candidate.symbol.called, not _by_default(candidate.variant)
    called = "" if other is None else _called(candidate.symbol.name, other.name)
    if apart or called.startswith(f"{this} with "):
        this = _switched(candidate.symbol, candidate.variant)
    return f"{this} takes {takes}" + (f", {called} takes {given}" if called else "")


def _other(loss: Loss, name: str, seen: str) -> Loss | None:
    """The loss of the same family whose input has that domain, its others unchanged."""
    mine = domains_of(loss)
    wanted = {**mine, name: seen}
    for family in FAMILIES:
        if loss.name in family:
            for other in family:
                if domains_of(REGISTRY[other]) == wanted:
                    return REGISTRY[other]
    return None


def domains_of(loss: Loss) -> dict[str, str]:
    """The encoding of each input, either of two counting as the one it is without parameters."""
    names = {spec.name: spec.kind.domain.name for spec in loss.inputs}
    return {name: EITHER.get(domain, domain) for name, domain in names.items()}


@lru_cache(maxsize=1024)
def _called(name: str, loss: str) -> str:
    """The symbol itself with another switch, or one beside it, or the loss's canonical name."""
    module = name.rpartition(".")[0]
    beside = [other for n, other in SYMBOLS.items() if n.rpartition(".")[0] == module]
    found = [(other, v) for other in beside for v in other.variants if v.loss.name == loss]
    own = [_switched(other, v) for other, v in found if other.name == name and v.when]
    # What this symbol takes of other inputs is no other name.
    others = [(other, v) for other, v in found if other.name != name]
    plain = [other.name for other, v in others if _by_default(v)]
    return next(iter([*own, *plain, *(_switched(*pair) for pair in others)]), loss)


def _switched(symbol: Symbol, variant: Variant) -> str:
    """A symbol with the keywords that choose one of its losses."""
    chosen = [f"{name} {str(value).lower()}" for name, value in variant.when.items()]
    return f"{symbol.name} with {' and '.join(chosen)}"


def _by_default(variant: Variant) -> bool:
    """Whether no keyword must be set for a symbol to stand for this loss."""
    return all(same(default_of(variant, name), value) for name, value in variant.when.items())
