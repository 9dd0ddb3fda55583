"""Consent that a plugin has noted in a field of an order or a customer.

Core has none. A field that says no, or isn't there, is no withdrawal: somebody who is on the list
has only not ticked the box again.
"""

from __future__ import annotations

from schemas.events import Event
from streams.connect.facts import Subject, event_of, fact, source_of
from streams.connect.resources import Resource
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.connect.woocommerce.values import is_ticked, meta


def consent_events(
    resource: Resource,
    told_by: str,
    time: int | None,
    address: str,
    whose: Subject,
    connection: WooCommerceConnection,
) -> list[Event]:
    """Return what somebody has agreed to at `time` (ms), as `told_by` (`order:5001`) has it;
    nothing where no time is known. Raises Unreadable."""
    if time is None or not is_ticked(meta(resource, connection.consent_meta)):
        return []
    source, place = source_of("woocommerce", connection.host), told_by.partition(":")[0]
    said = f"woocommerce {place}"
    data = {"list": connection.newsletter, "confirmed": False, "source": said, "email": address}
    events = [
        event_of(
            "list.subscribed",
            fact(told_by, "subscribed"),
            source=source,
            time=time,
            subject=whose,
            data={name: value for name, value in data.items() if value != ""},
        )
    ]
    if connection.single_opt_in_counts:
        events.append(
            event_of(
                "consent.given",
                fact(told_by, "agreed"),
                source=source,
                time=time,
                subject=whose,
                data={"purpose": "marketing", "source": said},
            )
        )
    return events
