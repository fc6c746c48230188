"""Which loss takes the same thing told otherwise: indices, distributions, logits, logarithms."""

from collections.abc import Mapping

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
    seen = _seen(domain, x)
    return f"; {told(candidate, name, seen)}" if seen else ""


def _seen(domain: Domain, x: Array) -> str:
    """The domain that the values seem to be of, in place of the declared one."""
    known = x[~np.isnan(x)] if x.dtype.kind == "f" else x
    if not known.size:
        return ""
    shares = known.min() >= 0 and known.max() <= 1
    whole = known.min() >= 0 and np.array_equal(np.floor(known), known)
    seen = {
        "class_index": "distribution" if shares else "",
        "distribution": "class_index" if whole else "logits",
        "probability": "logits",
        "log_probability": "distribution" if shares else "",
        "binary": "sign" if np.isin(known, (-1, 1)).all() else "",
        "sign": "binary" if np.isin(known, (0, 1)).all() else "",
    }
    return seen.get(domain.name, "")


def told(candidate: Candidate, name: str, seen: str) -> str:
    """These are such; this loss takes that, another takes these."""
    takes = candidate.domains[name].name
    these = f"these look like {WORDS[seen]}; {candidate.symbol.name} takes {WORDS[takes]}"
    other = _other(candidate.variant.loss, name, seen)
    return f"{these}, {_called(candidate.symbol, other)} takes {WORDS[seen]}" if other else these


def names_of(candidate: Candidate, *, logarithms: bool) -> str:
    """The warning that predictions look like probabilities."""
    takes = "logarithms of probabilities" if logarithms else "logits"
    said = f"predictions look like probabilities; {candidate.symbol.name} takes {takes}"
    loss = candidate.variant.loss
    other = _other(loss, "predictions", "distribution") or _other(
        loss, "predictions", "probability"
    )
    return f"{said}, {_called(candidate.symbol, other)} takes probabilities" if other else said


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


def _called(symbol: Symbol, loss: Loss) -> str:
    """The loss's name in the dialect of the symbol, or its canonical one."""
    module = symbol.name.rpartition(".")[0]
    for name, other in SYMBOLS.items():
        if other.dialect.name == symbol.dialect.name and name.startswith(f"{module}."):
            if any(v.loss is loss and _by_default(v) for v in other.variants):
                return name
    return loss.name


def _by_default(variant: Variant) -> bool:
    """Whether no keyword must be set for a symbol to stand for this loss."""
    return all(same(default_of(variant, name), value) for name, value in variant.when.items())
