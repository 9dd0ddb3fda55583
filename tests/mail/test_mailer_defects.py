"""What the mailer's own code fails at twice is refused or given up, and what can't be read is left
as it is: the partition goes on, behind the real gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from agents.mail.addresses import EnvelopeRecipient
from agents.mail.message.compose import ComposedMail
from agents.mail.queue import lifecycle
from agents.mail.queue.command_intake import CommandIntake
from agents.mail.queue.pauses import PAUSES_KEY
from agents.mail.replies import RelayAccepted, Result
from agents.mail.reputation import REPUTATION_KEY
from schemas.commands import SendCommand
from schemas.dead_letters import DeadLetter, read_letter
from schemas.records import OutRecord
from schemas.stored import NEVER, pack
from schemas.topics import CUSTOMER_EVENTS, DEAD_LETTERS, MAILER_CHANGELOG, SEND_COMMANDS
from streams.clock import VirtualClock
from streams.mail.attempt import Attempts
from streams.mail.mailer import MailerRuntime
from streams.mail.smtp import SmtpPool
from streams.partitioner import partition_of
from streams.runtime.state.memory import open_memory
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager
from streams.topology import topics
from tests.keys import SIGNER
from tests.mail.doubles import AnyLog, CountingMetrics, OneWay, expired_everywhere, suppress_nobody
from tests.mail.samples import START, cancel, record, resume, send
from tests.runtime.doubles import MemoryLog

TP = TopicPartition(SEND_COMMANDS, 0)
LIMIT = 20


class Source:
    session_timeout = 10.0

    def heartbeat_age(self) -> float:
        return 0.0

    def refusal(self) -> str:
        return ""

    async def first_offset(self, _: TopicPartition) -> int:
        return 0


class Mailer:
    """One partition of the mailer, its relay, and whoever is its owner now."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.metrics = CountingMetrics()
        self.sent: list[str] = []
        self.fails: Callable[[str], bool] = lambda _: False

    async def start(self) -> None:
        self.partition_manager = PartitionManager(pause=_at_once)
        self.partition_manager.attach(Source())
        self.runtime = MailerRuntime(
            log=self.log,
            partition_manager=self.partition_manager,
            open_store=open_memory,
            check=lambda _: None,
            relays=[cast("SmtpPool", self._relay())],
            compose=_compose,
            message_id=lambda id_: f"<{id_}@test>",
            suppress=suppress_nobody,
            log_time=expired_everywhere,
            identity=AnyLog(),
            clock=self.log.clock,
            metrics=self.metrics,
            pause=_at_once,
            signer=SIGNER,
        )
        self.partition_manager.own(SEND_COMMANDS, self.runtime)
        self.partition_manager.assigned([TP])

    async def stop(self) -> None:
        await self.partition_manager.stop()
        await self.runtime.close()

    async def read(self, *commands: Any) -> None:
        """Append commands, and wait until all that follows has happened."""
        kept = self.log.topics[SEND_COMMANDS][0]
        for command in commands:
            each = record(command, len(kept))
            await self.log.append(SEND_COMMANDS, 0, [OutRecord(each.key, each.value, each.headers)])
        await self.catch_up()

    async def catch_up(self) -> None:
        kept = self.log.topics[SEND_COMMANDS][0]
        async with asyncio.timeout(LIMIT):
            while True:
                await self.partition_manager.until(lambda: TP in self.partition_manager.wanted())
                want = self.partition_manager.wanted()[TP]
                if want.offset >= len(kept):
                    break
                batch = self.partition_manager.deliver(TP, want, kept[want.offset :])
                if batch is not None:
                    await self.runtime.process(batch)

    async def told(self, count: int) -> list[str]:
        """Wait for so many outcomes; return their types."""
        async with asyncio.timeout(LIMIT), self.log.appended:
            await self.log.appended.wait_for(
                lambda: len(self.log.records(CUSTOMER_EVENTS)) >= count
            )
        return [(r.header("ce_type") or b"").decode() for r in self.log.records(CUSTOMER_EVENTS)]

    def letters(self) -> list[DeadLetter]:
        found = [read_letter(each) for each in self.log.records(DEAD_LETTERS)]
        return [each for each in found if isinstance(each, DeadLetter)]

    def _relay(self) -> Any:
        mailer = self

        class Connection:
            smtputf8, mails, dotted = True, 0, False

            async def deliver(self, mail: ComposedMail) -> Result:
                mailer.sent.append(mail.command_id)
                return RelayAccepted(250, "ok")

        class Relay(OneWay):
            @asynccontextmanager
            async def connection(self, *_: str, **__: bool) -> AsyncIterator[Connection]:
                yield Connection()

        return Relay()


@pytest.fixture
async def mailer() -> AsyncIterator[Mailer]:
    log = MemoryLog(VirtualClock(START))
    await log.create_topics(topics(1))
    each = Mailer(log)
    await each.start()
    yield each
    await each.stop()


async def _at_once(_: float) -> None:
    await asyncio.sleep(0)


