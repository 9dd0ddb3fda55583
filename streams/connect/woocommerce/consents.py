"""Consent that a plugin has noted in a field of an order or a customer.

Core has none. In an order a field that says no, or isn't there, is no withdrawal: somebody who is
on the list has only not ticked the box again. In an account that said yes a no is one.
"""

from __future__ import annotations

from typing import Any

from schemas.events import Event
from schemas.instant import to_rfc3339
from streams.connect.facts import Subject, event_of, fact, source_of, subject_of
from streams.connect.resources import Resource, id_of, objects, text
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.connect.woocommerce.values import is_ticked, meta, utc


def ticked(resource: Resource, connection: WooCommerceConnection) -> bool | None:
    """Return what the field says, None where it isn't there."""
    name = connection.consent_meta
    if not name or all(each.get("key") != name for each in objects(resource, "meta_data")):
        return None
    return is_ticked(meta(resource, name))


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
    if time is None or not ticked(resource, connection):
        return []
    return _agreed(told_by, (), time, address, whose, connection)


def changed(
    customer: Resource,
    connection: WooCommerceConnection,
    *,
    now: int,
    ticked: bool,
    before: bool | None,
) -> list[Event]:
    """Return what a customer has said since the field was looked at last (`before`, None where it
    never was), which counts from `now` (ms): nobody says when. What was never looked at counts from
    when the account was made, so that it overrides nothing that was said to us since. Raises
    Unreadable."""
    whose = subject_of(id_of(customer), text(customer, "email"), prefix=connection.customer_prefix)
    assert whose is not None  # there is an id
    told_by, when = fact("customer", id_of(customer)), to_rfc3339(now)
    if ticked:
        address = text(customer, "email")
        if before is not None:
            return _agreed(told_by, (when,), now, address, whose, connection)
        created = utc(customer, "date_created")
        return consent_events(customer, told_by, created, address, whose, connection)
    if not before:
        return []
    data = {"list": connection.newsletter, "source": _place(told_by)}
    id_ = fact(told_by, "unsubscribed", when)
    return [_said("list.unsubscribed", id_, now, whose, data, connection)]


def _agreed(
    told_by: str,
    when: tuple[str, ...],
    time: int,
    address: str,
    whose: Subject,
    connection: WooCommerceConnection,
) -> list[Event]:
    """`when`: besides, in the ids of what may be said more than once."""
    said = _place(told_by)
    data = {"list": connection.newsletter, "confirmed": False, "source": said}
    if address:
        data["email"] = address
    id_ = fact(told_by, "subscribed", *when)
    events = [_said("list.subscribed", id_, time, whose, data, connection)]
    if connection.single_opt_in_counts:
        id_, agreed = fact(told_by, "agreed", *when), {"purpose": "marketing", "source": said}
        events.append(_said("consent.given", id_, time, whose, agreed, connection))
    return events


def _place(told_by: str) -> str:
    return f"woocommerce {told_by.partition(':')[0]}"


def _said(
    type_: str,
    id_: str,
    time: int,
    whose: Subject,
    data: dict[str, Any],
    connection: WooCommerceConnection,
) -> Event:
    source = source_of("woocommerce", connection.host)
    return event_of(type_, id_, source=source, time=time, subject=whose, data=data)
