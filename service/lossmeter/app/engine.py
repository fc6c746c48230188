"""The engine: what every transport, the command line and the Python function call."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.backend import Backend, Backends
from lossmeter.app.evaluation import Evaluation, refuse_unstreamable
from lossmeter.app.explain import Explanation, explain
from lossmeter.app.finish import answer_from
from lossmeter.core.declare import NAMES
from lossmeter.core.parts import Extreme, Histogram, Linear, Part, Values
from lossmeter.core.reductions import RULES, SUMS, mergeable_parts
from lossmeter.core.state import State
from lossmeter.dialects import SYMBOLS
from lossmeter.errors import (
    LossmeterError,
    MalformedRequest,
    MissingInput,
    NotMergeable,
    UnknownInput,
    UnknownReduction,
)
from lossmeter.plan.names import symbol_named
from lossmeter.plan.plan import Plan, prepare
from lossmeter.plan.request import EvaluateSpec, LossSpec, MergeSpec, Options
from lossmeter.plan.stored import stored_plan
from lossmeter.plan.tensors import SHARED, Tensors

# What NumPy computes of few numbers in little time: no loss that compares all samples.
BRIEF = frozenset(
    name
    for name in (*NAMES, *SYMBOLS)
    if all(variant.loss.output != "batch" for variant in symbol_named(name).variants)
)


class Engine:
    """Evaluates losses and merges states.

    Args:
        backends: What can compute loss values.
    """

    def __init__(self, backends: Backends | None = None) -> None:
        self._backends = backends or Backends()

    def evaluate(self, spec: EvaluateSpec, tensors: Tensors) -> Answer | Answers:
        """Evaluate one loss, or several over shared tensors, on one batch.

        Raises:
            LossmeterError: The request is wrong, or cannot be served.
        """
        session = self.open(spec)
        session.add(tensors)
        return session.finish()

    def open(self, spec: EvaluateSpec, *, streaming: bool = False) -> "Session | Sessions":
        """Begin an evaluation whose tensors follow, once or in a stream.

        Raises:
            LossmeterError: The specification is wrong, or cannot be streamed.
        """
        if spec.losses is None:
            return self._session(spec.only, spec.options, "", streaming)
        return Sessions(
            {
                name: self._session(one, spec.options, f"losses.{name}.", streaming)
                for name, one in spec.losses.items()
            }
        )

    def is_brief(self, spec: EvaluateSpec) -> bool:
        """Whether little data is sure to take little time.

        It is not where a graph is traced or runs in another process, where an expression makes much
        of one number, where all samples are compared, and where there are several losses.
        """
        backend = spec.options.backend or self._backends.name
        return isinstance(spec.loss, str) and spec.loss in BRIEF and backend == "numpy"

    def explain(
        self, spec: EvaluateSpec, tensors: Tensors
    ) -> Explanation | Mapping[str, Explanation]:
        """Evaluate, say how the answer comes about, and what every other framework says.

        Raises:
            LossmeterError: As an evaluation.
        """
        options = spec.options
        if options.state is not False:
            self.evaluate(spec, tensors)  # an explanation holds no state, but none may be wrong
        if spec.losses is None:
            plan = prepare(spec.loss or "", spec.params, spec.reduction)
            return explain(plan, set(spec.params), tensors, options, self.backend(plan, options))
        answers, session = self.evaluate(spec, tensors), self.open(spec)
        assert isinstance(answers, Answers) and isinstance(session, Sessions)
        explanations = {}
        for name in answers.results:
            one = spec.losses[name]
            plan = prepare(one.loss, one.params, one.reduction, f"losses.{name}.")
            given, backend = session.tensors_of(name, tensors), self.backend(plan, options)
            explanations[name] = explain(plan, set(one.params), given, options, backend)
        return explanations

    def _session(self, spec: LossSpec, options: Options, field: str, streaming: bool) -> "Session":
        plan = prepare(spec.loss, spec.params, spec.reduction, field)
        asked = _asked(options)
        evaluation = Evaluation(
            plan,
            options,
            self.backend(plan, options),
            _kinds(plan, asked, streaming),
            with_state=asked is not None,
            streaming=streaming,
        )
        if streaming:
            refuse_unstreamable(plan, field)
        return Session(spec, plan, evaluation, field)

    def backend(self, plan: Plan, options: Options) -> Backend:
        """The backend that a request asks for, or that alone can run its loss.

        Raises:
            BackendUnsupported: It is not here, or cannot run the loss.
        """
        loss = plan.candidates[0].variant.loss
        return self._backends.of(options.backend, options.device, loss.backend)

    def merge(self, states: Sequence[State], spec: MergeSpec) -> Answer:
        """Finish states made apart, as if their batches had been one.

        Raises:
            StateMismatch: They were made by different specifications.
            DuplicateBatch: A batch is in two of them.
            NotMergeable: They lack what the reduction reads.
        """
        if not states:
            raise MalformedRequest("give at least one state", field="states")
        merged = states[0]
        for state in states[1:]:
            merged = merged.merge(state, any_profile=spec.options.profiles == "any")
        plan = stored_plan(merged.spec, spec.reduction)
        if not plan.reduction.rule.merges:
            raise NotMergeable(
                f"{plan.reduction.name} needs the samples themselves, which a state does not hold",
                field="reduction",
            )
        answer = answer_from(merged, plan, plan.candidates[0])
        answer = _located(answer, states, plan)
        return replace(answer, state=merged if spec.options.state else None)


class Session:
    """One loss in progress, under the names that its request gives the tensors."""

    def __init__(self, spec: LossSpec, plan: Plan, evaluation: Evaluation, field: str) -> None:
        self._field = field
        self.loss_weight = spec.loss_weight
        self._renames = spec.inputs
        self._plan = plan
        self._evaluation = evaluation
        self.inputs = tuple(
            dict.fromkeys(s.name for c in plan.candidates for s in c.variant.loss.inputs)
        )

    def add(self, tensors: Tensors) -> None:
        """Evaluate the next rows.

        Raises:
            MissingInput: A tensor that the request names for an input is absent.
        """
        if not self._field:
            self._evaluation.add(tensors)
            return
        for ours, theirs in self._renames.items():
            if theirs not in tensors.arrays:
                raise MissingInput(
                    "the tensor that this input names is absent",
                    field=f"{self._field}inputs.{ours}",
                )
        with self._placed():
            self._evaluation.add(tensors.renamed(self.sources()))

    def finish(self) -> Answer:
        """The answer."""
        with self._placed():
            return self._evaluation.finish()

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """Say of a mistake which of several losses it is in, and which shared tensor."""
        try:
            yield
        except LossmeterError as error:
            if self._field and error.field is not None:
                place, _, name = error.field.partition(".")
                shared = place == "inputs" and name in self.sources()
                error.field = (
                    f"inputs.{self.sources()[name]}" if shared else f"{self._field}{error.field}"
                )
            raise

    def sources(self) -> dict[str, str]:
        """Input of the loss to name of the shared tensor."""
        by = (self._plan.reduction.by,) if self._plan.reduction.by else ()
        names = {name: name for name in (*self.inputs, *by, *SHARED)}
        for name in self._renames:
            if name not in names:
                raise UnknownInput(
                    f"{self._plan.symbol.called} takes {', '.join((*self.inputs, *SHARED))}",
                    field=f"{self._field}inputs.{name}",
                )
        return {**names, **self._renames}


class Sessions:
    """Several losses in progress over shared tensors."""

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._sessions = dict(sessions)
        self._present: dict[str, Session] | None = None

    def tensors_of(self, name: str, tensors: Tensors) -> Tensors:
        """The tensors of one loss, under the names of its inputs."""
        return tensors.renamed(self._sessions[name].sources())

    def add(self, tensors: Tensors) -> None:
        """Evaluate the next rows of every loss whose targets are there.

        Raises:
            MissingInput: No loss has its targets, or another input is absent.
            UnknownInput: A tensor that no loss takes.
        """
        used = {theirs for s in self._sessions.values() for theirs in s.sources().values()}
        for name in tensors.arrays:
            if name not in used:
                raise UnknownInput("no loss takes this input", field=f"inputs.{name}")
        present = {
            name: session
            for name, session in self._sessions.items()
            if "targets" not in session.inputs or session.sources()["targets"] in tensors.arrays
        }
        if not present or self._present not in (None, present):
            raise MissingInput("the targets of a loss are absent", field="inputs")
        self._present = present
        for session in present.values():
            session.add(tensors)

    def finish(self) -> Answers:
        """The answers and their weighted total."""
        present = self._present or {}
        results = {name: session.finish() for name, session in present.items()}
        return Answers(
            results,
            _total([(present[name].loss_weight, answer) for name, answer in results.items()]),
            tuple(name for name in self._sessions if name not in present),
        )


def _total(weighed: list[tuple[float, Answer]]) -> float | None:
    """Σ loss_weight·value; None where a value is not one number."""
    if not all(isinstance(answer.value, float) for _, answer in weighed):
        return None
    terms = [weight * float(answer) for weight, answer in weighed]
    return math.fsum(terms) if all(map(math.isfinite, terms)) else sum(terms)


def _asked(options: Options) -> tuple[type[Part], ...] | None:
    """The parts that a state shall hold; None if none is asked for."""
    if options.state is False:
        return None
    parts = dict.fromkeys(SUMS)
    for name in options.state if isinstance(options.state, list) else []:
        rule = RULES.get(name)
        if rule is None:
            raise UnknownReduction(
                f"a state holds the parts of reductions: {', '.join(RULES)}", field="options.state"
            )
        if not rule.merges:
            raise NotMergeable(f"{name} has no state", field="options.state")
        parts |= dict.fromkeys(Histogram if part is Values else part for part in rule.parts)
    return tuple(parts)


def _kinds(
    plan: Plan, asked: tuple[type[Part], ...] | None, streaming: bool
) -> tuple[type[Part], ...]:
    """The parts to keep: what the reduction reads, and what the state shall hold."""
    mergeable = mergeable_parts(plan.reduction)
    own = mergeable if streaming else plan.reduction.rule.parts
    kinds: list[type[Part]] = [Linear, *own]
    if asked is not None:
        kinds += [*asked, *mergeable]
    return tuple(dict.fromkeys(kinds))


def _located(answer: Answer, states: Sequence[State], plan: Plan) -> Answer:
    """An extreme's position counted over the states in the order in which they were given."""
    if answer.index is None:
        return answer
    before = 0
    for state in states:
        extreme = state.cells[None][plan.reduction.rule.parts[0].key]
        assert isinstance(extreme, Extreme)
        # repr tells a NaN from a number and equals another NaN's.
        found = repr(extreme.value) == repr(answer.value)
        for batch_id, rows in sorted(state.batches.items()):
            if found and batch_id == extreme.batch_id:
                return replace(answer, index=before + extreme.row, batch_id=batch_id)
            before += rows
    return answer
