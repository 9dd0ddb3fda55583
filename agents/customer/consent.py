"""Consent and lists. The last word counts, by the time at which it was said; evidence is kept.

Double opt-in is asked for as long as a workflow that begins with `list.pending` is live: its mail
carries the link. Until the link's page is confirmed, the list waits, and marketing with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from agents.context import Context, DomainEvent, Handler
from agents.customer import deliverability
from agents.refusals import EventRefused
from schemas.bounds import brought_within, cut, kept_bytes, largest
from schemas.customer import Customer
from schemas.customer.consent import (
    EVIDENCE_KEPT,
    EVIDENCE_TEXT,
    EVIDENCE_TOTAL_BYTES,
    IP_BYTES,
    LISTS_KEPT,
    Consent,
    Evidence,
    Subscription,
)
from schemas.customer.person import PROFILE_BYTES
from schemas.events import Event
from schemas.events.person import ConsentChange, ListChange, Statement
from schemas.time_units import HOUR_MS

ON_LIST = "list"
"""Purpose of the evidence for lists."""

SAID_AGAIN_MS = HOUR_MS
"""Within an hour the same words on a page that the same mail has led to prove nothing new."""

_LARGEST = largest(Evidence)


def given(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Consent to a purpose. Lists that only waited for it are joined now."""
    data: ConsentChange = event.data
    if not _agree(customer, _evidence(event, context, data.purpose, agreed=True)):
        return []
    return _join(customer) if data.purpose == "marketing" else []


