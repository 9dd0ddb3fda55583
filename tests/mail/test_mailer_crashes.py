"""The claim protocol, killed between every two of its steps.

A life is a MailerRuntime on a log and a relay that survive it. Each append and each mail handed
over is a step; at the chosen one the life ends: nothing it does from then on has any effect. The
next life recovers from the log. What must hold at the end, whatever the relay answered:

- marketing is handed over at most once, transactional at least once unless it was refused for good;
- a second copy is admitted: some outcome of that mail says `ambiguous`;
- each command has exactly one final outcome, by event id.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from agents.mail.addresses import EnvelopeRecipient
from agents.mail.message.compose import ComposedMail
from agents.mail.queue.queued_mail import unpack_entry
from agents.mail.replies import Dropped, RelayAccepted, RelayRefused, Result, Unknown
from schemas.commands import CancelCommand, SendCommand
from schemas.records import OutRecord
from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.mail.mailer import MailerRuntime
from streams.mail.smtp import SmtpPool
from streams.runtime.state.memory import MemoryStore
from streams.runtime.transports.batch import TopicPartition
from tests.keys import SIGNER
from tests.mail.doubles import (
    AnyLog,
    CountingMetrics,
    MemoryLog,
    OneWay,
    SimpleLeases,
    batch,
    expired_everywhere,
    suppress_nobody,
)
from tests.mail.samples import DAY, START, cancel, record, send

TP = TopicPartition("send-commands", 0)
FINAL = ("mail.sent", "mail.bounced", "mail.failed", "mail.rejected", "mail.skipped")
SPIN = 40
"""Turns of the event loop in which everything that can happen now has happened."""

Command = SendCommand | CancelCommand


class Lifetime:
    """One process: takes steps until it dies."""

    def __init__(self, last_step: int | None) -> None:
        self.last_step = last_step
        self.steps = 0
        self.died = asyncio.Event()

    async def step(self) -> None:
        """Go on, or never again."""
        if not self.died.is_set():
            self.steps += 1
            if self.steps == self.last_step:
                self.died.set()
        if self.died.is_set():
            await asyncio.get_running_loop().create_future()


class Paused(Lifetime):
    """Paused before a step; goes on with it when another owns the partition, and dies."""

    def __init__(self, paused_at: int) -> None:
        super().__init__(last_step=paused_at + 1)
        self._paused_at = paused_at
        self.resumed = asyncio.Event()

    async def step(self) -> None:
        """Go on, later, or never again."""
        if self.steps + 1 == self._paused_at:
            await self.resumed.wait()
        await super().step()


class MortalLog(MemoryLog):
    """The shared log as one life sees it."""

    def __init__(self, shared: MemoryLog, life: Lifetime, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.kept = shared.kept
        self._life = life

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        await self._life.step()
        last = await super().append(topic, partition, records)
        await self._life.step()
        return last


class Environment:
    """What survives: log, relay, clock."""

    def __init__(
        self, commands: Sequence[Command], answer: Callable[[ComposedMail], Result]
    ) -> None:
        self.clock = VirtualClock(START)
        self.log = MemoryLog(self.clock)
        self.records = [record(command, offset) for offset, command in enumerate(commands)]
        self.commands = {each.id: each for each in commands if isinstance(each, SendCommand)}
        self.answer = answer
        self.handed_over: Counter[str] = Counter()

    async def live(self, last_step: int | None) -> Lifetime:
        """Run one life until it dies or everything is final."""
        life = Lifetime(last_step)
        runtime = self.runtime(life)
        driving = asyncio.create_task(self._drive(runtime))
        dying = asyncio.create_task(life.died.wait())
        await asyncio.wait({driving, dying}, return_when=asyncio.FIRST_COMPLETED)
        if not life.died.is_set():
            await driving
            life.died.set()
        await _kill_all()
        return life

    async def live_on(self, life: Lifetime) -> None:
        """Run a life, which may be paused, until nothing happens; it is not ended."""
        await self.runtime(life).opened(TP)
        await _spin()

    async def _drive(self, runtime: MailerRuntime) -> None:
        start = await runtime.opened(TP) or 0
        for offset in range(start, len(self.records), 3):
            await runtime.process(batch(self.records[offset : offset + 3]))
        for _ in range(400):
            await _spin()
            if self.finished():
                await _spin()
                return
            self.clock.advance(self.clock.now() + 600_000)
        raise AssertionError(f"never finished: {self.finals()}")

    def runtime(self, life: Lifetime) -> MailerRuntime:
        return MailerRuntime(
            signer=SIGNER,
            log=MortalLog(self.log, life, self.clock),
            partition_manager=SimpleLeases(),
            open_store=lambda _: MemoryStore(),
            check=lambda _: None,
            relays=[cast("SmtpPool", self._pool(life))],
            compose=_compose,
            message_id=lambda id_: f"<{id_}@test>",
            suppress=suppress_nobody,
            log_time=expired_everywhere,
            identity=AnyLog(),
            clock=self.clock,
            metrics=CountingMetrics(),
            grace=0,
        )

    def _pool(self, life: Lifetime) -> Any:
        environment = self

        class Connection:
            smtputf8, mails, dotted = True, 0, False

            async def deliver(self, mail: ComposedMail) -> Result:
                self.dotted = False
                await life.step()
                result = environment.answer(mail)
                if isinstance(result, RelayAccepted | Unknown):
                    self.dotted = True
                    environment.handed_over[mail.command_id] += 1
                    await life.step()
                return result

        class Relay(OneWay):
            @asynccontextmanager
            async def connection(self, *_: str, **__: bool) -> AsyncIterator[Connection]:
                yield Connection()

        return Relay()

    def outcomes(self) -> dict[str, list[Any]]:
        """Return the outcome events by command."""
        found: dict[str, list[Any]] = defaultdict(list)
        for each in self.log.events():
            event = parse_record(each)
            found[event.data.command_id].append(event)
        return found

    def finals(self) -> dict[str, set[str]]:
        """Return the ids of the final outcomes by command."""
        return {
            id_: {event.id for event in events if event.type in FINAL}
            for id_, events in self.outcomes().items()
        }

    def finished(self) -> bool:
        """Whether each command has its outcome."""
        finals = self.finals()
        return all(finals.get(id_) for id_ in self.commands)

    def check(self) -> None:
        """Assert the invariants."""
        outcomes, finals = self.outcomes(), self.finals()
        for id_, command in self.commands.items():
            assert len(finals[id_]) == 1, (id_, finals[id_])
            (kind,) = {event.type for event in outcomes[id_] if event.type in FINAL}
            copies = self.handed_over[id_]
            ambiguous = any(getattr(event.data, "ambiguous", False) for event in outcomes[id_])
            if kind == "mail.sent":
                assert copies >= 1, id_
            if kind == "mail.skipped":
                assert copies == 0, id_
            if command.mail_class == "marketing":
                assert copies <= 1, id_
                assert kind != "mail.failed" or ambiguous, id_
            else:
                assert kind in ("mail.sent", "mail.bounced", "mail.skipped") or ambiguous, id_
                assert copies <= 1 or ambiguous, id_


async def _spin() -> None:
    for _ in range(SPIN):
        await asyncio.sleep(0)


async def _kill_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _compose(command: SendCommand) -> ComposedMail:
    return ComposedMail(
        command.id, "a@test", EnvelopeRecipient("b@test", "", False), b"", f"<{command.id}@test>"
    )


def yes(_: ComposedMail) -> Result:
    return RelayAccepted(250, "ok")


FEW = [send("m1"), send("t1", urgent=True), cancel("m9"), send("m9"), send("m1"), send("m2")]


@pytest.mark.parametrize("answer", [yes, lambda _: RelayRefused("rcpt", 550, "5.1.1 no")])
async def test_a_crash_at_each_single_step(answer: Callable[[ComposedMail], Result]) -> None:
    step = 0
    while True:
        step += 1
        environment = Environment(FEW, answer)
        life = await environment.live(step)
        if life.steps < step:
            break  # lived to the end: all steps have been tried
        await environment.live(None)
        environment.check()
        assert environment.finals()["m9"] == {"m9/skipped"}
    environment.check()
    assert step > 10


@pytest.mark.parametrize("seed", range(200))
async def test_random_crashes_and_a_moody_relay(seed: int) -> None:
    chance = random.Random(seed)
    moods: list[Result] = [
        RelayAccepted(250, "ok"),
        RelayAccepted(250, "ok"),
        RelayAccepted(250, "ok"),
        RelayRefused("rcpt", 451, "4.7.1 later"),
        RelayRefused("dot", 554, "5.6.0 no"),
        Dropped("data", "gone"),
        Unknown("gone"),
    ]
    environment = Environment(some_commands(chance), lambda _: chance.choice(moods))
    for _ in range(chance.randrange(1, 5)):
        await environment.live(chance.randrange(1, 40))
    await environment.live(None)
    environment.check()


def some_commands(chance: random.Random) -> list[Command]:
    commands: list[Command] = []
    for number in range(chance.randrange(1, 8)):
        urgent = chance.random() < 0.4
        command = send(f"c{number}", urgent=urgent, expires=START + (2 if urgent else 1) * DAY)
        commands.append(command)
        if chance.random() < 0.3:
            commands.insert(chance.randrange(len(commands)), cancel(command.id))
        if chance.random() < 0.3:
            commands.append(command)
    return commands


async def test_what_arrives_late_of_an_owner_that_has_read_the_same_counts_for_nothing() -> None:
    """Both have read a mail that waits: one claims it and is paused, the next lets it expire."""
    environment = Environment([send("m1")], yes)
    await environment.live(5)  # its mark, then the mail; it dies before its claim is written
    late = Paused(3)  # its mark, then the claim
    await environment.live_on(late)
    environment.clock.advance(START + DAY + 1)
    await environment.live_on(
        Lifetime(7)
    )  # its mark, the state, the outcome; that it is told is not written
    assert environment.finals()["m1"] == {"m1/skipped"}
    late.resumed.set()
    await _spin()
    kept = environment.log.kept["mailer-changelog", 0]
    assert unpack_entry(kept[-1].value or b"").state == "attempting", "it has arrived late"
    await _kill_all()
    await environment.live(None)
    environment.check()


async def test_an_outcome_that_was_not_published_is_published_by_the_next_life() -> None:
    environment = Environment([send()], yes)
    for last_step in range(1, 30):
        await environment.live(last_step)
        states = environment.log.kept.get(("mailer-changelog", 0), [])
        if any(b"\xa4sent" in (each.value or b"") for each in states):
            break
    await environment.live(None)
    environment.check()
    assert [json.loads(each.value or b"")["command_id"] for each in environment.log.events()]
