"""Losses of boxes x1, y1, x2, y2 by their overlap and what sets them apart."""

import math
from typing import Annotated, NamedTuple

from annotated_types import Ge

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import Box
from lossmeter.core.stable import angle

Epsilon = Annotated[float, Ge(0)]
LEFT, TOP, RIGHT, BOTTOM = range(4)
WIDE, TALL = [0.0, 0.0, 4.0, 1.0], [0.0, 0.0, 1.0, 4.0]
EXACT = {"epsilon": 0.0}


class Pair(NamedTuple):
    """What two boxes have together."""

    overlap: Array
    union: Array
    width: Array
    height: Array


@loss(
    source="Rezatofighi et al. (2019), CVPR; doi:10.1109/CVPR.2019.00075",
    names=("giou",),
    examples=[
        Example({"predictions": WIDE, "targets": TALL}, 6.0 / 7.0 + 9.0 / 16.0, EXACT),
        Example({"predictions": WIDE, "targets": WIDE}, 0.0, EXACT),
        Example(
            {"predictions": [0.0, 0.0, 1.0, 1.0], "targets": [2.0, 0.0, 3.0, 1.0]},
            4.0 / 3.0,
            EXACT,
        ),
    ],
)
def generalized_box_iou(
    xp: Namespace, predictions: Box, targets: Box, *, epsilon: Epsilon = 1e-7
) -> Array:
    r"""Share of two boxes that is not common, and share of the box around them that is empty.

    $$ \ell = 1 - \frac{I}{U} + \frac{C - U}{C} $$

    I is the area of the overlap, U of the union, C of the least box around both.

    Args:
        predictions: Boxes x1, y1, x2, y2, shape ``(..., 4)``, any unit ``u``.
        targets: Boxes, shape ``(..., 4)``, unit ``u``.
        epsilon: Added to each denominator, unit ``u**2``.

    Returns:
        One loss per pair, shape ``(...)``, dimensionless.
    """
    pair = _pair(xp, predictions, targets)
    around = pair.width * pair.height
    apart = 1.0 - pair.overlap / (pair.union + epsilon)
    return apart + (around - pair.union) / (around + epsilon)


@loss(
    source="Zheng et al. (2020), AAAI; doi:10.1609/aaai.v34i07.6999",
    names=("diou",),
    examples=[
        Example({"predictions": WIDE, "targets": TALL}, 6.0 / 7.0 + 4.5 / 32.0, EXACT),
        Example({"predictions": WIDE, "targets": WIDE}, 0.0, EXACT),
    ],
)
def distance_box_iou(
    xp: Namespace, predictions: Box, targets: Box, *, epsilon: Epsilon = 1e-7
) -> Array:
    r"""Share of two boxes that is not common, and distance of their centres.

    $$ \ell = 1 - \frac{I}{U} + \frac{d^2}{g^2} $$

    d is the distance of the centres, g the diagonal of the least box around both.

    Args:
        predictions: Boxes x1, y1, x2, y2, shape ``(..., 4)``, any unit ``u``.
        targets: Boxes, shape ``(..., 4)``, unit ``u``.
        epsilon: Added to each denominator, unit ``u**2``.

    Returns:
        One loss per pair, shape ``(...)``, dimensionless.
    """
    pair = _pair(xp, predictions, targets)
    apart = 1.0 - pair.overlap / (pair.union + epsilon)
    return apart + _displacement(xp, predictions, targets, pair, epsilon)


@loss(
    source="Zheng et al. (2020), AAAI; doi:10.1609/aaai.v34i07.6999",
    names=("ciou",),
    examples=[
        Example({"predictions": WIDE, "targets": TALL}, 1.1662354756898803, EXACT),
        Example({"predictions": [0.0, 0.0, 1.0, 1.0], "targets": [2.0, 0.0, 3.0, 1.0]}, 1.4, EXACT),
    ],
)
def complete_box_iou(
    xp: Namespace,
    predictions: Box,
    targets: Box,
    *,
    epsilon: Epsilon = 1e-7,
    aspect_epsilon: Annotated[float | None, Guard()] = None,
) -> Array:
    r"""The distance loss of boxes, with a term for their aspect ratios.

    $$ \ell = 1 - \frac{I}{U} + \frac{d^2}{g^2} + \frac{v^2}{1 - I/U + v}, \qquad
       v = \frac{4}{\pi^2}\left(\arctan\frac{w_2}{h_2} - \arctan\frac{w_1}{h_1}\right)^2 $$

    Args:
        predictions: Boxes x1, y1, x2, y2, shape ``(..., 4)``, any unit ``u``.
        targets: Boxes, shape ``(..., 4)``, unit ``u``.
        epsilon: Added to each denominator, in the unit of that.
        aspect_epsilon: Added to that of the aspect term in its place, in a framework that does.

    Returns:
        One loss per pair, shape ``(...)``, dimensionless.
    """
    pair = _pair(xp, predictions, targets)
    apart = 1.0 - pair.overlap / (pair.union + epsilon)
    (w1, h1), (w2, h2) = _sides(predictions), _sides(targets)
    # The difference of the angles is itself the angle of one slope, but for half a turn where one
    # box is inverted and the angles lie far apart.
    rise, run = w2 * h1 - w1 * h2, h1 * h2 + w1 * w2
    turn = angle(xp, rise, run)
    turn = xp.where(run * (h1 * h2) < 0.0, math.pi - xp.abs(turn), turn)
    aspect = (4.0 / math.pi**2) * xp.square(turn)
    moved = _displacement(xp, predictions, targets, pair, epsilon)
    last = epsilon if aspect_epsilon is None else aspect_epsilon
    return apart + moved + xp.square(aspect) / (apart + aspect + last)


def _sides(box: Array) -> tuple[Array, Array]:
    return box[..., RIGHT] - box[..., LEFT], box[..., BOTTOM] - box[..., TOP]


def _pair(xp: Namespace, a: Array, b: Array) -> Pair:
    """Areas of overlap and union, and the sides of the least box around both."""
    inner, outer = [], []
    for low, high in ((LEFT, RIGHT), (TOP, BOTTOM)):
        common = xp.minimum(a[..., high], b[..., high]) - xp.maximum(a[..., low], b[..., low])
        inner.append(xp.maximum(common, 0.0))
        outer.append(xp.maximum(a[..., high], b[..., high]) - xp.minimum(a[..., low], b[..., low]))
    (w1, h1), (w2, h2) = _sides(a), _sides(b)
    overlap = inner[0] * inner[1]
    return Pair(overlap, w1 * h1 + w2 * h2 - overlap, outer[0], outer[1])


def _displacement(xp: Namespace, a: Array, b: Array, pair: Pair, epsilon: float) -> Array:
    """Squared distance of the centres over the squared diagonal around both boxes."""
    across = 0.5 * (a[..., LEFT] + a[..., RIGHT] - b[..., LEFT] - b[..., RIGHT])
    down = 0.5 * (a[..., TOP] + a[..., BOTTOM] - b[..., TOP] - b[..., BOTTOM])
    diagonal = xp.square(pair.width) + xp.square(pair.height) + epsilon
    return (xp.square(across) + xp.square(down)) / diagonal
