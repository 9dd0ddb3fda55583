"""A running mailer with one partition, on a log in memory and a virtual clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dns.asyncresolver import Resolver

from agents.mail.message.compose import Composer
from agents.mail.providers import Providers
from agents.mail.reputation import Reputation
from schemas.commands import Command
from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.mail.mail_hosts import MailHosts
from streams.mail.mailer import MailerRuntime
from streams.mail.relay import parse_relays
from streams.mail.smtp import SmtpPool
from streams.mail.smtp_transaction import SmtpLimits
from streams.mail.templates import load_renderer
from streams.mail.webhooks import Webhooks
from streams.runtime.state.memory import MemoryStore
from streams.runtime.transports.batch import TopicPartition
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
from tests.mail.samples import SETTINGS, START, record

COMPOSER = Composer(SETTINGS, load_renderer(Path("workflows")))
TP = TopicPartition("send-commands", 0)
TINY = SmtpLimits(connect=0.3, reply=0.3, data=0.3)
"""Timeouts that end a test at once; nothing else waits for them."""


@dataclass
class Shop:
    """A running mailer with one partition, and what it talks to."""

    runtime: MailerRuntime
    log: MemoryLog
    clock: VirtualClock
    metrics: CountingMetrics
    pools: list[SmtpPool]
    partition_manager: SimpleLeases
    offset: int = 0

    @property
    def pool(self) -> SmtpPool:
        """The relay that is preferred."""
        return self.pools[0]

    async def take(self, *commands: Command) -> None:
        """Give commands to the mailer as one batch."""
        records = []
        for command in commands:
            records.append(record(command, self.offset, timestamp=self.clock.now()))
            self.offset += 1
        await self.runtime.process(batch(records))
        assert not self.partition_manager.failures

    async def drive(self, until: int) -> None:
        """Let the time pass up to `until`, stopping whenever something is due."""
        while True:
            async with asyncio.timeout(10):
                await self.runtime.until_idle()
            due = self.runtime.next_time()
            if due is None or due > until:
                self.clock.advance(until)
                return
            self.clock.advance(due)

    def outcomes(self, type_: str) -> list[dict[str, Any]]:
        """Return the data of the events of a type, after checking that they are readable."""
        events = [each for each in self.log.events() if parse_record(each).type == type_]
        return [json.loads(each.value or b"") for each in events]

    async def until(self, type_: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for outcomes and return them."""
        await self.log.until(count, type_)
        return self.outcomes(type_)


@asynccontextmanager
async def shop(
    *relays: str,
    limits: SmtpLimits | None = None,
    log: MemoryLog | None = None,
    webhooks: Webhooks | None = None,
    reputation: Reputation | None = None,
    resolver: Resolver | None = None,
    max_wait: float = 5.0,
) -> AsyncIterator[Shop]:
    """Run a mailer with these relays on a clock of its own. `resolver`: whom it asks about domains,
    nobody by default, and `max_wait` how long a batch waits for that."""
    clock = VirtualClock(START)
    log = log or MemoryLog(clock)
    metrics = CountingMetrics()
    pools = [
        SmtpPool(relay, clock=clock, metrics=metrics, limits=limits)
        for relay in parse_relays(" ".join(relays))
    ]
    partition_manager = SimpleLeases()
    providers = Providers()
    hosts = MailHosts(providers, clock, resolver=resolver, max_wait=max_wait) if resolver else None
    runtime = MailerRuntime(
        signer=SIGNER,
        log=log,
        partition_manager=partition_manager,
        open_store=lambda _: MemoryStore(),
        check=lambda _: None,
        relays=pools,
        compose=COMPOSER.compose,
        message_id=COMPOSER.message_id,
        suppress=suppress_nobody,
        log_time=expired_everywhere,
        identity=AnyLog(),
        clock=clock,
        metrics=metrics,
        webhooks=webhooks,
        reputation=reputation,
        providers=providers,
        mail_hosts=hosts,
        grace=0.5,
    )
    await runtime.opened(TP)
    try:
        yield Shop(runtime, log, clock, metrics, pools, partition_manager)
    finally:
        await runtime.close()
