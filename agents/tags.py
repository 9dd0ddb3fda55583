"""Tags: what a customer was marked with, and since when."""

from __future__ import annotations

from agents.context import Context, Occurred
from schemas.customer import Customer, Tag
from schemas.stored import NEVER

TAGS_KEPT = 100
"""The oldest give way, so that no workflow's `interest:{…}` can fill a record."""


def add(customer: Customer, name: str, lasts: int | None, context: Context) -> None:
    """Put a tag on, or let it last anew."""
    present = customer.tags.get(name)
    expires = NEVER if lasts is None else context.now + lasts
    if present is not None:
        present.expires = expires
        return
    if len(customer.tags) >= TAGS_KEPT:
        oldest = min(customer.tags, key=lambda tag: (customer.tags[tag].added, tag))
        del customer.tags[oldest]
    customer.tags[name] = Tag(context.now, expires)
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
    return names
