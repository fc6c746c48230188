"""The named arrays of a request, as inputs of the loss that they choose."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.errors import (
    DtypeUnsupported,
    MissingInput,
    OutOfDomain,
    ParameterInvalid,
    UnknownInput,
)
from lossmeter.plan.plan import Candidate, Plan

NUMERIC, WHOLE = "biuf", "biu"
SHARED = ("sample_weight", "mask")
# What frameworks call the inputs.
SPELLINGS = {
    **dict.fromkeys(("y_pred", "y_score", "y_proba", "input", "output", "logits"), "predictions"),
    **dict.fromkeys(("y_true", "target", "labels", "label"), "targets"),
}


@dataclass(frozen=True, slots=True)
class Tensors:
    """The named arrays of a request.

    Attributes:
        arrays: Array of each name.
        plain: Names whose numbers came without a dtype: they are float64, whole ones too.
        laid_out: Whether they are in canonical layout and encoding whatever the symbol's are.
    """

    arrays: Mapping[str, Array]
    plain: frozenset[str] = frozenset()
    laid_out: bool = False

    def renamed(self, names: Mapping[str, str]) -> "Tensors":
        """The tensors under the names of a loss's inputs, absent ones left out."""
        here = {ours: theirs for ours, theirs in names.items() if theirs in self.arrays}
        return Tensors(
            {ours: self.arrays[theirs] for ours, theirs in here.items()},
            frozenset(ours for ours, theirs in here.items() if theirs in self.plain),
        )


def candidate_for(plan: Plan, arrays: Mapping[str, Array]) -> Candidate:
    """The candidate that takes inputs such as these.

    Raises:
        ParameterInvalid: It does not take a parameter's value.
    """
    fitting = (
        candidate
        for candidate in plan.candidates
        if candidate.variant.fits is None
        or ("predictions" in arrays and candidate.variant.fits(arrays))
    )
    candidate = next(fitting, plan.candidates[0])
    if candidate.refused is not None:
        raise ParameterInvalid(
            f"{candidate.refused} must be below 0 with targets that are no class indices",
            field=f"params.{candidate.refused}",
        )
    return candidate


def inputs_of(plan: Plan, candidate: Candidate, tensors: Tensors) -> dict[str, Array]:
    """The inputs of the loss, from those that the symbol takes."""
    variant = candidate.variant
    names = {variant.aliases.get(name, name): name for name in tensors.arrays}
    _check_names(plan, candidate, names)
    arrays = {}
    for spec_name in (*(spec.name for spec in variant.loss.inputs), *variant.beside):
        if spec_name not in names:
            continue
        given = names[spec_name]
        x = tensors.arrays[given]
        labels = variant.survey is not None and x.dtype.kind in "US"
        if not labels:
            numeric(x, given)
        domain = candidate.domains.get(spec_name)
        if given in tensors.plain and x.dtype.kind in "iu" and domain and not domain.integers:
            x = x.astype(np.float64)
        arrays[spec_name] = x
    if variant.arrange is None or tensors.laid_out:
        return arrays
    return variant.arrange(arrays, candidate.settings)


def _check_names(plan: Plan, candidate: Candidate, given: Mapping[str, str]) -> None:
    variant, by = candidate.variant, plan.reduction.by
    specs = [spec.name for spec in variant.loss.inputs]
    wanted = [*(name for name in specs if name not in variant.lacks), *([by] if by else [])]
    for name in wanted:
        if name not in given:
            meant = next((other for other in given if SPELLINGS.get(other) == name), None)
            hint = f", here given as {meant}" if meant else ""
            raise MissingInput(
                f"{plan.symbol.called} needs the input {name}{hint}", field=f"inputs.{name}"
            )
    takes = [*specs, *variant.beside]
    for name, written in given.items():
        if name not in (*takes, *wanted, *SHARED):
            raise UnknownInput(
                f"{plan.symbol.called} takes {', '.join(takes)}, sample_weight and mask"
                + (
                    ""
                    if by
                    else "; a group input is named by the reduction, as in "
                    '{"name": "mean", "by": "country"}'
                ),
                field=f"inputs.{written}",
            )


def numeric(x: Array, name: str) -> Array:
    """An array of numbers.

    Raises:
        DtypeUnsupported: It is none.
    """
    if x.dtype.kind not in NUMERIC:
        raise DtypeUnsupported(f"{name} must be numbers", field=f"inputs.{name}")
    return x


def boolean(mask: Array) -> Array:
    """A mask as booleans.

    Raises:
        DtypeUnsupported: It holds neither booleans nor integers.
        OutOfDomain: It holds other integers than 0 and 1.
    """
    if mask.dtype.kind not in WHOLE:
        raise DtypeUnsupported(
            "mask must be booleans or the integers 0 and 1, True keeps", field="inputs.mask"
        )
    if mask.dtype != np.bool_ and mask.size and not (mask.min() >= 0 and mask.max() <= 1):
        raise OutOfDomain("mask must be booleans or the integers 0 and 1", field="inputs.mask")
    return mask.astype(np.bool_, copy=False)
