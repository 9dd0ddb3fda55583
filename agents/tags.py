"""Tags: what a customer was marked with, and since when."""

from __future__ import annotations

from agents.context import Context, Occurred
from schemas.customer import TAGS_KEPT, Customer, Tag
from schemas.stored import NEVER

WATCH = "tags"
"""The customer's watch for the next tag that ends."""


def add(customer: Customer, name: str, lasts: int | None, context: Context) -> None:
    """Put a tag on, or let it last anew."""
    present = customer.tags.get(name)
    expires = NEVER if lasts is None else context.now + lasts
    if present is not None:
        present.expires = expires
        _watch(customer)
        return
    if len(customer.tags) >= TAGS_KEPT:
        oldest = min(customer.tags, key=lambda tag: (customer.tags[tag].added, tag))
        del customer.tags[oldest]
    customer.tags[name] = Tag(context.now, expires)
    _watch(customer)
    context.caused.append(Occurred(f"tag:{name}:added", context.now, data={"tag": name}))


def remove(customer: Customer, pattern: str, context: Context) -> list[str]:
    """Take a tag off, or with a trailing `*` all that begin so; return which."""
    if pattern.endswith("*"):
        names = sorted(name for name in customer.tags if name.startswith(pattern[:-1]))
    else:
        names = [pattern] if pattern in customer.tags else []
    for name in names:
        del customer.tags[name]
        context.caused.append(Occurred(f"tag:{name}:removed", context.now, data={"tag": name}))
    _watch(customer)
    return names


def expire(customer: Customer, context: Context) -> None:
    """Take off the tags whose time is over."""
    for name in sorted(n for n, tag in customer.tags.items() if tag.expires <= context.now):
        remove(customer, name, context)
    _watch(customer)


def adopt(customer: Customer, visitor: Customer) -> None:
    """Take over the tags of a visitor who turned out to be this customer."""
    customer.tags = {**visitor.tags, **customer.tags}
    _watch(customer)


def _watch(customer: Customer) -> None:
    """See to it that the next tag to end does."""
    ends = min((tag.expires for tag in customer.tags.values()), default=NEVER)
    if ends == NEVER:
        customer.watches.pop(WATCH, None)
    else:
        customer.watches[WATCH] = ends
