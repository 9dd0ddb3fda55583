"""What the events of a shop are called, and whom they are about.

An event's id names the fact and never the delivery: `order:820001:completed` of the source
`shopify:negozio.myshopify.com` is one event, whether a webhook, a poll, a back-fill or an imported
file tells it, and however often. What may be true more than once names what has changed as well,
`order:820001:updated:2026-03-02T09:15:04Z:3f9a2c41d0be`.

A customer of the shop's is known by the shop's own id. A guest has none, and is a *visitor* under a
key made of the address; a customer with that address turns out to be that visitor, before or after,
so a guest's order is the customer's once there is one (`Subject`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.addresses import normalized_address
from schemas.bounds import KEY_BYTES, cut, fits
from schemas.events import Event
from schemas.events.fields import is_address
from schemas.events.hints import Hints
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.public_speech import CART, CHECKOUT, GUEST
from schemas.reserved import SUBJECTS
from schemas.time_units import DAY_MS
from schemas.validation import Unreadable, checked_id, payload_model, validated

HISTORY_AGE_MS = 7 * DAY_MS
"""What happened longer ago than this when it is heard of is history: an old order that somebody
edits today is no purchase of today's, and whoever was away for a week wants no mails about it."""

_NO_BROWSERS = (*SUBJECTS, GUEST, CART, CHECKOUT)
"""Begin keys that are made here, by address or token: a browser that names one is no such visitor,
and would be given what belongs to whom it names."""

_PRIVACY = frozenset({"customer.erasure_requested", "customer.data_requested"})
"""Never history: it is asked for now."""


def source_of(kind: str, host: str) -> str:
    """Return the source of a shop's events: `shopify:negozio.myshopify.com`."""
    return f"{kind}:{host.strip().lower().rstrip('.')}"


def fact(what: str, id_: object, *changed: object) -> str:
    """Return the id of the event that tells a fact: `fact("order", 820001, "completed")` is
    `order:820001:completed`."""
    parts = (str(each) for each in (what, id_, *changed) if each not in (None, ""))
    text = ":".join(parts)
    if fits(text, KEY_BYTES):
        return text
    whole = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return f"{cut(text, KEY_BYTES - len(whole) - 1)}:{whole}"


def content_digest(data: Mapping[str, Any]) -> str:
    """Return twelve hex digits of what is said: two statements of one second are told apart."""
    return hashlib.blake2b(_DIGESTED.encode(data).encode(), digest_size=6).hexdigest()


_DIGESTED = json.JSONEncoder(sort_keys=True, default=str, separators=(",", ":"))


def guest_key(address: str) -> str:
    """Return the key of a guest with an e-mail address, the same for each spelling of it; empty
    when it is none."""
    plain = normalized_address(address)
    if not is_address(plain):
        return ""
    return GUEST + hashlib.sha256(plain.encode()).hexdigest()[:32]


def browser_id(said: str) -> str:
    """Return a visitor's id as a shopper's browser has put it into an order or a cart; empty where
    it can't be one: what anybody may write there costs no order, and makes nobody another."""
    try:
        id_ = checked_id("visitor", said) if said else ""
    except Unreadable:
        return ""
    return "" if id_.startswith(_NO_BROWSERS) else id_


class Subject(NamedTuple):
    """Whom a fact is about."""

    customer: str
    """Key of the event."""
    anonymous_id: str | None = None
    """A visitor's id; of the customer's, or the same as `customer` where nobody is named."""

    @property
    def named(self) -> bool:
        """Whether it is a customer of the shop's."""
        return self.customer != self.anonymous_id


def subject_of(
    customer_id: object, address: str = "", *, prefix: str = "", visitor: str = ""
) -> Subject | None:
    """Return whom a fact is about: the shop's customer of that id, else the guest with that
    address, else the visitor; None when nothing says it.

    `address`: of the customer's account, or of a guest's order. `prefix`: before the ids of a
    shop's customers, where several shops count theirs alike. `visitor`: the browser's id, where the
    shop has it from there; one that can't be is left out (`browser_id`). Raises Unreadable.
    """
    guest, visitor = guest_key(address), browser_id(visitor)
    if customer_id not in (None, "", 0, "0"):
        customer = checked_id("customer id", f"{prefix}{customer_id}")
        if visitor == customer:  # the order would be that visitor's, and not the customer's
            visitor = ""
        return Subject(customer, visitor or guest or None)
    if guest or visitor:
        return Subject(guest or visitor, guest or visitor)
    return None


def key_of(customer_id: object, *addresses: str, prefix: str = "") -> bytes | None:
    """Return the key under which an erasure finds what is about somebody, though nothing else of it
    can be read: the shop's customer's, else the guest's with the first of these addresses; None
    when nothing says it."""
    for customer, address in ((customer_id, ""), *((None, each) for each in addresses)):
        try:
            found = subject_of(customer, address, prefix=prefix)
        except Unreadable:
            continue
        if found is not None:
            return found.customer.encode()
    return None


def event_of(
    type_: str,
    id_: str,
    *,
    source: str,
    time: int | None,
    subject: Subject,
    data: Mapping[str, Any],
    hints: Hints | None = None,
    notation: Notation = DEFAULT_NOTATION,
) -> Event:
    """Return the event that tells a fact, its data checked and mended as any producer's are.

    `time`: when it happened, ms since the epoch. Raises Unreadable, naming field and value.
    """
    said = {name: value for name, value in data.items() if value is not None}
    checked, odd = validated(payload_model(type_), said, notation, source)
    return Event(
        id=checked_id("id", id_),
        type=type_,
        source=source,
        time=time,
        customer=checked_id("customer id", subject.customer),
        anonymous_id=subject.anonymous_id,
        backfill=False,
        data=checked,
        named=subject.named,
        odd=odd,
        hints=hints if hints is not None and any(hints) else None,
    )


def as_history(events: Iterable[Event]) -> list[Event]:
    """Return events as history: they build state and start nothing. Who asks to be forgotten asks
    now."""
    return [each if each.type in _PRIVACY else each._replace(backfill=True) for each in events]


def with_old_as_history(
    events: Iterable[Event], *, now: int, began: int = 0, became: Mapping[str, int] | None = None
) -> list[Event]:
    """Return events of now, those as history that had happened before the shop was connected
    (`began`, ms) or long before they are heard of at `now`. `became`: when it became so, ms by
    event id, where that is not the event's time."""
    since = max(began, now - HISTORY_AGE_MS)
    later = became or {}
    return [
        each._replace(backfill=True)
        if each.time is not None
        and max(each.time, later.get(each.id, 0)) < since
        and each.type not in _PRIVACY
        else each
        for each in events
    ]
