"""Consent and lists. The last word counts, by the time at which it was said; evidence is kept."""

from __future__ import annotations

from agents.context import Context, Occurred
from schemas.customer import Consent, Customer, Subscription
from schemas.events import ConsentChange, Event, ListChange


def given(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """Consent to a purpose. Lists that only waited for it are joined now."""
    data: ConsentChange = event.data
    time = context.when(event.time)
    if not _record(customer, data.purpose, True, time, data.source or event.source, event.id):
        return []
    return _join(customer) if data.purpose == "marketing" else []


def withdrawn(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """Consent to a purpose is over."""
    data: ConsentChange = event.data
    source = data.source or event.source
    return withdraw(customer, data.purpose, context.when(event.time), source, event.id)


def subscribed(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """Put the customer on a list. A confirmed subscription is marketing consent too."""
    data: ListChange = event.data
    time = context.when(event.time)
    if data.email:
        if data.email != customer.profile.email:
            customer.suppressed = ""
        customer.profile.email = data.email
    customer.profile.first_name = data.first_name or customer.profile.first_name
    customer.profile.locale = data.locale or customer.profile.locale
    known = customer.lists.get(data.list)
    if known is not None and known.time > time:
        return []
    if known is None or not known.subscribed:
        customer.lists[data.list] = Subscription(subscribed=True, time=time)
    if data.confirmed:
        _record(customer, "marketing", True, time, data.source or event.source, event.id)
    return _join(customer)


def unsubscribed(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """Take the customer off a list. Whoever is on no list any more wants no marketing either."""
    data: ListChange = event.data
    time = context.when(event.time)
    known = customer.lists.get(data.list)
    if known is not None and known.time > time:
        return []
    customer.lists[data.list] = Subscription(subscribed=False, time=time)
    occurred = [Occurred("list.left", time, list=data.list)]
    if not any(subscription.subscribed for subscription in customer.lists.values()):
        source = data.source or event.source
        occurred += withdraw(customer, "marketing", time, source, event.id)
    return occurred


def withdraw(
    customer: Customer, purpose: str, time: int, source: str, event_id: str
) -> list[Occurred]:
    """End a consent; ending the one for marketing also ends every list."""
    if not _record(customer, purpose, False, time, source, event_id) or purpose != "marketing":
        return []
    for name, subscription in customer.lists.items():
        if subscription.subscribed and subscription.time <= time:
            customer.lists[name] = Subscription(subscribed=False, time=time)
    return [Occurred("consent.withdrawn", time)]


def adopt(customer: Customer, other: Customer) -> list[Occurred]:
    """Take over what a visitor has agreed to, where it is the later word."""
    occurred: list[Occurred] = []
    for name, subscription in other.lists.items():
        known = customer.lists.get(name)
        if known is None or known.time < subscription.time:
            customer.lists[name] = subscription
            if known is not None and known.subscribed and not subscription.subscribed:
                occurred.append(Occurred("list.left", subscription.time, list=name))
    for purpose, said in other.consents.items():
        mine = customer.consents.get(purpose)
        if mine is not None and mine.time >= said.time:
            continue
        if said.given:
            customer.consents[purpose] = said
        else:
            occurred += withdraw(customer, purpose, said.time, said.source, said.event_id)
    return occurred + _join(customer)


def _record(
    customer: Customer, purpose: str, agreed: bool, time: int, source: str, event_id: str
) -> bool:
    """Keep the later word; return whether this was it."""
    last = customer.consents.get(purpose)
    if last is not None and last.time > time:
        return False
    customer.consents[purpose] = Consent(agreed, time, source, event_id)
    return True


def _join(customer: Customer) -> list[Occurred]:
    """Whoever is subscribed and has consented has joined, once, when the later of both happened."""
    consented = customer.consents.get("marketing")
    if consented is None or not consented.given:
        return []
    occurred = []
    for name in sorted(customer.lists):
        subscription = customer.lists[name]
        if subscription.subscribed and not subscription.joined:
            subscription.joined = True
            time = max(subscription.time, consented.time)
            occurred.append(Occurred("list.joined", time, list=name))
    return occurred
