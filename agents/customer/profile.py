"""Who the customer is: traits that shops send, the last word counts."""

from __future__ import annotations

from collections.abc import Mapping

from agents.context import Context, DomainEvent, Handler
from agents.customer import custom_fields, grounds
from agents.customer.names import MAX_FULL_NAME, greetable
from schemas.bounds import cut
from schemas.customer import Customer
from schemas.customer.person import PROFILE_BYTES, Profile
from schemas.events import Event
from schemas.events.person import Traits

_FIELDS = ("email", "name", "first_name", "last_name", "phone", "birthday", "locale", "zone",
           "country", "city", "mail_frequency")  # fmt: skip


def updated(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take over the traits that are given; what is absent stays."""
    apply_traits(customer, event, context)
    return []


def apply_traits(customer: Customer, event: Event, context: Context) -> None:
    """Take over the traits that are given, those too that are custom fields.

    What is said under a visitor's id of a customer's device only fills gaps.
    """
    traits: Traits = event.data
    custom_fields.apply_traits(customer, traits, context)
    fills_gaps = event.forwarded and grounds.is_of_visitor(event)
    for name in _FIELDS:
        value = getattr(traits, name)
        if not value or (fills_gaps and getattr(customer.profile, name)):
            continue
        if name == "email":
            grounds.take(customer, value, grounds.of_statement(event), context.now)
        else:
            setattr(customer.profile, name, cut(value, PROFILE_BYTES))


def set_field(
    customer: Customer, name: str, value: bool | int | float | str | None, context: Context
) -> None:
    """Set a profile field, `profile.city`, or a custom one; None takes it away."""
    group, _, field = name.partition(".")
    if group == "profile":
        _set(customer, field, "" if value is None else str(value), context)
        return
    custom_fields.put(customer, field or name, value, context)


def _set(customer: Customer, name: str, value: str, context: Context) -> None:
    """Keep what a workflow's step says, which is the shop's word."""
    if name != "email":
        setattr(customer.profile, name, cut(value, PROFILE_BYTES))
    elif value:
        grounds.take(customer, value, "account", context.now)
    else:
        customer.profile.email, customer.profile.ground = "", ""


def adopt(profile: Profile, other: Profile) -> None:
    """Fill the gaps from what a visitor had told; an address keeps its ground."""
    if not profile.email:
        profile.ground = other.ground
    for name in _FIELDS:
        if not getattr(profile, name):
            setattr(profile, name, getattr(other, name))


def first_name(profile: Profile) -> str:
    """Return how to address the customer, empty when nothing is known that looks like a name."""
    names = (profile.first_name.strip(), profile.name.strip().split(" ")[0])
    return next((name for name in names if greetable(name)), "")


def full_name(profile: Profile) -> str:
    """Return the customer's name for the To header, empty when nothing is known that looks like
    one."""
    names = (profile.name.strip(), f"{profile.first_name} {profile.last_name}".strip())
    return next((name for name in names if greetable(name, MAX_FULL_NAME)), "")


HANDLERS: Mapping[str, Handler] = {
    "customer.created": updated,
    "customer.updated": updated,
}
