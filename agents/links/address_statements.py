"""What holds for an address under whichever id it is: objections, the yes of who owns it, that it
takes no mail, and how much marketing it got.

As long as an address has one holder nothing is told; when that one has another address, what stands
against mails to the former one is left with it. Once its link says that there are several,
each tells its actor what was said under its id, and from then on what changes; the actor tells the
others and keeps the sum for those who come later. So an objection under one id ends marketing under
all, until somebody who owns the address says yes again, later; a mailbox that is at an end is so
for all; and what one was sent counts in the others' limits.

Of who has only typed an address nothing counts but what the page or the mailbox of a mail to that
address has said: else anybody could silence anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from agents.context import Context, DomainEvent
from agents.customer import derived_state, grounds, mailed
from agents.digests import derived_id, is_digest_of
from agents.effects import command, tell
from agents.links import names
from agents.links.registration import SOURCE, address_link
from schemas.addresses import same_address
from schemas.commands import SuppressCommand
from schemas.customer import Customer
from schemas.customer.consent import Consent
from schemas.customer.links import SENT_KEPT, AddressStatements, Links
from schemas.customer.person import Ground
from schemas.customer_parts import CustomerPart
from schemas.events import Event
from schemas.events.own import AddressSaid, AddressTold, LinkShared

_CONSENTS: frozenset[CustomerPart] = frozenset({"consents"})
_COMPARED = ("objected", "agreed", "ended", "released")


def shared(customer: Customer, event: Event, context: Context) -> None:
    """Others have one of the customer's links, too: of its address it tells all that counts."""
    data: LinkShared = event.data
    if customer.profile.email and data.link == address_link(customer.profile.email, context):
        _introduce(customer, data.link, event.id, context)


def hears_of(customer: Customer, link: str, cause: str, context: Context) -> bool:
    """Return whether a link is that of the customer's address; who has it alone hears of it only by
    who has had it before, and tells from then on."""
    mine = customer.profile.email
    if not customer.links.address and mine and link == address_link(mine, context):
        _introduce(customer, link, cause, context)
    return link == customer.links.address


def follow(customer: Customer, context: Context) -> None:
    """Tell what an event has changed of what was said of an address that others have, too."""
    _follow(customer, context)
    listen(customer, context)


def listen(customer: Customer, context: Context) -> None:
    """See whether what others have said leaves marketing to the customer's address allowed."""
    silenced = grounds.has_objected_elsewhere(customer)
    if silenced != customer.links.silenced:
        customer.links.silenced = silenced
        derived_state.changed(customer, _CONSENTS, context)


def _follow(customer: Customer, context: Context) -> None:
    links = customer.links
    link = address_link(customer.profile.email, context) if customer.profile.email else ""
    if link != links.address:
        links.address, links.said, links.elsewhere = "", None, None
        own = links.registrations.get(link)
        if own is not None and own.shared:
            _introduce(customer, link, context.cause, context)
        return
    said, now = links.said or AddressStatements(), _of(customer, context)
    if any(getattr(said, name) != getattr(now, name) for name in _COMPARED):
        links.said = now
        _let_the_mailer_know(customer, said, now, context)
        _say(customer, now, (), context.cause, context)


class Held(NamedTuple):
    """A customer's address before an event."""

    email: str
    ground: Ground
    suppressed: str


def held(customer: Customer) -> Held:
    """Return what address a customer has, and on what ground."""
    return Held(customer.profile.email, customer.profile.ground, customer.suppressed)


def leave(customer: Customer, before: Held, context: Context) -> None:
    """The customer has another address, or none: what stands of the former one is left with it, for
    whoever has it next. Of one that others have, too, it was told already."""
    if customer.became or same_address(before.email, customer.profile.email):
        return
    link = address_link(before.email, context)
    if customer.links.address == link:
        return
    consent, objected = customer.consents.get("marketing"), 0
    if consent is not None and not consent.given:
        ground = grounds.of_kept(customer, before.ground)
        objected = consent.time if _counts_on(ground, customer, consent) else 0
    data = AddressSaid(
        customer_id=customer.key,
        objected=objected,
        ended=context.now if before.suppressed == "bounced" else 0,
        former=True,
    )
    _say_of(link, data, context.cause, context)


