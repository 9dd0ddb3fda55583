"""Customers of WooCommerce's. That one was deleted says only its id, and is no request to be
forgotten: that is what WordPress's own tool is for."""

from __future__ import annotations

from typing import Any

from schemas.events import Event
from schemas.instant import to_rfc3339
from schemas.validation import Unreadable
from streams.connect.facts import content_digest, event_of, fact, key_of, source_of, subject_of
from streams.connect.resources import Resource, an_object, id_of, text
from streams.connect.woocommerce.consents import consent_events
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.connect.woocommerce.values import utc


def customer_events(
    customer: Resource,
    connection: WooCommerceConnection,
    *,
    is_new: bool = False,
    with_consent: bool = True,
) -> list[Event]:
    """Return what a customer tells; `with_consent`: also what was ticked, as if that had been done
    when the account was made. Raises Unreadable."""
    id_ = id_of(customer)
    whose = subject_of(id_, text(customer, "email"), prefix=connection.customer_prefix)
    assert whose is not None  # there is an id
    billing = an_object(customer, "billing")
    said: dict[str, Any] = {
        "email": text(customer, "email"),
        "first_name": text(customer, "first_name") or text(billing, "first_name"),
        "last_name": text(customer, "last_name") or text(billing, "last_name"),
        "phone": text(billing, "phone"),
        "city": text(billing, "city"),
        "country": text(billing, "country"),
    }
    said = {name: value for name, value in said.items() if value}
    created, modified = utc(customer, "date_created"), utc(customer, "date_modified")
    time = created if is_new else modified or created
    if time is None:
        raise Unreadable("invalid_event", "date_created_gmt: missing")
    if is_new:
        type_, named = "customer.created", fact("customer", id_, "created")
    else:
        type_ = "customer.updated"
        named = fact("customer", id_, "updated", to_rfc3339(time), content_digest(said))
    source = source_of("woocommerce", connection.host)
    events = [event_of(type_, named, source=source, time=time, subject=whose, data=said)]
    if connection.consent_meta and with_consent:
        told_by, address = fact("customer", id_), text(customer, "email")
        events += consent_events(customer, told_by, created, address, whose, connection)
    return events


def customer_key(customer: Resource, connection: WooCommerceConnection) -> bytes | None:
    """Return the key of a customer who can't be read."""
    addresses = text(customer, "email"), text(an_object(customer, "billing"), "email")
    return key_of(text(customer, "id"), *addresses, prefix=connection.customer_prefix)
