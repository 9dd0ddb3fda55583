"""Programs: a workflow laid out flat, with its conditions compiled.

The steps stand in the order of `schemas.definitions.steps.walk`: those inside a branch or a split
follow it, and each knows where the run goes on after it. Kept runs name their step by its position
in this order, so it must never change. Nothing leads back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from agents.definitions import template_variables
from agents.definitions.field_names import check_names
from agents.definitions.triggers import trigger_key
from agents.rules.conditions import CompiledCondition, ConditionError, compile_condition
from agents.rules.fields import FieldRegistry
from agents.rules.validation_errors import InvalidDefinition, ValidationIssue
from schemas.customer.shopping import CODE_BYTES
from schemas.definitions.conditions import Condition
from schemas.definitions.steps import Arm, SendStep, SplitStep, Step, walk
from schemas.definitions.triggers import OnEvent, is_occurrence
from schemas.definitions.waits import (
    Wait,
    WaitFor,
    WaitForCondition,
    WaitForEvent,
    WaitUntilDate,
    WaitUntilTime,
)
from schemas.definitions.workflow import Workflow
from schemas.events import PAYLOADS
from schemas.events.shopping import OrderProgress

_HAPPENING = (WaitForEvent, WaitForCondition)
_PROGRESS = frozenset(name for name, model in PAYLOADS.items() if model is OrderProgress)
_NOTED = 14
"""Bytes beside a name of a step or of an occurrence: two headers, and an instant."""
_GROWTH = CODE_BYTES + 64
"""Bytes that every run may grow by: a code, what it is held for, instants."""
_AMOUNTS = frozenset({"price", "subtotal", "total", "revenue", "shipping", "tax", "discount"})
"""Properties of events that are amounts."""
_EVENT_FIELD = re.compile(r"\bevent\.([a-z_]+)")


class ArmTarget(NamedTuple):
    """One arm of a branch or a split, and the position it leads to."""

    name: str
    position: int
    check: CompiledCondition | None = None
    result: str = ""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step at its position."""

    step: Step
    after: int
    """Where the run goes on when the step is done or left out."""
    check: CompiledCondition | None
    """Its `if`."""
    arms: tuple[ArmTarget, ...]
    """Of a branch or a split; a branch's last one is its `else`."""
    event: CompiledCondition | None
    """Which of its events a wait for an event is for."""
    condition: CompiledCondition | None
    """What it waits for to be true."""
    counts: tuple[tuple[str, int], ...]
    """When it waits for plain times: from what they count, `step`, `entry` or an occurrence, and
    how many ms. Empty when its wait is of another kind."""
    stops: tuple[str, ...]
    """Anchors for which it is left out."""
    happening: bool
    """It waits for an event or a condition."""
    calendar: bool
    """Its due time depends on the customer's zone or on a date."""
    marketing: bool
    """It is a marketing mail: the arbitration decides about it."""
    last_marketing: bool
    """From here on there is nothing but marketing, and some of it."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a run goes through."""

    instructions: tuple[Instruction, ...]
    positions: Mapping[str, int]
    """Step id → position."""
    anchors: frozenset[str]
    """Occurrences that waits count from."""
    stops: Mapping[str, str]
    """Occurrences that steps are left out for → under which anchor a run remembers them. What
    began it has to happen again for that, so it has another one."""
    exits: frozenset[str]
    listens_to: frozenset[str]
    """All occurrences that a run has to be told of."""
    experiments: Mapping[str, str]
    """Step id of a split → experiment."""
    event_fields: frozenset[str]
    """Properties of the triggering event that it names anywhere."""
    where: CompiledCondition | None
    """Of the trigger."""
    entry: CompiledCondition | None
    exit: CompiledCondition | None
    goal: CompiledCondition | None
    checks_conditions: bool
    """Whether a change of the customer may move a run without its being told of anything."""
    confirms: bool
    """Whether it sends a transactional mail."""
    comes_again: bool
    """Whether what it begins with may happen to one order more than once: a status is sent again, a
    part is shipped, a part refunded. A purchase is recognised before it comes to workflows."""
    by_conversation: bool
    """Whether who has entered may enter again for something else, and it is kept for what."""
    growth: int
    """Bytes that a run's record may grow by on its way: what its steps come to, what it counts
    from."""


def compile_program(workflow: Workflow, registry: FieldRegistry) -> Program:
    """Lay out a workflow. Raises Mistakes."""
    return _Compiler(workflow, registry).program()


