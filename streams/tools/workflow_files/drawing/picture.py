"""A workflow as boxes and the arms of its branches, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from schemas.definitions.step import Drawn
from schemas.definitions.steps import Step, WaitStep
from schemas.definitions.workflow import Workflow
from streams.messages import steps as step_words
from streams.messages import triggers
from streams.messages.translations import Language, message, title_in
from streams.messages.waits import waits

Kind = Literal[Drawn, "begins", "ends", "done"]
"""How a box looks."""


class DrawnArm(NamedTuple):
    """One arm of a branch or a split."""

    label: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """One step, the beginning or an end."""

    kind: Kind
    label: str
    """What it is: `promotional mail`."""
    title: str
    """What it is about: the mail, the tag…"""
    lines: tuple[str, ...] = ()
    step: str = ""
    """Id of the step."""
    due: str = ""
    """When, counted from something before; empty when at once."""
    arms: tuple[DrawnArm, ...] = ()

    @property
    def leads_on(self) -> bool:
        """Whether anything may follow it."""
        if self.kind in ("goal", "exit"):
            return False
        return not self.arms or any(leads_on(arm.boxes) for arm in self.arms)


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is drawn of a workflow."""

    id: str
    title: str
    notes: tuple[str, ...]
    begins: Box
    ends: tuple[Box, ...]
    """What ends it at any time: events and conditions, and its goal."""
    boxes: tuple[Box, ...]
    done: Box
    any_time: str
    language: Language

    def told(self) -> str:
        """Return the whole in sentences, for who can't see it."""
        return " ".join(_told([self.begins, *self.boxes, *self.ends]))


def leads_on(boxes: Sequence[Box]) -> bool:
    """Return whether anything may follow a sequence."""
    return all(box.leads_on for box in boxes)


def picture(workflow: Workflow, language: Language) -> Picture:
    """Return what is to be drawn of a workflow."""
    title = title_in(workflow.title, language) or workflow.id
    notes = list(triggers.relations(workflow, language))
    if not workflow.enabled:
        notes.insert(0, message(language, "drawing.off"))
    return Picture(
        id=workflow.id,
        title=title,
        notes=tuple(notes),
        begins=_begins(workflow, language),
        ends=tuple(_ends(workflow, language)),
        boxes=_boxes(workflow.steps, language),
        done=Box("done", "", message(language, "drawing.done")),
        any_time=message(language, "drawing.any_time"),
        language=language,
    )


def _begins(workflow: Workflow, language: Language) -> Box:
    lines = list(triggers.entry(workflow.entry, language))
    if workflow.season is not None:
        lines.append(triggers.season(workflow.season, language))
    cause = triggers.trigger(workflow.trigger, language)
    return Box("begins", message(language, "drawing.begins"), cause, tuple(lines))


def _ends(workflow: Workflow, language: Language) -> Iterator[Box]:
    causes = tuple(triggers.ends(workflow, language))
    if causes:
        yield Box("ends", message(language, "drawing.ends"), "", causes)
    if workflow.goal is not None:
        reached = triggers.goal(workflow.goal, language)
        yield Box("goal", message(language, "drawing.goal"), "", (reached,))


def _boxes(steps: Sequence[Step], language: Language) -> tuple[Box, ...]:
    return tuple(_box(step, language) for step in steps)


def _box(step: Step, language: Language) -> Box:
    said = step_words.step(step, language)
    waits_first = step.wait and not isinstance(step, WaitStep)
    return Box(
        kind=step.drawn_as(),
        label=said.kind,
        title=said.about,
        lines=said.more,
        step=step.id,
        due=waits(step.wait, language) if waits_first else "",
        arms=tuple(_arms(step, language)),
    )


def _arms(step: Step, language: Language) -> Iterator[DrawnArm]:
    for arm in step.arms():
        yield DrawnArm(step_words.arm(arm, language), _boxes(arm.steps, language))


def _told(boxes: Sequence[Box]) -> Iterator[str]:
    for box in boxes:
        what = " ".join(part for part in (box.label, box.title) if part)
        timed = f"{box.due}: {what}" if box.due else what
        said = "; ".join((timed, *box.lines))
        yield f"{said[:1].upper()}{said[1:]}."
        for arm in box.arms:
            yield f"→ {arm.label}:"
            yield from _told(arm.boxes)
