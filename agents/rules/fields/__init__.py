"""The registry of fields: every field that a condition may name. Read this first.

    field        what a field is, whom it is asked about, the parts of what is known
    person       who the customer is, what was agreed, scores, tags, mails
    shopping     cart, orders, what was bought and looked at
    event        the event, the run with its order and coupon, the time
    dependencies which event changes which parts

Some fields depend on a shop's definitions (custom fields, scores) or on what a condition is about
(`event.…`), so a registry is made from the definitions that are live. Without definitions it is
an open one, for workers: a workflow may be of a time when the shop had other fields, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from itertools import chain
from typing import Any

from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import event, person, shopping
from agents.rules.fields.field import Field, FieldType, Part
from agents.rules.values import READERS
from schemas.days import Day
from schemas.definitions import AnyDefinition
from schemas.definitions.custom_events import CustomEvents
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import Fields, Loyalty, Segments
from schemas.definitions.workflow import Workflow
from schemas.events.custom import CUSTOM, is_custom

__all__ = ["Day", "Field", "FieldRegistry", "FieldType", "Part"]

_FIXED: Mapping[str, Field] = {
    field.name: field for field in chain(person.fields(), shopping.fields(), event.fields())
}

_DECLARED = {
    "fields": "custom fields are declared in fields.yaml",
    "scores": "scores are defined in files with `definition: scoring`",
    "bands": "scores are defined in files with `definition: scoring`",
    "occurred": "events that are counted are declared in events.yaml",
    "last_occurred": "events that are counted are declared in events.yaml",
}
"""Groups whose fields are a shop's own: where they come from."""


_DEFINED_BY = {"fields": "fields", "scores": "scoring", "bands": "scoring", "occurred": "events",
               "last_occurred": "events"}  # fmt: skip
"""The same groups of fields: by definitions of which kind."""


class FieldRegistry:
    """What may be asked, by the definitions of a shop."""

    def __init__(
        self, definitions: Iterable[AnyDefinition] | None = None, *,
        steps: Iterable[str] | None = None, unread: Collection[str] = (),
    ) -> None:  # fmt: skip
        """`definitions`: those that are live; None makes an open registry. `steps`: ids of the
        workflow whose results may be asked for; None takes any. `unread`: kinds of definitions of
        which some could not be read: what those may have is taken as it is named."""
        self._definitions = None if definitions is None else list(definitions)
        self._steps = None if steps is None else list(steps)
        self._unread = frozenset(unread)
        own = [] if self._definitions is None else _own_fields(self._definitions, self._unread)
        self.custom_events = {
            CUSTOM + each.id: each
            for definition in self._definitions or ()
            if isinstance(definition, CustomEvents)
            for each in definition.events
        }
        """The shop's own events that are declared, by type."""
        self._fields = {**_FIXED, **{field.name: field for field in own}}
        self._about: dict[str, Mapping[str, Field]] = {}

    @property
    def is_open(self) -> bool:
        """Whether it takes names that it doesn't know: they are never known of anybody."""
        return self._definitions is None

    @property
    def knows_events(self) -> bool:
        """Whether all events of the shop's own are known that are declared."""
        return not (self.is_open or "events" in self._unread)

    def of(self, workflow: Workflow) -> FieldRegistry:
        """Return the same for conditions of a workflow, whose steps have results."""
        steps = [step.id for step in workflow.all_steps()]
        return FieldRegistry(self._definitions, steps=steps, unread=self._unread)

    def fields(self, about: str = "") -> Mapping[str, Field]:
        """Return all fields by name; `about` is the trigger key whose properties are `event.…`."""
        found = self._about.get(about)
        if found is None:
            extra = [*event.event_fields(about), *self._properties(about)]
            extra += map(event.step_field, self._steps or ())
            found = {**self._fields, **{field.name: field for field in extra}}
            self._about[about] = found
        return found

    def find(self, name: str, about: str = "") -> Field | None:
        """Return a field; None when there is none of that name."""
        field = self.fields(about).get(name)
        if field is None and self._steps is None and name.startswith("run.results."):
            return event.step_field(name.removeprefix("run.results."))
        called = about.startswith("called:") and name.startswith("event.")  # by any workflow
        if is_custom(about) and name.startswith("event."):  # that it isn't declared is said already
            called = called or about not in self.custom_events
        unread = _DEFINED_BY.get(name.partition(".")[0]) in self._unread
        if field is None and (self.is_open or called or unread):
            return _open_field(name)
        return field

    def _properties(self, about: str) -> Iterator[Field]:
        """Yield what is declared of a shop's own event."""
        declared = self.custom_events.get(about)
        for name, type_ in ({} if declared is None else declared.properties).items():
            yield event.property_field(name, type_, f"`{name}` of {about}")

    def near(self, name: str, about: str = "") -> str:
        """Return what somebody may have meant, or what to do; a clause, or nothing."""
        known = self.fields(about)
        group, _, rest = name.partition(".")
        in_group = [
            each.partition(".")[2] for each in sorted(known) if each.startswith(f"{group}.")
        ]
        found = [f"{group}.{each}" for each in get_close_matches(rest, in_group, n=1)]
        if group in _DECLARED and not found:
            return f"; {_DECLARED[group]}"
        found = found or get_close_matches(name, known, n=1)
        if found:
            return f"; did you mean {found[0]}?"
        if group == "event" and not in_group:
            return "; there is no event here"
        if in_group:
            return f"; {group} has {', '.join(in_group)}"
        return "; `ritorno workflows fields` lists all of them"


def _own_fields(definitions: Iterable[AnyDefinition], unread: Collection[str]) -> Iterable[Field]:
    """Yield the fields that a shop's definitions add, and those that they narrow down."""
    segments: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    for definition in definitions:
        match definition:
            case Fields():
                for custom in definition.fields:
                    yield custom_field(
                        custom.id, custom.type, next(iter(custom.title.values()), "")
                    )
            case Scoring():
                score, band = person.score_fields(definition.id)
                yield score
                yield band._replace(values=frozenset(each.name for each in definition.bands))
            case CustomEvents():
                for own in definition.events:
                    if own.counted:
                        yield from person.occurred_fields(own.id)
            case Segments():
                segments = frozenset(each.id for each in definition.segments)
            case Loyalty():
                tiers = frozenset(each.name for each in definition.tiers) | {""}
            case _:
                pass
    if "segments" not in unread:
        yield _FIXED["segments"]._replace(values=segments)
    if "loyalty" not in unread:
        yield _FIXED["tier"]._replace(values=tiers)


def custom_field(id_: str, type_: FieldType, title: str) -> Field:
    """Return a field of the shop's own."""
    read = partial(_custom, id_, READERS[type_])
    return Field(f"fields.{id_}", type_, "fields", read, title or "a field of the shop's own")


def _custom(id_: str, read: Callable[[Any], Any], evaluation: EvaluationContext) -> Any:
    return read(evaluation.customer.fields.get(id_))


def _open_field(name: str) -> Field | None:
    """A field that some shop may have, or some event."""
    group, _, id_ = name.partition(".")
    match group:
        case "fields":
            return custom_field(id_, "any", "")
        case "event":
            return event.property_field(id_, "any", "")
        case "occurred" | "last_occurred":
            return next(each for each in person.occurred_fields(id_) if each.name == name)
        case "scores" | "bands":
            return next(each for each in person.score_fields(id_) if each.name == name)
        case _:
            return None