class _Compiler:
    """One workflow on its way to a program, collecting what is wrong with it."""

    def __init__(self, workflow: Workflow, registry: FieldRegistry) -> None:
        self._workflow = workflow
        self._registry = registry.of(workflow)
        self._issues: list[ValidationIssue] = []
        self._reads: set[str] = set()
        self._instructions: dict[int, Instruction] = {}
        self._results: set[str] = set()
        """What the steps so far may come to."""
        self._about = trigger_key(workflow)

    def program(self) -> Program:
        """Return the program. Raises Mistakes."""
        workflow, trigger, goal = self._workflow, self._workflow.trigger, self._workflow.goal
        where = trigger.where if isinstance(trigger, OnEvent) else None
        checks = {
            "where": self._check(where, "trigger.where"),
            "entry": self._check(workflow.entry.if_, "entry.if"),
            "exit": self._check(workflow.exit_if, "exit_if"),
            "goal": self._check(goal.where, "goal.where", goal.on) if goal else None,
        }
        self._lay_out(workflow.steps, 0, _size(workflow.steps), "steps")
        self._issues += check_names(workflow, self._registry, self._about)
        if self._issues:
            raise InvalidDefinition(self._issues)
        steps = list(walk(workflow.steps))
        waits = [wait for step in steps for wait in step.wait]
        since = {wait.since for wait in waits if isinstance(wait, WaitFor)}
        anchors = {name for name in since if is_occurrence(name)}
        events = {wait.event for wait in waits if isinstance(wait, WaitForEvent)}
        stops = {name for step in steps for name in step.stop_on}
        exits = frozenset(workflow.exit_on)
        goals = {goal.on} if goal else set()
        entry = workflow.entry
        once_an_order = entry.once_per == "order" and entry.again_after is None
        instructions = _marked([self._instructions[position] for position in range(len(steps))])
        return Program(
            instructions=instructions,
            positions={step.id: position for position, step in enumerate(steps)},
            anchors=frozenset(anchors),
            stops={name: self._stop(name) for name in sorted(stops)},
            exits=exits,
            listens_to=frozenset(anchors | events | stops | goals) | exits,
            experiments={step.id: step.experiment for step in steps if isinstance(step, SplitStep)},
            event_fields=frozenset(self._event_fields(steps)),
            confirms=any(
                isinstance(step, SendStep) and step.mail_class == "transactional" for step in steps
            ),
            comes_again=once_an_order
            and isinstance(trigger, OnEvent)
            and trigger.on != "order.completed",
            by_conversation=entry.once_per in ("list", "product")
            or (entry.once_per == "order" and not once_an_order),
            growth=_growth(steps, (*anchors, *(self._stop(name) for name in stops))),
            checks_conditions=checks["exit"] is not None
            or any(each.calendar or each.condition is not None for each in instructions),
            **checks,
        )

    def _lay_out(self, steps: Sequence[Step], start: int, end: int, path: str) -> None:
        """Lay out a sequence from `start` on; after its last step the run goes on at `end`."""
        position = start
        for number, step in enumerate(steps):
            follows = position + _size([step])
            after = end if number == len(steps) - 1 else follows
            self._instructions[position] = self._instruction(
                step, position, after, f"{path}.{number}"
            )
            position = follows

    def _instruction(self, step: Step, position: int, after: int, path: str) -> Instruction:
        check = self._check(step.if_, f"{path}.if")
        event, condition = self._happening(step, path)
        self._results.update(_results(step))
        arms = tuple(self._arms(step, position + 1, after, path))
        return Instruction(
            step=step,
            after=after,
            check=check,
            arms=arms,
            event=event,
            condition=condition,
            counts=tuple(_counts(step.wait)),
            stops=tuple(self._stop(name) for name in step.stop_on),
            happening=any(isinstance(wait, _HAPPENING) for wait in step.wait),
            calendar=any(_is_calendar(wait) for wait in step.wait),
            marketing=isinstance(step, SendStep) and step.mail_class == "marketing",
            last_marketing=False,
        )

    def _arms(self, step: Step, start: int, after: int, path: str) -> Iterator[ArmTarget]:
        """Lay out the arms, one behind the other from `start` on."""
        for arm in step.arms():
            check, result = None, ""
            if isinstance(arm.given, Arm):
                check, result = self._arm(arm.given, f"{path}.{arm.path.removesuffix('.steps')}")
            yield ArmTarget(arm.name, start if arm.steps else after, check, result)
            self._lay_out(arm.steps, start, after, f"{path}.{arm.path}")
            start += _size(arm.steps)

    def _arm(self, arm: Arm, path: str) -> tuple[CompiledCondition | None, str]:
        """Return when this arm of a branch is taken: on a condition, or after a result."""
        if (arm.if_ is None) != bool(arm.result):
            self._issues.append(ValidationIssue(path, "one of `if` and `result`"))
        elif arm.result and arm.result not in self._results:
            self._issues.append(ValidationIssue(f"{path}.result", self._no_result(arm.result)))
        return self._check(arm.if_, f"{path}.if"), arm.result

    def _no_result(self, name: str) -> str:
        before = ", ".join(sorted(self._results)) or "none, as none waits, splits or gives a coupon"
        return f"no step before comes to {name!r}; there are: {before}"

    def _happening(
        self, step: Step, path: str
    ) -> tuple[CompiledCondition | None, CompiledCondition | None]:
        """Compile what the step waits for to happen; see that its waiting ends in any case."""
        for number, wait in enumerate(step.wait):
            if not isinstance(wait, _HAPPENING):
                continue
            if len(step.wait) > 1:
                problem = "a wait for an event or a condition stands alone: its timeout ends it"
                self._issues.append(ValidationIssue(f"{path}.wait.{number}", problem))
            if isinstance(wait, WaitForEvent):
                return self._check(wait.where, f"{path}.wait.{number}.where", wait.event), None
            return None, self._check(wait.condition, f"{path}.wait.{number}.condition")
        if step.wait and not any(self._is_known(wait) for wait in step.wait):
            problem = (
                "what it counts from may never come; end the list with an alternative that is "
                'always known, such as {for: 10d, since: entry} or {until: "09:00"}'
            )
            self._issues.append(ValidationIssue(f"{path}.wait", problem))
        return None, None

    def _stop(self, name: str) -> str:
        return f"again {name}" if name == self._about else name

    def _is_known(self, wait: Wait) -> bool:
        """Whether its time is known to every run that comes to it."""
        if isinstance(wait, WaitFor):
            return wait.since in ("step", "entry", self._about)
        return isinstance(wait, WaitUntilTime)

    def _check(
        self, condition: Condition | None, path: str, about: str = ""
    ) -> CompiledCondition | None:
        if condition is None:
            return None
        try:
            check = compile_condition(condition, self._registry, about=about or self._about)
        except ConditionError as error:
            self._issues.append(ValidationIssue(f"{path}.{error.path}", str(error)))
            return None
        if not about:
            self._reads |= check.reads
        return check

    def _event_fields(self, steps: Iterable[Step]) -> Iterator[str]:
        """Yield which properties of the event are named, in conditions, texts or dates."""
        texts: list[Any] = list(self._reads)
        for step in steps:
            texts += [wait.date for wait in step.wait if isinstance(wait, WaitUntilDate)]
            if step.names_fields:
                texts.append(step.model_dump_json())
        for text in texts:
            yield from _EVENT_FIELD.findall(text)
        if any(f"event.{name}" in self._reads for name in _AMOUNTS):
            yield "currency"  # without it nothing could be compared with them
        if self._about in _PROGRESS and any(isinstance(step, SendStep) for step in steps):
            yield from template_variables.PROGRESS  # of old orders no more is known


