"""Customers, newsletter and requests to the support → events."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.events import Event
from schemas.instant import LATEST, to_rfc3339
from streams.connect.facts import Subject, content_digest, fact
from streams.connect.json_fields import Row, flag, text, whole, without_nothing
from streams.connect.local_windows import NONE, instant_of
from streams.connect.prestashop.orders import PrestaShopSource, is_no_time, required_id, subject_of

SOURCE = "prestashop"
"""How a consent was said, in its evidence: in the shop itself."""


def facts_of_customer(
    row: Row,
    shop: PrestaShopSource,
    *,
    now: int = LATEST,
    was_subscribed: bool | None = None,
    history: bool = False,
) -> list[Event]:
    """Return what is so of a customer, nothing of one who was deleted: that is no request to be
    forgotten. `was_subscribed`: as it was when it was last looked, None where that isn't known;
    `history`: all of it is told at once. Raises ValueError."""
    id_ = required_id(row)
    subject = subject_of(id_, row, shop)
    if flag(row, "deleted") or subject is None:
        return []
    joined = instant_of(text(row, "date_add"), shop.zone, not_after=now)
    changed = joined
    if not is_no_time(text(row, "date_upd")):
        changed = instant_of(text(row, "date_upd"), shop.zone, not_before=joined, not_after=now)
    known = _known(id_, row, subject, shop, joined, joined if history else changed)
    if is_subscribed(row) is False and was_subscribed is False:
        return list(known)  # that was told
    return [*known, *_newsletter(id_, row, subject, shop, changed, now)]


def is_subscribed(row: Row) -> bool | None:
    """Return what a customer has said to the newsletter, None for one who was never asked."""
    return None if is_no_time(text(row, "newsletter_date_add")) else flag(row, "newsletter")


def facts_of_thread(
    thread: Row, customer: Row, shop: PrestaShopSource, *, now: int = LATEST
) -> list[Event]:
    """Return that somebody asks for help. Raises ValueError."""
    id_ = required_id(thread)
    subject = subject_of(whole(thread, "id_customer"), customer, shop)
    subject = subject or shop.subject(0, text(thread, "email"))
    if subject is None:
        return []
    time = instant_of(text(thread, "date_add"), shop.zone, not_after=now)
    order = whole(thread, "id_order")
    data = without_nothing({"order_id": str(order) if order else ""})
    return [shop.event("support.requested", fact("thread", id_), time, subject, data)]


def _known(
    id_: int, row: Row, subject: Subject, shop: PrestaShopSource, joined: int, changed: int
) -> Iterator[Event]:
    """Yield who it is. A guest's name and address come with the order."""
    if not subject.named:
        return
    birthday = text(row, "birthday")
    traits = without_nothing(
        {
            "email": text(row, "email"),
            "first_name": text(row, "firstname"),
            "last_name": text(row, "lastname"),
            "birthday": "" if birthday.startswith(NONE) else birthday,
            "locale": shop.languages.get(whole(row, "id_lang"), ""),
        }
    )
    yield shop.event("customer.created", fact("customer", id_, "created"), joined, subject, traits)
    if changed != joined:
        fact_id = fact("customer", id_, "updated", to_rfc3339(changed), content_digest(traits))
        yield shop.event("customer.updated", fact_id, changed, subject, traits)


def _newsletter(
    id_: int, row: Row, subject: Subject, shop: PrestaShopSource, changed: int, now: int
) -> Iterator[Event]:
    """Yield what was said to the newsletter: yes at its own time and from its own address. Who has
    no such time never said yes, and so can't have said no. `optin` is for partners of the shop, and
    not said to it."""
    said = text(row, "newsletter_date_add")
    if is_no_time(said):
        return
    time = instant_of(said, shop.zone, not_after=now)
    statement = {"list": shop.newsletter, "source": SOURCE}
    if not flag(row, "newsletter"):
        changed = max(changed, time)
        fact_id = fact("customer", id_, "unsubscribed", to_rfc3339(changed))
        yield shop.event("list.unsubscribed", fact_id, changed, subject, statement)
        return
    proof = without_nothing({"source": SOURCE, "ip": text(row, "ip_registration_newsletter")})
    when = to_rfc3339(time)
    subscribed = {**proof, "list": shop.newsletter, "confirmed": shop.newsletter_confirmed}
    if subject.named and shop.single_opt_in_counts:
        fact_id, consent = fact("customer", id_, "consent", when), {**proof, "purpose": "marketing"}
        yield shop.event("consent.given", fact_id, time, subject, consent)
    if not subject.named:
        subscribed["email"] = text(row, "email")
    fact_id = fact("customer", id_, "subscribed", when)
    yield shop.event("list.subscribed", fact_id, time, subject, subscribed)
