"""Who has an address, a cart id or a checkout id in common: what a customer keeps of the links that
it is registered at, and what the link's own actor keeps (`agents/links/`)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.bounds import InBytes, InNumber, Reference, Word

LINK_DAYS = 30
"""For how long, by the log's time, a cart or a checkout is remembered, and an order told of."""
LINK_BYTES = 41
"""Of a link's name: its kind, and 32 hex digits."""
REGISTRATIONS_KEPT = 32
"""Links that a customer is registered at: addresses of a life, carts and checkouts of a month."""
HOLDERS_BYTES = 2_400
"""Of all holders of a link: twenty customers and twenty visitors, whose ids are UUIDs."""
UNLINKED_BYTES = 20 * 8
"""Of each whom an operator has unlinked a hash of eight bytes."""
BOUGHT_KEPT = 40
"""Products of an order that others are told of."""
BOUGHT_BYTES = BOUGHT_KEPT * 8
"""Of each product a hash of eight bytes."""

SENT_KEPT = 20
"""Marketing mails under other ids that are remembered: more than a policy allows in a month."""
FORMER_KEPT = 2
"""Addresses of before whose links are remembered."""
ASKED_KEPT = 3
"""Mails that ask an address to confirm, in any ninety days."""


class Registration(msgspec.Struct, array_like=True, gc=False):
    """That a customer is registered at a link."""

    ground: int = 0
    """Of an address: on which it is the customer's, as its place in `Ground`."""
    time: int = 0
    """When it was told last, ms of the log's time."""
    shared: bool = False
    """Another one is registered there, too: what concerns the link is told to its actor."""
    cart_number: int = 0
    """Of a cart or a checkout: the number of the cart in which its id was named last."""
    ordered: int = 0
    """When the latest order was placed that named it; 0 when none was."""


class LastOrder(msgspec.Struct, array_like=True, gc=False):
    """The latest order that concerned a link."""

    customer: Reference
    """Whose it is; others are told of it."""
    time: int
    bought: Annotated[bytes, InBytes(BOUGHT_BYTES)] = b""
    """Hashes of its products, empty when they aren't known."""


class AddressStatements(msgspec.Struct, array_like=True, gc=False):
    """What was said of an address, when (ms)."""

    objected: int = 0
    """Marketing was refused: withdrawn, unsubscribed, complained."""
    agreed: int = 0
    """Somebody who owns the address said yes to marketing."""
    ended: int = 0
    """It was found to take no mail."""
    released: int = 0
    """A person decided that it takes mail again."""
    sent: Annotated[list[int], InNumber(SENT_KEPT)] = []
    """Marketing mails of late that were commanded to it, oldest first."""


class Links(msgspec.Struct, array_like=True, gc=False):
    """Both sides; a record has only one of them."""

    registrations: Annotated[
        dict[Annotated[str, InBytes(LINK_BYTES)], Registration], InNumber(REGISTRATIONS_KEPT)
    ] = {}
    """Of a customer or a visitor: the links that it is registered at, those told last at the end.
    """
    holders: Annotated[dict[Reference, int], InBytes(HOLDERS_BYTES)] = {}
    """Of a link's own actor: who is registered there, with the ground; the latest at the end."""
    visitors_many: bool = False
    """So many visitors have had it that it links none of them."""
    customers_many: bool = False
    """So many customers have had it that it links nobody. Of a customer: so many addresses were
    named with it that it is nobody in particular."""
    order: LastOrder | None = None
    said: AddressStatements | None = None
    """Of an address's own actor: what its holders have said of it. Of a customer: what it has said
    itself of its address, once others have it, too."""
    elsewhere: AddressStatements | None = None
    """Of a customer: what those others have said."""
    silenced: bool = False
    """Of a customer: they have refused marketing, and nobody who owns the address has said yes
    since."""
    address: Annotated[str, InBytes(LINK_BYTES)] = ""
    """Of a customer: the link of the address that the two are about."""
    former: Annotated[dict[Word, Annotated[str, InBytes(LINK_BYTES)]], InNumber(FORMER_KEPT)] = {}
    """Of a customer: the links of its addresses of before, by their hashes, for what is said in
    mails that went there."""
    asked: Annotated[list[int], InNumber(ASKED_KEPT)] = []
    """Of an address's own actor: when it was asked to confirm, oldest first."""
    unlinked: Annotated[bytes, InBytes(UNLINKED_BYTES)] = b""
    """Of a customer or a visitor: hashes of those who an operator says it is not."""
