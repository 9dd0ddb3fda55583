"""Consent and lists. The last word counts, by the time at which it was said; evidence is kept.

Double opt-in is asked for as long as a workflow that begins with `list.pending` is live: its mail
carries the link. Until the link's page is confirmed, the list waits, and marketing with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agents.context import Context, DomainEvent, Handler
from agents.customer import (
    grounds,
    late_statements,
    list_addresses,
    profile,
    speaker,
    statements,
)
from agents.customer.evidence import (
    ON_LIST,
    bring_evidence_within,
    evidence_of,
    keep_evidence,
)
from agents.digests import address_digest
from agents.links import confirmations
from agents.refusals import EventRefused
from schemas.customer import Customer
from schemas.customer.consent import LISTS_KEPT, Consent, Evidence, Subscription
from schemas.customer.person import Ground
from schemas.events import Event
from schemas.events.person import ConsentChange, ListChange


def given(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Consent to a purpose. Lists that only waited for it are joined now.

    What is said under a visitor's id of a customer's device moves no word that the customer has
    said.
    """
    data: ConsentChange = event.data
    typed = speaker.typed(event)
    if typed and data.purpose in customer.consents and speaker.is_customers(customer):
        return []
    said = evidence_of(event, context, data.purpose, agreed=True)
    if late_statements.is_late(customer, said):
        said.stated = not typed
        keep_evidence(customer, said)
        return late_statements.retell(customer, said.purpose, asks=_asks(context))
    if not _agree(customer, said, stated=not typed):
        return []
    return _join(customer) if data.purpose == "marketing" else []


