"""The shape of an entry at every step of an expression, before any number is touched.

The axes of the samples come first and are not counted: what gives one value per entry has no axis.
Going down the tree, each operation says how many axes its arguments have; going up, which of them
must have the same size.
"""

from collections import Counter
from dataclasses import dataclass

from lossmeter.core.expressions.text import check_size
from lossmeter.core.expressions.tree import MOST_AXES, Call, Name, Tree
from lossmeter.errors import ParameterInvalid

# An axis of size 1, which meets any other, and the one that classes are picked of.
ONE, CLASSES = 0, 1
Shape = tuple[int, ...]
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the inputs of an expression must be.

    Attributes:
        inputs: The axes of each input that are used up, in the order of the text; the same name is
            the same size.
        indices: The inputs that are class indices.
        wide: The axes of each step that has more of them than any input.
    """

    inputs: dict[str, Names]
    indices: frozenset[str]
    wide: tuple[Names, ...]


def shapes_of(tree: Tree, params: frozenset[str]) -> Shapes:
    """Infer the shapes.

    Raises:
        ParameterInvalid: There are none under which the expression gives one value per entry.
        TooLarge: An entry would have too many axes.
    """
    ranks = _Ranks(params)
    ranks.of(tree, 0)
    if not ranks.inputs:
        raise ParameterInvalid("an expression needs an input; predictions - targets has two")
    sizes = _Sizes(ranks.inputs)
    sizes.of(tree)
    inputs = {name: sizes.named(shape) for name, shape in sizes.inputs.items()}
    steps = {tuple(sorted(sizes.named(step))) for step in sizes.steps}
    widest = [Counter(names) for names in inputs.values()]
    wide = sorted(step for step in steps if not any(Counter(step) <= one for one in widest))
    return Shapes(
        inputs, frozenset(name for name, index in ranks.indexes.items() if index), tuple(wide)
    )


class _Ranks:
    """The number of axes of each input, from that of the result down."""

    def __init__(self, params: frozenset[str]) -> None:
        self._params = params
        self.inputs: dict[str, int] = {}
        self.indexes: dict[str, bool] = {}

    def of(self, tree: Tree, rank: int) -> bool:
        """Note what the result has; whether it is an array at all, not one number."""
        check_size("axes of an entry", rank, MOST_AXES)
        if isinstance(tree, Name) and tree.name not in self._params:
            self._note(tree.name, rank, index=False)
            return True
        return isinstance(tree, Call) and self._call(tree, rank)

    def _call(self, call: Call, rank: int) -> bool:
        function = call.function
        if function.axes == "each":
            # A list, for what any stops at would leave inputs unseen.
            return any([self.of(arg, rank) for arg in call.args])
        if function.axes == "picked":
            return self._picked(call, rank)
        grows = {"reduced": 0 if call.keepdims else len(call.axes), "added": -1}
        within = rank + max(0, grows.get(function.axes, 0))
        if -min(call.axes) > within:
            raise ParameterInvalid(
                f"{function.name} works on axis {min(call.axes)}, and there are {within} axes "
                "where it stands: the result must have one value per entry, so each axis is "
                "reduced in the end, as by mean(..., axis=-1)"
            )
        if not self.of(call.args[0], rank + grows.get(function.axes, 0)):
            raise ParameterInvalid(f"{function.name} needs an array, and a number has no axes")
        return True

    def _picked(self, call: Call, rank: int) -> bool:
        array, index = call.args
        if rank or not isinstance(index, Name) or index.name in self._params:
            raise ParameterInvalid(
                "pick takes the last axis there is and an input of class indices, as in "
                "pick(log_softmax(predictions), targets)"
            )
        if not self.of(array, 1):
            raise ParameterInvalid("pick needs an array, and a number has no axes")
        self._note(index.name, 0, index=True)
        return True

    def _note(self, name: str, rank: int, *, index: bool) -> None:
        before = self.inputs.setdefault(name, rank)
        if before != rank:
            raise ParameterInvalid(
                f"{name} has {before} axes of its own in one place and {rank} in another; "
                "keepdims=True keeps an axis that is reduced, expand_dims adds one"
            )
        if self.indexes.setdefault(name, index) != index:
            raise ParameterInvalid(
                f"{name} holds the classes that pick takes, and is used as a number besides"
            )


class _Sizes:
    """Which axes have the same size, from those of the inputs up."""

    def __init__(self, ranks: dict[str, int]) -> None:
        self._parents = [ONE, CLASSES]
        self._letters = {CLASSES: "C"}
        self.inputs = {name: self._fresh(rank) for name, rank in ranks.items()}
        self.steps: list[Shape] = []

    def _fresh(self, rank: int) -> Shape:
        first = len(self._parents)
        self._parents += range(first, first + rank)
        return tuple(range(first, first + rank))

    def of(self, tree: Tree) -> Shape | None:
        """The shape of a step; none where it is one number."""
        if isinstance(tree, Name):
            return self.inputs.get(tree.name)
        if not isinstance(tree, Call):
            return None
        shapes = [shape for arg in tree.args if (shape := self.of(arg)) is not None]
        if not shapes:
            return None
        shape = self._after(tree, shapes)
        self.steps.append(shape)
        return shape

    def _after(self, call: Call, shapes: list[Shape]) -> Shape:
        shape = shapes[0]
        match call.function.axes:
            case "picked":
                if self._root(shape[0]) == ONE:
                    raise ParameterInvalid("pick needs an axis of classes, and that has one entry")
                self._same(shape[0], CLASSES)
                return ()
            case "added":
                at = len(shape) + 1 + call.axes[0]
                return (*shape[:at], ONE, *shape[at:])
            case "reduced":
                gone = {len(shape) + axis for axis in call.axes}
                if call.keepdims:
                    return tuple(ONE if at in gone else axis for at, axis in enumerate(shape))
                return tuple(axis for at, axis in enumerate(shape) if at not in gone)
        for other in shapes[1:]:
            shape = tuple(map(self._meet, shape, other))
        return shape

    def _meet(self, one: int, other: int) -> int:
        if ONE in (one, other):
            return max(one, other)
        return self._same(one, other)

    def _same(self, one: int, other: int) -> int:
        low, high = sorted((self._root(one), self._root(other)))
        self._parents[high] = low
        return low

    def _root(self, axis: int) -> int:
        while self._parents[axis] != axis:
            axis = self._parents[axis]
        return axis

    def named(self, shape: Shape) -> Names:
        """The names of axes; those of size 1 have none."""
        return tuple(self._name(self._root(axis)) for axis in shape if axis != ONE)

    def _name(self, root: int) -> str:
        number = len(self._letters)
        return self._letters.setdefault(root, "K" if number == 1 else f"K{number}")
