"""What time alone begins: which dates, silences and fading scores live workflows look out for.

When each of them is due for a customer, and what follows: `agents/workflows/time_triggers.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agents.rules.fields import Field, FieldRegistry, Part
from agents.rules.values import READERS
from schemas.definitions.triggers import OnDate, OnInactivity, OnScore
from schemas.definitions.workflow import Workflow

SCORE_KEY = ":score:"
"""Before a score's name; no workflow's id has a colon."""


class DateTrigger(NamedTuple):
    """A date comes round again."""

    key: str
    definition: OnDate
    field: Field

    @property
    def parts(self) -> frozenset[Part]:
        """The date's, and the zone's."""
        return frozenset({self.field.part, "profile"})


class InactivityTrigger(NamedTuple):
    """Nothing has happened for a time."""

    key: str
    definition: OnInactivity

    @property
    def parts(self) -> frozenset[Part]:
        """Of the orders, or of all that the customer does."""
        orders = self.definition.inactive == "orders"
        return frozenset({"orders"}) if orders else frozenset({"activity", "mails"})


class ScoreDecayTrigger(NamedTuple):
    """A score fades below a threshold."""

    key: str
    name: str
    thresholds: tuple[float, ...]

    @property
    def parts(self) -> frozenset[Part]:
        """The scores."""
        return frozenset({"scores"})


TimeTrigger = DateTrigger | InactivityTrigger | ScoreDecayTrigger
"""Something to look out for. Its key is that under which its due time is kept: a workflow's id, or
`:score:NAME`; its parts are what the due time depends on."""


class TimeTriggers:
    """All that a shop's live workflows look out for."""

    def __init__(self, triggers: Sequence[TimeTrigger] = ()) -> None:
        self.all = {each.key: each for each in triggers}
        self._by_parts: dict[frozenset[Part], tuple[TimeTrigger, ...]] = {}

    def reading(self, parts: frozenset[Part]) -> tuple[TimeTrigger, ...]:
        """Return those whose due time may be another one when these parts have changed."""
        found = self._by_parts.get(parts)
        if found is None:
            found = tuple(each for each in self.all.values() if each.parts & parts)
            self._by_parts[parts] = found
        return found


def compile_time_triggers(workflows: Iterable[Workflow]) -> TimeTriggers:
    """Return what these workflows look out for."""
    triggers: list[TimeTrigger] = []
    faded: dict[str, set[float]] = {}
    registry = FieldRegistry()
    for workflow in workflows:
        trigger = workflow.trigger
        if isinstance(trigger, OnDate):
            field = registry.find(trigger.date)
            if field is not None:
                triggers.append(DateTrigger(workflow.id, trigger, as_date(field)))
        elif isinstance(trigger, OnInactivity):
            triggers.append(InactivityTrigger(workflow.id, trigger))
        elif isinstance(trigger, OnScore) and trigger.below is not None:
            faded.setdefault(trigger.score, set()).add(trigger.below)
    triggers += [
        ScoreDecayTrigger(f"{SCORE_KEY}{name}", name, tuple(sorted(thresholds)))
        for name, thresholds in sorted(faded.items())
    ]
    return TimeTriggers(triggers)


def as_date(field: Field) -> Field:
    """Return a custom field, whose type isn't known, as a date."""
    if field.type != "any":
        return field
    read = READERS["date"]
    return field._replace(type="date", read=lambda evaluation: read(field.read(evaluation)))
