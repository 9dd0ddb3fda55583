"""A workflow: one automated conversation, as its file in `workflows/` describes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from schemas.definitions.conditions import Condition
from schemas.definitions.definition import Definition, Name, Texts
from schemas.definitions.steps import Step, walk
from schemas.definitions.tests import WorkflowTest
from schemas.definitions.triggers import Occurrence, OnEvent, Trigger
from schemas.durations import Duration


class EntryRule(Definition):
    """How often a customer may enter, and who."""

    once_per: Literal["cart", "order", "list", "product", "event", "customer"]
    """event: each occurrence is a conversation of its own."""
    again_after: Duration | None = None
    """How long after it began the same subject may enter again; never if absent."""
    cool_down: Duration | None = None
    """How long after the last entry, whatever its subject, nobody enters."""
    if_: Condition | None = Field(default=None, alias="if")


class Goal(Definition):
    """What the conversation is for. A run whose goal is reached ends as converted, at once."""

    on: Occurrence
    where: Condition | None = None
    within: Duration
    """Counted from the run's beginning; also counts, for the key figures, when the run is over."""


class Season(Definition):
    """New runs begin only between these local dates, each year: `11-20` to `12-02`."""

    opens: str = Field(alias="from", pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")
    closes: str = Field(alias="to", pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")
    """This day is still in it."""


class Workflow(Definition):
    """One automated conversation."""

    id: Name
    definition: Literal["workflow"] = "workflow"
    title: Texts
    enabled: bool = True
    """A recipe that is not: publishing leaves it out, its tests run all the same."""
    group: str = ""
    """Of the workflows of one group a customer is in at most one at a time: those with the higher
    priority enter first, and one that is running keeps the others out."""
    priority: int = Field(default=50, ge=0, le=100)
    """Who comes first when several mails wait for one free place."""
    versions: Literal["pinned", "live"] = "pinned"
    """pinned: a run ends with the definition it began with. live: it follows the changes."""
    trigger: Trigger
    season: Season | None = None
    entry: EntryRule
    exit_on: list[Occurrence] = []
    """The run ends at once, whatever it waits for."""
    exit_if: Condition | None = None
    """The same, as soon as this is true."""
    goal: Goal | None = None
    steps: list[Step] = Field(min_length=1)
    tests: list[WorkflowTest] = []
    """Not published: they don't change what it does."""

    @model_validator(mode="after")
    def _entry_fits_the_trigger(self) -> Workflow:
        once_per = self.entry.once_per
        if once_per in ("customer", "event", "product") or not isinstance(self.trigger, OnEvent):
            return self
        about = self.trigger.on.partition(".")[0]
        if once_per != about and not (once_per == "cart" and about == "checkout"):
            raise ValueError(
                f"once_per {once_per}: {self.trigger.on} is about one {about} of a customer"
            )
        return self

    @model_validator(mode="after")
    def _step_ids_differ(self) -> Workflow:
        ids = [step.id for step in self.all_steps()]
        twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if twice:
            raise ValueError(f"two steps have the same id: {', '.join(twice)}")
        return self

    def all_steps(self) -> Iterator[Step]:
        """Yield every step, wherever it is."""
        return walk(self.steps)
