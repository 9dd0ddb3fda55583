"""What becomes of what is sent with a public key: it is said by a visitor, of itself.

A `userId` in a page is what somebody claims. So it is taken off, and the event goes to the visitor
whom `anonymousId` names, said in public (`schemas/signing.py`, SPEAKER). Who it is, the shop has to
say: by an event of its own, or by its server's word in the page,

    context.userHash = HMAC-SHA256(identity secret, userId), in hex

(`userhash`, of a CloudEvent). With it the visitor is linked to the customer, in the shop's name. An
Order Completed is a hint (`order.hinted`): the shop's own event is the order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas import segment
from schemas.events import Event
from schemas.events.person import CustomerIdentified
from schemas.public_speech import HINTED, ORDERED, withheld
from schemas.validation import Unreadable, checked_id, is_no_id
from streams.http.ingest.keys import WriteKey, WriteKeys

USER_HASH = "userHash"
"""In a call's context."""

HASH_ATTRIBUTE = "userhash"
"""Of a CloudEvent: extensions have lower-case names."""

LINKED_KEPT = 20_000
"""Visitors whose link was told of late, in one process."""

LINK_AGAIN_MS = 300_000
"""After which a link is told again by whatever event proves it; an `identify` always tells it."""


class Withheld(Exception):
    """A key may not say this. The text says what."""


class Claim(NamedTuple):
    """Who somebody in a page says to be."""

    user_id: str
    is_proven: bool


NOBODY = Claim("", is_proven=False)


def of_call(
    call: Mapping[str, Any], keys: WriteKeys, key: WriteKey
) -> tuple[dict[str, Any], Claim]:
    """Return a call of a Segment body as its visitor's own, and who that claims to be: one of
    Segment's, or a CloudEvent. Raises Unreadable for one that names no visitor, Withheld for an
    `alias` without proof."""
    if "specversion" in call:
        return of_cloud_event(call, keys, key)
    context = call.get("context")
    said_hash = context.get(USER_HASH) if isinstance(context, dict) else None
    claim = _claim(call.get("userId"), said_hash, keys, key)
    kind = call.get("type")
    if kind == "alias":
        if not claim.is_proven:
            raise Withheld(f"alias: who somebody is needs a secret key, or context.{USER_HASH}")
        visitor = call.get("previousId") or call.get("anonymousId")
        own = {**call, "type": "identify", "anonymousId": visitor, "traits": {}}
    else:
        own = dict(call)
    own.pop("userId", None)
    own.pop("previousId", None)
    if is_no_id(own.get("anonymousId")):
        raise Unreadable("missing_id", _NO_VISITOR)
    event = own.get("event")
    if kind == "track" and isinstance(event, str) and segment.type_of(event) == ORDERED:
        own["event"] = _HINTED_NAME
    return own, claim


def of_cloud_event(body: Any, keys: WriteKeys, key: WriteKey) -> tuple[Any, Claim]:
    """The same of a CloudEvent in structured mode."""
    if not isinstance(body, Mapping):
        return body, NOBODY
    own = dict(body)
    visitor = own.get("anonymousid")
    subject = own.pop("subject", None)
    if is_no_id(visitor):
        raise Unreadable("missing_id", "anonymousid: missing, and a public key speaks of visitors")
    claim = NOBODY
    if not is_no_id(subject) and subject != visitor:
        claim = _claim(subject, own.get(HASH_ATTRIBUTE), keys, key)
    if own.get("type") == ORDERED:
        own["type"] = HINTED
    data = own.get("data")
    if isinstance(data, dict) and own.get("type") == "customer.identified":
        own["data"] = {name: data[name] for name in data if name not in _WHO}
        own["type"] = "customer.updated"
    own["source"] = key.source
    return own, claim


def said_in_public(event: Event, source: str) -> Event:
    """Return an event as the public says it, `source` being its key's, whatever the event names.
    Raises Unreadable for one that names no visitor, and Withheld."""
    if event.anonymous_id is None:
        raise Unreadable("missing_id", _NO_VISITOR)
    event = event._replace(customer=event.anonymous_id, named=False, public=True, source=source)
    if why := withheld(event):
        raise Withheld(why)
    return event


class VisitorLinks:
    """Tells whose visitor somebody is, as often as it takes."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def event(self, said: Event, claim: Claim, now: int) -> Event | None:
        """Return the shop's word that the visitor who has said something is the customer; None when
        nothing is proven, or it was told just now. `now` in ms."""
        visitor = said.customer
        if not claim.is_proven or visitor == claim.user_id:
            return None
        told = self._told.get(visitor)
        is_known = told is not None and told[0] == claim.user_id
        is_fresh = told is not None and now - told[1] < LINK_AGAIN_MS
        if is_known and is_fresh and said.type != "customer.updated":
            return None
        return Event(
            id=f"{said.id[:150]}/linked",
            type="customer.identified",
            source=said.source,
            time=said.time,
            customer=claim.user_id,
            anonymous_id=visitor,
            backfill=False,
            data=CustomerIdentified(anonymous_id=visitor, customer_id=claim.user_id),
            named=True,
        )

    def told(self, link: Event, now: int) -> None:
        """A link is in the log."""
        assert link.anonymous_id is not None
        self._told.pop(link.anonymous_id, None)
        self._told[link.anonymous_id] = link.customer, now
        if len(self._told) > LINKED_KEPT:
            self._told.popitem(last=False)


_NO_VISITOR = "anonymousId: missing, and a public key speaks of visitors"

_HINTED_NAME = "Order Hinted"
"""What Segment would call it."""

_WHO = frozenset({"customer_id", "user_id", "userId", "anonymous_id", "anonymousId", "previous_id"})


def _claim(user_id: Any, said_hash: Any, keys: WriteKeys, key: WriteKey) -> Claim:
    if is_no_id(user_id):
        return NOBODY
    who = checked_id("userId", user_id)
    proven = isinstance(said_hash, str) and keys.proves(key, who, said_hash)
    return Claim(who, proven)
