"""Customers and subscribers of the newsletter → events."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.events import Event
from schemas.instant import to_rfc3339
from streams.connect.facts import Subject, content_digest, fact
from streams.connect.json_fields import Row, flag, inside, rows, text, whole, without_nothing
from streams.connect.magento.orders import MagentoSource, instant, required_id

SOURCE = "magento"
"""How a consent was said, in its evidence: in the shop itself."""

SUBSCRIBED, UNSUBSCRIBED = 1, 3
"""`subscriber_status`; 2 and 4 wait for a confirmation, which is nothing yet."""


def facts_of_customer(
    row: Row, shop: MagentoSource, *, was_subscribed: bool | None = None, history: bool = False
) -> list[Event]:
    """Return what is so of a customer.

    REST says only whether somebody is subscribed, never since when, and no for who was never asked.
    So a yes counts from when the account was made, unless it is known that it was a no
    (`was_subscribed`), and a no is an objection only where it is known that it was a yes: whoever
    has said no to us since stays with that. `history`: all of it is told at once. Raises
    ValueError.
    """
    id_ = required_id(row, "id" if "id" in row else "entity_id")
    subject = shop.subject(id_, text(row, "email"))
    assert subject is not None  # there is an id
    joined = instant(row, "created_at", "updated_at")
    changed = max(instant(row, "updated_at", "created_at"), joined)
    events = list(_known(id_, row, subject, shop, joined, joined if history else changed))
    subscribed = is_subscribed(row)
    if subscribed and not was_subscribed:
        time = joined if was_subscribed is None else changed
        events += _said(id_, subject, shop, time, agreed=True)
    elif subscribed is False and was_subscribed:
        events += _said(id_, subject, shop, changed, agreed=False)
    return events


def is_subscribed(row: Row) -> bool | None:
    """Return what REST says of a customer's subscription, None where it says nothing."""
    found = inside(row, "extension_attributes")
    return flag(found, "is_subscribed") if "is_subscribed" in found else None


def facts_of_subscriber(row: Row, shop: MagentoSource) -> list[Event]:
    """Return what somebody has said to the newsletter, with its own time. Raises ValueError."""
    status, address = whole(row, "subscriber_status"), text(row, "subscriber_email")
    customer = whole(row, "customer_id")
    subject = shop.subject(customer, address)
    if subject is None or status not in (SUBSCRIBED, UNSUBSCRIBED):
        return []
    time = instant(row, "change_status_at", "updated_at")
    who = customer or subject.customer
    return list(_said(who, subject, shop, time, agreed=status == SUBSCRIBED, address=address))


def _known(
    id_: int, row: Row, subject: Subject, shop: MagentoSource, joined: int, changed: int
) -> Iterator[Event]:
    addresses = rows(row, "addresses")
    home = next((each for each in addresses if flag(each, "default_billing")), None)
    where = home or (addresses[0] if addresses else {})
    traits = without_nothing(
        {
            "email": text(row, "email"),
            "first_name": text(row, "firstname"),
            "last_name": text(row, "lastname"),
            "birthday": text(row, "dob")[:10],
            "phone": text(where, "telephone"),
            "city": text(where, "city"),
            "country": text(where, "country_id"),
            "locale": shop.locales.get(whole(row, "store_id"), ""),
        }
    )
    yield shop.event("customer.created", fact("customer", id_, "created"), joined, subject, traits)
    if changed != joined:
        fact_id = fact("customer", id_, "updated", to_rfc3339(changed), content_digest(traits))
        yield shop.event("customer.updated", fact_id, changed, subject, traits)


def _said(
    who: object,
    subject: Subject,
    shop: MagentoSource,
    time: int,
    *,
    agreed: bool,
    address: str = "",
) -> Iterator[Event]:
    statement = {"list": shop.newsletter, "source": SOURCE}
    when = to_rfc3339(time)
    if not agreed:
        fact_id = fact("subscriber", who, "unsubscribed", when)
        yield shop.event("list.unsubscribed", fact_id, time, subject, statement)
        return
    if subject.named and shop.single_opt_in_counts:
        consent = {"purpose": "marketing", "source": SOURCE}
        fact_id = fact("subscriber", who, "consent", when)
        yield shop.event("consent.given", fact_id, time, subject, consent)
    subscribed = {**statement, "confirmed": shop.newsletter_confirmed}
    if not subject.named:
        subscribed["email"] = address
    fact_id = fact("subscriber", who, "subscribed", when)
    yield shop.event("list.subscribed", fact_id, time, subject, subscribed)
