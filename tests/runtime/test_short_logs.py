"""A partition whose log ends before what was read of it, and whose customers were deaf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from schemas.continuation import LOG_CONTINUED, Continuation, encode_continuation
from schemas.controls import control_record
from schemas.dead_letters import refuse
from schemas.records import OutRecord, Record
from schemas.set_aside import SetAside
from schemas.stored import NEVER, PROGRESS_KEY, Progress, pack, pack_progress
from streams.clock import VirtualClock
from streams.log import Log, LogError, OffsetRange
from streams.operate.check import CheckStatus
from streams.operate.doctor import check_lag
from streams.operate.short_logs import MADE_ANEW, fill_up, follow_up
from streams.operate.topic_checks import check_topics
from streams.runtime.log_identity import LogIdentity, LogTooShort
from streams.runtime.ticks import TICK
from streams.runtime.topic_watch import EVERY_MS, TopicWatch
from streams.runtime.transports.batch import TopicPartition
from streams.settings import Settings
from streams.topology import (
    CUSTOMER_EVENTS,
    CUSTOMERS_CHANGELOG,
    DEAD_LETTERS,
    MAILER_CHANGELOG,
    SEND_COMMANDS,
    topics,
)
from tests.keys import SIGNER
from tests.mail.harness import QueueHarness
from tests.runtime.doubles import START, Crash, MemoryLog, memory_log
from tests.runtime.harness import TP, Harness, memory_house


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = await memory_house()
    await harness.publish()
    await harness.start()
    yield harness
    await harness.stop()


async def _made_anew(harness: Harness) -> None:
    log = harness.log
    assert isinstance(log, MemoryLog)
    await harness.stop()
    log.topics[CUSTOMER_EVENTS] = [[]]
    harness.clock.advance(harness.clock.now() + 60_000)


async def test_a_topic_that_was_made_anew_is_filled_up_and_its_customers_hear_again(
    harness: Harness,
) -> None:
    for _ in range(5):
        await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    applied = harness.customer("anna").applied
    await _made_anew(harness)

    await harness.told("anna", "product.viewed", product_id="moka")  # before anybody notices
    await harness.start()
    async with asyncio.timeout(5):
        await harness.partition_manager.until(lambda: bool(_problem(harness)))
    assert _problem(harness) == (
        "the log of customer-events/0 ends at 1, and was read up to 6: the topic was made anew, or "
        "comes from an older copy. ritorno topics create fills it up"
    )
    check = await check_lag(harness.log, harness.clock)
    assert check.status is CheckStatus.FAIL and check.remedy == "ritorno topics create fills it up"

    assert await _repair(harness.log) == ({TP: 1}, 1)
    assert await _repair(harness.log) == ({}, 0)  # nothing to do any more
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 7
    assert harness.customer("anna").applied > applied


async def test_where_an_owner_has_gone_on_in_the_new_log_it_is_filled_up_as_far(
    harness: Harness,
) -> None:
    """So did release 0.1: the last progress lies below what an owner recovers."""
    for _ in range(5):
        await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    await _made_anew(harness)
    await harness.append(TICK)
    progress = pack_progress(Progress(next_offset=1, log_time=START, log_epoch=START))
    await harness.log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, progress)])
    assert await _repair(harness.log) == ({TP: 0}, 0)
    await harness.start()
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 6


async def test_nothing_is_read_of_a_log_that_is_empty(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Kafka one would wait for the record, and then say that the broker does not answer."""
    log, read = await _deaf(harness, 0), MemoryLog.read

    def waiting(log: MemoryLog, topic: str, partition: int, start: int, stop: int) -> Any:
        assert stop <= len(log.topics[topic][partition])
        return read(log, topic, partition, start, stop)

    monkeypatch.setattr(MemoryLog, "read", waiting)
    assert await _repair(log) == ({TP: 0}, 0)