def _results(step: Step) -> Set[str]:
    """Return what a step may come to."""
    happens: set[str] = set()
    for wait in step.wait:
        if isinstance(wait, WaitForEvent):
            happens |= {"event", "timeout"}
        elif isinstance(wait, WaitForCondition):
            happens |= {"condition", "timeout"}
    return happens.union(step.results())


def _growth(steps: Iterable[Step], anchors: Iterable[str]) -> int:
    """Count every step: one that comes to nothing is noted as done when a run passes it in another
    version."""
    longest = (max(map(len, _results(step)), default=len("done")) for step in steps)
    named = sum(len(step.id) for step in steps) + sum(longest)
    counted = [len(name) + _NOTED for name in anchors]
    return named + _NOTED * sum(1 for _ in steps) + sum(counted) + _GROWTH


def _marked(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """Note from where on there is nothing but marketing left, from the end backwards."""
    end = len(instructions)
    mails, acts = [False] * (end + 1), [False] * (end + 1)
    marked: list[Instruction] = []
    for position in reversed(range(end)):
        each = instructions[position]
        ahead = {each.after, *(arm.position for arm in each.arms)}
        mails[position] = each.marketing or any(mails[next_] for next_ in ahead)
        acts[position] = _acts(each) or any(acts[next_] for next_ in ahead)
        marked.append(replace(each, last_marketing=mails[position] and not acts[position]))
    return tuple(reversed(marked))


def _acts(instruction: Instruction) -> bool:
    """Whether the step does anything that makes sense without the marketing mails."""
    return not (instruction.marketing or instruction.step.idle)


def _size(steps: Iterable[Step]) -> int:
    return sum(1 for _ in walk(steps))


def _counts(waits: Sequence[Wait]) -> Iterator[tuple[str, int]]:
    if all(isinstance(wait, WaitFor) and not _is_calendar(wait) for wait in waits):
        yield from ((wait.since, wait.duration) for wait in waits if isinstance(wait, WaitFor))


def _is_calendar(wait: Wait) -> bool:
    if isinstance(wait, WaitFor):
        return wait.at is not None or bool(wait.on)
    return isinstance(wait, WaitUntilTime | WaitUntilDate)
