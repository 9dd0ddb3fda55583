"""What a kind of shop does for us, whichever it is.

A connector is made of a connection and keeps nothing that another process would need. `receive`
reads a webhook and must be quick: it asks the shop only where the webhook says too little. Of
`changed` and `history` each page says from where to go on once it is durable. `setup` and `check`
are for a person.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from schemas.events import Event
from schemas.failures import Failure
from schemas.products import Product
from schemas.validation import Unreadable
from streams.connect.connection import ShopConnection
from streams.connect.facts import source_of
from streams.connect.shop_memory import ShopMemory, ShopNotes
from streams.operate.check import Check, CheckStatus


class ShopUnavailable(Failure):
    """The shop does not answer as it should; the text says what was asked and what came, without
    keys. To be tried again later."""

    def __init__(self, text: str, *, unreached: bool = False) -> None:
        """`unreached`: there is no way to where it is said to be."""
        super().__init__(text)
        self.unreached = unreached


class ShopRefuses(Failure):
    """The shop won't: a wrong key, a right that is missing. Trying again is of no use."""


class UnreadResource(NamedTuple):
    """An order or the like that is signed or was asked for, and can't be understood."""

    body: bytes
    why: Unreadable
    key: bytes | None = None
    """Whom it is about, as far as that can be read, so that an erasure finds it."""
    resource: str = ""
    """What `body` is a row of, `orders`; empty where it is a whole webhook."""
    id: str = ""
    """The shop's, as far as that can be read."""


class NewsOrigin(NamedTuple):
    """How news have come."""

    connection: str
    source: str
    """Of its events."""
    topic: str = ""
    """Of the webhook that brought them; empty of what was asked for."""
    history: bool = False


@dataclass(slots=True)
class ShopNews:
    """What a shop has told, in our terms."""

    events: list[Event] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    """Ids of products that are no more."""
    complete: list[str] = field(default_factory=list)
    """Ids of products all of whose variants are among `products`: others are no more."""
    unread: list[UnreadResource] = field(default_factory=list)
    became: dict[str, int] = field(default_factory=dict)
    """When what these events tell became so, ms by event id, where that is later than their time:
    a purchase that was paid for days after it was placed."""
    notes: ShopNotes = field(default_factory=ShopNotes)
    """What later looks have to know, once all of this is durable."""
    passed_over: int = 0
    """Resources that are nobody's or a test's, and so become nothing."""

    def add(self, other: ShopNews) -> None:
        """Take in what another resource has told."""
        self.events += other.events
        self.products += other.products
        self.gone += other.gone
        self.complete += other.complete
        self.unread += other.unread
        self.became |= other.became
        self.notes.add(other.notes)
        self.passed_over += other.passed_over


class ShopDelivery(NamedTuple):
    """A webhook as it came."""

    headers: Mapping[str, str]
    """By name in any spelling."""
    body: bytes
    received: int
    """When, ms since the epoch."""


DeliveryOutcome = Literal[
    "taken",  # it is, or becomes, events or products
    "ignored",  # signed, and nothing for us
    "passed_over",  # a test order, or nobody's
    "unsigned",  # no signature, or a wrong one
    "unreadable",  # signed, and not to be understood: a dead letter
    "later",  # the shop or the log doesn't answer: the shop is to send it again
    "tested",  # a self-test of ours
]


class DeliveryAnswer(NamedTuple):
    """What becomes of a webhook."""

    outcome: DeliveryOutcome
    news: ShopNews | None = None
    """Appended before the shop is told 200."""
    topic: str = ""
    body: Mapping[str, object] = {}
    """What is answered."""
    verified: bool = True
    """Whether it is sure that the shop has sent it, unless the outcome says that it isn't."""


class ShopPage(NamedTuple):
    """What one answer of a shop's has told."""

    news: ShopNews
    cursor: str
    """From where to go on once it is durable."""
    rows: int
    total: int | None = None
    """Of all that there is to read, where the shop says so."""


