"""What is said late: consents and lists are as if each statement had come when it was said.

The evidence of all statements is kept. As long as each comes after those before, the last word is
taken over as it comes. One that comes late, or at the same instant as another, may change what
followed from later ones: a subscription that was in vain, as all lists had been left; a list of
which the last word was no. Then the statements are gone through once more, in the order in which
they were made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from agents import digests
from agents.context import DomainEvent
from agents.customer.evidence import ON_LIST, drop_surplus
from schemas.customer import Customer
from schemas.customer.consent import LISTS_KEPT, Consent, Evidence, Subscription

MARKETING = "marketing"


def is_late(customer: Customer, said: Evidence) -> bool:
    """Return whether something that was said of the same at this time or later came before."""
    about = _about(said.purpose)
    return any(
        each.time >= said.time and _about(each.purpose) == about and each.event_id != said.event_id
        for each in customer.evidence
    )


def retell(customer: Customer, purpose: str, *, asks: bool) -> list[DomainEvent]:
    """Go once more through what was said of a purpose, the evidence of all of it being kept; return
    what is different.

    `asks`: whoever subscribes is to prove the address, if nothing does yet. What is marketing's is
    the lists', too.
    """
    if _about(purpose) != ON_LIST:
        return _say_again(customer, purpose)
    told = _Retelling(customer, asks=asks)
    for said in _in_order(customer, {MARKETING, ON_LIST}):
        told.hear(said)
    return told.take_over()


def retell_all(customer: Customer) -> list[DomainEvent]:
    """Go once more through all that was said, by two who turn out to be one; return what is
    different."""
    occurred: list[DomainEvent] = []
    for purpose in sorted({_about(each.purpose) for each in customer.evidence}):
        occurred += retell(customer, purpose, asks=False)
    return occurred


def _about(purpose: str) -> str:
    """Marketing and lists end each other, so they are looked at together."""
    return ON_LIST if purpose == MARKETING else purpose


def _say_again(customer: Customer, purpose: str) -> list[DomainEvent]:
    last = None
    for last in _in_order(customer, {purpose}):  # noqa: B007  # the last one is wanted
        pass
    before = customer.consents.get(purpose)
    if last is None or (before is not None and before.time > last.time):
        return []  # said before evidence was kept
    customer.consents[purpose] = _consent(last, before)
    return []


def _in_order(customer: Customer, purposes: Collection[str]) -> Iterator[Evidence]:
    """Yield what was said, in the order in which it was. That marketing ended as the last list was
    left nobody has said: it follows."""
    said = [each for each in customer.evidence if each.purpose in purposes and not _followed(each)]
    if ON_LIST in purposes:  # also what a workflow has done, and what is older than all evidence
        known = {(each.list, each.time) for each in said}
        said += (
            Evidence(ON_LIST, each.subscribed, each.time, "", "", name)
            for name, each in customer.lists.items()
            if not known & {(name, each.time), ("", each.time)}
        )
    yield from sorted(said, key=_order)


def _order(said: Evidence) -> tuple[int, int, bytes]:
    """Of what was said at one instant, each yes comes before each no, which so is the last word;
    consent before the lists that ask for it, and behind them what confirms them."""
    if said.purpose == ON_LIST:
        rank = 1 if said.given else 3
    elif said.given:
        rank = 2 if said.list else 0
    else:
        rank = 4
    return said.time, rank, digests.digest(said.event_id)


def _followed(said: Evidence) -> bool:
    return said.purpose == MARKETING and not said.given and said.list != ""


def _consent(said: Evidence, known: Consent | None) -> Consent:
    stated = said.stated or (known is not None and known.event_id == said.event_id and known.stated)
    return Consent(said.given, said.time, said.source, said.event_id, stated)


class _Retelling:
    """Consents and lists as they become while everything is told again."""

    def __init__(self, customer: Customer, *, asks: bool) -> None:
        self._customer = customer
        self._asks = asks
        self._consent: Consent | None = None
        self._lists: dict[str, Subscription] = {}
        self._following: list[Evidence] = []

    def hear(self, said: Evidence) -> None:
        """Let one thing be said."""
        if said.purpose == MARKETING:
            self._say(said)
        elif said.given:
            self._subscribe(said)
        else:
            self._lists[said.list] = Subscription(subscribed=False, time=said.time)
            if not any(each.subscribed for each in self._lists.values()):
                end = msgspec.structs.replace(said, purpose=MARKETING)
                self._following.append(end)
                self._say(end)
        if self._consent is not None and self._consent.given:
            for each in self._lists.values():
                each.joined = each.joined or (each.subscribed and not each.pending)

    def _say(self, said: Evidence) -> None:
        self._consent = _consent(said, self._customer.consents.get(MARKETING))
        if said.given:
            known = self._lists.get(said.list)
            if known is not None:  # a confirmed subscription
                known.pending = False
            return
        for name, each in self._lists.items():
            if each.subscribed:
                self._lists[name] = Subscription(subscribed=False, time=said.time)

    def _subscribe(self, said: Evidence) -> None:
        known, before = self._lists.get(said.list), self._customer.lists.get(said.list)
        if known is None or not known.subscribed:
            known = self._lists[said.list] = Subscription(subscribed=True, time=said.time)
            consented = self._consent is not None and self._consent.given
            known.pending = self._asks and not consented
            if before is not None and before.subscribed:
                known.pending = before.pending  # nobody is asked again
        elif known.pending:
            known.time = said.time

    def take_over(self) -> list[DomainEvent]:
        """Let the customer have it; return what is different."""
        customer, before = self._customer, self._customer.consents.get(MARKETING)
        told = {**customer.lists, **self._lists}
        lists = dict(sorted(told.items(), key=objections_first)[:LISTS_KEPT])
        if self._consent is not None:
            customer.consents[MARKETING] = self._consent
        elif before is not None and any(
            _followed(each) and each.event_id == before.event_id for each in customer.evidence
        ):
            del customer.consents[MARKETING]  # not the last list was left
        occurred = list(self._ended(before, lists))
        for name in sorted(lists):
            each, known = lists[name], customer.lists.get(name)
            if each.joined and not (known is not None and known.joined and known.subscribed):
                since = max(each.time, self._consent.time if self._consent else 0)
                joined = DomainEvent("list.joined", since, list=name, data={"list": name})
                occurred.append(joined)
        customer.lists = lists
        customer.evidence = list(self._evidence())
        drop_surplus(customer, MARKETING)
        return occurred

    def _evidence(self) -> Iterator[Evidence]:
        """Yield the evidence there is, with what follows behind what it follows from."""
        following = {(each.event_id, each.list, each.time): each for each in self._following}
        for each in self._customer.evidence:
            if not _followed(each):
                yield each
                end = each.purpose == ON_LIST and not each.given
                follows = (
                    following.pop((each.event_id, each.list, each.time), None) if end else None
                )
                if follows is not None:
                    yield follows
        yield from following.values()

    def _ended(
        self, before: Consent | None, lists: dict[str, Subscription]
    ) -> Iterator[DomainEvent]:
        now = self._consent
        if now is not None and not now.given and (before is None or before.given):
            yield DomainEvent("consent.withdrawn", now.time, data={"purpose": MARKETING})
        for name, known in sorted(self._customer.lists.items()):
            each = lists.get(name)
            if known.subscribed and each is not None and not each.subscribed:
                yield DomainEvent("list.left", each.time, list=name, data={"list": name})


def objections_first(item: tuple[str, Subscription]) -> tuple[bool, int, str]:
    """Of lists those come first that were left, then the oldest."""
    name, subscription = item
    return (subscription.subscribed, subscription.time, name)
