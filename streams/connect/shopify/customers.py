"""Customers of Shopify's: who they are, what they have agreed to, that they want to be forgotten.

Consent is what `email_marketing_consent` says, with its time, in a webhook of its own or within a
customer. That somebody has ordered, or ticked a box in the checkout, is none.
"""

from __future__ import annotations

from typing import Any

from schemas.events import Event
from schemas.instant import to_rfc3339
from streams.connect.facts import Subject, content_digest, event_of, fact, source_of, subject_of
from streams.connect.resources import Resource, an_object, id_of, needed_time, text, time_of
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.shopify.values import traits_of

CONFIRMED = "confirmed_opt_in"


def customer_events(
    customer: Resource, connection: ShopifyConnection, *, is_new: bool = False
) -> list[Event]:
    """Return what a customer tells: created or updated, and consent where the customer names it.
    Raises Unreadable."""
    whose = _subject(id_of(customer), customer, connection)
    source = source_of("shopify", connection.host)
    said = traits_of(customer, an_object(customer, "default_address"))
    if text(customer, "email"):
        said["email"] = text(customer, "email")
    if isinstance(customer.get("tags"), str):
        said["tags"] = [each.strip() for each in customer["tags"].split(",") if each.strip()]
    id_ = id_of(customer)
    if is_new:
        type_, time = "customer.created", needed_time(customer, "created_at", "updated_at")
        named = fact("customer", id_, "created")
    else:
        type_, time = "customer.updated", needed_time(customer, "updated_at", "created_at")
        named = fact("customer", id_, "updated", to_rfc3339(time), content_digest(said))
    events = [event_of(type_, named, source=source, time=time, subject=whose, data=said)]
    consent = an_object(customer, "email_marketing_consent")
    if consent:
        events += _consent(id_, consent, whose, text(customer, "email"), connection)
    return events


def consent_events(body: Resource, connection: ShopifyConnection) -> list[Event]:
    """Return what `customers_email_marketing_consent/update` tells. Raises Unreadable."""
    id_ = id_of(body, "customer_id") if body.get("customer_id") else id_of(body)
    address = text(body, "email_address") or text(body, "email")
    whose = _subject(id_, {"email": address}, connection)
    consent = an_object(body, "email_marketing_consent")
    return _consent(id_, consent, whose, address, connection)


def erasure_events(body: Resource, connection: ShopifyConnection, now: int) -> list[Event]:
    """Return what `customers/redact` asks for: the customer, and the guest with that address."""
    return [
        _asked("customer.erasure_requested", each, "redacted", connection, now)
        for each in _redacted(body, connection)
    ]


def copy_events(body: Resource, connection: ShopifyConnection, now: int) -> list[Event]:
    """Return what `customers/data_request` asks for."""
    request = text(an_object(body, "data_request"), "id")
    found = _redacted(body, connection)[:1]
    return [
        _asked("customer.data_requested", each, f"asked:{request}", connection, now)
        for each in found
    ]


def _subject(id_: str, customer: Resource, connection: ShopifyConnection) -> Subject:
    found = subject_of(id_, text(customer, "email"), prefix=connection.customer_prefix)
    assert found is not None  # there is an id
    return found


def _consent(
    id_: str, consent: Resource, whose: Subject, address: str, connection: ShopifyConnection
) -> list[Event]:
    state, time = text(consent, "state").lower(), time_of(consent, "consent_updated_at")
    source = source_of("shopify", connection.host)
    if state == "redacted":
        when = time or 0
        return [_asked("customer.erasure_requested", whose, "redacted", connection, when or None)]
    if time is None or state not in ("subscribed", "unsubscribed"):
        return []  # nobody has said anything, or not when
    is_confirmed = text(consent, "opt_in_level").lower() == CONFIRMED
    place = text(consent, "consent_collected_from").lower()
    data: dict[str, Any] = {
        "list": connection.newsletter,
        "source": f"shopify {place}".strip(),
    }
    named = (to_rfc3339(time), text(consent, "opt_in_level").lower())
    if state == "unsubscribed":
        id_of_event = fact("customer", id_, "unsubscribed", *named)
        return [_said("list.unsubscribed", id_of_event, time, whose, data, source)]
    data |= {"confirmed": is_confirmed, "email": address or None}
    id_of_event = fact("customer", id_, "subscribed", *named)
    events = [_said("list.subscribed", id_of_event, time, whose, data, source)]
    if connection.single_opt_in_counts and not is_confirmed:
        agreed = {"purpose": "marketing", "source": data["source"]}
        id_of_event = fact("customer", id_, "agreed", *named)
        events.append(_said("consent.given", id_of_event, time, whose, agreed, source))
    return events


def _said(
    type_: str, id_: str, time: int, whose: Subject, data: dict[str, Any], source: str
) -> Event:
    return event_of(type_, id_, source=source, time=time, subject=whose, data=data)


def _redacted(body: Resource, connection: ShopifyConnection) -> list[Subject]:
    customer = an_object(body, "customer")
    address = text(customer, "email")
    found = [
        subject_of(customer.get("id"), prefix=connection.customer_prefix),
        subject_of(None, address),
    ]
    return [each for each in found if each is not None]


def _asked(
    type_: str, whose: Subject, what: str, connection: ShopifyConnection, time: int | None
) -> Event:
    return event_of(
        type_,
        fact("customer", whose.customer, what),
        source=source_of("shopify", connection.host),
        time=time,
        subject=whose,
        data={"source": "shopify"},
    )