async def _deaf(harness: Harness, meanwhile: int) -> MemoryLog:
    """A customer who has viewed five times, and events that came where the log was read already."""
    log = harness.log
    assert isinstance(log, MemoryLog)
    for _ in range(5):
        await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    await _made_anew(harness)
    for _ in range(meanwhile):
        await harness.told("anna", "product.viewed", product_id="moka")
    return log


@pytest.mark.parametrize("append", range(5))
@pytest.mark.parametrize("written", [0, 1, None])
async def test_a_kill_at_any_append_loses_no_event_and_counts_none_twice(
    harness: Harness, append: int, written: int | None
) -> None:
    log, left = await _deaf(harness, 3), append

    def kill(_topic: str, _partition: int, records: Sequence[OutRecord]) -> int | None:
        nonlocal left
        left -= 1
        return (len(records) if written is None else written) if left == -1 else None

    log.fault = kill
    with pytest.raises(Crash):
        await _repair(log)
    log.fault = lambda *_: None
    await harness.start()
    await asyncio.sleep(0)  # a worker may be first, and go on, when the ticks are written
    await _repair(log)
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 9


async def test_what_comes_beside_the_ticks_follows_too(harness: Harness) -> None:
    log = await _deaf(harness, 1)
    appended = 0

    def another(topic: str, _partition: int, _records: Sequence[OutRecord]) -> None:
        nonlocal appended
        if topic == CUSTOMER_EVENTS and not appended:  # just before the first ticks
            appended = len(log.topics[topic][0])
            first = log.topics[topic][0][0]
            headers = [(name, b"else" if name == "ce_id" else x) for name, x in first.headers]
            log.topics[topic][0].append(first._replace(offset=appended, headers=headers))

    log.fault = another
    assert await _repair(log) == ({TP: 2}, 2)
    await harness.start()
    await harness.catch_up()
    assert harness.customer("anna").views == 7


async def test_nothing_but_events_is_set_aside(harness: Harness) -> None:
    log = await _deaf(harness, 1)
    await harness.append(TICK)
    assert await _repair(log) == ({TP: 1}, 1)


class PendingLog(MemoryLog):
    """A producer's transaction is open: its records, the last ones, can't be read yet."""

    pending = 0

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        spans = await super().offsets(topic)
        if topic != CUSTOMER_EVENTS:
            return spans
        return {
            number: OffsetRange(span.start, span.end - self.pending, self.pending)
            for number, span in spans.items()
        }


@pytest.fixture
async def pending() -> AsyncIterator[Harness]:
    clock = VirtualClock(START)
    log = PendingLog(clock)
    await log.create_topics(topics(1))
    harness = Harness(log, clock, None)
    await harness.publish()
    await harness.start()
    yield harness
    await harness.stop()


async def test_a_log_is_not_short_while_a_transaction_is_open_that_was_read_already(
    pending: Harness,
) -> None:
    log = pending.log
    assert isinstance(log, PendingLog)
    for _ in range(5):
        await pending.told("anna", "product.viewed", product_id="moka")
    await pending.catch_up()
    await pending.stop()
    log.pending = 4
    await pending.start()
    async with asyncio.timeout(5):
        await pending.partition_manager.until(
            lambda: bool(_problem(pending)) or pending.partition_manager.health()[TP].is_open
        )
    assert _problem(pending) == ""
    assert (await check_lag(log, pending.clock)).status is CheckStatus.OK
    count = len(log.records(CUSTOMER_EVENTS))
    assert await _repair(log) == ({}, 0)
    assert len(log.records(CUSTOMER_EVENTS)) == count


async def test_what_an_open_transaction_may_still_commit_is_not_passed_over(
    pending: Harness,
) -> None:
    log = await _deaf(pending, 2)
    assert isinstance(log, PendingLog)
    log.pending = 1
    with pytest.raises(LogError, match=r"customer-events/0 can.t be filled up.*from offset 1"):
        await _repair(log)
    assert len(log.records(CUSTOMER_EVENTS)) == 2 and not log.records(DEAD_LETTERS)


