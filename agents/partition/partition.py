"""One partition of the log: its clock, its timers, its actors.

Pure: records in, changes out. The worker runs it under the commit protocol, replay over files, the
simulation with crashes in between; the same records always give the same changes.

At each record, in this order:

1. Timers due at or before the time of the log fire, in the order of due time and customer.
2. Customers are told of what came before and concerns them: changes in the feed, another version of
   a workflow that their runs follow (`agents/partition/broadcasts.py`).
3. The record itself. Its customer is first told of what came before and waits to be told, and fires
   what is due of its own, whatever the budget.

1 and 2 go as far as the record's budget (`agents/partition/budget.py`): customers visited, counted
and never timed. The rest goes on at the next record, in the same order. It is due now, so the owner
ticks at once. What a customer sees doesn't depend on the budget but for the time: a broadcast
stands between the same events and timers of its own as if all had been told at once.

That a record is read twice (a crash before the offset was committed) must not change this, although
some of the customers are then ahead of the log. So a customer takes no part, with events, timers or
broadcasts, in records up to its own `applied`: what it did at those is in its state already.
Customers who were due there wait in `_ahead`. And how far the work of each record went is written
in front of the customers, and followed when it is read again.

Failure sites that were set aside (`schemas/set_aside.py`) stand in the progress that the actors
begin with, and are passed over there; what that means is in `agents/partition/failure_handling.py`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import lru_cache

import msgspec

from agents.authentication import OBEYED, Trust
from agents.commerce import coupons
from agents.context import Context, EventRefused
from agents.customer import actor, size_guard, speaker
from agents.customer.visitors import Arrivals, VisitorExpiry, is_nobody, may_be_refused
from agents.definitions.published import Definitions, UnknownVersion
from agents.effects import Effect, move
from agents.partition import control_records
from agents.partition.batch import BatchChanges, BatchCounts, FailureSite, Poisoned, Unwritable
from agents.partition.broadcasts import TOO_MANY_CHANGES, Broadcasts, PendingBroadcast
from agents.partition.budget import NO_BUDGET, VISITS, Budget, WorkLayout
from agents.partition.cache import CacheMemory
from agents.partition.customers import Customers, UnreadableCustomer
from agents.partition.failure_handling import INTERNAL_ERROR, FailureHandling
from agents.partition.failure_site import RECORD, WorkItem, WorkTrace
from agents.partition.held_back import HeldBackCustomers
from agents.partition.namespaces import Namespaces
from agents.partition.origins import Origins
from agents.partition.set_aside import SetAsideSites
from agents.partition.timers import Timers
from agents.products.catalogue import mentioned
from schemas.customer import Customer
from schemas.customer.named import RUN_PREFIX, named
from schemas.events import PRODUCTS, RETRY, WORKFLOWS, Event
from schemas.origin import HEADER as ORIGIN
from schemas.pending_work import LAYOUT_KEY, Broadcast, CatalogueChange, pack_layout, unpack_layout
from schemas.records import OutRecord, Record
from schemas.reference import bare_key, of_visitor
from schemas.reserved import is_anybodys
from schemas.retry import Retry
from schemas.signing import NUMBER, RecordSigner
from schemas.stored import (
    ARRIVALS_KEY,
    NAMESPACE_DECISIONS_KEY,
    NEVER,
    PRODUCT_PREFIX,
    Progress,
    pack_arrivals,
    pack_namespace_decisions,
    unpack_arrivals,
    unpack_namespace_decisions,
)
from schemas.topics import CUSTOMER_EVENTS
from schemas.validation import Unreadable
from schemas.wire import check_headers, parse_record

HOMES = 10_000
"""Customers whose partition is remembered, as many as are decoded: what was made out once isn't at
each event. 2 MB."""
VISIT = 5
"""What a visit of a customer costs, in events: 250 µs of 50."""
SLICE = 200
"""Events, or as much work, between two pauses, also within a record: some 10 ms, so that whoever
else lives in the process (metrics, mails) goes on."""
PORTION = 5_000
"""Events, or as much work, after which changes are to be taken: some 0.25 s, so that what is not
written yet stays small. A batch of events alone is smaller than that."""


class PartitionActors(FailureHandling):
    """The actors of one partition."""

    def __init__(
        self,
        *,
        partition: int,
        load: Callable[[bytes], bytes | None],
        definitions: Definitions,
        progress: Progress,
        due: Iterable[tuple[int, bytes]] = (),
        products: Iterable[tuple[bytes, bytes]] = (),
        held_back: Iterable[tuple[bytes, bytes]] = (),
        broadcasts: Iterable[bytes] = (),
        scan: Callable[[], Iterable[tuple[bytes, bytes]]] = tuple,
        home: Callable[[bytes], int] | None = None,
        parse: Callable[[Record], Event] = parse_record,
        memory: CacheMemory | None = None,
        visits: int = VISITS,
        signer: RecordSigner | None = None,
    ) -> None:
        """`load` returns a kept record by key; `due` are the keys with timers and their due times,
        `products` and `held_back` what is kept under their prefixes, `broadcasts` the keys under
        theirs, and `scan` returns all that is kept.

        `home` tells the partition a key belongs to, so that a record which a producer with another
        partitioner has put here is moved there; None trusts the producers. `parse` reads an event
        from a record, or raises Unreadable. `memory` holds decoded customers; None gives these
        actors one of their own. `visits` is the budget of a record, and the same for whoever reads
        this log. Without a `signer` everybody is believed. Raises Poisoned when a live definition
        or a product can't be read; `progress` names what is to be passed over.
        """
        self._partition = partition
        self._load = load
        self._definitions = definitions
        self._home = lru_cache(HOMES)(home) if home is not None else None
        self._set_aside = SetAsideSites(progress.set_aside)
        self._held_back = HeldBackCustomers(held_back, load, scan)
        self._item = RECORD
        self._trace: WorkTrace | None = None
        self._parse = parse
        self._trust = Trust(signer, CUSTOMER_EVENTS, progress)
        self._progress = progress
        self._origins = Origins(partition, load)
        self._forgetting = VisitorExpiry(definitions.limits)
        self._forgetting.pass_to(progress.log_time)
        births = unpack_arrivals(load(ARRIVALS_KEY))
        self._arrivals = Arrivals(
            definitions.limits, progress.arrivals, births, progress.next_offset
        )
        self._log_epoch = progress.log_epoch
        self._offset = progress.next_offset
        self._now = progress.log_time
        self._versions = dict(progress.live)
        self._followed = set(progress.followed)
        self._note_followed()
        self._catalogue = self._read_catalogue(products, progress.set_aside)
        self._live = self._read_live(progress.set_aside)
        held = self._held_back.customers
        self._timers = Timers((at, key) for at, key in due if key not in held)
        self._broadcasts = Broadcasts(progress, load, broadcasts)
        self._visits = visits
        self._layout = WorkLayout(unpack_layout(load(LAYOUT_KEY)), self._offset, visits)
        self._customers = Customers(load, scan, memory or CacheMemory(), self._forgetting)
        self._ahead: list[tuple[int, bytes, int]] = []
        """(applied, customer, due) of who was due, but is ahead of the log."""
        self._visited: set[bytes] = set()
        decisions = unpack_namespace_decisions(load(NAMESPACE_DECISIONS_KEY))
        self._namespaces = Namespaces(
            self._customers.peek, held, self._visited, decisions, self._offset
        )
        self._changed_products: dict[str, bytes | None] = {}
        self._effects: list[Effect] = []
        self._counts = BatchCounts()
        self._unfinished = len(self._broadcasts) > 0
        self._work = 0
        self._worked = 0

    @property
    def log_time(self) -> int:
        """The highest append time so far, ms since the epoch."""
        return self._now

    @property
    def unfinished(self) -> bool:
        """Whether the budget of the last record has left anything to the next one."""
        return self._unfinished

    @property
    def next_timer(self) -> int:
        """When the next record is wanted: now (the time of the log) when work is left over, else
        when the earliest timer is due; NEVER when there is none."""
        due = min((each[2] for each in self._ahead), default=NEVER)
        due = min(due, self._timers.first()[0])
        return min(due, self._now) if self._unfinished else due

    @property
    def timers_pending(self) -> int:
        """How many customers wait for a timer."""
        return len(self._timers) + sum(each[2] != NEVER for each in self._ahead)

    @property
    def held_back(self) -> int:
        """How many customers are held back."""
        return len(self._held_back.customers)

    @property
    def effects(self) -> Sequence[Effect]:
        """What has been asked for since the last `take`."""
        return self._effects

    def prepare(self) -> Iterator[None]:
        """Make what live definitions will need, pausing now and then; without it, it is made when
        it is needed."""
        live = self._live.by_trigger
        if self._broadcasts or self._followed or any(map(_is_of_products, live)):
            yield from self._customers.look_through(self._offset)

    def receive(self, records: Sequence[Record]) -> BatchChanges:
        """Apply records and return what they changed."""
        self.absorb(records)
        return self.take()

    def absorb(self, records: Sequence[Record], *, verifying: bool = False) -> None:
        """Apply records as `absorbing` does, without a pause."""
        for _ in self.absorbing(records, verifying=verifying):
            pass

    def absorbing(self, records: Sequence[Record], *, verifying: bool = False) -> Iterator[bool]:
        """Apply records, pausing after each SLICE of work; yields whether changes are to be taken.
        `take` returns what all of them have changed.

        With `verifying` it is seen to after each record that what it led to can be written. Raises
        Poisoned, after which this object is of no use any more.
        """
        context = self._context()
        for record in records:
            if record.timestamp > self._now:
                self._now = context.now = record.timestamp
                self._forgetting.pass_to(self._now)
            self._log_epoch = self._log_epoch or record.timestamp
            before = len(self._effects)
            budget, error = NO_BUDGET, None
            self._item = RECORD
            self._trace = WorkTrace(before) if verifying else None
            try:
                if self._set_aside.errors:
                    self._pass_over(record, context)
                    error = self._set_aside.error(FailureSite(record.offset, "record"))
                due = self._unfinished or len(self._ahead) > 0 or self._timers.is_any_due(self._now)
                self._visited.clear()
                if due:
                    budget = self._layout.budget(record.offset)
                    yield from self._fire_timers(record.offset, budget, context)
                    yield from self._go_on(record.offset, budget, context)
                if error is not None:
                    self._give_up(record, error)
                elif record.key is None and (kind := control_records.kind_of(record)):
                    due = True
                    yield from self._control(kind, record, budget, context)
                else:
                    self._deliver(record, budget, context)
                self._verify_writable()
            except UnreadableCustomer as unreadable:
                site = FailureSite(record.offset, "customer", unreadable.customer)
                raise Poisoned(site, unreadable.__cause__ or unreadable) from unreadable
            except Exception as failure:
                raise Poisoned(self._site(record.offset, self._item), failure) from failure
            if len(self._effects) > before:
                self._origins.give(self._effects, before, self._log_epoch, record.offset)
            self._unfinished = due and (budget.left_timers or len(self._broadcasts) > 0)
            self._offset = record.offset + 1
            if context.caused or context.moving or context.refused_fields or context.failures:
                self._counts.refused_fields.update(context.refused_fields)
                self._counts.failed_expressions += len(context.failures)
                context = self._context()
            self._work += 1
            if self._work >= SLICE and record is not records[-1]:
                self._worked += self._work
                self._work = 0
                yield self._worked >= PORTION
                context = self._context()  # what there was may have been taken

    def _context(self) -> Context:
        return Context(self._now, self._live, self._catalogue, self._effects)

    def encoding(self) -> Iterator[None]:
        """Do most of the work of `take` in advance, pausing now and then."""
        yield from self._customers.encoding()

    def take(self) -> BatchChanges:
        """Return the changes since the last call. Call it before the store is written, once.

        Raises Unwritable, having changed nothing, when one of them can't be written as bytes.
        """
        try:
            customers = self._customers.changed()
            products = [self._catalogue.kept(product_id) for product_id in self._changed_products]
        except Exception as error:
            raise Unwritable(str(error)) from error
        self._customers.take(customers)
        states: list[tuple[bytes, bytes | None]] = []
        # In front of the customers: it says how far they went; see agents/partition/budget.py.
        layout = self._layout.take(self._offset)
        if layout is not None:
            states.append((LAYOUT_KEY, pack_layout(layout)))
        # So do these: whoever finds one of the new visitors knows that it was new here.
        if births := self._arrivals.take():
            states.append((ARRIVALS_KEY, pack_arrivals(births)))
        if decisions := self._namespaces.take():
            states.append((NAMESPACE_DECISIONS_KEY, pack_namespace_decisions(decisions)))
        begun, ended = self._broadcasts.take()
        states += begun
        states += customers
        # Behind the customers, and so never there without them; see agents/products/catalogue.py.
        # The same holds for the marks: whoever has heard a message has it in a state that is there.
        states += products
        states += self._held_back.take()
        states += self._origins.take()
        states += ended
        progress = self._progress = msgspec.structs.replace(
            self._progress,
            next_offset=self._offset,
            log_time=self._now,
            live=dict(self._versions),
            log_epoch=self._log_epoch,
            set_aside=self._set_aside.left(self._offset),
            broadcasts=self._broadcasts.progress(),
            arrivals=self._arrivals.counts(self._now),
            numbers=dict(self._trust.numbers),
            followed=sorted(self._followed),
        )
        self._counts.unsigned, self._trust.unsigned = self._trust.unsigned, Counter()
        changes = BatchChanges(self._effects, states, progress, self._counts)
        self._changed_products = {}
        self._effects = []
        self._counts = BatchCounts()
        self._work = self._worked = 0
        return changes

    # From here on in the order in which a record passes through.

    def _pause(self) -> Iterator[bool]:
        """Pause in the middle of a record, if it is time to; nothing is to be taken here."""
        if self._work >= SLICE:
            self._worked += self._work
            self._work = 0
            yield False

    def _fire_timers(self, offset: int, budget: Budget, context: Context) -> Iterator[bool]:
        while self._ahead and self._ahead[0][0] < offset:
            _, key, _ = heapq.heappop(self._ahead)
            if key not in self._held_back.customers:
                self._timers.schedule(key, self._customers.get(key).due())
                self._work += VISIT  # many may have to be decoded, and none of them is visited
                yield from self._pause()
        while (first := self._timers.first())[0] <= self._now:
            due, key = first
            if key in self._held_back.customers:
                self._timers.remove(key)  # fires when what is kept can be read
                continue
            customer = self._customers.get(key)
            if customer.applied >= offset and key not in self._visited:
                self._timers.remove(key)
                heapq.heappush(self._ahead, (customer.applied, key, customer.due()))
                self._work += VISIT
                yield from self._pause()
                continue
            if customer.due() == NEVER:  # who is forgotten has no timers
                self._timers.remove(key)
                continue
            if not budget.may_fire(first):
                return
            self._work += VISIT
            self._timers.remove(key)
            budget.spend(self._catch_up(key, customer, offset, context))
            if customer.due() <= due:
                self._wake(key, customer, offset, context)
            self._timers.schedule(key, customer.due())
            yield from self._pause()

    def _wake(self, key: bytes, customer: Customer, offset: int, context: Context) -> None:
        """Fire what is due first of the customer's."""
        self._begin_item(WorkItem("timer", customer.key))
        self._counts.lateness.append(self._now - customer.due())
        error = (
            self._set_aside.error(FailureSite(offset, "timer", customer.key))
            if self._set_aside.errors
            else None
        )
        if error is None:
            size_guard.wake(customer, context)
        else:
            self._report(offset, "a timer was given up", error, actor.give_up(customer, context))
        self._visited.add(key)  # its `applied` is this record's now, yet it has to receive it still
        self._note_change(key, customer, offset)
        self._begin_item(RECORD)

    def _wake_until(
        self, until: int, key: bytes, customer: Customer, offset: int, context: Context
    ) -> None:
        while customer.due() <= until:
            self._wake(key, customer, offset, context)

    def _go_on(self, offset: int, budget: Budget, context: Context) -> Iterator[bool]:
        """Tell customers of what waits, as far as the budget goes."""
        while self._broadcasts:
            first = self._broadcasts.first
            done = yield from self._broadcast_rest(first, offset, budget, context)
            if not done or budget.has_left(first.offset):
                first.reached = max(first.reached, budget.reached_before(first.offset))
                break
            self._broadcasts.end_first()
        self._broadcasts.leave_over()
        left = self._broadcasts.first.offset if self._broadcasts else NEVER
        self._layout.note(offset, budget, left)

    def _broadcast_rest(
        self, waiting: PendingBroadcast, offset: int, budget: Budget, context: Context
    ) -> Generator[bool, None, bool]:
        """Tell those who are not told yet; return whether that was all of them."""
        begun = waiting.offset
        for key in waiting.rest(self._find):
            self._work += 1
            yield from self._pause()
            if key in self._held_back.customers:
                continue
            customer = self._customers.get(key)
            if waiting.is_past(key, customer.applied) or not waiting.concerns(
                self._names(customer)
            ):
                continue
            if not budget.may_visit((begun, key)):
                return False
            if customer.applied < offset or key in self._visited:
                budget.visit((begun, key))
                self._work += VISIT
                budget.spend(self._catch_up(key, customer, offset, context) - 1)
                waiting.reached = key
        return True

    def _catch_up(self, key: bytes, customer: Customer, offset: int, context: Context) -> int:
        """Tell a customer of all that waits, each behind what was due of its own before that.

        Returns of how many.
        """
        applied, reached, behind = customer.applied, 0, -1
        if self._broadcasts.are_past(applied):
            return 0
        names = self._names(customer)
        while (waiting := self._broadcasts.next_for(names, behind)) is not None:
            behind = waiting.offset
            if waiting.is_past(key, applied):
                continue
            self._wake_until(waiting.broadcast.time, key, customer, offset, context)
            if self._broadcast_to(waiting, names, customer, offset, context):
                self._visited.add(key)
                self._note_change(key, customer, offset)
                names = self._names(customer)
                reached += 1
        return reached

    def _broadcast_to(
        self,
        waiting: PendingBroadcast,
        names: set[str],
        customer: Customer,
        offset: int,
        context: Context,
    ) -> bool:
        """Tell a customer; return whether it was its business."""
        moves, changes = waiting.moves_runs(names), waiting.changes(names)
        error = (
            self._set_aside.error(FailureSite(offset, "told", customer.key))
            if self._set_aside.errors
            else None
        )
        if error is not None:
            missed = Retry(customer=customer.key, news=list(changes), follow=moves)
            self._report(offset, "a customer was not told of a change", error, missed)
            return False
        self._begin_item(WorkItem("told", customer.key))
        reached = False
        try:
            reached = size_guard.take_in(
                customer, size_guard.size_of(changes), context,
                lambda: self._take_in(customer, waiting.broadcast.time, changes, moves, context),
            )  # fmt: skip
        except EventRefused as refusal:
            missed = Retry(customer=customer.key, news=list(changes), follow=moves)
            text = "a customer was not told of a change"
            self._report(offset, text, refusal.detail, missed, refusal.reason)
        self._begin_item(RECORD)
        return reached

    def _names(self, customer: Customer) -> set[str]:
        """Return what a customer may be told of. Of workflows only those that a run of its own
        follows: that another version lets its runs follow may be known here already, or not yet."""
        names = named(customer)
        if customer.runs:
            follows = self._definitions.follows
            names.difference_update([RUN_PREFIX + run.workflow for run in customer.runs])
            names.update([
                RUN_PREFIX + run.workflow
                for run in customer.runs
                if follows(run.workflow, run.version)
            ])  # fmt: skip
        return names

    def _find(self, names: Iterable[str]) -> Sequence[bytes]:
        if not self._customers.can_find:
            for _ in self._customers.look_through(self._offset):
                pass
        return self._customers.find(names)

    def _control(
        self, kind: str, record: Record, budget: Budget, context: Context
    ) -> Iterator[bool]:
        if kind in OBEYED and not self._is_believed(kind, record):
            return
        try:
            broadcast = self._read_control(kind, record, context)
        except EventRefused as error:
            self._refuse(record, error.reason, error.detail)
            return
        if broadcast is None or not self._begins_to_wait(broadcast):
            return
        for _ in self._customers.look_through(record.offset):
            yield False
        if budget is NO_BUDGET:
            budget = self._layout.budget(record.offset)
        yield from self._go_on(record.offset, budget, context)

    def _read_control(self, kind: str, record: Record, context: Context) -> Broadcast | None:
        """Obey a control record; return what customers are to be told of. Raises EventRefused."""
        if kind == WORKFLOWS:
            return self._activate(record, context)
        if kind == PRODUCTS:
            return self._update_products(record, context)
        if kind == RETRY:
            return self._try_again(record, context)
        return None  # a tick has done its work by its time; what is set aside is in the progress

    def _begins_to_wait(self, broadcast: Broadcast) -> bool:
        """Let customers be told of it by and by; return False when there is nothing to tell, or no
        room for it."""
        broadcast = self._broadcasts.recall(broadcast)
        if not (broadcast.changes or broadcast.workflows):
            return False
        if not self._broadcasts.are_too_many:
            self._broadcasts.add(broadcast)
            return True
        self._broadcasts.pass_over(broadcast)
        missed = Retry(news=broadcast.changes, workflows=broadcast.workflows)
        text, why = "customers were not told of a change", "too much is told already"
        self._report(broadcast.offset, text, why, missed, TOO_MANY_CHANGES)
        return False

    def _give_up(self, record: Record, error: str) -> None:
        if (kind := control_records.kind_of(record)) in OBEYED:
            self._trust.pass_over(kind, record)
        self._refuse(record, INTERNAL_ERROR, error)

    def _is_believed(self, kind: str, record: Record) -> bool:
        try:
            self._trust.check_control(kind, record)
        except Unreadable as error:
            self._refuse(record, error.reason, error.detail)
            return False
        return True

    def _activate(self, record: Record, context: Context) -> Broadcast:
        versions = control_records.read(record, control_records.Activation).live
        for key in versions.items():
            if key in self._definitions.unreadable:
                raise UnknownVersion(*key)  # it was published, by a newer release
        unknown = [key for key in versions.items() if key not in self._definitions]
        if unknown:
            names = ", ".join("@".join(key) for key in unknown)
            raise EventRefused("unknown_version", f"live: not published: {names}")
        if versions.get("coupons", "") != context.live.coupons:
            self._migrate_pools(record.offset, context)
        before, self._versions = self._versions, versions
        self._live = context.live = self._definitions.live(versions)
        changed = {id_ for id_, version in versions.items() if before.get(id_) != version}
        followed = sorted(changed & self._followed)
        self._note_followed()
        return Broadcast(record.offset, self._now, workflows=followed)

    def _migrate_pools(self, offset: int, context: Context) -> None:
        """Let the pools of this partition know what their lists were up to now."""
        for campaign in context.live.campaigns.values():
            key = (coupons.POOL_PREFIX + campaign.id).encode()
            if not campaign.pool or key in self._held_back.customers or self._load(key) is None:
                continue
            pool = self._customers.get(key)
            if pool.applied < offset and coupons.migrate(pool, campaign.id, context.live.coupons):
                pool.weight = 0  # it is weighed again
                self._note_change(key, pool, offset)

    def _update_products(self, record: Record, context: Context) -> Broadcast:
        changes: list[CatalogueChange] = []
        for product in control_records.read(record, control_records.Feed).products:
            changes += self._catalogue.update(product, record.offset)
            self._changed_products[product.id] = None
        live = context.live.by_trigger
        wanted = [each for each in changes if f"product:{each.kind}" in live and mentioned(each)]
        return Broadcast(record.offset, self._now, changes=wanted)

    def _deliver(self, record: Record, budget: Budget, context: Context) -> None:
        try:
            event = self._parse(record)
            number = None if is_anybodys(event) else self._trust.check_event(event, record)
            key = event.customer.encode()
            elsewhere = self._home is not None and self._home(key) != self._partition
            if elsewhere and (event.origin is not None or number is not None):
                # A new origin would make news of it where it was heard long ago.
                name = NUMBER if event.origin is None else ORIGIN
                raise Unreadable("misplaced", f"{name}: it was told to another partition")
            if event.origin is not None and not self._origins.is_news(event.origin, record.offset):
                self._counts.events[event.type, "repeated"] += 1
                return
            if number is not None:
                self._trust.use_up(number)
            if elsewhere:
                check_headers(record)  # ours come on top of them
                self._effects.append(move(OutRecord(*record[4:]), key))
                self._counts.events[event.type, "moved"] += 1
                return
            whom = self._namespaces.address(event, key, record.offset)
            if whom is not None:
                event, key = whom.event, whom.key
                if whom.adopts:
                    self._adopt(bare_key(key), record.offset, budget, context)
                elif whom.begins:
                    self._begin(key, record.offset)
            if key in self._held_back.customers and not self._begins_anew(event, key):
                self._let_wait(event, key, record)
                return
            context.size = len(record.value or b"")
            if event.type in actor.ERASES:
                context.has_visitor = self._namespaces.has_visitor(key, record.offset)
            self._apply(event, key, record.offset, budget, context)
        except (Unreadable, EventRefused) as error:
            self._refuse(record, error.reason, error.detail)

    def _apply(
        self, event: Event, key: bytes, offset: int, budget: Budget, context: Context
    ) -> None:
        customer = self._customers.get(key)
        if offset <= customer.applied and key not in self._visited:
            self._arrivals.repeat(event, offset, self._now)
            self._counts.events[event.type, "repeated"] += 1
            return
        self._bring_up(key, customer, offset, budget, context)
        before, became, counts = customer.engagement.value, customer.became, self._counts
        was_customers = customer.heard == 0 and speaker.was_customers(customer)
        if customer.first_seen or became:
            new = size_guard.receive(customer, event, context)
        elif self._arrive(customer, event, offset, context):
            new = True
        else:
            self._counts.events[event.type, "dropped"] += 1
            return
        if customer.first_seen:
            customer.heard = self._forgetting.today
            customer.is_customer |= was_customers
        self._note_change(key, customer, offset)
        result = "repeated" if not new else "forwarded" if became else "applied"
        counts.events[event.type, result] += 1
        counts.ages.append(self._now - context.when(event.time))
        after = customer.engagement.value
        if after != before:
            counts.scores["up" if after > before else "down"] += 1

    def _bring_up(
        self, key: bytes, customer: Customer, offset: int, budget: Budget, context: Context
    ) -> None:
        """Let a customer do what comes before the current record."""
        if budget is not NO_BUDGET and self._broadcasts:
            self._catch_up(key, customer, offset, context)
        if budget.left_timers:
            self._wake_until(self._now, key, customer, offset, context)

    def _adopt(self, bare: bytes, offset: int, budget: Budget, context: Context) -> None:
        """Let the visitor's record take over the one in doubt, of the same id."""
        name = bare.decode()
        key = of_visitor(name).encode()
        raw, visitor = self._customers.get(bare), self._customers.get(key)
        if visitor.applied < offset:  # else it had done so before a crash
            self._bring_up(bare, raw, offset, budget, context)
            visitor.become(raw)
            visitor.key, visitor.weight = key.decode(), 0  # it is weighed again
            for mail in visitor.pending:
                mail.customer = mail.customer or name
            self._note_change(key, visitor, offset)
            self._visited.add(key)  # it has to receive the record yet
        self._begin(bare, offset)
        self._customers.note_left(bare, raw)

    def _begin(self, key: bytes, offset: int) -> None:
        """Nothing is known under this key any more, and the current record may be for it."""
        customer = self._customers.get(key)
        customer.become(Customer(key=key.decode()))
        self._timers.remove(key)
        self._note_change(key, customer, offset)
        self._visited.add(key)

    def _arrive(self, customer: Customer, event: Event, offset: int, context: Context) -> bool:
        """Receive the first event of somebody; return False when there is no room for a visitor,
        of whom nothing is left then."""
        is_full = self._arrivals.is_full(event, self._now)
        if is_full and may_be_refused(event):
            return False
        effects = len(self._effects)
        size_guard.receive(customer, event, context)
        if not customer.first_seen or not is_nobody(customer):
            return True
        if is_full:
            customer.become(Customer(key=customer.key, applied=customer.applied))
            del self._effects[effects:]
            return False
        self._arrivals.admit(event, offset, self._now)
        return True

    def _note_change(self, key: bytes, customer: Customer, offset: int) -> None:
        customer.applied = offset
        self._customers.note_change(key, customer)
        if self._trace is not None:
            self._trace.touch(key)
        if customer.runs or customer.watches or key in self._timers.entered:
            self._timers.schedule(key, customer.due())

    def _kept_product(self, id_: str) -> bytes | None:
        return self._load(PRODUCT_PREFIX + id_.encode())


def _is_of_products(trigger: str) -> bool:
    return trigger.startswith("product:")