def heard(
    customer: Customer,
    address: str,
    cause: str,
    context: Context,
    *,
    objected: int = 0,
    ended: int = 0,
) -> None:
    """What became of a mail to an address that need not be the customer's holds for all who have
    it: that marketing to it was refused, or that it takes no mail (ms)."""
    data = AddressSaid(customer_id=customer.key, objected=objected, ended=ended, former=True)
    _say_of(address_link(address, context), data, cause, context)


def objected_at(customer: Customer, hashed: str, time: int, cause: str, context: Context) -> None:
    """Whoever reads the mails of an address that the customer has had, known by its hash, has
    refused marketing at `time` (ms): that holds for all who have it."""
    link = customer.links.former.get(hashed)
    if link is not None:
        data = AddressSaid(customer_id=customer.key, objected=time, former=True)
        _say_of(link, data, cause, context)


def _say_of(link: str, data: AddressSaid, cause: str, context: Context) -> None:
    """Tell the actor of an address that need not be the customer's, if there is anything."""
    if data.objected or data.ended:
        receiver = names.PREFIX + link
        id_ = derived_id(cause, "said", receiver, data.customer_id)
        _send(receiver, "address.said", data, id_, context)


def said(link: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """As the address's actor: keep what a holder has said and tell the others; tell who is new what
    they have said."""
    data: AddressSaid = event.data
    links = link.links
    if not (data.former or data.customer_id in links.holders or _are_many(links)):
        return []
    known = links.said or AddressStatements()
    if data.asks and known != AddressStatements():
        _tell(link, data.customer_id, known, known.sent, event, context)
    links.said = added(known, data)
    for each in links.holders:
        if each != data.customer_id:
            _tell(link, each, data, data.sent, event, context)
    return []


def _are_many(links: Links) -> bool:
    """Whether an address has holders that are not listed."""
    return links.customers_many or links.visitors_many


def forbid_marketing(said: AddressStatements) -> bool:
    """Return whether marketing to an address was refused after the last yes, or none arrives."""
    return 0 < said.objected >= said.agreed or said.ended > said.released


def tell_what_was_said(link: Customer, receiver: str, event: Event, context: Context) -> None:
    """As the address's actor: tell what was said of it to one who is not told of each change."""
    said_ = link.links.said or AddressStatements()
    if any(getattr(said_, name) for name in _COMPARED):
        _tell(link, receiver, said_, (), event, context)


def tell_sent(link: Customer, customer_id: str, event: Event, context: Context) -> None:
    """As the address's actor: tell the others that a holder is sent marketing now."""
    for each in link.links.holders:
        if each != customer_id:
            _tell(link, each, AddressStatements(), (context.now,), event, context)


def _introduce(customer: Customer, link: str, cause: str, context: Context) -> None:
    if customer.links.address == link:
        return
    links, now = customer.links, _of(customer, context)
    links.address, links.said, links.elsewhere = link, now, None
    _let_the_mailer_know(customer, AddressStatements(), now, context)
    mailed.bring_up(customer, context.now)
    mails = [
        mail.time
        for mail in customer.sent
        if mail.mail_class == "marketing"
        and is_digest_of(mailed.address_of(customer, mail.command_id) or "", customer.profile.email)
    ]
    _say(customer, now, mails[-SENT_KEPT:], cause, context, asks=True)


def _let_the_mailer_know(
    customer: Customer, before: AddressStatements, now: AddressStatements, context: Context
) -> None:
    """What other holders have at the mailer may not leave any more, or may again."""
    if now.objected == before.objected and now.agreed == before.agreed:
        return
    ends = now.agreed > now.objected
    elsewhere = customer.links.elsewhere or AddressStatements()
    if ends and not (before.objected or elsewhere.objected):
        return  # nobody has objected
    suppress = SuppressCommand(
        id=derived_id("objection", context.cause, customer.key),
        time=context.now,
        customer=customer.key,
        email=customer.profile.email,
        scope="marketing",
        reason="objection",
        ends=ends or None,
    )
    context.effects.append(command(suppress))


def _of(customer: Customer, context: Context) -> AddressStatements:
    """Return what was said of the customer's address under this id, as far as it counts for all."""
    consent = customer.consents.get("marketing")
    before = customer.links.said or AddressStatements()
    statements = AddressStatements(
        ended=before.ended, released=before.released, objected=before.objected, agreed=before.agreed
    )
    owned = grounds.is_owned(customer)
    if consent is not None and consent.given and (owned or consent.stated):
        statements.agreed = max(statements.agreed, consent.time)
    if consent is not None and not consent.given and _counts_for_all(customer, consent):
        statements.objected = max(statements.objected, consent.time)
    if customer.suppressed == "bounced" and not has_ended(customer):
        is_new = customer.links.said is not None
        statements.ended = context.now if is_new else _ended_since(customer, context)
    elif not customer.suppressed and has_ended(customer):
        statements.released = context.now
    return statements


def _counts_for_all(customer: Customer, no: Consent) -> bool:
    return _counts_on(grounds.ground_of(customer), customer, no)


def _counts_on(ground: Ground, customer: Customer, no: Consent) -> bool:
    """Whether a no is more than that of somebody who has typed the address."""
    if grounds.is_at_least(ground, "ordered"):
        return True
    return any(each.mail and each.event_id == no.event_id for each in customer.evidence)


def has_ended(customer: Customer) -> bool:
    """Whether the customer's address takes no mail, as all of those say who have it: the latest
    word counts."""
    said = [each for each in (customer.links.said, customer.links.elsewhere) if each is not None]
    ended = max((each.ended for each in said), default=0)
    return ended > max((each.released for each in said), default=0)


def _ended_since(customer: Customer, context: Context) -> int:
    """Return since when an address has ended that the customer comes along with: who has had it in
    the meantime may know that it was released since."""
    return mailed.ended_since(customer, customer.profile.email) or context.now


def added(statements: AddressStatements, more: AddressSaid | AddressTold) -> AddressStatements:
    """Return what was said with what more was: of each the latest."""
    latest = {name: max(getattr(statements, name), getattr(more, name)) for name in _COMPARED}
    return AddressStatements(**latest, sent=sorted({*statements.sent, *more.sent})[-SENT_KEPT:])


def _say(
    customer: Customer,
    statements: AddressStatements,
    mails: Iterable[int],
    cause: str,
    context: Context,
    *,
    asks: bool = False,
) -> None:
    said = {name: getattr(statements, name) for name in _COMPARED}
    data = AddressSaid(customer_id=customer.key, **said, sent=tuple(mails), asks=asks)
    link = names.PREFIX + customer.links.address
    _send(link, "address.said", data, derived_id(cause, "said", link, customer.key), context)


def _tell(
    link: Customer,
    receiver: str,
    statements: AddressStatements | AddressSaid,
    mails: Iterable[int],
    cause: Event,
    context: Context,
) -> None:
    told_ = {name: getattr(statements, name) for name in _COMPARED}
    data = AddressTold(link=link.key.removeprefix(names.PREFIX), **told_, sent=tuple(mails))
    _send(receiver, "address.told", data, derived_id(cause.id, "told", receiver), context)


def _send(
    receiver: str, type_: str, data: AddressSaid | AddressTold, id_: str, context: Context
) -> None:
    message = tell(receiver, type_, data, id_=id_, source=SOURCE, time=context.now)
    context.effects.append(message)
