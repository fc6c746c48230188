"""What is let into a kernel: values inside their domains, and what of them looks wrong."""

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.declare import InputSpec
from lossmeter.core.domains import CLASS_LIST, Domain
from lossmeter.dialects.symbols import Symbol
from lossmeter.errors import OutOfDomain
from lossmeter.plan.batch import Batch
from lossmeter.plan.encodings import hint, names_of
from lossmeter.plan.plan import Candidate

SUM_TOLERANCE = 1e-3
FLAT = (
    "predictions have one axis, and {} averages the last one: all samples have one loss value; "
    "give (N, 1) for one each"
)
# One number between 0 and 1 may well be a logit.
FEWEST = 2
# What predictions are to a framework that decodes them first, by how it does.
DECODED = {
    "softmax": "logits",
    "log_probabilities": "logits",
    "exponential": "log_probability",
    "unit_sum": "nonnegative",
}


class Admission:
    """The checks of an evaluation, block after block.

    Args:
        symbol: What the request named.
    """

    def __init__(self, symbol: Symbol) -> None:
        self._symbol = symbol
        self._off: dict[str, None] = {}
        # Whether all predictions so far could be probabilities, where logits are taken.
        self._unlike: bool = False
        self._alike: int = 0
        self._asked: tuple[Candidate, bool] | None = None

    def warnings(self) -> tuple[str, ...]:
        """What looks wrong in what was let in."""
        if self._unlike or self._alike < FEWEST or self._asked is None:
            return tuple(self._off)
        candidate, logarithms = self._asked
        return (*self._off, names_of(candidate, logarithms=logarithms))

    def admit(self, batch: Batch, operands: dict[str, Array]) -> Array | None:
        """Check the kept entries of a block, class indices made integers.

        Returns:
            Where a class index is NaN, and so its loss; None if it is nowhere.

        Raises:
            OutOfDomain: A value outside its domain.
        """
        unknown = None
        if batch.flat:
            self._off[FLAT.format(self._symbol.dialect.name)] = None
        for spec in batch.candidate.variant.loss.inputs:
            domain = batch.candidate.domains[spec.name]
            if spec.name not in operands:
                self._check(batch, spec, domain, batch.shared[spec.name])
                continue
            x, lost = _known(batch, spec, _read(spec, operands))
            if lost is not None:
                unknown = lost if unknown is None else unknown | lost
            self._notice(batch, spec, domain, x)
            operands[spec.name] = self._check(batch, spec, domain, x)
        return unknown

    def _check(self, batch: Batch, spec: InputSpec, domain: Domain, x: Array) -> Array:
        checked = spec.name in batch.candidate.variant.domains or self._symbol.dialect.checks
        try:
            if domain.index:
                return domain.check_index(x, spec.name, batch.classes)
            if not (checked or domain.integers):
                self._notice_logits(batch, spec, domain, x)
                return x
            domain.check(x, spec.name)
        except OutOfDomain as error:
            raise OutOfDomain(
                error.detail + hint(batch.candidate, spec.name, x), field=error.field
            ) from None
        _check_counts(batch, spec, x)
        _check_listed(batch, spec, x)
        if domain.sums_to_one and x.ndim > 1:
            self._notice_sums(spec.name, x)
        return x.astype(np.int64) if domain.integers else x

    def _notice_logits(self, batch: Batch, spec: InputSpec, domain: Domain, x: Array) -> None:
        """Whether predictions that should be probabilities, or logarithms of them, are none."""
        encoding = _encoding(batch, domain)
        if spec.name != "predictions" or encoding != domain.name:
            return
        where = ""
        if encoding in ("probability", "distribution") and not domain.interval.holds(x):
            where = "outside [0, 1]"
        elif encoding == "log_probability" and (x > 1.0).any():
            where = "above 0"
        if where:
            said = f"predictions lie {where}{hint(batch.candidate, spec.name, x)}"
            self._off[said] = None

    def _notice_sums(self, name: str, x: Array) -> None:
        off = np.abs(x.sum(axis=-1) - 1.0)
        if (off > SUM_TOLERANCE).any():
            self._off[f"{name}: rows of the last axis do not sum to 1; nothing is rescaled"] = None

    def _notice(self, batch: Batch, spec: InputSpec, domain: Domain, x: Array) -> None:
        """Whether predictions that should be logits, or logarithms, look like probabilities."""
        encoding = _encoding(batch, domain)
        logarithms = encoding == "log_probability"
        if self._unlike or spec.name != "predictions" or not (encoding == "logits" or logarithms):
            return
        if x.size and not _like_probabilities(x, by_class=bool(spec.kind.core) and x.ndim > 1):
            self._unlike = True
            return
        self._alike += x.size
        self._asked = batch.candidate, logarithms


def _encoding(batch: Batch, domain: Domain) -> str:
    """What predictions are as they are given."""
    guards = (name for name, _ in batch.program.guards)
    return next((DECODED[name] for name in guards if name in DECODED), domain.name)


def _like_probabilities(x: Array, *, by_class: bool) -> bool:
    if not (x.min() >= 0.0 and x.max() <= 1.0):
        return False
    if by_class:
        return bool((np.abs(x.sum(axis=-1) - 1.0) <= SUM_TOLERANCE).all())
    return bool(((x > 0.0) & (x < 1.0)).any())


def _read(spec: InputSpec, operands: dict[str, Array]) -> Array:
    """An input as far as it is read: labels past the end of a sequence are not."""
    x = operands[spec.name]
    if spec.kind.core == ("S",):
        lengths = operands["target_lengths"]
        return np.where(np.arange(x.shape[1]) < lengths[:, None], x, 0)
    return x


def _known(batch: Batch, spec: InputSpec, x: Array) -> tuple[Array, Array | None]:
    """Integers with 0 in place of what is none, and where that is."""
    domain, lost = batch.candidate.domains[spec.name], None
    if domain.integers and x.dtype.kind == "f" and np.isnan(x).any():
        lost = np.isnan(x)
        x = np.where(lost, 0.0, x)
    if domain.index and batch.candidate.variant.wraps and x.size:
        x = np.where(x < 0, x + batch.classes, x)
        outside = (x < 0) | (x >= batch.classes)
        lost = outside if lost is None else lost | outside
        x = np.where(outside, 0, x)
    return x, None if lost is None else lost.reshape(x.shape[0], -1).any(axis=1)


def _check_listed(batch: Batch, spec: InputSpec, x: Array) -> None:
    """Refuse a list of classes that names one that is not there, before its end."""
    if spec.kind.domain is not CLASS_LIST:
        return
    listed = np.cumsum(x == -1, axis=-1) == 0
    if (listed & ((x < 0) | (x >= batch.classes))).any():
        raise OutOfDomain(
            f"{spec.name} must be in [0, {batch.classes}); the first -1 ends the list",
            field=f"inputs.{spec.name}",
        )


def _check_counts(batch: Batch, spec: InputSpec, x: Array) -> None:
    most = batch.sizes.get(spec.kind.counts)
    if most is not None and x.size and x.max() > most:
        raise OutOfDomain(
            f"{spec.name} must be {spec.kind.domain.words}, here {most}",
            field=f"inputs.{spec.name}",
        )
