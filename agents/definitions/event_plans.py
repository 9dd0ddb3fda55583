"""What an event of one type leads to, worked out once for the definitions that are live.

Most events begin nothing and nobody waits for them: they are counted and scored, and those segments
and time triggers are looked at that read what they change. Which these are depends on nothing but
the event's type and what is live, so it isn't asked again at each event.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from agents.definitions.custom_events import DeclaredEvent
from agents.definitions.derived_state import Affected, DerivedState
from agents.rules.fields import Part
from agents.rules.fields.dependencies import CHANGED_BY
from agents.rules.scores import Scored
from schemas.events import ACTIVE, PAYLOADS
from schemas.tracking import HITS

_SCORES: frozenset[Part] = frozenset({"scores"})
_ACQUIRED: frozenset[Part] = frozenset({"acquired"})


class EventPlan(NamedTuple):
    """What follows from an event of one type."""

    active: bool
    """Whether people do it, in the shop or with its mails."""
    counts: bool
    """Whether it changes what is thought of the customer. Of a hit that is asked each time: whose
    it was."""
    tells_source: bool
    """Whether it may say where the customer came from."""
    begins: bool
    """Whether it may begin a run. A run of the customer's may wait for it all the same."""
    scored: tuple[Scored, ...]
    """What it counts in which score."""
    looks: tuple[tuple[Affected, Affected], tuple[Affected, Affected]]
    """What reads the parts that it may change, `looks[scored][acquired]`: scores too, when it was
    scored, and where the customer came from, when it is older than all before."""


def plans(
    derived_state: DerivedState,
    hears: Container[str],
    scored: Mapping[str, tuple[Scored, ...]],
    declared: Iterable[DeclaredEvent] = (),
) -> dict[str, EventPlan]:
    """Return the plan of each event type. `hears`: the types that may begin a run; `declared`: the
    shop's own events."""
    ours = {
        type_: EventPlan(
            active=type_ in ACTIVE,
            counts=type_ not in HITS,
            tells_source=type_ == "page.viewed" or "source" in model.model_fields,
            begins=type_ in hears,
            scored=scored.get(type_, ()),
            looks=_looks(CHANGED_BY[type_], derived_state),
        )
        for type_, model in PAYLOADS.items()
    }
    own = {
        each.type: EventPlan(
            active=each.active,
            counts=True,
            tells_source=False,
            begins=each.type in hears,
            scored=scored.get(each.type, ()),
            looks=_looks(_changed_by(each), derived_state),
        )
        for each in declared
    }
    return ours | own


def _changed_by(event: DeclaredEvent) -> frozenset[Part]:
    parts: list[Part] = []
    if event.active:
        parts.append("activity")
    if event.counted:
        parts.append("events")
    return frozenset(parts)


def _looks(
    parts: frozenset[Part], derived_state: DerivedState
) -> tuple[tuple[Affected, Affected], tuple[Affected, Affected]]:
    return _acquired_too(parts, derived_state), _acquired_too(parts | _SCORES, derived_state)


def _acquired_too(parts: frozenset[Part], derived_state: DerivedState) -> tuple[Affected, Affected]:
    return derived_state.reading(parts), derived_state.reading(parts | _ACQUIRED)