def _compose(command: SendCommand) -> ComposedMail:
    return ComposedMail(
        command.id, "a@test", EnvelopeRecipient("b@test", "", False), b"", f"<{command.id}@test>"
    )


def failing(patch: pytest.MonkeyPatch, place: Any, name: str, fails: Callable[..., bool]) -> None:
    before = getattr(place, name)

    def fail(*args: Any, **kwargs: Any) -> Any:
        if fails(*args):
            raise ZeroDivisionError
        return before(*args, **kwargs)

    patch.setattr(place, name, fail)


async def test_a_command_is_refused_and_the_others_are_obeyed(
    mailer: Mailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, CommandIntake, "_queue", lambda _self, command, *_: command.id == "m2")
    await mailer.read(*(send(f"m{number}", urgent=True) for number in (1, 2, 3)))
    assert await mailer.told(2) == ["mail.sent"] * 2
    assert sorted(mailer.sent) == ["m1", "m3"]
    assert [(each.reason, each.origin.offset) for each in mailer.letters()] == [
        ("internal_error", 1)
    ]
    assert mailer.partition_manager.counts.reopened == 2


async def test_a_command_is_carried_out_in_its_partition_and_in_no_other() -> None:
    log = MemoryLog(VirtualClock(START))
    await log.create_topics(topics(2))
    mailer = Mailer(log)
    await mailer.start()
    names = [f"u{number}" for number in range(10)]
    await mailer.read(*(send(name, urgent=True, customer=name) for name in names))
    home = [name for name in names if partition_of(name.encode(), 2) == 0]
    assert await mailer.told(len(home)) == ["mail.sent"] * len(home)
    assert sorted(mailer.sent) == home
    assert [each.reason for each in mailer.letters()] == ["misplaced"] * (len(names) - len(home))
    await mailer.stop()


async def test_a_control_record_is_refused_and_mails_go_on(
    mailer: Mailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, CommandIntake, "_obey", lambda *_: True)
    await mailer.read(resume(), send("m1", urgent=True))
    assert await mailer.told(1) == ["mail.sent"]
    assert [each.reason for each in mailer.letters()] == ["internal_error"]


async def test_a_mail_that_cannot_be_delivered_is_given_up_and_told_of(
    mailer: Mailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, Attempts, "_composed", lambda _self, entry: entry.id == "m1")
    await mailer.read(send("m1", urgent=True), send("m2", urgent=True))
    assert sorted(await mailer.told(2)) == ["mail.rejected", "mail.sent"]
    assert mailer.sent == ["m2"]
    rejected = [r.value or b"" for r in mailer.log.records(CUSTOMER_EVENTS)]
    assert any(b"internal_error" in value for value in rejected)
    await mailer.read(send("m3", urgent=True))
    assert "m3" in mailer.sent or (await mailer.told(3))[-1] == "mail.sent"


async def test_a_mail_that_cannot_even_be_given_up_is_left_as_it_is(
    mailer: Mailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, Attempts, "_composed", lambda _self, entry: entry.id == "m1")
    failing(monkeypatch, lifecycle, "given_up", lambda entry, _now: entry.id == "m1")
    await mailer.read(send("m1", urgent=True), send("m2", urgent=True))
    await mailer.metrics.until_gauge("stuck", 0, at_least=1)
    assert await mailer.told(1) == ["mail.sent"]
    await mailer.read(cancel("m1"), send("m1", urgent=True), send("m3", urgent=True))
    await mailer.told(2)
    assert sorted(mailer.sent) == ["m2", "m3"]
    assert [each.reason for each in mailer.letters()] == ["held_back"]  # the cancellation
    monkeypatch.undo()
    await mailer.stop()
    await mailer.start()  # a release that can
    await mailer.catch_up()
    await mailer.told(3)
    assert "m1" in mailer.sent


async def test_a_mail_that_cannot_be_read_is_left_as_it_is(mailer: Mailer) -> None:
    damaged = pack(5, NEVER, b"\xc1 no entry")
    await mailer.stop()
    await mailer.log.append(MAILER_CHANGELOG, 0, [OutRecord(b"m9", damaged)])
    await mailer.start()
    await mailer.read(send("m9", urgent=True), send("m2", urgent=True))
    assert await mailer.told(1) == ["mail.sent"]
    assert mailer.sent == ["m2"]
    assert mailer.metrics.gauges["stuck", 0] == 1
    kept = [r.value for r in mailer.log.records(MAILER_CHANGELOG) if r.key == b"m9"]
    assert kept == [damaged]


async def test_of_pauses_that_cannot_be_read_all_mails_wait(mailer: Mailer) -> None:
    await mailer.stop()
    damaged = [OutRecord(key, pack(1, NEVER, b"\xc1")) for key in (PAUSES_KEY, REPUTATION_KEY)]
    await mailer.log.append(MAILER_CHANGELOG, 0, damaged)
    await mailer.start()
    await mailer.read(send("m1", urgent=True))
    assert await mailer.told(1) == ["mail.held"]
    await mailer.read(resume())
    assert (await mailer.told(2))[-1] == "mail.sent"
