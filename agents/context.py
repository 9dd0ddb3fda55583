"""The context of an actor while it handles an event or a timer: the log's time, the definitions
that are live, and what is collected meanwhile (effects, domain events, counts)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.effects import Effect
from agents.products.catalogue import Catalogue
from agents.rules.evaluation import EvaluationContext
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.events import Event
from schemas.events.odd import OddField
from schemas.outcomes import MailVerdict, WhyIgnored

if TYPE_CHECKING:  # commands that read the log need to know who speaks, and no conditions
    from agents.definitions.published import Live


@dataclass(slots=True)
class Context:
    """Handed to every actor; `effects` collects what it asks for, in order."""

    now: int
    """The time of the log: the highest append time so far, ms since the epoch."""
    live: Live
    catalogue: Catalogue = field(default_factory=Catalogue)
    """The shop's products as the partition knows them."""
    effects: list[Effect] = field(default_factory=list)
    caused: list[DomainEvent] = field(default_factory=list)
    """What steps have caused, to be told within the same state change: a tag, a score, a list."""
    moving: list[Run] = field(default_factory=list)
    """Runs that were begun or let go on within this state change, and are to go on in it."""
    begun: int = 0
    """How many runs of the customer have been begun within this state change."""
    cause: str = ""
    """Id of the event at hand, empty when a timer is."""
    traceparent: str = ""
    """Of the event at hand; empty when it has none, or a timer is."""
    begins: bool = True
    """Whether what happens may begin runs; history that is loaded afterwards begins none."""
    told: set[str] = field(default_factory=set)
    """Segments' changes that workflows were told of within this state change."""
    odd_fields: list[OddField] = field(default_factory=list)
    """Custom fields whose value was of another type, or had no room, to be counted."""
    failures: list[str] = field(default_factory=list)
    """Expressions that failed, to be counted."""
    missing_rates: set[str] = field(default_factory=set)
    """Currencies that the condition at hand could not compare for want of a rate."""
    ignored: list[tuple[MailVerdict, WhyIgnored]] = field(default_factory=list)
    """What came back of mails and did not count, to be counted."""
    shared_by_many: list[str] = field(default_factory=list)
    """Kinds of links that so many have that they are nobody's from now on, to be counted."""
    size: int = 0
    """Bytes of the event at hand as it lay in the log."""
    has_visitor: bool = False
    """Whether a visitor of the same id is known, where the event at hand erases a customer."""

    def begin_change(self, cause: str = "", *, begins: bool = True, traceparent: str = "") -> None:
        """Begin another state change."""
        self.begun, self.cause, self.begins, self.traceparent = 0, cause, begins, traceparent
        self.told.clear()

    def evaluation(
        self,
        customer: Customer,
        run: Run | None = None,
        event: Mapping[str, Any] | None = None,
        shop: str = "",
    ) -> EvaluationContext:
        """Return whom and what a condition is asked about now; a run has its first event. `shop`:
        whose order numbers are in the event."""
        if event is None:
            event = {} if run is None else run.event
        return EvaluationContext(
            customer, self.now, run, event, self.live, self.failures, shop, self.missing_rates
        )

    def without_rates(self) -> str:
        """Return which currencies the last condition could not compare, in a few words."""
        return f"no rate: {', '.join(sorted(self.missing_rates))}" if self.missing_rates else ""

    def listens(self, customer: Customer, name: str) -> bool:
        """Return whether any live workflow, or a run of the customer, wants to know of it."""
        if name in self.live.by_trigger:
            return True
        if name not in self.live.definitions.listens_to:
            return False
        runs = customer.runs + customer.finished
        if not runs:
            return False
        find = self.live.definitions.find
        for run in runs:
            published = find(run.workflow, run.version)
            if published is not None and name in published.program.listens_to:
                return True
        return False

    def when(self, time: int | None) -> int:
        """Return when something happened: as the sender says, but never after the log's time.

        A device whose clock is ahead can't reach into the future of the log.
        """
        return self.now if time is None or time > self.now else time


class DomainEvent(NamedTuple):
    """Something happened that runs may wait for, in terms of the customer's state."""

    name: str
    """An `Occurrence` of `schemas/definitions/triggers.py`, or another `trigger_key`."""
    time: int
    order_id: str = ""
    cart: int = 0
    list: str = ""
    product_ids: Sequence[str] = ()
    begins: bool = True
    """Whether it may begin runs, or only concerns those that there are."""
    data: Mapping[str, Any] = {}
    """Its properties, as plain values as in JSON."""
    id: str = ""
    """Of what it follows from, when that isn't the event at hand."""
    shop: str = ""
    """Whose order number it is; empty where there is but one shop
    (`agents/customer/deduplication.py`)."""
    undone: str = ""
    """Of an order that was given back or called off before it came: which of the two, as an
    occurrence. It begins nothing, and that is said."""
    elsewhere: bool = False
    """Of an order: placed under another id, by who has the same cart, checkout or address. It ends
    what an order ends, and no goal is reached by it."""


Handler = Callable[[Customer, Event, Context], list[DomainEvent]]
"""Does what an event of one type means: changes the customer, and returns what its runs may be
waiting for. Each module lists those that it has, `HANDLERS`; the actor has them all."""
