"""A harness for tests of the actors: a partition with its log; tell it what happens and when, ask
what came of it. Times are given and answered in seconds since `START`; ticks come at due seconds
only."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents.customer import mailed
from agents.definitions.published import Definitions
from agents.definitions.settings import NO_LIMITS, VisitorLimits
from agents.effects import Effect
from agents.partition.batch import BatchCounts, Poisoned
from agents.partition.cache import CacheMemory
from agents.partition.partition import PartitionActors
from schemas.commands import CancelCommand, SendCommand
from schemas.customer import Customer, decode_customer, encode_customer
from schemas.decisions import Decision
from schemas.definitions import DEFINITION, canonical, version_of
from schemas.events import TICK, WORKFLOWS, Event
from schemas.instant import to_rfc3339
from schemas.records import OutRecord, Record
from schemas.reference import of_visitor
from schemas.set_aside import SetAside
from schemas.signals import ScoreChanged
from schemas.signing import RecordSigner
from schemas.stored import HELD_BACK_PREFIX, PRODUCT_PREFIX, Progress, head
from schemas.topics import CUSTOMER_EVENTS, DEAD_LETTERS
from schemas.yaml_text import Document
from streams.runtime.definitions import read_files

START = 1_772_445_600_000
"""2026-03-02T10:00:00Z, a Monday, 11:00 in Rome."""
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SHIPPED = read_files(Path(__file__).parents[1] / "workflows")
FILES = {name: content for name, content in SHIPPED.items() if name != "policy"}
"""Without the shop's policy, so that what a test is about isn't held for another reason."""


class Mail(NamedTuple):
    """A commanded mail."""

    at: float
    customer: str
    step: str


class Decided(NamedTuple):
    """A decision."""

    at: float
    step: str
    decision: str
    reason: str


class Harness:
    """One partition: log, actors, store."""

    def __init__(
        self,
        files: Mapping[str, bytes] = FILES,
        *,
        cache_bytes: int = 1 << 30,
        limits: VisitorLimits = NO_LIMITS,
        signer: RecordSigner | None = None,
    ) -> None:
        """With a `signer` what is Ritorno's own has to be signed, and what actors say is."""
        self.signer = signer
        self.visitors = {"v", "v1"}
        """Keys whose events say that they are a visitor's."""
        self.definitions = Definitions(limits=limits)
        self.live = {name: self.publish(content) for name, content in files.items()}
        self.first = dict(self.live)
        self.records: list[Record] = []
        self.effects: list[Effect] = []
        self.set_aside: list[SetAside] = []
        self.counts: list[BatchCounts] = []
        self.store: dict[bytes, bytes] = {}
        self.now = START
        self._cache_bytes = cache_bytes
        self._progress = Progress(live=self.live)
        self._ids = itertools.count(1)
        self.actors = self.build()

    @classmethod
    def of(cls, *texts: str, limits: VisitorLimits = NO_LIMITS) -> Harness:
        """Return one in which only these definitions are live, written as in their files."""
        definitions = [DEFINITION.validate_python(Document(text).content) for text in texts]
        return cls({each.id: canonical(each) for each in definitions}, limits=limits)

    def publish(self, content: bytes) -> str:
        """Publish a version, not live yet; return it."""
        version = version_of(content)
        self.definitions.add(version, content)
        return version

    def build(self) -> PartitionActors:
        """Build the actors from the store, as after a restart."""
        self.actors = PartitionActors(
            partition=0,
            load=self.store.get,
            definitions=self.definitions,
            progress=self._progress,
            due=[(head(stored).due, key) for key, stored in self.store.items()],
            products=self._under(PRODUCT_PREFIX),
            held_back=self._under(HELD_BACK_PREFIX),
            scan=self.store.items,
            memory=CacheMemory(self._cache_bytes),
            signer=self.signer,
        )
        return self.actors

    def continue_with(self, **progress: Any) -> Harness:
        """Build the actors again with another progress."""
        self._progress = msgspec.structs.replace(self._progress, **progress)
        self.build()
        return self

    def _under(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return [item for item in self.store.items() if item[0].startswith(prefix)]

    # What happens.

    def at(self, seconds: float) -> Harness:
        """Let time pass until then; timers fire at their second."""
        until = START + round(seconds * 1000)
        while True:
            if not self.actors.unfinished:
                second = -(-self.actors.next_timer // 1000) * 1000
                if second > until:
                    break
                self.now = max(self.now, second)
            self.append(OutRecord(None, b"", (("ce_type", TICK.encode()),)))
        self.now = max(self.now, until)
        return self

    def sleep_until(self, seconds: float) -> Harness:
        """Nobody is there: no ticks, one at the end."""
        self.now = START + round(seconds * 1000)
        self.append(OutRecord(None, b"", (("ce_type", TICK.encode()),)))
        return self

    def tell(
        self,
        type_: str,
        customer: str = "anna",
        *,
        happened: float | None = None,
        id_: str | None = None,
        visitor: str | None = None,
        backfill: bool = False,
        named: bool = False,
        sender: str = "/shop",
        traceparent: str = "",
        **data: Any,
    ) -> Harness:
        """Append an event now, in binary mode; `happened` is its own time, now if absent."""
        time = self.now if happened is None else START + round(happened * 1000)
        headers = {"ce_id": id_ or f"e{next(self._ids)}", "ce_source": sender, "ce_type": type_,
                   "ce_time": to_rfc3339(time)}  # fmt: skip
        if visitor is None and customer in self.visitors:
            visitor = customer  # declared as one
        if visitor:
            headers["ce_anonymousid"] = visitor
        if backfill:
            headers["ce_backfill"] = "true"
        if named:
            headers["ce_subject"] = customer
        if traceparent:
            headers["traceparent"] = traceparent
        raw = tuple((name, value.encode()) for name, value in headers.items())
        self.append(OutRecord(customer.encode(), json.dumps(data).encode(), raw))
        return self

    def publish_live(self, text: str) -> Harness:
        """Publish another version, written as in its file, and make it live at once."""
        definition = DEFINITION.validate_python(Document(text).content)
        self.live = {**self.live, definition.id: self.publish(canonical(definition))}
        return self.activate(self.live)

    def activate(self, live: Mapping[str, str]) -> Harness:
        """Append a control record."""
        headers = (("ce_type", WORKFLOWS.encode()),)
        self.append(OutRecord(None, json.dumps({"live": dict(live)}).encode(), headers))
        return self

    def append(self, out: OutRecord) -> None:
        """Append one record, and behind it what it makes actors tell each other."""
        waiting = [out]
        while waiting:
            record = Record(CUSTOMER_EVENTS, 0, len(self.records), self.now, *waiting.pop(0))
            self.records.append(record)
            waiting += [
                self._written(e) for e in self._receive(record) if e.topic == CUSTOMER_EVENTS
            ]

    def _written(self, effect: Effect) -> OutRecord:
        return effect.record if self.signer is None else effect.signed(self.signer)

    def _receive(self, record: Record) -> list[Effect]:
        while True:
            try:
                changes = self.actors.receive([record])
            except Poisoned as poisoned:
                assert poisoned.set_aside not in self.set_aside
                self.set_aside.append(poisoned.set_aside)
                left = (*self._progress.set_aside, poisoned.set_aside)
                self._progress = msgspec.structs.replace(self._progress, set_aside=left)
                self.build()
                continue
            self._progress = changes.progress
            self.counts.append(changes.counts)
            for key, value in changes.states:
                if value is None:
                    self.store.pop(key, None)
                else:
                    self.store[key] = value
            for effect in changes.effects:
                if isinstance(effect.content, Decision | ScoreChanged):  # made without a look
                    assert type(effect.content)(**vars(effect.content)) == effect.content
            self.effects += changes.effects
            return changes.effects

    @property
    def progress(self) -> Progress:
        """How far the partition has got."""
        return self._progress

    # What came of it.

    def customer(self, key: str = "anna") -> Customer:
        """Return the kept record, the visitor's where there is no customer of this id."""
        found, visitor = self._kept(key), self._kept(of_visitor(key))
        if visitor is not None and not (found and (found.first_seen or found.became)):
            return visitor
        return found or Customer(key=key)

    def _kept(self, key: str) -> Customer | None:
        stored = self.store.get(key.encode())
        return None if stored is None else decode_customer(key, stored)

    @property
    def mails(self) -> list[Mail]:
        """All commanded mails."""
        return [Mail(_seconds(c.time), c.customer, c.step) for c in self.commands]

    @property
    def commands(self) -> list[SendCommand]:
        """All send commands."""
        return [e.content for e in self.effects if isinstance(e.content, SendCommand)]

    @property
    def cancels(self) -> list[tuple[str, str, str]]:
        """All cancels: (command id, customer, reason)."""
        found = (e.content for e in self.effects if isinstance(e.content, CancelCommand))
        return [(c.id, c.customer, c.reason) for c in found]

    def said(self, workflow: str = "") -> list[Decided]:
        """Return the decisions of the workflows that begin with `workflow`."""
        found = (e.content for e in self.effects if isinstance(e.content, Decision))
        return [
            Decided(_seconds(d.time), d.step, d.decision, d.reason)
            for d in found
            if d.workflow.startswith(workflow)
        ]

    def details(self, workflow: str = "") -> list[tuple[str, str, str]]:
        """(step, decision, detail) of the decisions of the workflows that begin with `workflow`."""
        found = (e.content for e in self.effects if isinstance(e.content, Decision))
        return [(d.step, d.decision, d.detail) for d in found if d.workflow.startswith(workflow)]

    @property
    def refusals(self) -> list[tuple[str, str]]:
        """(reason, detail) of the dead letters."""
        letters = (e.record.headers for e in self.effects if e.topic == DEAD_LETTERS)
        found = (dict(headers) for headers in letters)
        return [(h["dl_reason"].decode(), h["dl_detail"].decode()) for h in found]

    @property
    def told(self) -> list[Event]:
        """Events that actors have sent to each other."""
        return [e.content for e in self.effects if isinstance(e.content, Event)]

    # Short forms.

    def mailed(self, *command_ids: str, customer: str = "anna") -> Harness:
        """Let mails of these ids have been commanded to the customer's address just now."""
        known = self.customer(customer)
        for command_id in command_ids:
            mailed.remember(known, command_id, known.profile.email, self.now)
        self.store[known.key.encode()] = encode_customer(known)
        self.build()
        return self

    def subscribed(self, customer: str = "anna") -> Harness:
        """With address and consent, on no list."""
        self.tell("customer.updated", customer, email=f"{customer}@example.com")
        return self.tell("consent.given", customer, purpose="marketing")

    def add(self, product: str = "moka", customer: str = "anna", **data: Any) -> Harness:
        """Put a product into the cart."""
        return self.tell("cart.product_added", customer, product_id=product, price="9.90", **data)

    def order(
        self, order_id: str = "o1", customer: str = "anna", *, products: Iterable[str] = ("moka",),
        **data: Any,
    ) -> Harness:  # fmt: skip
        """Complete an order."""
        lines = [{"product_id": product, "price": "9.90"} for product in products]
        return self.tell("order.completed", customer, order_id=order_id, products=lines, **data)


def changed(name: str, **fields: Any) -> bytes:
    """Return a workflow of ours with other fields, as it would be published."""
    content = json.loads(FILES[name]) | fields
    return canonical(DEFINITION.validate_python(content))


def _seconds(instant: int) -> float:
    return (instant - START) / 1000
