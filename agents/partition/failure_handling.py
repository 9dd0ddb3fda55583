"""Failure handling of a partition's actors: what fails twice is passed over or held back, reported,
and can be tried again.

Whatever failed twice stands in the progress as a failure site (`schemas/set_aside.py`). There it is
passed over, and a dead letter says so. The letter of a site that isn't a record of its own holds a
`ritorno.retry` record: sent again, it has what was passed over tried at its own offset in the log.
Live and replay know the same sites, and so decide the same.

    record       refused                                     again: as the record that it is
    timer        the runs whose step it was are ended        again: they go on as they were
    told         the customer doesn't learn of the change    again: learns of it
    customer     held back (`held_back.py`)                  again: what has waited is applied
    waiting      refused, the others that waited are not     again: as the record that it is
    definition   not live any more                           again: live, unless another version is
    product      not known any more                          again: known, unless the feed was newer
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from msgspec.structs import replace

from agents.context import Context, EventRefused
from agents.customer import actor, identity, size_guard, speaker
from agents.customer.visitors import VisitorExpiry
from agents.definitions.published import Definitions, Live
from agents.effects import Effect, refused, reported
from agents.partition.batch import BatchCounts, FailureSite, Poisoned
from agents.partition.budget import NO_BUDGET, Budget
from agents.partition.customers import Customers, UnreadableCustomer, stored_form
from agents.partition.failure_site import RECORD, WorkItem, WorkTrace
from agents.partition.held_back import ERASURES, VISITORS, HeldBackCustomers
from agents.partition.namespaces import Namespaces, addressed_to
from agents.partition.set_aside import SetAsideSites
from agents.partition.timers import Timers
from agents.products.catalogue import Catalogue, UnreadableProduct
from schemas.controls import control_record
from schemas.customer import Customer
from schemas.dead_letters import refuse
from schemas.events import RETRY, Event
from schemas.pending_work import Broadcast, CatalogueChange
from schemas.records import OutRecord, Record
from schemas.reference import is_visitors
from schemas.retry import Retry, decode_retry, encode_retry
from schemas.set_aside import SetAside
from schemas.topics import CUSTOMER_EVENTS
from schemas.validation import Unreadable

INTERNAL_ERROR = "internal_error"
HELD_BACK = "held_back"
"""Reasons of dead letters: a defect of ours, and no room for what waits because of one."""


class FailureHandling:
    """The part of `PartitionActors` that deals with what was set aside."""

    _partition: int
    _now: int
    _offset: int
    _set_aside: SetAsideSites
    _held_back: HeldBackCustomers
    _namespaces: Namespaces
    _forgetting: VisitorExpiry
    _item: WorkItem
    _trace: WorkTrace | None
    _definitions: Definitions
    _versions: dict[str, str]
    _followed: set[str]
    _live: Live
    _catalogue: Catalogue
    _changed_products: dict[str, bytes | None]
    _customers: Customers
    _timers: Timers
    _visited: set[bytes]
    _effects: list[Effect]
    _counts: BatchCounts
    _parse: Callable[[Record], Event]

    # What fails before a record is read.

    def _read_catalogue(
        self, kept: Iterable[tuple[bytes, bytes]], set_aside: Sequence[SetAside]
    ) -> Catalogue:
        begun = [each for each in set_aside if each.offset <= self._offset]
        without = {each.name for each in begun if each.what == "product"}
        try:
            return Catalogue(kept, without)
        except UnreadableProduct as error:
            site = FailureSite(self._offset, "product", error.product_id)
            raise Poisoned(site, error.__cause__ or error) from error

    def _read_live(self, set_aside: Sequence[SetAside]) -> Live:
        for each in set_aside:
            if each.what == "definition" and each.offset <= self._offset:
                self._leave_out(each.name)
        try:
            return self._definitions.live(self._versions)
        except Exception as error:
            culprit = self._definitions.culprit(self._versions)
            if culprit is None:
                raise
            raise Poisoned(
                FailureSite(self._offset, "definition", "@".join(culprit)), error
            ) from error

    # Whose fault it was.

    def _begin_item(self, item: WorkItem) -> None:
        self._item = item
        if self._trace is not None:
            self._trace.step(item, len(self._effects))

    def _site(self, offset: int, item: WorkItem) -> FailureSite:
        site = FailureSite(offset, *item)
        if item.what in ("timer", "told") and self._set_aside.error(site) is not None:
            return FailureSite(offset, "customer", item.name)  # it can't even be given up
        return site

    def _verify_writable(self) -> None:
        """See to it that what the record has led to can be written, if that is asked for."""
        if self._trace is None:
            return
        for key, item in self._trace.touched.items():
            self._item = item
            stored_form(self._customers.get(key))
        for number in range(self._trace.start, len(self._effects)):
            self._item = self._trace.of_effect(number)
            _ = self._effects[number].record

    def site_of_effect(self, number: int) -> FailureSite:
        """Return where an effect comes from, by its number; the last record was verified."""
        assert self._trace is not None
        return self._site(self._offset - 1, self._trace.of_effect(number))

    def site_of_state(self, key: bytes) -> FailureSite:
        """Return what has led to the state of a customer; the last record was verified."""
        assert self._trace is not None
        return self._site(self._offset - 1, self._trace.touched.get(key, RECORD))

    # Passing over.

    def _pass_over(self, record: Record, context: Context) -> None:
        """Do without what is set aside from this record on."""
        for site in self._set_aside.beginning(record.offset):
            if site.what == "customer":
                self._held_back.hold_back(site.name.encode(), site)
                retry, text = Retry(customer=site.name), "a customer is held back"
            elif site.what == "definition":
                self._leave_out(site.name)
                self._live = context.live = self._definitions.live(self._versions)
                retry, text = Retry(definition=site.name), f"{site.name} is not live any more"
            else:
                retry, text = self._forget_product(site.name), "a product is not known any more"
            self._report(record.offset, text, site.error, retry)

    def _leave_out(self, name: str) -> None:
        id_, _, version = name.rpartition("@")
        if self._versions.get(id_) == version:
            del self._versions[id_]

    def _forget_product(self, id_: str) -> Retry:
        stored = self._catalogue.remove(id_) or self._kept_product(id_)
        self._changed_products[id_] = None
        return Retry(product=stored or b"")

    def _report(
        self, offset: int, text: str, error: str, retry: Retry, reason: str = INTERNAL_ERROR
    ) -> None:
        """Write the dead letter of a site that isn't a record of its own."""
        key = retry.customer.encode() or None
        value = encode_retry(replace(retry, partition=self._partition))
        control = control_record(RETRY, value)._replace(key=key)
        record = Record(CUSTOMER_EVENTS, self._partition, offset, self._now, *control)
        self._refuse(record, reason, f"{text}: {error}", reported)

    def _refuse(
        self,
        record: Record,
        reason: str,
        detail: str,
        effect: Callable[[OutRecord], Effect] = refused,
    ) -> None:
        letter = refuse(record, reason=reason, detail=detail, time=self._now)
        self._effects.append(effect(letter))
        self._counts.refused[reason] += 1

    # Customers who are held back.

    def _let_wait(self, event: Event, key: bytes, record: Record) -> None:
        if self._held_back.includes(key, record.offset):
            self._counts.events[event.type, "repeated"] += 1
        elif self._held_back.wait(key, record, _share(event, key)):
            self._counts.events[event.type, "waiting"] += 1
        else:
            text = "the customer is held back, and no more events can wait"
            self._refuse(record, HELD_BACK, text)

    def _begins_anew(self, event: Event, key: bytes) -> bool:
        """Whether an erasure ends it: what is kept and what waits are to be forgotten anyway. Not
        one of a visitor who may be somebody else than whoever is held back under the bare id."""
        if event.type not in actor.ERASES or event.customer.encode() != key:
            return False
        self._held_back.release(key, CUSTOMER_EVENTS, self._partition)
        self._customers.begin_anew(key)
        return True

    def _release(self, key: bytes, retry: Retry, record: Record, context: Context) -> None:
        """Apply what has waited, if what is kept can be read now.

        Each event goes where it would have gone: under a customer's id a visitor's may wait. The
        record under that id is written behind the visitor's: where it is, so is the other.
        """
        if (
            self._set_aside.error(FailureSite(record.offset, "customer", retry.customer))
            is not None
        ):
            return  # it can't: the customer stays held back
        self._begin_item(WorkItem("customer", retry.customer))
        customer = self._fresh_or_kept(key, retry, record.offset)
        waiting, damaged = self._held_back.release(key, CUSTOMER_EVENTS, self._partition)
        if record.offset <= customer.applied:  # before a crash all this was done
            self._timers.schedule(key, customer.due())
            return
        for offset in damaged:
            lost = Record(CUSTOMER_EVENTS, self._partition, offset, self._now, key, None)
            self._refuse(lost, INTERNAL_ERROR, "what is kept of this event can't be read")
        applied = customer.applied
        self._note_change(key, customer, record.offset)
        self._visited.add(key)
        events = [(each, event) for each in waiting if (event := self._read_late(each, record))]
        erasures = _erasures(events)
        for each, event in events:
            self._begin_item(WorkItem("waiting", str(each.offset)))
            erased = {name for name, offset in erasures.items() if offset > each.offset}
            try:
                self._apply_late(key, applied, each, event, erased, record.offset, context)
            except (Unreadable, EventRefused) as refusal:
                self._refuse(each, refusal.reason, refusal.detail)
        self._begin_item(WorkItem("customer", retry.customer))
        customer = self._customers.get(key)
        self._customers.note_left(key, customer)
        self._timers.schedule(key, customer.due())

    def _fresh_or_kept(self, key: bytes, retry: Retry, offset: int) -> Customer:
        try:
            kept = self._customers.get(key)
        except UnreadableCustomer:
            if not retry.afresh:
                raise
        else:
            if not retry.afresh or kept.applied >= offset:
                return kept
        return self._customers.begin_anew(key)

    def _read_late(self, each: Record, record: Record) -> Event | None:
        """Return an event that has waited until `record`; None when it is refused."""
        self._begin_item(WorkItem("waiting", str(each.offset)))
        error = self._set_aside.error(FailureSite(record.offset, "waiting", str(each.offset)))
        if error is not None:
            self._refuse(each, INTERNAL_ERROR, error)
            return None
        try:
            event = self._parse(each)
        except Unreadable as refusal:
            self._refuse(each, refusal.reason, refusal.detail)
            return None
        return event if event.time is not None else event._replace(time=each.timestamp)

    def _apply_late(
        self,
        held_key: bytes,
        applied: int,
        each: Record,
        event: Event,
        erased: Container[str],
        offset: int,
        context: Context,
    ) -> None:
        """Apply an event at `offset` that has waited at the record `held_key`, of which `applied`
        was the last one. Raises EventRefused, having changed nothing."""
        event, key = self._address_late(held_key, each, event, offset, context)
        if key == held_key and each.offset <= applied:
            return  # ahead of the log already when a crash came and the next could not read
        if key in self._held_back.customers:
            raise EventRefused(HELD_BACK, "it is for another who is held back")
        customer = self._customers.get(key)
        if key not in self._visited and offset <= customer.applied:  # before a crash it was done
            self._counts.events[event.type, "repeated"] += 1
            return
        self._visited.add(key)
        context.size = len(each.value or b"")
        was_customers = customer.heard == 0 and speaker.was_customers(customer)
        if identity.becomes(customer, event) in erased and not customer.became:
            actor.forget(customer, context)  # it was the one's who is erased
        effects = len(context.effects)
        new = size_guard.receive(customer, event, context)
        asked = context.effects[effects:]
        context.effects[effects:] = [each for each in asked if not _tells(each, erased)]
        if customer.first_seen:
            customer.heard = self._forgetting.today
            customer.is_customer |= was_customers
        self._note_change(key, customer, offset)
        self._counts.events[event.type, "applied" if new else "repeated"] += 1

    def _address_late(
        self, held_key: bytes, each: Record, event: Event, offset: int, context: Context
    ) -> tuple[Event, bytes]:
        """Return an event that has waited as the one that it is for its record, and its key."""
        if is_visitors(held_key.decode()):
            return addressed_to(held_key.decode(), event), held_key
        whom = self._namespaces.address(event, event.customer.encode(), offset, each.offset)
        if whom is None:
            return event, held_key
        if whom.adopts:
            self._adopt(held_key, offset, NO_BUDGET, context)
        elif whom.begins:
            self._begin(held_key, offset)
        return whom.event, whom.key

    # Trying again.

    def _try_again(self, record: Record, context: Context) -> Broadcast | None:
        """Try again what a control record names; return what many customers are to be told of."""
        try:
            retry = decode_retry(record.value)
        except ValueError as error:
            raise EventRefused("invalid_event", str(error)[:200]) from None
        if retry.partition not in (None, self._partition):
            problem = f"partition: it is to be tried again in another (got {retry.partition})"
            raise EventRefused("misplaced", problem)
        retry = replace(retry, partition=None)
        if retry.definition:
            self._make_live_again(retry.definition, context)
        elif retry.product:
            if (id_ := self._catalogue.restore(retry.product, record.offset)) is not None:
                self._changed_products[id_] = None
        elif retry.customer:
            self._try_customer_again(retry, record, context)
        elif retry.news or retry.workflows:
            return Broadcast(record.offset, self._now, retry.news, retry.workflows)
        return None

    def _make_live_again(self, name: str, context: Context) -> None:
        id_, _, version = name.rpartition("@")
        if id_ not in self._versions:
            versions = {**self._versions, id_: version}
            self._live = context.live = self._definitions.live(versions)
            self._versions = versions
            self._note_followed()

    def _note_followed(self) -> None:
        """Runs of these may go by the live version from now on.

        By what was live in this log and by nothing else that is published, so that the same
        broadcasts wait wherever it is read.
        """
        follows = self._definitions.follows
        self._followed.update(
            id_ for id_, version in self._versions.items() if follows(id_, version)
        )

    def _try_customer_again(self, retry: Retry, record: Record, context: Context) -> None:
        key = retry.customer.encode()
        bare = retry in (Retry(customer=retry.customer), Retry(retry.customer, afresh=True))
        if key in self._held_back.customers:
            if bare:
                self._release(key, retry, record, context)
            else:
                self._refuse(record, HELD_BACK, "the customer is held back: try that again first")
            return
        if bare:
            return
        customer = self._customers.get(key)
        if record.offset <= customer.applied and key not in self._visited:
            return

        def taking() -> bool:
            changed = actor.take_up(customer, retry, context)
            return self._take_in(customer, self._now, retry.news, retry.follow, context) or changed

        try:
            if size_guard.take_in(customer, len(record.value or b""), context, taking):
                self._note_change(key, customer, record.offset)
        except EventRefused as error:
            self._refuse(record, error.reason, error.detail)

    def _take_in(
        self,
        customer: Customer,
        time: int,
        news: Sequence[CatalogueChange],
        follows: bool,
        context: Context,
    ) -> bool:
        """Tell a customer of changes that the feed brought at `time`, and of other versions."""
        changed = follows and actor.follow(customer, context)
        if news:
            changed |= actor.products_changed(customer, news, time, context)
        return changed

    # What PartitionActors has.

    def _note_change(self, key: bytes, customer: Customer, offset: int) -> None:
        raise NotImplementedError

    def _kept_product(self, id_: str) -> bytes | None:
        raise NotImplementedError

    def _adopt(self, bare: bytes, offset: int, budget: Budget, context: Context) -> None:
        raise NotImplementedError

    def _begin(self, key: bytes, offset: int) -> None:
        raise NotImplementedError


def _share(event: Event, key: bytes) -> float:
    """Return the part of the room that there is up to which an event may wait. Whoever is held back
    may be a customer, and anybody can speak as a visitor of the same id; an erasure is heard."""
    if event.type in actor.ERASES:
        return ERASURES
    return VISITORS if speaker.by_visitor(event) and not is_visitors(key.decode()) else 1


def _erasures(events: Iterable[tuple[Record, Event]]) -> dict[str, int]:
    """Return the customers of whose erasure a visitor is told by these events, and where last."""
    asked = ((each, event) for each, event in events if event.type == "visitor.forgotten")
    return {event.data.customer_id: each.offset for each, event in asked}


def _tells(effect: Effect, customers: Container[str]) -> bool:
    """Whether it tells one of these customers something."""
    content = effect.content
    return isinstance(content, Event) and content.customer in customers