def withdrawn(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Consent to a purpose is over."""
    data: ConsentChange = event.data
    return withdraw(customer, evidence_of(event, context, data.purpose, agreed=False))


def subscribed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Put the customer on a list. A confirmed subscription is marketing consent too.

    A form may name an address that isn't the customer's: then it is that address's subscription
    (`list_addresses.py`), and nothing of the customer's moves.
    """
    data: ListChange = event.data
    time = context.when(event.time)
    if data.list not in customer.lists and not _has_room(customer):
        raise EventRefused(
            "too_many_lists", f"list: {data.list!r} would be one of more than {LISTS_KEPT}"
        )
    confirmed = data.confirmed and not event.public
    ground: Ground = "confirmed" if confirmed else "typed"
    said = statements.of(event, context, typed=not confirmed)
    if data.email:
        if not grounds.take(customer, data.email, ground, said, context.now):
            asks = _asks(context)
            return list_addresses.subscribed(customer, data, time, confirmed=confirmed, asks=asks)
    elif confirmed:
        others = list_addresses.confirmed_by(customer, event, context)
        if others is not None:
            return others
        if data.mail:
            confirmations.confirmed(customer, customer.profile.email, event.id, context)
        if statements.is_later(said, customer.stated.get("email")):  # else of one before it
            grounds.confirm(customer)
    for name in ("first_name", "locale"):
        if value := getattr(data, name):  # what a form leaves empty is not said
            profile.state(customer, name, value, statements.of(event, context, typed=True), context)
    return _put_on(customer, event, context, confirmed=confirmed)


def _put_on(
    customer: Customer, event: Event, context: Context, *, confirmed: bool
) -> list[DomainEvent]:
    """Put the customer on an event's list, with the proof of it."""
    data: ListChange = event.data
    time = context.when(event.time)
    if data.list not in customer.lists:
        _makes_room(customer)
    proof = evidence_of(event, context, ON_LIST, agreed=True)
    if late_statements.is_late(customer, proof):
        keep_evidence(customer, proof)
        if confirmed:
            yes = evidence_of(event, context, "marketing", agreed=True)
            yes.stated = True
            keep_evidence(customer, yes)
        return late_statements.retell(customer, ON_LIST, asks=_asks(context))
    keep_evidence(customer, proof)
    known = customer.lists.get(data.list)
    if known is not None and known.time > time:
        return []
    if known is None or not known.subscribed:
        known = customer.lists[data.list] = Subscription(subscribed=True, time=time)
        known.pending = _asks(context) and not customer.consented("marketing")
    if confirmed:
        known.pending = False
        _agree(customer, evidence_of(event, context, "marketing", agreed=True), stated=True)
    elif known.pending:
        known.time = time
        return [DomainEvent("list.pending", time, list=data.list, data={"list": data.list})]
    return _join(customer)


def _asks(context: Context) -> bool:
    """Whether the shop asks whoever subscribes to prove the address, if nothing does yet."""
    return bool(context.live.by_trigger.get("list.pending"))


def unsubscribed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take the customer off a list. Whoever is on no list any more wants no marketing either."""
    data: ListChange = event.data
    time = context.when(event.time)
    other = customer.list_addresses.get(data.list)
    if (
        data.email
        and other is not None
        and address_digest(data.email) == address_digest(other.email)
    ):
        return list_addresses.leave(customer, address_digest(data.email), time)
    said = evidence_of(event, context, ON_LIST, agreed=False)
    return leave(customer, data.list, said, context)


def leave(customer: Customer, name: str, said: Evidence, context: Context) -> list[DomainEvent]:
    """Take the customer off a list, by the customer's own word."""
    late = late_statements.is_late(customer, said)
    keep_evidence(customer, said)
    if late and (name in customer.lists or _makes_room(customer)):
        customer.left_list = max(customer.left_list, said.time)
        return late_statements.retell(customer, ON_LIST, asks=_asks(context))
    known = customer.lists.get(name)
    if known is not None and known.time > said.time:
        return []
    if known is not None or _makes_room(customer):
        customer.lists[name] = Subscription(subscribed=False, time=said.time)
    customer.left_list = max(customer.left_list, said.time)
    occurred = [DomainEvent("list.left", said.time, list=name, data={"list": name})]
    if not any(subscription.subscribed for subscription in customer.lists.values()):
        occurred += withdraw(customer, msgspec.structs.replace(said, purpose="marketing"))
    return occurred


def put_on(customer: Customer, name: str, time: int) -> list[DomainEvent]:
    """Put the customer on a list. Its mails may be sent when there is consent, which this isn't."""
    known = customer.lists.get(name)
    if known is None and not _makes_room(customer):
        return []
    if known is None or not known.subscribed:
        customer.lists[name] = Subscription(subscribed=True, time=time)
    return _join(customer)


def take_off(customer: Customer, name: str, time: int) -> list[DomainEvent]:
    """Take the customer off a list, by the shop's own decision: consent is not touched."""
    known = customer.lists.get(name)
    if known is None or not known.subscribed:
        return []
    customer.lists[name] = Subscription(subscribed=False, time=time)
    return [DomainEvent("list.left", time, list=name, data={"list": name})]


def withdraw(customer: Customer, evidence: Evidence) -> list[DomainEvent]:
    """End a consent; ending the one for marketing also ends every list."""
    late = late_statements.is_late(customer, evidence)
    keep_evidence(customer, evidence)
    if late:
        return late_statements.retell(customer, evidence.purpose, asks=False)
    said = Consent(False, evidence.time, evidence.source, evidence.event_id)
    return _end(customer, evidence.purpose, said)


def adopt(customer: Customer, other: Customer, *, proven: bool) -> list[DomainEvent]:
    """Take over what a visitor has agreed to, where it is the later word: the shop has said that it
    was this customer.

    `proven`: also that who has typed the visitor's address reads its mails. A yes is one for an
    address that the visitor has typed, and the shop's word on no other than the customer's own; so
    it is stated of the customer only then, or if both have the same address.
    """
    stated = proven or grounds.is_owned_by_both(customer, other)
    occurred: list[DomainEvent] = []
    apart = list_addresses.adopt(customer, other)
    for name, subscription in sorted(other.lists.items(), key=late_statements.objections_first):
        if name in apart:
            continue
        known = customer.lists.get(name)
        if known is None and len(customer.lists) >= LISTS_KEPT:
            continue
        if known is None or known.time < subscription.time:
            customer.lists[name] = subscription
            if known is not None and known.subscribed and not subscription.subscribed:
                left = DomainEvent("list.left", subscription.time, list=name, data={"list": name})
                occurred.append(left)
    both = bool(customer.evidence and other.evidence)
    for evidence in other.evidence:
        if evidence.purpose != ON_LIST or evidence.list not in apart:
            evidence.stated |= stated and evidence.given
            keep_evidence(customer, evidence)
    customer.evidence.sort(key=lambda evidence: evidence.time)
    for purpose, said in other.consents.items():
        mine = customer.consents.get(purpose)
        if mine is not None and mine.time >= said.time:
            continue
        if said.given:
            customer.consents[purpose] = msgspec.structs.replace(said, stated=said.stated or stated)
        else:
            occurred += _end(customer, purpose, said)
    occurred += _join(customer)
    return occurred + late_statements.retell_all(customer) if both else occurred


def _has_room(customer: Customer) -> bool:
    """Whether one more list can be remembered, if need be instead of another."""
    return len(customer.lists) < LISTS_KEPT or bool(_waiting(customer))


def _makes_room(customer: Customer) -> bool:
    """Let one more list be remembered, if need be instead of another: of those that still wait for
    consent or confirmation the one that was subscribed to longest ago. Return whether it can be."""
    if len(customer.lists) < LISTS_KEPT:
        return True
    waiting = _waiting(customer)
    if not waiting:
        return False
    del customer.lists[min(waiting, key=lambda name: (customer.lists[name].time, name))]
    return True


def _waiting(customer: Customer) -> list[str]:
    return [name for name, each in customer.lists.items() if each.subscribed and not each.joined]


def bring_within(customer: Customer) -> None:
    """Let lists and evidence give way that are too many since there were no bounds: of lists those
    joined last, none that was left as long as there are others."""
    kept = sorted(customer.lists.items(), key=late_statements.objections_first)[:LISTS_KEPT]
    customer.lists = dict(kept)
    bring_evidence_within(customer)


def _agree(customer: Customer, evidence: Evidence, *, stated: bool) -> bool:
    """Keep a yes with its evidence; return whether it is the last word."""
    evidence.stated = stated
    keep_evidence(customer, evidence)
    said = Consent(True, evidence.time, evidence.source, evidence.event_id, stated)
    return _say(customer, evidence.purpose, said)


def _end(customer: Customer, purpose: str, said: Consent) -> list[DomainEvent]:
    if not _say(customer, purpose, said) or purpose != "marketing":
        return []
    for name, subscription in customer.lists.items():
        if subscription.subscribed and subscription.time <= said.time:
            customer.lists[name] = Subscription(subscribed=False, time=said.time)
    return [DomainEvent("consent.withdrawn", said.time, data={"purpose": purpose})]


def _say(customer: Customer, purpose: str, said: Consent) -> bool:
    """Keep the later word; return whether this was it."""
    last = customer.consents.get(purpose)
    if last is not None and last.time > said.time:
        return False
    customer.consents[purpose] = said
    return True


def _join(customer: Customer) -> list[DomainEvent]:
    """Whoever is subscribed and has consented has joined, once, when the later of both happened."""
    consented = customer.consents.get("marketing")
    if consented is None or not consented.given:
        return []
    occurred = []
    for name in sorted(customer.lists):
        subscription = customer.lists[name]
        if subscription.subscribed and not subscription.joined and not subscription.pending:
            subscription.joined = True
            time = max(subscription.time, consented.time)
            occurred.append(DomainEvent("list.joined", time, list=name, data={"list": name}))
    return occurred


HANDLERS: Mapping[str, Handler] = {
    "list.subscribed": subscribed,
    "list.unsubscribed": unsubscribed,
    "consent.given": given,
    "consent.withdrawn": withdrawn,
}
