"""Who the customer is: traits that shops send; of each the newest statement counts
(`statements.py`)."""

from __future__ import annotations

from collections.abc import Mapping

from agents.context import Context, DomainEvent, Handler
from agents.customer import custom_fields, grounds, statements, tags
from agents.customer.names import MAX_FULL_NAME, greetable
from schemas.addresses import same_address
from schemas.bounds import cut
from schemas.customer import Customer
from schemas.customer.person import PROFILE_BYTES, Ground, Profile, StatedAt
from schemas.events import Event
from schemas.events.person import Traits

_TEXTS = ("name", "first_name", "last_name", "phone", "birthday", "locale", "zone", "country",
          "city", "mail_frequency")  # fmt: skip
_FIELDS = ("email", *_TEXTS)


def updated(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take over the traits that are given; what is absent stays."""
    apply_traits(customer, event, context)
    return []


def apply_traits(customer: Customer, event: Event, context: Context) -> None:
    """Take over the traits that an event states, those too that are custom fields. Null and an
    empty text take one away. What is said under a visitor's id of a customer's device takes no
    place of what the shop has said."""
    traits: Traits = event.data
    said = statements.of(event, context)
    if event.forwarded and said.typed and _is_anothers(customer, traits.email):
        return
    custom_fields.apply_traits(customer, traits, said, context)
    extra = traits.model_extra
    if extra and "tags" in extra:
        tags.state(customer, extra["tags"], said, context)
    given = traits.given()
    for name in _FIELDS:  # in their order, so that the record has the same bytes everywhere
        if name in given:
            state(customer, name, getattr(traits, name) or "", said, context)


def _is_anothers(customer: Customer, email: str | None) -> bool:
    """Whether who speaks on a customer's device is somebody else, by the address given."""
    mine = customer.profile.email
    return bool(email and mine) and not same_address(email or "", mine)


def state(customer: Customer, name: str, value: str, said: StatedAt, context: Context) -> None:
    """Take over what was stated of a trait, if it is the newest statement; an empty text takes it
    away. A text is kept as far as there is room; an address whole, or not at all."""
    if name == "email":
        ground: Ground = "typed" if said.typed else "account"
        if value:
            grounds.take(customer, value, ground, said, context.now)
        else:
            grounds.take_away(customer, ground, said, context.now)
        return
    known = bool(getattr(customer.profile, name))
    if statements.is_newest(customer, name, said, known=known, gives=bool(value)):
        statements.note(customer, name, said)
        setattr(customer.profile, name, cut(value, PROFILE_BYTES))


def set_field(
    customer: Customer, name: str, value: bool | int | float | str | None, context: Context
) -> None:
    """Set a profile field, `profile.city`, or a custom one; None takes it away."""
    group, _, field = name.partition(".")
    said = statements.of_step(context)
    if group == "profile":
        state(customer, field, "" if value is None else str(value), said, context)
        return
    custom_fields.put(customer, field or name, value, said, context)


def adopt(customer: Customer, visitor: Customer, now: int) -> None:
    """Take over what a visitor had told, as far as it is newer or fills a gap; `now`: the time of
    the log, ms."""
    grounds.adopt(customer, visitor, now)
    mine, theirs = customer.profile, visitor.profile
    for name in _TEXTS:
        known, value, said = getattr(mine, name), getattr(theirs, name), visitor.stated.get(name)
        if said is None:
            if not known and name not in customer.stated:
                setattr(mine, name, value)
        elif statements.is_newest(customer, name, said, known=bool(known), gives=bool(value)):
            statements.note(customer, name, said)
            setattr(mine, name, value)


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