def withdrawn(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Consent to a purpose is over."""
    data: ConsentChange = event.data
    return withdraw(customer, _evidence(event, context, data.purpose, agreed=False))


def subscribed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Put the customer on a list. A confirmed subscription is marketing consent too."""
    data: ListChange = event.data
    time = context.when(event.time)
    if data.list not in customer.lists and not _makes_room(customer):
        raise EventRefused(
            "too_many_lists", f"list: {data.list!r} would be one of more than {LISTS_KEPT}"
        )
    if data.email:
        if data.email != customer.profile.email:
            deliverability.moved(customer, customer.profile.email, data.email, context.now)
        customer.profile.email = data.email
    customer.profile.first_name = _profile_text(data.first_name) or customer.profile.first_name
    customer.profile.locale = _profile_text(data.locale) or customer.profile.locale
    _keep(customer, _evidence(event, context, ON_LIST, agreed=True))
    known = customer.lists.get(data.list)
    if known is not None and known.time > time:
        return []
    if known is None or not known.subscribed:
        known = customer.lists[data.list] = Subscription(subscribed=True, time=time)
        known.pending = _asks_for_confirmation(customer, context)
    if data.confirmed:
        known.pending = False
        _agree(customer, _evidence(event, context, "marketing", agreed=True))
    elif known.pending:
        known.time = time
        return [DomainEvent("list.pending", time, list=data.list, data={"list": data.list})]
    return _join(customer)


def unsubscribed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take the customer off a list. Whoever is on no list any more wants no marketing either."""
    data: ListChange = event.data
    time = context.when(event.time)
    _keep(customer, _evidence(event, context, ON_LIST, agreed=False))
    known = customer.lists.get(data.list)
    if known is not None and known.time > time:
        return []
    if known is not None or _makes_room(customer):
        customer.lists[data.list] = Subscription(subscribed=False, time=time)
    customer.left_list = max(customer.left_list, time)
    occurred = [DomainEvent("list.left", time, list=data.list, data={"list": data.list})]
    if not any(subscription.subscribed for subscription in customer.lists.values()):
        occurred += withdraw(customer, _evidence(event, context, "marketing", agreed=False))
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
    _keep(customer, evidence)
    said = Consent(False, evidence.time, evidence.source, evidence.event_id)
    return _end(customer, evidence.purpose, said)


def adopt(customer: Customer, other: Customer) -> list[DomainEvent]:
    """Take over what a visitor has agreed to, where it is the later word."""
    occurred: list[DomainEvent] = []
    for name, subscription in sorted(other.lists.items(), key=_objections_first):
        known = customer.lists.get(name)
        if known is None and len(customer.lists) >= LISTS_KEPT:
            continue
        if known is None or known.time < subscription.time:
            customer.lists[name] = subscription
            if known is not None and known.subscribed and not subscription.subscribed:
                left = DomainEvent("list.left", subscription.time, list=name, data={"list": name})
                occurred.append(left)
    for evidence in other.evidence:
        _keep(customer, evidence)
    customer.evidence.sort(key=lambda evidence: evidence.time)
    for purpose, said in other.consents.items():
        mine = customer.consents.get(purpose)
        if mine is not None and mine.time >= said.time:
            continue
        if said.given:
            customer.consents[purpose] = said
        else:
            occurred += _end(customer, purpose, said)
    return occurred + _join(customer)


def _makes_room(customer: Customer) -> bool:
    """Whether one more list can be remembered, if need be instead of another: of those that still
    wait for consent or confirmation the one that was subscribed to longest ago."""
    if len(customer.lists) < LISTS_KEPT:
        return True
    waiting = [name for name, each in customer.lists.items() if each.subscribed and not each.joined]
    if not waiting:
        return False
    del customer.lists[min(waiting, key=lambda name: (customer.lists[name].time, name))]
    return True


def _profile_text(text: str | None) -> str:
    return cut(text or "", PROFILE_BYTES)


def bring_within(customer: Customer) -> None:
    """Let lists and evidence give way that are too many since there were no bounds: of lists those
    joined last, none that was left as long as there are others."""
    kept = sorted(customer.lists.items(), key=_objections_first)[:LISTS_KEPT]
    customer.lists = dict(kept)
    customer.evidence = [brought_within(each) for each in customer.evidence]
    while kept_bytes(customer.evidence) > EVIDENCE_TOTAL_BYTES:
        _drop_oldest(customer, customer.evidence)


def _asks_for_confirmation(customer: Customer, context: Context) -> bool:
    """Whether the address has to be proven: the shop asks for it, and nothing proves it yet."""
    return bool(context.live.by_trigger.get("list.pending")) and not customer.consented("marketing")


def _evidence(event: Event, context: Context, purpose: str, *, agreed: bool) -> Evidence:
    data: Statement = event.data
    return Evidence(
        purpose=purpose,
        given=agreed,
        time=context.when(event.time),
        source=cut(data.source or event.source, EVIDENCE_TEXT),
        event_id=event.id,
        list=data.list if isinstance(data, ListChange) else "",
        wording=cut(data.wording or "", EVIDENCE_TEXT),
        mail=cut(data.mail or "", EVIDENCE_TEXT),
        ip=cut(data.ip or "", IP_BYTES),
    )


def _keep(customer: Customer, evidence: Evidence) -> None:
    """Keep a piece of evidence, also when it comes too late to count; the oldest of many gives way.

    What proves the last word on a list, or the last yes and no to a purpose, never does.
    """
    if evidence.mail and any(_says_again(evidence, each) for each in customer.evidence):
        return
    kept = customer.evidence
    kept.append(evidence)
    if sum(each.purpose == evidence.purpose for each in kept) > EVIDENCE_KEPT:
        _drop_oldest(customer, [each for each in kept if each.purpose == evidence.purpose])
    if len(kept) * _LARGEST > EVIDENCE_TOTAL_BYTES:
        while kept_bytes(customer.evidence) > EVIDENCE_TOTAL_BYTES:
            _drop_oldest(customer, customer.evidence)


def _says_again(evidence: Evidence, other: Evidence) -> bool:
    if abs(evidence.time - other.time) > SAID_AGAIN_MS:
        return False
    said = msgspec.structs.replace(evidence, time=other.time, event_id=other.event_id)
    return said == other


def _drop_oldest(customer: Customer, candidates: Sequence[Evidence]) -> None:
    """Drop the oldest of the candidates that is no proof of what holds.

    There is one: those that are, are as many at most as there are lists, and six.
    """
    proofs: dict[tuple[str, str, bool], Evidence] = {}
    for each in customer.evidence:
        about_list = each.purpose == ON_LIST
        if about_list and each.list not in customer.lists:
            continue
        about = (each.purpose, each.list if about_list else "", not about_list and each.given)
        if about not in proofs or each.time >= proofs[about].time:
            proofs[about] = each
    proving = {id(each) for each in proofs.values()}
    superseded = next((each for each in candidates if id(each) not in proving), candidates[0])
    customer.evidence = [each for each in customer.evidence if each is not superseded]


def _objections_first(item: tuple[str, Subscription]) -> tuple[bool, int, str]:
    """Of a visitor's lists those come first that were left, then the oldest."""
    name, subscription = item
    return (subscription.subscribed, subscription.time, name)


def _agree(customer: Customer, evidence: Evidence) -> bool:
    """Keep a yes with its evidence; return whether it is the last word."""
    _keep(customer, evidence)
    said = Consent(True, evidence.time, evidence.source, evidence.event_id)
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