async def test_letters_that_we_have_not_signed_do_not_follow(harness: Harness) -> None:
    event = Record(CUSTOMER_EVENTS, 0, 0, START, b"anna", b"{}", ())
    letter = refuse(event, reason=MADE_ANEW, detail="", time=START)
    await harness.log.append(DEAD_LETTERS, 0, [letter])
    assert await _repair(harness.log) == ({}, 0)


async def _repair(log: Log) -> tuple[dict[TopicPartition, int], int]:
    """What `ritorno topics create` does."""
    filled = await fill_up(log, lambda: SIGNER)
    return filled, (await follow_up(log, lambda: SIGNER)).resent


def _problem(harness: Harness) -> str:
    health = harness.partition_manager.health()[TP]
    return "" if health.is_open else health.reason


@pytest.mark.parametrize("ids", [True, False])
async def test_a_new_log_that_is_longer_than_the_old_is_not_read_on_where_that_ended(
    harness: Harness, ids: bool
) -> None:
    """By the broker's id of the topic, or by the append time of the record that was read last."""
    log = harness.log
    assert isinstance(log, MemoryLog)
    if ids:
        log.ids[CUSTOMER_EVENTS] = "one"
        await harness.stop()
        await harness.start()
    await _deaf(harness, 9)
    if ids:
        log.ids[CUSTOMER_EVENTS] = "another"
        first = log.topics[CUSTOMER_EVENTS][0][5]
        log.topics[CUSTOMER_EVENTS][0][5] = first._replace(timestamp=START)  # as that one was
    await harness.start()
    async with asyncio.timeout(5):
        await harness.partition_manager.until(lambda: bool(_problem(harness)))
    assert _problem(harness) == (
        "the log of customer-events/0 is another one than was read up to 6: the topic was made "
        "anew, or comes from a copy. ritorno topics create has what lies below that follow, and "
        "lets it go on"
    )
    assert await _repair(log) == ({TP: 6}, 6)
    assert await _repair(log) == ({}, 0)
    await harness.catch_up()
    assert harness.customer("anna").views == 14
    await harness.stop()
    await harness.start()
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 15


async def test_who_was_ahead_of_the_log_when_the_worker_was_killed_hears_what_comes(
    harness: Harness,
) -> None:
    """And what was set aside in the log before is a place in that one."""
    log = await _deaf(harness, 0)
    (kept,) = [each for each in log.topics[CUSTOMERS_CHANGELOG][0][-9:]
               if each.key == b"anna" and (each.value or b"")][-1:]  # fmt: skip
    stored = kept.value or b""
    ahead = pack(20, NEVER, b"")[:8] + stored[8:]
    progress = Progress(
        6, START, log_epoch=START, set_aside=(SetAside(22, "record"),), applied_at=START - 1
    )
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(b"anna", ahead)])
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, pack_progress(progress))])
    assert await _repair(log) == ({TP: 0}, 0)
    assert len(log.records(CUSTOMER_EVENTS)) == 21 + 1
    await harness.start()
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 6


@pytest.mark.parametrize("forged", ["unsigned", "other partition", "other topic", "too low"])
async def test_a_continuation_that_is_not_ours_or_of_another_log_opens_nothing(
    harness: Harness, forged: str
) -> None:
    await _deaf(harness, 9)
    told = Continuation(
        SEND_COMMANDS if forged == "other topic" else CUSTOMER_EVENTS,
        1 if forged == "other partition" else 0,
        5 if forged == "too low" else 6,
        "",
    )
    record = control_record(LOG_CONTINUED, encode_continuation(told))
    signed = record if forged == "unsigned" else SIGNER.sign(CUSTOMER_EVENTS, record)
    await harness.append(signed)
    await harness.start()
    async with asyncio.timeout(5):
        await harness.partition_manager.until(lambda: bool(_problem(harness)))
    assert "another one" in _problem(harness)


