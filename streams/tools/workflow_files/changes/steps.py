"""The steps of two versions of a workflow: which were added, removed or moved, and what of those
that stayed is otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from schemas.definitions.steps import Step
from schemas.definitions.workflow import Workflow
from streams.messages import steps as step_words
from streams.messages import triggers
from streams.messages.conditions import condition
from streams.messages.decisions import reason
from streams.messages.spans import either
from streams.messages.translations import Language, message
from streams.messages.waits import lateness, waits
from streams.tools.workflow_files.changes.alteration import Alteration
from streams.tools.workflow_files.changes.values import NOTHING, altered


class _StepPosition(NamedTuple):
    """Where a step stands."""

    step: Step
    sequence: tuple[str, int]
    """The step whose arm it is on, and which arm; nothing and 0 outside."""
    arm: str
    """That arm, in words."""
    before: str
    """Id of the step before it in the sequence; empty for the first."""


def altered_workflow(old: Workflow, new: Workflow, language: Language) -> Iterator[Alteration]:
    """Yield all that differs between two versions of a workflow."""
    yield from _whole(old, new, language)
    yield from altered_steps(old.steps, new.steps, language)


def altered_steps(
    old: Sequence[Step], new: Sequence[Step], language: Language
) -> Iterator[Alteration]:
    """Yield what differs between the steps, in the order of the new ones."""
    before = {position.step.id: position for position in _positions(old, language)}
    after = {position.step.id: position for position in _positions(new, language)}
    moved = _moved(before, after)
    for id_, position in before.items():
        if id_ not in after:
            yield Alteration("removed", id_, "", old=_said(position.step, language))
    for id_, position in after.items():
        was = before.get(id_)
        if was is None:
            said = f"{_said(position.step, language)} ({_where(position, language)})"
            yield Alteration("added", id_, "", new=said)
            continue
        if id_ in moved:
            old_position, new_position = _where(was, language), _where(position, language)
            yield Alteration("moved", id_, "", old_position, new_position)
        yield from altered_step(was.step, position.step, language)


def altered_step(old: Step, new: Step, language: Language) -> Iterator[Alteration]:
    """Yield what differs between two versions of a step, but not the steps on its arms."""
    if type(old) is not type(new):
        yield Alteration("changed", old.id, "", _said(old, language), _said(new, language))
        return
    worded = _worded(language)
    for name, say in worded.items():
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            key = type(old).model_fields[name].alias or name
            yield Alteration("changed", old.id, key, say(before), say(after))
    arms = _arms(old, language), _arms(new, language)
    if arms[0] != arms[1]:
        yield Alteration("changed", old.id, old.verb, *("; ".join(each) for each in arms))
    without = {*worded, "branch", "otherwise", "split"}
    yield from altered(old, new, language, step=old.id, without=without)


def _worded(language: Language) -> Mapping[str, Callable[..., str]]:
    """Return the fields of a step for which there are better words than their values."""
    return {
        "wait": lambda given: waits(given, language),
        "if_": lambda given: NOTHING if given is None else condition(given, language),
        "stop_on": lambda given: _occurrences(given, language),
        "late": lambda given: lateness(given, language) or NOTHING,
    }


def _whole(old: Workflow, new: Workflow, language: Language) -> Iterator[Alteration]:
    """Yield what differs besides the steps."""
    worded: Mapping[str, Callable[..., str]] = {
        "trigger": lambda given: triggers.trigger(given, language),
        "entry": lambda given: ", ".join(triggers.entry(given, language)),
        "season": lambda given: NOTHING if given is None else triggers.season(given, language),
        "exit_on": lambda given: _occurrences(given, language),
        "exit_if": lambda given: NOTHING if given is None else condition(given, language),
        "goal": lambda given: NOTHING if given is None else triggers.goal(given, language),
    }
    for name, say in worded.items():
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield Alteration("changed", "", name, say(before), say(after))
    yield from altered(old, new, language, without={*worded, "steps"})


def _occurrences(names: Sequence[str], language: Language) -> str:
    return either([reason(name, language) for name in names], language) or NOTHING


def _positions(
    steps: Sequence[Step],
    language: Language,
    sequence: tuple[str, int] = ("", 0),
    arm: str = "",
) -> Iterator[_StepPosition]:
    before = ""
    for step in steps:
        yield _StepPosition(step, sequence, arm, before)
        before = step.id
        for number, (label, inside) in enumerate(_inside(step, language)):
            yield from _positions(inside, language, (step.id, number), label)


def _inside(step: Step, language: Language) -> Iterator[tuple[str, Sequence[Step]]]:
    yield from ((step_words.arm(arm, language), arm.steps) for arm in step.arms())


def _arms(step: Step, language: Language) -> list[str]:
    return [label for label, _ in _inside(step, language)]


def _moved(before: Mapping[str, _StepPosition], after: Mapping[str, _StepPosition]) -> set[str]:
    """Return which steps stand on another arm, or in another order among those that stayed."""
    moved = {
        id_
        for id_, position in after.items()
        if id_ in before and not _same_arm(before[id_], position)
    }
    stayed = [id_ for id_ in before if id_ in after and id_ not in moved]
    now = [id_ for id_ in after if id_ in before and id_ not in moved]
    kept = SequenceMatcher(None, stayed, now, autojunk=False).get_matching_blocks()
    in_order = {id_ for block in kept for id_ in stayed[block.a : block.a + block.size]}
    return moved | (set(stayed) - in_order)


def _same_arm(old: _StepPosition, new: _StepPosition) -> bool:
    """An arm is the same as long as either its words or its place among the others stay."""
    return old.sequence[0] == new.sequence[0] and (
        old.arm == new.arm or old.sequence[1] == new.sequence[1]
    )


def _said(step: Step, language: Language) -> str:
    said = step_words.step(step, language)
    when = (
        [waits(step.wait, language)]
        if step.wait and said.about != waits(step.wait, language)
        else []
    )
    return ", ".join((f"{said.kind} {said.about}", *when, *said.more))


def _where(position: _StepPosition, language: Language) -> str:
    if position.before:
        here = message(language, "change.place.after", step=position.before)
    else:
        here = message(language, "change.place.first")
    if not position.sequence[0]:
        return here
    arm = message(language, "change.place.arm", arm=position.arm, step=position.sequence[0])
    return f"{arm}, {here}" if position.before else arm
