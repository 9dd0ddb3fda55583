"""One partition of the log: its clock, its timers, its actors.

Pure: records in, changes out. The worker runs it under the commit protocol, replay over files, the
simulation with crashes in between; the same records always give the same changes.

At each record, before it is applied, every timer due at or before the time of the log fires, in the
order of due time and customer. That a record is read twice (a crash before the offset was
committed) must not change this, although some of the customers are then ahead of the log. So a
customer takes no part, with events or timers, in records up to its own `applied`: what it did at
those is in its state already. Customers who were due there wait in `_ahead`.

Places that were set aside (`schemas/aside.py`) stand in the progress that the actors begin with,
and are passed over there; what that means is in `agents/mending.py`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from msgspec.structs import replace
from pydantic import BaseModel, ValidationError

from agents import customer as actor
from agents import fullness
from agents.aside import Aside
from agents.blame import RECORD, Doing, Trace
from agents.catalogue import Change, mentions
from agents.changes import Changes, Counts, Place, Poisoned, Unwritable
from agents.context import Context, Refused
from agents.definitions import Definitions, UnknownVersion
from agents.effects import Effect, move
from agents.held_back import HeldBack
from agents.mending import INTERNAL_ERROR, Mending, UnreadableCustomer, news_of, stored_form
from agents.origins import Origins
from schemas.checking import Unreadable, first_error
from schemas.customer import Customer, decode_customer
from schemas.events import CONTROL_TYPES, PRODUCTS, RETRY, WORKFLOWS, Event
from schemas.products import Product
from schemas.records import OutRecord, Record
from schemas.retry import Retry
from schemas.stored import NEVER, OWN_PREFIX, PRODUCT_PREFIX, FutureFormat, Progress
from schemas.wire import parse_record

CACHED_CUSTOMERS = 10_000
"""Decoded customers kept per partition: 12–17 kB each by DESIGN.md, so some 150 MB at most."""


class Feed(BaseModel):
    """Value of a `ritorno.products` control record: products that are new or have changed."""

    products: list[Product]


class Activation(BaseModel):
    """Value of a `ritorno.workflows` control record: which versions new runs begin with."""

    live: dict[str, str]


class PartitionActors(Mending):
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
        scan: Callable[[], Iterable[tuple[bytes, bytes]]] = tuple,
        home: Callable[[bytes], int] | None = None,
        parse: Callable[[Record], Event] = parse_record,
        cache_size: int = CACHED_CUSTOMERS,
    ) -> None:
        """`load` returns a kept record by key; `due` are the keys with timers and their due times,
        `products` and `held_back` what is kept under their prefixes, and `scan` returns all that is
        kept.

        `home` tells the partition a key belongs to, so that a record which a producer with another
        partitioner has put here is moved there; None trusts the producers. `parse` reads an event
        from a record, or raises Unreadable. Raises Poisoned when a live definition or a product
        can't be read; `progress` names what is to be passed over.
        """
        self._partition = partition
        self._load = load
        self._definitions = definitions
        self._home = home
        self._scan = scan
        self._aside = Aside(progress.aside)
        self._held = HeldBack(held_back, load)
        self._doing = RECORD
        self._trace: Trace | None = None
        self._parse = parse
        self._cache_size = cache_size
        self._origins = Origins(partition, load)
        self._epoch = progress.epoch
        self._offset = progress.next_offset
        self._now = progress.log_time
        self._versions = dict(progress.live)
        self._catalogue = self._read_catalogue(products, progress.aside)
        self._live = self._read_live(progress.aside)
        held = self._held.customers
        self._scheduled = {key: at for at, key in due if at != NEVER and key not in held}
        self._timers = [(instant, key) for key, instant in self._scheduled.items()]
        heapq.heapify(self._timers)
        self._ahead: list[tuple[int, bytes]] = []
        self._woken: set[bytes] = set()
        self._cache: dict[bytes, Customer] = {}
        self._changed: dict[bytes, Customer] = {}
        self._changed_products: dict[str, bytes | None] = {}
        self._effects: list[Effect] = []
        self._counts = Counts()

    @property
    def log_time(self) -> int:
        """The highest append time so far, ms since the epoch."""
        return self._now

    @property
    def next_timer(self) -> int:
        """When the earliest timer is due, NEVER when there is none."""
        return self._timers[0][0] if self._timers else NEVER

    @property
    def timers_pending(self) -> int:
        """How many customers wait for a timer."""
        return len(self._scheduled)

    @property
    def held_back(self) -> int:
        """How many customers are held back."""
        return len(self._held.customers)

    @property
    def effects(self) -> Sequence[Effect]:
        """What has been asked for since the last `take`."""
        return self._effects

    def receive(self, records: Sequence[Record]) -> Changes:
        """Apply records and return what they changed."""
        self.absorb(records)
        return self.take()

    def absorb(self, records: Sequence[Record], *, proving: bool = False) -> None:
        """Apply records; `take` returns what all of them have changed.

        With `proving` it is seen to after each record that what it led to can be written. Raises
        Poisoned, after which this object is of no use any more.
        """
        if not self._changed:
            self._make_room()
        for record in records:
            self._now = max(self._now, record.timestamp)
            self._epoch = self._epoch or record.timestamp
            before = len(self._effects)
            context = Context(self._now, self._live, self._catalogue, self._effects)
            self._doing = RECORD
            self._trace = Trace(len(self._effects)) if proving else None
            try:
                self._receive(record, context)
                self._prove()
            except UnreadableCustomer as error:
                place = Place(record.offset, "customer", error.customer)
                raise Poisoned(place, error.__cause__ or error) from error
            except Exception as error:
                raise Poisoned(self._place(record.offset, self._doing), error) from error
            if len(self._effects) > before:
                self._origins.give(self._effects, before, self._epoch, record.offset)
            self._offset = record.offset + 1
            self._counts.refused_fields.update(context.refused_fields)
            self._counts.failed_expressions += len(context.failures)

    def take(self) -> Changes:
        """Return the changes since the last call. Call it before the store is written, once.

        Raises Unwritable, having changed nothing, when one of them can't be written as bytes.
        """
        try:
            states: list[tuple[bytes, bytes | None]] = [
                (key, stored_form(customer)) for key, customer in self._changed.items()
            ]
            # Behind the customers, and so never there without them; see agents/catalogue.py. The
            # same holds for the marks: whoever has heard a message has it in a state that is there.
            states += [self._catalogue.kept(product_id) for product_id in self._changed_products]
        except Exception as error:
            raise Unwritable(str(error)) from error
        states += self._held.take()
        states += self._origins.take()
        aside = self._aside.left(self._offset)
        progress = Progress(self._offset, self._now, dict(self._versions), self._epoch, aside)
        changes = Changes(self._effects, states, progress, self._counts)
        self._changed = {}
        self._changed_products = {}
        self._effects = []
        self._counts = Counts()
        return changes

    # From here on in the order in which a record passes through.

    def _receive(self, record: Record, context: Context) -> None:
        error = None
        if self._aside:
            self._pass_over(record, context)
            error = self._aside.error(Place(record.offset, "record"))
        self._fire_timers(record.offset, context)
        if error is not None:
            self._refuse(record, INTERNAL_ERROR, error)
        elif record.key is None and self._is_control(record):
            self._control(record, context)
        else:
            self._deliver(record, context)

    def _fire_timers(self, offset: int, context: Context) -> None:
        while self._ahead and self._ahead[0][0] < offset:
            _, key = heapq.heappop(self._ahead)
            if key not in self._held.customers:
                self._schedule(key, self._customer(key).due())
        if self._woken:
            self._woken.clear()
        while self._timers and self._timers[0][0] <= self._now:
            due, key = heapq.heappop(self._timers)
            if self._scheduled.get(key) != due:
                continue  # an earlier timer of the same customer has taken its place
            del self._scheduled[key]
            if key in self._held.customers:
                continue  # fires when what is kept can be read
            customer = self._customer(key)
            if customer.due() > due:
                self._schedule(key, customer.due())  # it was moved to later
            elif customer.applied >= offset and key not in self._woken:
                heapq.heappush(self._ahead, (customer.applied, key))
            else:
                self._wake(key, customer, due, offset, context)

    def _wake(
        self, key: bytes, customer: Customer, due: int, offset: int, context: Context
    ) -> None:
        self._do(Doing("timer", customer.key))
        self._counts.lateness.append(self._now - due)
        error = self._aside.error(Place(offset, "timer", customer.key)) if self._aside else None
        if error is None:
            fullness.wake(customer, context)
        else:
            self._report(offset, "a timer was given up", error, actor.give_up(customer, context))
        self._woken.add(key)  # its `applied` is this record's now, yet it still has to receive it
        self._note_change(key, customer, offset)
        self._do(RECORD)

    def _is_control(self, record: Record) -> bool:
        kind = record.header("ce_type")
        return kind is not None and kind.decode("utf-8", "replace") in CONTROL_TYPES

    def _control(self, record: Record, context: Context) -> None:
        kind = record.header("ce_type")
        if kind == WORKFLOWS.encode():
            self._activate(record, context)
        elif kind == PRODUCTS.encode():
            self._update_products(record, context)
        elif kind == RETRY.encode():
            self._try_again(record, context)
        # A tick has done its work by its time; what is set aside stands in the progress.

    def _activate(self, record: Record, context: Context) -> None:
        try:
            versions = Activation.model_validate_json(record.value or b"").live
        except ValidationError as error:
            self._refuse(record, "invalid_event", first_error(error))
            return
        for key in versions.items():
            if key in self._definitions.unreadable:
                raise UnknownVersion(*key)  # it was published, by a newer release
        unknown = [key for key in versions.items() if key not in self._definitions]
        if unknown:
            names = ", ".join("@".join(key) for key in unknown)
            self._refuse(record, "unknown_version", f"live: not published: {names}")
            return
        before, self._versions = self._versions, versions
        self._live = context.live = self._definitions.live(versions)
        changed = {id_ for id_, version in versions.items() if before.get(id_) != version}
        if followed := sorted(changed & self._definitions.followed):
            self._let_follow(followed, record.offset, context)

    def _let_follow(self, workflows: Sequence[str], offset: int, context: Context) -> None:
        """Move the runs that go by the live version, so that they wait as that one says."""
        for key, customer in self._named(workflows, offset, Retry(follow=True)):
            if actor.follow(customer, context):
                self._note_change(key, customer, offset)

    def _update_products(self, record: Record, context: Context) -> None:
        try:
            products = Feed.model_validate_json(record.value or b"").products
        except ValidationError as error:
            self._refuse(record, "invalid_event", first_error(error))
            return
        changes: list[Change] = []
        for product in products:
            changes += self._catalogue.update(product, record.offset)
            self._changed_products[product.id] = None
        wanted = [change for change in changes if f"product:{change.kind}" in self._live.by_trigger]
        if wanted:
            self._tell_of_products(wanted, record.offset, context)

    def _tell_of_products(self, changes: Sequence[Change], offset: int, context: Context) -> None:
        """Tell every customer in whose record one of the products is named.

        A change of a price is rare and customers are many: an index would cost memory for each
        look at a product, and searching the kept bytes takes a microsecond a customer.
        """
        names = {name for change in changes for name in mentions(change)}
        for key, customer in self._named(names, offset, Retry(news=news_of(changes))):
            if actor.products_changed(customer, changes, context):
                self._note_change(key, customer, offset)

    def _named(
        self, names: Iterable[str], offset: int, retry: Retry
    ) -> Iterator[tuple[bytes, Customer]]:
        """Yield the customers in whose record a name stands, as far as they take part here.

        `retry` says what a customer has missed at whom this fails.
        """
        for key in sorted(self._mentioning({name.encode() for name in names})):
            if key in self._held.customers:
                continue
            customer = self._customer(key)
            if offset <= customer.applied and key not in self._woken:
                continue
            error = self._aside.error(Place(offset, "told", customer.key)) if self._aside else None
            if error is not None:
                missed = replace(retry, customer=customer.key)
                self._report(offset, "a customer was not told of a change", error, missed)
                continue
            self._do(Doing("told", customer.key))
            yield key, customer
            self._do(RECORD)

    def _mentioning(self, names: set[bytes]) -> Iterator[bytes]:
        yield from self._cache  # what is decoded may be newer than what is kept
        for key, stored in self._scan():
            own = key.startswith(OWN_PREFIX)
            if not own and key not in self._cache and any(n in stored for n in names):
                yield key

    def _deliver(self, record: Record, context: Context) -> None:
        try:
            event = self._parse(record)
            if event.origin is not None and not self._origins.is_news(event.origin, record.offset):
                self._counts.events[event.type, "repeated"] += 1
                return
            key = event.customer.encode()
            if self._belongs_elsewhere(record, key):
                self._effects.append(move(OutRecord(*record[4:]), key))
                self._counts.events[event.type, "moved"] += 1
                return
            if key in self._held.customers and not self._begins_anew(event, key):
                self._let_wait(event, key, record)
                return
            context.size = len(record.value or b"")
            self._apply(event, key, record.offset, context)
        except (Unreadable, Refused) as error:
            self._refuse(record, error.reason, error.detail)

    def _belongs_elsewhere(self, record: Record, key: bytes) -> bool:
        if key == record.key and key in self._cache:
            return False
        return self._home is not None and self._home(key) != self._partition

    def _apply(self, event: Event, key: bytes, offset: int, context: Context) -> None:
        customer = self._customer(key)
        if offset <= customer.applied and key not in self._woken:
            self._counts.events[event.type, "repeated"] += 1
            return
        before, became = customer.engagement.value, customer.became
        new = fullness.receive(customer, event, context)
        self._note_change(key, customer, offset)
        result = "repeated" if not new else "forwarded" if became else "applied"
        self._counts.events[event.type, result] += 1
        self._counts.ages.append(self._now - context.when(event.time))
        if customer.engagement.value != before:
            self._counts.scores["up" if customer.engagement.value > before else "down"] += 1

    def _note_change(self, key: bytes, customer: Customer, offset: int) -> None:
        customer.applied = offset
        self._changed[key] = customer
        if self._trace is not None:
            self._trace.touch(key)
        if customer.runs or customer.watches:
            self._schedule(key, customer.due())

    def _schedule(self, key: bytes, due: int) -> None:
        """Keep one heap entry per customer; a timer moved to later is put right when it pops."""
        present = self._scheduled.get(key)
        if due != NEVER and (present is None or due < present):
            self._scheduled[key] = due
            heapq.heappush(self._timers, (due, key))

    def _customer(self, key: bytes) -> Customer:
        customer = self._cache.get(key)
        if customer is None:
            stored = self._load(key)
            name = key.decode()
            try:
                customer = Customer(key=name) if stored is None else decode_customer(name, stored)
            except FutureFormat:
                raise
            except Exception as error:
                raise UnreadableCustomer(name) from error
            self._cache[key] = customer
        return customer

    def _make_room(self) -> None:
        """Let those go who came first. Only between batches, when all changes are in the store."""
        surplus = len(self._cache) - self._cache_size
        for key in list(islice(self._cache, max(0, surplus))):
            del self._cache[key]

    def _kept_product(self, id_: str) -> bytes | None:
        return self._load(PRODUCT_PREFIX + id_.encode())
