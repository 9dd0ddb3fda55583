"""A queue whose changes are written at once to a store in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from agents.mail.providers import Providers
from agents.mail.queue.concurrency import ConcurrencyLimits
from agents.mail.queue.defects import Defects
from agents.mail.queue.mail_queue import Queue
from agents.mail.queue.queue_changes import QueueChanges
from agents.mail.queue.queued_mail import QueuedMail
from agents.mail.replies import RelayAccepted, RelayRefused, Result
from agents.mail.reputation import Reputation
from schemas.stored import NEVER, Progress, head
from tests.keys import SIGNER
from tests.mail.samples import DAY, START, record, send

OK = RelayAccepted(250, "ok")
NO = RelayRefused("rcpt", 550, "5.1.1 no")


class Store(dict[bytes, bytes]):
    """What a changelog would keep."""

    def write(self, queue: Queue, changes: QueueChanges) -> QueueChanges:
        for key, stored in changes.states:
            if stored is None:
                del self[key]
            else:
                assert key not in self or head(stored).applied > head(self[key]).applied
                self[key] = stored
        queue.written(changes.states)
        return changes


def open_queue(
    kept: Mapping[bytes, bytes],
    *,
    progress: Progress | None = None,
    fencing_epoch: int = 1,
    reputation: Reputation | None = None,
    is_home: bool = True,
    log_time: Callable[[], int] = lambda: NEVER,
) -> Queue:
    """Return the queue of partition 0 of which this is kept."""
    return Queue(
        load=kept.get,
        kept=list(kept.items()),
        progress=progress or Progress(),
        message_id=lambda id_: f"<{id_}>",
        partition=0,
        fencing_epoch=fencing_epoch,
        reputation=reputation or Reputation(),
        providers=Providers(),
        defects=Defects(),
        signer=SIGNER,
        is_home=lambda _: is_home,
        log_time=log_time,
    )


class QueueHarness:
    """A queue whose changes are written at once."""

    def __init__(
        self, reputation: Reputation | None = None, log_time: Callable[[], int] = lambda: NEVER
    ) -> None:
        self.log_time = log_time
        self.store = Store()
        self.reputation = reputation or Reputation()
        self.offset = 0
        self.fencing_epochs = 0
        self.told: list[tuple[str, str, str]] = []
        """Every outcome so far: (command id, type, reason)."""
        self.queue = self.reopened()

    def reopened(self) -> Queue:
        self.fencing_epochs += 1
        return open_queue(
            self.store,
            fencing_epoch=self.fencing_epochs,
            reputation=self.reputation,
            log_time=self.log_time,
        )

    def do(self, changes: QueueChanges) -> QueueChanges:
        for each in changes.outcomes:
            reason = json.loads(each.record.value or b"{}").get("reason", "")
            self.told.append((each.id, parse(each.record), reason))
        return self.store.write(self.queue, changes)

    def read(self, *commands: Any, at: int = START) -> QueueChanges:
        records = []
        for command in commands:
            records.append(record(command, self.offset, timestamp=at))
            self.offset += 1
        changes = self.do(self.queue.receive(records))
        self.do(self.queue.housekeep(at))
        return changes

    def pick(self, now: int) -> QueuedMail | None:
        """Take the mail that a relay with a free connection would get."""
        for lane in ConcurrencyLimits(10).order(self.queue.ready(now)):
            if (entry := self.queue.pick(lane, now)) is not None:
                return entry
        return None

    def claim(self, now: int = START) -> QueuedMail:
        entry = self.pick(now)
        assert entry is not None
        claim = self.queue.claim(entry.id, now)
        assert claim is not None
        self.do(claim[1])
        return claim[0]

    def record_result(self, result: Result, now: int = START, id_: str = "m1") -> QueueChanges:
        return self.do(self.queue.record_result(id_, result, now))

    def pass_time(self, now: int) -> None:
        """Do what is to be done at `now`."""
        self.do(self.queue.housekeep(now))
        while (time := self.queue.next_time(now)) is not None and time <= now:
            self.queue.ready(now)
            self.do(self.queue.housekeep(now))

    def send_all(self, now: int, result: Result = OK) -> list[str]:
        """Deliver all that may go at `now`; return their ids."""
        gone = []
        self.pass_time(now)
        while self.queue.ready(now):
            entry = self.pick(now)
            claim = None if entry is None else self.queue.claim(entry.id, now)
            if claim is not None:
                self.do(claim[1])
                self.record_result(result, now, claim[0].id)
                gone.append(claim[0].id)
            self.pass_time(now)
        return gone

    def state(self, id_: str = "m1") -> str | None:
        entry = self.queue.get(id_)
        return None if entry is None else entry.state


def types(changes: QueueChanges) -> list[str]:
    return [parse(each.record) for each in changes.outcomes]


def parse(out: object) -> str:
    headers = dict(out.headers)  # type: ignore[attr-defined]  # an OutRecord
    return str(headers["ce_type"].decode())


def bounce_some(
    harness: QueueHarness, good: int, bad: int, *, start: int = START, whose: Any = None
) -> int:
    """Deliver mails, the bad ones last, each to somebody else, or to `whose(number)`, customer and
    address; return when."""
    whose = whose or (lambda number: (f"c{number}", f"c{number}@example.com"))
    for number in range(good + bad):
        id_ = f"r{start}-{number}"
        customer, email = whose(number)
        mail = send(id_, urgent=True, time=start, expires=start + DAY, customer=customer,
                    email=email)  # fmt: skip
        harness.read(mail, at=start)
        harness.pass_time(start)
        entry = harness.pick(start)
        assert entry is not None
        claim = harness.queue.claim(id_, start)
        assert claim is not None
        harness.do(claim[1])
        harness.record_result(NO if number >= good else OK, start, id_)
    harness.pass_time(start)
    return start
