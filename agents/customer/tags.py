"""Tags: what a customer was marked with, since when, and until when."""

from __future__ import annotations

from agents.context import Context, DomainEvent
from schemas.bounds import kept_bytes
from schemas.customer import Customer
from schemas.customer.person import TAG_BYTES, TAGS_KEPT, TAGS_TOTAL_BYTES, CustomerTag
from schemas.stored import NEVER

EXPIRY = ":tags"
"""Key of their timer among the customer's watches; no workflow's id has a colon."""
_LARGEST = 32
"""Bytes of a tag's dates, and of what stands before its name."""


def add(customer: Customer, name: str, lasts: int | None, context: Context) -> None:
    """Put a tag on, or let it last anew."""
    present = customer.tags.get(name)
    expires = NEVER if lasts is None else context.now + lasts
    if present is not None:
        present.expires = expires
        _await(customer)
        return
    if len(customer.tags) >= TAGS_KEPT:
        del customer.tags[_oldest(customer)]
    customer.tags[name] = CustomerTag(context.now, expires)
    _fit(customer)
    _await(customer)
    context.caused.append(DomainEvent(f"tag:{name}:added", context.now, data={"tag": name}))


def remove(customer: Customer, pattern: str, context: Context) -> list[str]:
    """Take a tag off, or with a trailing `*` all that begin so; return which."""
    if pattern.endswith("*"):
        names = sorted(name for name in customer.tags if name.startswith(pattern[:-1]))
    else:
        names = [pattern] if pattern in customer.tags else []
    for name in names:
        del customer.tags[name]
        context.caused.append(DomainEvent(f"tag:{name}:removed", context.now, data={"tag": name}))
    return names


def expire(customer: Customer, context: Context) -> None:
    """Take off those whose time is over."""
    for name in sorted(name for name, tag in customer.tags.items() if tag.expires <= context.now):
        due = customer.tags.pop(name).expires
        context.caused.append(DomainEvent(f"tag:{name}:removed", due, data={"tag": name}))
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
