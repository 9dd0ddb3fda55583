"""What the parts of a partition's work share: its clock, what is live, and whom it has changed.

One object for each partition, which `agents/partition/partition.py` makes and hands to the parts.
It also knows whose fault it is when something fails, and writes the dead letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from agents.context import Context
from agents.customer.visitors import VisitorExpiry
from agents.definitions.published import Definitions, Live
from agents.effects import Effect, refused, reported
from agents.partition.batch import BatchCounts, FailureSite, Poisoned
from agents.partition.cache import CacheMemory
from agents.partition.customers import Customers, stored_form
from agents.partition.failure_site import RECORD, SetAsideSites, WorkItem, WorkTrace
from agents.partition.held_back import HeldBackCustomers
from agents.partition.namespaces import Namespaces
from agents.partition.timers import Timers
from agents.products.catalogue import Catalogue, UnreadableProduct
from schemas.controls import control_record
from schemas.customer import Customer
from schemas.dead_letters import refuse
from schemas.events import RETRY, Event
from schemas.records import OutRecord, Record
from schemas.reference import of_visitor
from schemas.retry import Retry, encode_retry
from schemas.set_aside import SetAside
from schemas.stored import (
    NAMESPACE_DECISIONS_KEY,
    PRODUCT_PREFIX,
    Progress,
    unpack_namespace_decisions,
)
from schemas.topics import CUSTOMER_EVENTS

INTERNAL_ERROR = "internal_error"
"""Reason of a dead letter: a defect of ours."""

VISIT = 5
"""What a visit of a customer costs, in events: 250 µs of 50."""
PAUSE_EVERY = 200
"""Events, or as much work, between two pauses, also within a record: some 10 ms, so that whoever
else lives in the process (metrics, mails) goes on."""


class PartitionState:
    """One partition while records are applied."""

    def __init__(
        self,
        *,
        partition: int,
        load: Callable[[bytes], bytes | None],
        definitions: Definitions,
        progress: Progress,
        due: Iterable[tuple[int, bytes]],
        products: Iterable[tuple[bytes, bytes]],
        held_back: Iterable[tuple[bytes, bytes]],
        scan: Callable[[], Iterable[tuple[bytes, bytes]]],
        parse: Callable[[Record], Event],
        memory: CacheMemory,
    ) -> None:
        """As `PartitionActors` has it. Raises Poisoned when a live definition or a product can't be
        read."""
        self.partition = partition
        self.load = load
        self.definitions = definitions
        self.parse = parse
        self.offset = progress.next_offset
        """Of the next record."""
        self.now = progress.log_time
        """The highest append time so far."""
        self.set_aside = SetAsideSites(progress.set_aside)
        self.held_back = HeldBackCustomers(held_back, load, scan)
        self.item = RECORD
        self.trace: WorkTrace | None = None
        self.forgetting = VisitorExpiry(definitions.limits)
        self.forgetting.pass_to(progress.log_time)
        self.versions = dict(progress.live)
        self.followed = set(progress.followed)
        self.note_followed()
        self.catalogue = self._read_catalogue(products, progress.set_aside)
        self.changed_products: dict[str, bytes | None] = {}
        self.live = self._read_live(progress.set_aside)
        held = self.held_back.customers
        self.timers = Timers((at, key) for at, key in due if key not in held)
        self.customers = Customers(load, scan, memory, self.forgetting)
        self.visited: set[bytes] = set()
        """Whose `applied` is the current record's although they have to receive it still."""
        decisions = unpack_namespace_decisions(load(NAMESPACE_DECISIONS_KEY))
        self.namespaces = Namespaces(
            self.customers.peek, held, self.visited, decisions, self.offset
        )
        self.effects: list[Effect] = []
        self.counts = BatchCounts()
        self.work = 0
        """Work since the last pause, in events."""
        self.worked = 0
        """Work before that since changes were taken."""

    def done_with(self, record: Record) -> None:
        """Go on behind a record."""
        self.offset = record.offset + 1
        self.counts.append_times[record.timestamp] += 1

    def context(self) -> Context:
        """Return what actors know of the world from here on."""
        return Context(self.now, self.live, self.catalogue, self.effects)

    def pause(self) -> Iterator[bool]:
        """Pause in the middle of a record, if it is time to; nothing is to be taken here."""
        if self.work >= PAUSE_EVERY:
            self.worked += self.work
            self.work = 0
            yield False

    # Who has changed.

    def note_change(self, key: bytes, customer: Customer, offset: int) -> None:
        """A customer has been changed by the record at `offset`."""
        customer.applied = offset
        self.customers.note_change(key, customer)
        if self.trace is not None:
            self.trace.touch(key)
        if customer.runs or customer.watches or key in self.timers.entered:
            self.timers.schedule(key, customer.due())

    def begin(self, key: bytes, offset: int) -> None:
        """Nothing is known under this key any more, and the current record may be for it."""
        customer = self.customers.get(key)
        customer.become(Customer(key=key.decode()))
        self.timers.remove(key)
        self.note_change(key, customer, offset)
        self.visited.add(key)

    def adopt(self, bare: bytes, offset: int) -> None:
        """Let the visitor's record take over the one in doubt, of the same id."""
        name = bare.decode()
        key = of_visitor(name).encode()
        raw, visitor = self.customers.get(bare), self.customers.get(key)
        if visitor.applied < offset:  # else it had done so before a crash
            visitor.become(raw)
            visitor.key, visitor.weight = key.decode(), 0  # it is weighed again
            for mail in visitor.pending:
                mail.customer = mail.customer or name
            self.note_change(key, visitor, offset)
            self.visited.add(key)  # it has to receive the record yet
        self.begin(bare, offset)
        self.customers.note_left(bare, raw)

    # What is live.

    def make_live(self, versions: dict[str, str], context: Context) -> None:
        """Let these versions be live from here on."""
        self.live = context.live = self.definitions.live(versions)
        self.versions = versions

    def note_followed(self) -> None:
        """Runs of these may go by the live version from now on.

        By what was live in this log and by nothing else that is published, so that the same
        broadcasts wait wherever it is read.
        """
        follows = self.definitions.follows
        self.followed.update(id_ for id_, version in self.versions.items() if follows(id_, version))

    def leave_out(self, name: str) -> None:
        """A definition, by id and version, is not live any more."""
        id_, _, version = name.rpartition("@")
        if self.versions.get(id_) == version:
            del self.versions[id_]

    def forget_product(self, id_: str) -> bytes | None:
        """A product is not known any more; return what was kept of it."""
        stored = self.catalogue.remove(id_) or self.load(PRODUCT_PREFIX + id_.encode())
        self.changed_products[id_] = None
        return stored

    def _read_catalogue(
        self, kept: Iterable[tuple[bytes, bytes]], set_aside: Sequence[SetAside]
    ) -> Catalogue:
        begun = [each for each in set_aside if each.offset <= self.offset]
        without = {each.name for each in begun if each.what == "product"}
        try:
            return Catalogue(kept, without)
        except UnreadableProduct as error:
            site = FailureSite(self.offset, "product", error.product_id)
            raise Poisoned(site, error.__cause__ or error) from error

    def _read_live(self, set_aside: Sequence[SetAside]) -> Live:
        for each in set_aside:
            if each.what == "definition" and each.offset <= self.offset:
                self.leave_out(each.name)
        try:
            return self.definitions.live(self.versions)
        except Exception as error:
            culprit = self.definitions.culprit(self.versions)
            if culprit is None:
                raise
            raise Poisoned(
                FailureSite(self.offset, "definition", "@".join(culprit)), error
            ) from error

    # Whose fault it was.

    def begin_item(self, item: WorkItem) -> None:
        """Something else is done from now on."""
        self.item = item
        if self.trace is not None:
            self.trace.step(item, len(self.effects))

    def site(self, offset: int, item: WorkItem) -> FailureSite:
        """Return the failure site to set aside when this has failed at the record at `offset`."""
        site = FailureSite(offset, *item)
        if item.what in ("timer", "told") and self.set_aside.error(site) is not None:
            return FailureSite(offset, "customer", item.name)  # it can't even be given up
        return site

    def error(self, offset: int, item: WorkItem) -> str | None:
        """Return what was wrong with this at the record at `offset`; None if it isn't set aside."""
        return self.set_aside.error(FailureSite(offset, *item)) if self.set_aside.errors else None

    def verify_writable(self) -> None:
        """See to it that what the record has led to can be written, if that is asked for."""
        if self.trace is None:
            return
        for key, item in self.trace.touched.items():
            self.item = item
            stored_form(self.customers.get(key))
        for number in range(self.trace.start, len(self.effects)):
            self.item = self.trace.of_effect(number)
            _ = self.effects[number].record

    # Dead letters.

    def refuse(
        self,
        record: Record,
        reason: str,
        detail: str,
        effect: Callable[[OutRecord], Effect] = refused,
    ) -> None:
        """Write the dead letter of a record."""
        letter = refuse(record, reason=reason, detail=detail, time=self.now)
        self.effects.append(effect(letter))
        self.counts.refused[reason] += 1

    def report(
        self, offset: int, text: str, error: str, retry: Retry, reason: str = INTERNAL_ERROR
    ) -> None:
        """Write the dead letter of a site that isn't a record of its own."""
        key = retry.customer.encode() or None
        value = encode_retry(replace(retry, partition=self.partition))
        control = control_record(RETRY, value)._replace(key=key)
        record = Record(CUSTOMER_EVENTS, self.partition, offset, self.now, *control)
        self.refuse(record, reason, f"{text}: {error}", reported)