def not_asked(connection: ShopConnection, error: ShopUnavailable | ShopRefuses, keys: str) -> Check:
    """Return the check of a shop that could not be asked. `keys`: the field that says where its key
    is."""
    if isinstance(error, ShopRefuses):
        remedy = f"is the key right, and may it do this? It is named in {connection.place(keys)}"
    elif error.unreached:
        remedy = f"is the address right? It stands in {connection.place(connection.address_field)}"
    else:
        remedy = "the shop is there and doesn't answer as it should: try again later"
    return Check("shop", CheckStatus.FAIL, str(error), remedy)


SELF_TEST = "ritorno_test"
"""The one field of a self-test's body: what the answer has to repeat."""


class ShopConnector(ABC):
    """A connection that is in use. `close` it."""

    resources: Sequence[str] = ()
    """What can be asked for: `orders`, `customers`…, in the order in which it is read."""

    def __init__(self, connection: ShopConnection) -> None:
        self.connection = connection
        self.memory = ShopMemory()

    @property
    def source(self) -> str:
        """Return the source of the shop's events: `shopify:negozio.myshopify.com`."""
        return source_of(self.connection.kind, self.connection.host)

    @property
    def has_receiver(self) -> bool:
        """Whether the shop sends webhooks that can be believed."""
        return True

    @property
    def can_ask(self) -> bool:
        """Whether there is a key with which the shop can be asked."""
        return True

    @abstractmethod
    async def receive(self, delivery: ShopDelivery) -> DeliveryAnswer:
        """Read a webhook. Raises ShopUnavailable: it is to be sent again."""

    @abstractmethod
    def changed(
        self, resource: str, cursor: str, *, since: int, now: int
    ) -> AsyncIterator[ShopPage]:
        """Yield what has changed since `cursor`, an earlier page's; where that is empty, since the
        instant `since` (ms). Ends where nothing more has. Raises ShopUnavailable, ShopRefuses."""

    @abstractmethod
    def history(self, resource: str, cursor: str) -> AsyncIterator[ShopPage]:
        """Yield all there is behind `cursor`, which is empty at first; the events need not say that
        they are history. Raises ShopUnavailable, ShopRefuses."""

    @abstractmethod
    async def read_again(self, resource: str, body: bytes, *, time: int, history: bool) -> ShopNews:
        """Return what a row of `resource` tells that could not be understood when it came, at
        `time` (ms). Raises Unreadable, ShopUnavailable, ShopRefuses."""

    @abstractmethod
    async def receive_again(self, topic: str, body: bytes, *, time: int) -> ShopNews | None:
        """Return what a webhook tells that could not be understood when it came; None where it is
        nothing of ours. Its signature was checked then. Raises as `read_again` does."""

    @abstractmethod
    async def setup(self) -> Sequence[Check]:
        """Make the subscriptions that are missing; say what there is. Raises ShopUnavailable,
        ShopRefuses."""

    @abstractmethod
    async def check(self) -> Sequence[Check]:
        """Look at everything, and switch on again what the shop has switched off. Never raises
        ShopUnavailable or ShopRefuses: that is what it tells."""

    def self_test(self, body: bytes) -> Mapping[str, str] | None:
        """Return the headers with which the shop would send `body`, signed; None where it sends
        nothing."""
        del body
        return None

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """Return what the shop wants to have back when it asks whether the endpoint is ours (GET
        with this query); None where it doesn't ask so."""
        del query
        return None

    def keep_in(self, directory: Path) -> None:
        """Say where lies what a poll has to know of those before it, beside its cursors."""
        self.memory.close()
        self.memory = ShopMemory.of_shop(directory, self.connection.name)

    def heard(self, news: ShopNews) -> None:
        """Note for later looks what is durable by now. Raises Failure."""
        self.memory.note(news.notes)

    async def close(self) -> None:
        """Hang up."""
        self.memory.close()
