"""The mailer on the embedded log and a real SMTP server (aiosmtpd): restarts, failures, load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from agents.mail.queue.queued_mail import unpack_entry
from agents.mail.reputation import REPUTATION_KEY
from schemas.records import OutRecord
from schemas.stored import FENCING_EPOCH_KEY, PROGRESS_KEY
from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.log import LogUnavailable
from streams.mail.mailer import MailerRuntime
from streams.mail.relay import parse_relay
from streams.mail.smtp import SmtpPool
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.state.memory import MemoryStore
from streams.runtime.transports.batch import Fenced, TopicPartition
from streams.topology import topics
from tests.keys import SIGNER
from tests.mail.doubles import (
    AnyLog,
    CountingMetrics,
    MemoryLog,
    SimpleLeases,
    batch,
    expired_everywhere,
    suppress_nobody,
)
from tests.mail.mailshop import COMPOSER, shop
from tests.mail.samples import START, record, send
from tests.mail.servers import parse, scripted

TP = TopicPartition("send-commands", 0)


class Inbox:
    """An aiosmtpd handler that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self._news = asyncio.Condition()

    async def until(self, count: int) -> None:
        """Wait for `count` mails."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.mails) >= count)

    async def handle_DATA(self, _: object, __: object, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.mails.append(envelope)
        async with self._news:
            self._news.notify_all()
        return "250 2.0.0 kept"


@asynccontextmanager
async def inbox() -> AsyncIterator[tuple[Inbox, str]]:
    handler = Inbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, loop=loop), "127.0.0.1", 0)
    yield handler, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@asynccontextmanager
async def mailer(log: Any, clock: VirtualClock, relay: str) -> AsyncIterator[MailerRuntime]:
    metrics = CountingMetrics()
    runtime = MailerRuntime(
        signer=SIGNER,
        log=log,
        partition_manager=SimpleLeases(),
        open_store=lambda _: MemoryStore(),
        check=lambda _: None,
        relays=[SmtpPool(parse_relay(relay), clock=clock, metrics=metrics)],
        compose=COMPOSER.compose,
        message_id=COMPOSER.message_id,
        suppress=suppress_nobody,
        log_time=expired_everywhere,
        identity=AnyLog(),
        clock=clock,
        metrics=metrics,
    )
    yield runtime
    await runtime.close()


async def test_commands_become_mails_once_over_restarts_on_the_embedded_log(
    tmp_path: Path,
) -> None:
    clock = VirtualClock(START)
    commands = [record(send(f"m{n}", urgent=n % 3 == 0), n) for n in range(60)]
    async with inbox() as (kept, url):
        log = await started(tmp_path, clock)
        async with mailer(log, clock, url) as first:
            assert await first.opened(TP) is None
            await first.process(batch(commands[:40]))
        await log.stop()

        log = await started(tmp_path, clock)
        async with mailer(log, clock, url) as second:
            assert await second.opened(TP) == 40
            await second.process(batch(commands[20:]))  # 20 of them for the second time
            async with asyncio.timeout(20):
                await kept.until(60)
        end = (await log.offsets("customer-events"))[0].end
        chunks = [chunk async for chunk in log.read("customer-events", 0, 0, end)]
        await log.stop()
    found = [parse_record(each).id for chunk in chunks for each in chunk]
    assert sorted(found) == sorted(f"m{n}/sent" for n in range(60))
    ids = [parse(each.content)["Message-ID"] for each in kept.mails]
    assert len(ids) == len(set(ids)) == 60
    text, html = parse(kept.mails[0].content).iter_parts()
    assert "1.052,00\u00a0€" in text.get_content()
    assert "1.052,00\u00a0€" in html.get_content()


async def started(path: Path, clock: VirtualClock) -> EmbeddedLog:
    log = EmbeddedLog(path, clock)
    await log.start()
    await log.create_topics(topics(1))
    return log


class FlakyLog(MemoryLog):
    """Fails when it is told to."""

    fail_next = 0
    lose_answer = False

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        if self.fail_next:
            self.fail_next -= 1
            if self.lose_answer:
                await super().append(topic, partition, records)
            raise LogUnavailable("the broker is away")
        return await super().append(topic, partition, records)


@pytest.mark.parametrize("lose_answer", [False, True])
async def test_a_result_that_could_not_be_written_is_written_later(lose_answer: bool) -> None:
    """The broker goes away between the relay's 250 and the result: nobody has to guess."""
    async with scripted() as relay:
        log = FlakyLog(VirtualClock(START))
        async with shop(relay.url, log=log) as here:
            log.lose_answer = lose_answer

            def away(count: int = 2) -> None:
                log.fail_next = count

            relay.on_text = away
            await here.take(send())
            (sent,) = await here.until("mail.sent")
            assert sent["ambiguous"] is False
    assert len(relay.mails) == 1
    assert "mail.failed" not in here.log.types()


async def test_a_fenced_worker_delivers_nothing() -> None:
    async with scripted() as relay, shop(relay.url) as here:
        fenced = True

        def check(_: TopicPartition) -> None:
            if fenced:
                raise Fenced("paused too long")

        here.runtime._check = check
        await here.runtime.process(batch([record(send())]))
        assert here.partition_manager.failures
        assert not relay.connections
        fenced = False
        await here.runtime.closed(TP)  # as the partition manager does after a failure
        assert await here.runtime.opened(TP) is None
        await here.runtime.process(batch([record(send())]))
        await here.until("mail.sent")
    assert len(relay.mails) == 1


async def test_nothing_personal_is_kept_of_a_finished_mail() -> None:
    async with scripted() as relay, shop(relay.url) as here:
        await here.take(send())
        await here.until("mail.sent")
    last = {each.key: each.value for each in here.log.kept["mailer-changelog", 0]}
    assert set(last) == {b"m1", FENCING_EPOCH_KEY, PROGRESS_KEY, REPUTATION_KEY}
    entry = unpack_entry(last[b"m1"] or b"")
    assert (entry.state, entry.command, entry.pending) == ("sent", b"", ())


async def test_many_mails_share_appends() -> None:
    async with scripted() as relay, shop(relay.url) as here:
        appends = 0
        original = here.log.append

        async def append(topic: str, partition: int, records: Sequence[OutRecord]) -> int:
            nonlocal appends
            appends += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return await original(topic, partition, records)

        here.log.append = append  # type: ignore[method-assign]  # counts what goes through
        await here.take(*(send(f"m{n}") for n in range(100)))
        await here.until("mail.sent", 100)
    assert appends < 400 * 0.9  # one by one it would be four per mail