async def test_commands_go_on_in_a_new_log_as_well(harness: Harness) -> None:
    log = harness.log
    for number in range(3):
        await log.append(SEND_COMMANDS, 0, [OutRecord(b"anna", b"%d" % number)])
    progress = Progress(next_offset=9, log_time=START - 1)
    kept = [OutRecord(PROGRESS_KEY, pack_progress(progress, 2))]
    await log.append(MAILER_CHANGELOG, 0, kept)
    identity = LogIdentity(log, SIGNER)
    with pytest.raises(LogTooShort, match="send-commands/0 ends at 3, and was read up to 9"):
        await identity.known(SEND_COMMANDS, 0, progress)
    filled = await fill_up(log, lambda: SIGNER)
    assert filled == {TopicPartition(SEND_COMMANDS, 0): 3}
    assert (await follow_up(log, lambda: SIGNER)).resent == 3
    known = await identity.known(SEND_COMMANDS, 0, progress)
    assert known.next_offset == 9
    values = [record.value for record in await harness.read(SEND_COMMANDS, 9)]
    assert values[-3:] == [b"0", b"1", b"2"]
    queue = QueueHarness().queue
    changes = queue.receive((await harness.read(SEND_COMMANDS))[3:-3])
    assert not changes.letters, "what fills a log up commands nothing"


async def test_a_topic_with_more_partitions_is_not_read(harness: Harness) -> None:
    log = harness.log
    assert isinstance(log, MemoryLog)
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    log.topics[CUSTOMER_EVENTS].append([])
    await harness.stop()
    await harness.start()
    async with asyncio.timeout(5):
        await harness.partition_manager.until(lambda: bool(_problem(harness)))
    assert _problem(harness).startswith("customer-events has 2 partitions and had 1: ")
    log.specs[CUSTOMER_EVENTS] = replace(log.specs[CUSTOMER_EVENTS], partitions=2)
    checks = {each.name: each for each in await check_topics(log, Settings())}
    assert checks["partitions"].status is CheckStatus.FAIL
    assert checks["partitions"].text.startswith("customer-events has 2 partitions and had 1 when")


async def test_the_watch_tells_a_topic_that_changes_under_a_worker() -> None:
    log, told = await memory_log(partitions=2), list[str]()
    watch = TopicWatch(log, log.clock, [CUSTOMER_EVENTS, SEND_COMMANDS], told.append)
    await watch.begin()
    assert await watch.look() == ""
    log.ids[CUSTOMER_EVENTS] = "one"
    assert await watch.look() == "", "its brokers are of a release that gives ids from now on"
    log.ids[CUSTOMER_EVENTS] = ""
    assert await watch.look() == "", "or not all of them yet"
    log.ids[CUSTOMER_EVENTS] = "one"
    commands = log.topics.pop(SEND_COMMANDS)
    assert await watch.look() == "", "a broker that has just started may not know it yet"
    log.topics[SEND_COMMANDS] = commands
    assert await watch.look() == ""
    del log.topics[SEND_COMMANDS]
    assert await watch.look() == ""
    assert (await watch.look()).startswith("send-commands was deleted while the worker ran: ")
    log.topics[SEND_COMMANDS] = [*commands, []]
    assert "send-commands has 3 partitions and had 2" in await watch.look()
    log.topics[SEND_COMMANDS] = commands
    log.ids[CUSTOMER_EVENTS] = "another"
    watching = asyncio.ensure_future(watch.watch())
    await asyncio.sleep(0)
    assert isinstance(log.clock, VirtualClock)
    log.clock.advance(log.clock.now() + EVERY_MS)
    async with asyncio.timeout(5):
        await watching
    assert told[0].startswith("customer-events was deleted and made anew while the worker ran.")
