"""Tags: what a customer was marked with, since when, and until when."""

from __future__ import annotations

from typing import Any, Literal

from agents.context import Context, DomainEvent
from agents.customer import statements
from agents.digests import derived_id
from agents.effects import signal
from schemas.bounds import cut, kept_bytes
from schemas.customer import Customer
from schemas.customer.person import TAG_BYTES, TAGS_KEPT, TAGS_TOTAL_BYTES, CustomerTag, StatedAt
from schemas.events.odd import OddField, shown
from schemas.signals import TagChanged
from schemas.stored import NEVER

EXPIRY = ":tags"
"""Key of their timer among the customer's watches; no workflow's id has a colon."""
TAGS_LISTED = 50
"""Tags of a shop's list that count; no shop gives a customer more."""
_LARGEST = 32
"""Bytes of a tag's dates, and of what stands before its name."""


def state(customer: Customer, given: Any, said: StatedAt, context: Context) -> None:
    """Take over the shop's list of tags, if it is the newest one: those that it no longer has are
    taken off, none that a workflow has put on. A list, or a text with commas; null is none."""
    names = _listed(given)
    if names is None:
        context.odd_fields.append(OddField("tags", shown(given), "kind", kept=False))
        return
    before = {name for name, tag in customer.tags.items() if tag.by_shop}
    if not statements.is_newest(customer, "tags", said, known=bool(before), gives=bool(names)):
        return
    statements.note(customer, "tags", said)
    for name in sorted(before.difference(names)):
        del customer.tags[name]
        _tell(customer, name, "removed", context.now, context)
    for name in names:
        if name not in customer.tags:
            add(customer, name, None, context, by_shop=True)


def _listed(given: Any) -> list[str] | None:
    """Return the tags of a list, each once; None when it is of another kind."""
    if given is None:
        return []
    if isinstance(given, str):
        given = given.split(",")
    if not isinstance(given, list) or not all(isinstance(each, str | int) for each in given):
        return None
    names = (cut(" ".join(str(each).split()), TAG_BYTES) for each in given)
    return list(dict.fromkeys(name for name in names if name.isprintable() and name))[:TAGS_LISTED]


def add(
    customer: Customer,
    name: str,
    lasts: int | None,
    context: Context,
    *,
    by_shop: bool = False,
) -> None:
    """Put a tag on, or let it last anew."""
    present = customer.tags.get(name)
    expires = NEVER if lasts is None else context.now + lasts
    if present is not None:
        present.expires = expires
        _await(customer)
        return
    if len(customer.tags) >= TAGS_KEPT:
        del customer.tags[_oldest(customer)]
    customer.tags[name] = CustomerTag(context.now, expires, by_shop)
    _fit(customer)
    _await(customer)
    _tell(customer, name, "added", context.now, context)


def remove(customer: Customer, pattern: str, context: Context) -> list[str]:
    """Take a tag off, or with a trailing `*` all that begin so; return which."""
    if pattern.endswith("*"):
        names = sorted(name for name in customer.tags if name.startswith(pattern[:-1]))
    else:
        names = [pattern] if pattern in customer.tags else []
    for name in names:
        del customer.tags[name]
        _tell(customer, name, "removed", context.now, context)
    return names


def expire(customer: Customer, context: Context) -> None:
    """Take off those whose time is over."""
    for name in sorted(name for name, tag in customer.tags.items() if tag.expires <= context.now):
        due = customer.tags.pop(name).expires
        _tell(customer, name, "removed", due, context)
    _await(customer)


def adopt(customer: Customer, visitor: Customer) -> None:
    """Put on the tags of a visitor who turned out to be this customer; the longer time counts."""
    for name, tag in visitor.tags.items():
        own = customer.tags.setdefault(name, tag)
        own.expires = max(own.expires, tag.expires)
    latest = sorted(customer.tags, key=lambda name: (customer.tags[name].added, name))
    customer.tags = {name: customer.tags[name] for name in latest[-TAGS_KEPT:]}
    _fit(customer)
    _await(customer)


def _tell(
    customer: Customer, name: str, change: Literal["added", "removed"], time: int, context: Context
) -> None:
    """Tell workflows, by when it was, and other systems."""
    key = f"tag:{name}:{change}"
    id_ = derived_id(customer.key, key, context.cause, str(context.now))
    told = TagChanged(id=id_, time=context.now, customer=customer.key, tag=name, change=change)
    context.effects.append(signal(told))
    context.caused.append(DomainEvent(key, time, data={"tag": name}))


def _fit(customer: Customer) -> None:
    """Let the oldest give way as far as there is no room."""
    if len(customer.tags) * (TAG_BYTES + _LARGEST) > TAGS_TOTAL_BYTES:
        while kept_bytes(customer.tags) > TAGS_TOTAL_BYTES:
            del customer.tags[_oldest(customer)]


def _oldest(customer: Customer) -> str:
    return min(customer.tags, key=lambda tag: (customer.tags[tag].added, tag))


def _await(customer: Customer) -> None:
    due = min((tag.expires for tag in customer.tags.values()), default=NEVER)
    if due != NEVER:
        customer.watches[EXPIRY] = due
    else:
        customer.watches.pop(EXPIRY, None)
