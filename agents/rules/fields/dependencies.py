"""Which events may change which parts of what is known.

More than an event changes is only a little slower; less would leave a segment as it was. So the
property tests of `tests/customer/test_segments.py` compare with looking at everything.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.rules.fields.field import Part
from schemas.events import EVENT_TYPES

CHANGED_BY: Mapping[str, frozenset[Part]] = {
    name: frozenset((*each.changes, "activity") if each.active else each.changes)
    for name, each in EVENT_TYPES.items()
}
"""Event type → parts, besides scores, which depend on what a shop scores, and `acquired`, which
any event may change that is older than all before."""


def events_of(part: Part) -> list[str]:
    """Return the types of the events that may change a part; none where any may, or only time."""
    return sorted(type_ for type_, parts in CHANGED_BY.items() if part in parts)
