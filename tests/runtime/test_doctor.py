"""Each check says what is wrong and what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from schemas.records import OutRecord, Record
from schemas.stored import (
    ARRIVALS_KEY,
    FORMAT,
    HEAD_SIZE,
    HELD_BACK_PREFIX,
    NEVER,
    ORIGIN_PREFIX,
    PROGRESS_KEY,
    Progress,
    pack,
    pack_arrivals,
    pack_progress,
)
from streams.clock import VirtualClock
from streams.log import LogUnavailable, OffsetRange
from streams.operate.check import Check, CheckStatus
from streams.operate.doctor import (
    check_clock,
    check_dkim,
    check_keys_in_use,
    check_lag,
    check_logs,
    check_smtp,
    check_workflows,
    examine,
)
from streams.operate.kept_records import check_health, check_kept
from streams.operate.topic_checks import check_topics
from streams.runtime.definitions import publish, read_files
from streams.runtime.factories import record_signer
from streams.runtime.ticks import STANDSTILL_MS
from streams.runtime.transports.assigned_partition import PartitionHealth
from streams.runtime.transports.batch import TopicPartition
from streams.settings import Settings
from streams.settings.values import TokenKey
from streams.topology import (
    CUSTOMER_EVENTS,
    CUSTOMERS_CHANGELOG,
    DEAD_LETTERS,
    MAILER_CHANGELOG,
    SEND_COMMANDS,
    topics,
)
from tests.keys import SIGNER, TOKEN_KEYS
from tests.runtime.doubles import START, MemoryLog, memory_log

KAFKA = "kafka://kafka-1:9092"


@pytest.fixture
async def log() -> MemoryLog:
    return await memory_log(partitions=2)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(broker=KAFKA, data_dir=tmp_path)


@pytest.fixture
async def relay() -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), hostname="relay"), "127.0.0.1", 0)
    yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def alter(log: MemoryLog, topic: str, **config: str) -> None:
    named = {name.replace("_", "."): value for name, value in config.items()}
    spec = log.specs[topic]
    log.specs[topic] = replace(spec, config={**spec.config, **named})


def failures(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.status is CheckStatus.FAIL]


async def test_what_topics_create_makes_is_right(log: MemoryLog, settings: Settings) -> None:
    assert failures(await check_topics(log, settings)) == []


async def test_missing_topics(settings: Settings) -> None:
    (check,) = await check_topics(MemoryLog(), settings)
    assert check.status is CheckStatus.FAIL
    assert CUSTOMER_EVENTS in check.text
    assert check.remedy == "ritorno topics create"


async def test_no_append_time(log: MemoryLog, settings: Settings) -> None:
    alter(log, CUSTOMER_EVENTS, message_timestamp_type="CreateTime")
    (check,) = failures(await check_topics(log, settings))
    assert check.name == "append time"
    assert "CreateTime" in check.text
    assert check.remedy == (
        "kafka-configs.sh --bootstrap-server kafka-1:9092 --alter --entity-type topics "
        "--entity-name customer-events --add-config message.timestamp.type=LogAppendTime"
    )


@pytest.mark.parametrize(
    ("topic", "config"),
    [
        (CUSTOMERS_CHANGELOG, {"cleanup_policy": "compact,delete"}),
        (CUSTOMERS_CHANGELOG, {"min_compaction_lag_ms": "0"}),
        (CUSTOMER_EVENTS, {"cleanup_policy": "compact"}),
    ],
)
async def test_a_policy_that_loses_data(
    log: MemoryLog, settings: Settings, topic: str, config: dict[str, str]
) -> None:
    alter(log, topic, **config)
    (check,) = failures(await check_topics(log, settings))
    assert check.name == "topic policy"
    assert topic in check.text
    assert f"--entity-name {topic} " in check.remedy


@pytest.mark.parametrize(
    ("topic", "takes", "needed"),
    [(CUSTOMERS_CHANGELOG, "500000", "1048576"), (DEAD_LETTERS, "1048588", "2097152")],
)
async def test_a_topic_that_takes_smaller_records_than_there_are(
    log: MemoryLog, settings: Settings, topic: str, takes: str, needed: str
) -> None:
    alter(log, topic, max_message_bytes=takes)
    (check,) = failures(await check_topics(log, settings))
    assert check.text == f"{topic}: max.message.bytes is {takes}, not {needed}"
    assert check.remedy.endswith(f"--entity-name {topic} --add-config max.message.bytes={needed}")


async def test_partition_counts_that_disagree(log: MemoryLog, settings: Settings) -> None:
    log.specs[SEND_COMMANDS] = replace(log.specs[SEND_COMMANDS], partitions=3)
    (check,) = failures(await check_topics(log, settings))
    assert check.text == "customer-events has 2 partitions, but send-commands has 3"
    assert "--partitions 2" in check.remedy


async def test_a_partitions_setting_without_effect(log: MemoryLog) -> None:
    checks = await check_topics(log, Settings(broker=KAFKA, partitions=8))
    assert [check.status for check in checks if check.name == "partitions"] == [CheckStatus.WARN]


async def test_workflows_before_and_after_publishing(
    log: MemoryLog, settings: Settings, tmp_path: Path
) -> None:
    assert (await check_workflows(settings, log)).status is CheckStatus.OK
    files = read_files(settings.workflows_dir)
    await publish(log, files, SIGNER)
    check = await check_workflows(settings, log)
    assert (check.status, check.remedy) == (CheckStatus.OK, "")
    name = next(iter(files))
    await publish(log, {**files, name: files[name].replace(b"}", b" }", 1)}, SIGNER)
    check = await check_workflows(settings, log)
    assert (check.status, check.remedy) == (CheckStatus.WARN, "ritorno workflows publish")
    assert name in check.text


async def test_workflows_that_cannot_be_read(log: MemoryLog, tmp_path: Path) -> None:
    (tmp_path / "w06.yaml").write_text("id: w06\ntriger: cart.changed\n")
    check = await check_workflows(Settings(broker=KAFKA, workflows_dir=tmp_path), log)
    assert check.status is CheckStatus.FAIL
    assert "w06.yaml" in check.text


@pytest.mark.parametrize(
    ("skew", "status"),
    [(0, CheckStatus.OK), (60_000, CheckStatus.WARN), (-60_000, CheckStatus.WARN)],
)
async def test_clock_skew(log: MemoryLog, skew: int, status: CheckStatus) -> None:
    log.clock = VirtualClock(START + skew)
    assert (await check_clock(log, VirtualClock(START))).status is status


async def kept_checks(log: MemoryLog, *opened: TopicPartition) -> dict[str, Check]:
    return {check.name: check for check in await check_kept(log, opened)}


@pytest.mark.parametrize(
    "topic", [CUSTOMERS_CHANGELOG, pytest.param(MAILER_CHANGELOG, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("key", [PROGRESS_KEY, b"anna", ORIGIN_PREFIX + b"3", HELD_BACK_PREFIX])
async def test_a_newer_release_has_written(
    log: MemoryLog, settings: Settings, topic: str, key: bytes
) -> None:
    """Whatever it was: one record of a customer closes its partition."""
    assert {check.status for check in (await kept_checks(log)).values()} == {CheckStatus.OK}
    ours = pack_progress(Progress(3, START))
    newer = ours[:HEAD_SIZE] + bytes([FORMAT + 1]) + ours[HEAD_SIZE + 1 :]
    await log.append(topic, 1, [OutRecord(key, newer), OutRecord(PROGRESS_KEY, ours)])
    check = (await kept_checks(log))["format"]
    assert check.status is CheckStatus.FAIL
    assert check.text.endswith(f"format {FORMAT + 1} to {topic}/1")
    assert check.remedy.startswith("Run that release")
    checks = {each.name: each for each in await examine(settings, log, VirtualClock(START))}
    assert checks["format"].status is CheckStatus.FAIL


async def test_what_is_a_partition_s_own_is_damaged(log: MemoryLog) -> None:
    broken = pack(9, NEVER, b"\xc1")
    right = pack_arrivals([5])
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(ARRIVALS_KEY, broken)])
    await log.append(CUSTOMERS_CHANGELOG, 1, [OutRecord(ORIGIN_PREFIX + b"0", broken)])
    await log.append(CUSTOMERS_CHANGELOG, 1, [OutRecord(PROGRESS_KEY, broken)])
    check = (await kept_checks(log))["damage"]
    assert check.status is CheckStatus.FAIL
    assert "customers-changelog/0: The record 'arrivals' of a partition" in check.text
    assert "customers-changelog/1: The progress can't be read" in check.text
    assert "customers-changelog/1: The record 'origin/0' of a partition" in check.text
    assert "one backup" in check.remedy
    opened = [TopicPartition(CUSTOMER_EVENTS, number) for number in (0, 1)]
    assert (await kept_checks(log, *opened))["damage"].status is CheckStatus.OK
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(ARRIVALS_KEY, None)])
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(ARRIVALS_KEY, right)])
    assert "arrivals" not in (await kept_checks(log))["damage"].text


def test_partitions_that_workers_can_not_open_are_named_with_the_reason() -> None:
    fine, once = PartitionHealth(True, 0, 0, ""), PartitionHealth(True, 1, 1, "the broker was away")
    assert check_health({TopicPartition("t", 0): fine}).text == "open: 1 partition"
    check = check_health({TopicPartition("t", 0): fine, TopicPartition("t", 1): once})
    assert (check.status, check.text) == (CheckStatus.OK, "open: 2 partitions, opened again 1 time")
    check = check_health(
        {
            TopicPartition("t", 3): PartitionHealth(False, 4, 0, "the disk is full"),
            TopicPartition("t", 4): PartitionHealth(True, 2, 9, "ZeroDivisionError"),
            TopicPartition("t", 5): fine,
        }
    )
    assert check.status is CheckStatus.FAIL
    assert check.text == (
        "t/3 is not open after 4 failures: the disk is full; "
        "t/4 is opened again and again (9 times): ZeroDivisionError"
    )


async def test_lag(log: MemoryLog) -> None:
    clock = VirtualClock(START)
    assert (await check_lag(log, clock)).status is CheckStatus.OK
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"{}")] * 5)
    for partition in (0, 1):
        progress = pack_progress(Progress(next_offset=2 * (1 - partition), log_time=START))
        await log.append(CUSTOMERS_CHANGELOG, partition, [OutRecord(PROGRESS_KEY, progress)])
    check = await check_lag(log, clock)
    assert (check.status, check.text) == (CheckStatus.OK, "workers are 3 records behind")
    clock.advance(START + STANDSTILL_MS)
    assert (await check_lag(log, clock)).status is CheckStatus.OK
    clock.advance(START + STANDSTILL_MS + 1)
    check = await check_lag(log, clock)
    assert check.status is CheckStatus.WARN
    assert "2026-03-01T09:00:00Z" in check.text


async def test_a_quiet_partition_is_no_reason_to_worry_about_a_busy_one(log: MemoryLog) -> None:
    clock = VirtualClock(START + 2 * STANDSTILL_MS)
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"{}")] * 5)
    busy = pack_progress(Progress(next_offset=2, log_time=clock.now() - 1_000))
    quiet = pack_progress(Progress(next_offset=0, log_time=START))
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, busy)])
    await log.append(CUSTOMERS_CHANGELOG, 1, [OutRecord(PROGRESS_KEY, quiet)])
    check = await check_lag(log, clock)
    assert (check.status, check.text) == (CheckStatus.OK, "workers are 3 records behind")


class PendingLog(MemoryLog):
    """A producer's transaction is open in these partitions, from these offsets on."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.open: dict[int, int] = {}

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        spans = dict(await super().offsets(topic))
        for number, first in self.open.items() if topic == CUSTOMER_EVENTS else ():
            spans[number] = OffsetRange(0, first, spans[number].end - first)
        return spans

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        assert stop <= (await self.offsets(topic))[partition].end, "waits for the transaction"
        async for chunk in super().read(topic, partition, start, stop):
            yield chunk


@pytest.fixture
async def pending() -> PendingLog:
    log = PendingLog()
    await log.create_topics(topics(2))
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"{}")] * 5)
    log.open[0] = 2
    return log


async def test_an_open_transaction_is_no_broker_that_is_silent(pending: PendingLog) -> None:
    clock = pending.clock
    assert (await check_clock(pending, clock)).status is CheckStatus.OK  # by the other partition
    pending.open[1] = 1  # begun just after it was asked
    check = await check_clock(pending, clock)
    assert check.status is CheckStatus.WARN
    assert "partition 1 from offset 1 (1 record)" in check.text
    check = await check_clock(pending, clock)
    assert check.text == (
        "the broker's clock can't be asked: customer-events waits for a producer to end its "
        "transaction: partition 0 from offset 2 (4 records)"
    )
    assert check.remedy.endswith("--topic customer-events --partition 0 --start-offset 2")


async def test_what_waits_for_a_transaction_counts_and_the_transaction_is_named(
    pending: PendingLog,
) -> None:
    clock = VirtualClock(START)
    progress = pack_progress(Progress(next_offset=2, log_time=START))
    await pending.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, progress)])
    check = await check_lag(pending, clock)
    assert (check.status, check.text) == (
        CheckStatus.OK,
        "workers are 3 records behind; customer-events waits for a producer to end its "
        "transaction: partition 0 from offset 2 (3 records)",
    )
    clock.advance(START + STANDSTILL_MS + 1)
    check = await check_lag(pending, clock)
    assert check.status is CheckStatus.WARN
    assert check.remedy.endswith("--topic customer-events --partition 0 --start-offset 2")


def test_no_key_signs(settings: Settings) -> None:
    check = check_dkim(settings)
    assert (check.status, check.remedy) == (CheckStatus.OK, "")
    assert "unsigned" in check.text


@pytest.mark.parametrize(
    ("sender", "status"),
    [
        ("negozio@shop.example", CheckStatus.OK),
        ("negozio@news.shop.example", CheckStatus.OK),
        ("negozio@example.org", CheckStatus.WARN),
        ("negozio@workshop.example", CheckStatus.WARN),
    ],
)
def test_who_signs_and_what_the_dns_must_have(
    tmp_path: Path, sender: str, status: CheckStatus
) -> None:
    check = check_dkim(signing(tmp_path, mail_from_address=sender))
    assert check.status is status
    if status is CheckStatus.OK:
        assert "r2026._domainkey.shop.example (ed25519)" in check.text
    else:
        assert check.remedy == f"Set RITORNO_MAIL_DKIM_DOMAIN={sender.partition('@')[2]}."


def test_a_key_that_can_not_be_read(tmp_path: Path) -> None:
    for content in (b"no key", None):
        check = check_dkim(signing(tmp_path, content))
        assert check.status is CheckStatus.FAIL
        assert check.text.startswith(f"RITORNO_MAIL_DKIM_KEY_FILE: {tmp_path / 'key.pem'}: ")


def test_a_weak_key(tmp_path: Path) -> None:
    check = check_dkim(signing(tmp_path, rsa.generate_private_key(65_537, 1_024)))
    assert check.status is CheckStatus.WARN
    assert "r2026 has less than 2048 bits" in check.text


def signing(tmp_path: Path, key: Any = ed25519, **settings: str) -> Settings:
    """Settings with a key: a fresh one, `key`, these bytes, or with None a file that is missing."""
    if key is ed25519:
        key = ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.unlink(missing_ok=True)
    if isinstance(key, bytes):
        path.write_bytes(key)
    elif key is not None:
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Settings(
        broker=KAFKA,
        mail_dkim_domain="shop.example",
        mail_dkim_selector="r2026",
        mail_dkim_key_file=str(path),
        **settings,
    )


async def test_the_relay(relay: str) -> None:
    assert (await check_smtp(Settings(broker=KAFKA, smtp_url=relay))).status is CheckStatus.OK


async def test_no_relay_there(relay: str) -> None:
    both = Settings(broker=KAFKA, smtp_url=f"{relay} smtp://127.0.0.1:1")
    check = await check_smtp(both)  # one carries the mails, and nobody is left beside it
    assert check.status is CheckStatus.WARN
    assert "answers; 127.0.0.1:1 does not answer" in check.text
    check = await check_smtp(Settings(broker=KAFKA, smtp_url="smtp://someone:secret@127.0.0.1:1"))
    assert check.status is CheckStatus.FAIL
    assert "127.0.0.1:1" in check.text
    assert "secret" not in check.text + check.remedy


async def test_all_of_it(log: MemoryLog, tmp_path: Path, relay: str) -> None:
    settings = Settings(broker=KAFKA, data_dir=tmp_path, smtp_url=relay, token_keys=TOKEN_KEYS)
    checks = await examine(settings, log, VirtualClock(START))
    assert [check.name for check in checks] == [
        "data directory", "keys", "file modes", "broker", "topics", "partitions", "topic policy",
        "workflows", "coupons", "clock", "logs", "workers", "format", "damage", "lag", "set aside",
        "dkim", "relay", "sender", "public URL", "postal address", "bounce domain", "returns",
    ]  # fmt: skip
    of_the_shop = {"coupons", "sender", "public URL", "postal address"}  # which is an example
    assert {check.name for check in checks if check.status is CheckStatus.WARN} == of_the_shop
    assert failures(checks) == []


async def test_twelve_partitions_instead_of_eight_are_told_and_nothing_else_is_hidden(
    log: MemoryLog, tmp_path: Path, relay: str
) -> None:
    """Somebody has given one topic more of them: it ended in a traceback."""
    for number in (0, 1):
        kept = pack_progress(Progress(next_offset=0, log_time=START, partitions=2))
        await log.append(CUSTOMERS_CHANGELOG, number, [OutRecord(PROGRESS_KEY, kept)])
    log.topics[CUSTOMER_EVENTS] += [[], []]
    log.specs[CUSTOMER_EVENTS] = replace(log.specs[CUSTOMER_EVENTS], partitions=4)
    await log.append(CUSTOMER_EVENTS, 3, [OutRecord(b"anna", b"{}")])
    settings = Settings(broker=KAFKA, data_dir=tmp_path, smtp_url=relay, token_keys=TOKEN_KEYS)
    checks = {each.name: each for each in await examine(settings, log, VirtualClock(START))}
    assert {each.name for each in failures(list(checks.values()))} == {"partitions", "logs"}
    assert checks["partitions"].text == (
        "customer-events has 4 partitions and had 2 when its customers were read, and "
        "send-commands has 2, customer-signals has 2, customers-changelog has 2, mailer-changelog "
        "has 2: their events would go where nobody knows them"
    )
    assert "docs/moving.md" in checks["partitions"].remedy


async def test_real_partition_counts(log: MemoryLog, settings: Settings) -> None:
    (check,) = [each for each in await check_topics(log, settings) if each.name == "partitions"]
    assert check.text == (
        "2 for each of the 5 that must agree; facts has 4, dead-letters has 1, workflows has 1, "
        "products has 1, suppressions has 1, mapping-offsets has 1"
    )


async def test_a_check_that_fails_itself_is_told_and_hides_no_other(
    log: MemoryLog, tmp_path: Path, relay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Check:
        raise ZeroDivisionError("division by zero")

    for name in ("check_lag", "check_topics", "check_smtp", "ask_workers"):
        monkeypatch.setattr(f"streams.operate.doctor.{name}", broken)
    settings = Settings(broker=KAFKA, data_dir=tmp_path, smtp_url=relay, token_keys=TOKEN_KEYS)
    checks = {each.name: each for each in await examine(settings, log, VirtualClock(START))}
    assert checks["relay"].status is CheckStatus.FAIL
    assert checks["relay"].text == (
        "this check has failed itself: ZeroDivisionError: division by zero"
    )
    assert checks["returns"].status is CheckStatus.OK


async def test_a_topic_made_anew_is_a_negative_lag(log: MemoryLog, settings: Settings) -> None:
    kept = pack_progress(Progress(next_offset=7, log_time=START))
    await log.append(CUSTOMERS_CHANGELOG, 1, [OutRecord(PROGRESS_KEY, kept)])
    check = await check_lag(log, VirtualClock(START))
    assert check.text == (
        "negative lag: customer-events was made anew, and its log ends before what was read of "
        "it: partitions [1]"
    )
    given = settings.model_copy(update={"token_keys": TOKEN_KEYS})
    check = await check_logs(given, log)
    assert check.status is CheckStatus.FAIL
    assert check.text.startswith("the log of customer-events/1 ends at 0, and was read up to 7: ")


async def test_no_broker_there(tmp_path: Path, relay: str) -> None:
    class Unreachable(MemoryLog):
        async def start(self) -> None:
            raise LogUnavailable("kafka-1:9092 does not answer")

    settings = Settings(broker=KAFKA, data_dir=tmp_path, smtp_url=relay, token_keys=TOKEN_KEYS)
    checks = await examine(settings, Unreachable(), VirtualClock(START))
    assert [check.name for check in failures(checks)] == ["broker"]


async def test_a_data_directory_that_is_a_file(log: MemoryLog, tmp_path: Path, relay: str) -> None:
    (tmp_path / "data").write_text("")
    settings = Settings(
        broker=KAFKA, data_dir=tmp_path / "data", smtp_url=relay, token_keys=TOKEN_KEYS
    )
    checks = await examine(settings, log, VirtualClock(START))
    assert [check.name for check in failures(checks)] == ["data directory"]


async def test_a_key_that_is_not_that_of_the_log_is_named(log: MemoryLog) -> None:
    assert await check_keys_in_use(with_key("k1"), log) == [], "nothing is live"
    await publish(log, {"coupons": b"{}"}, record_signer(with_key("k1")))
    (check,) = await check_keys_in_use(with_key("k1"), log)
    assert check.status is CheckStatus.OK
    (check,) = await check_keys_in_use(with_key("k2"), log)
    assert check.status is CheckStatus.WARN
    assert "in any partition of customer-events" in check.text


def with_key(secret: str) -> Settings:
    key = TokenKey("k", SecretStr(secret * 20))
    return Settings(broker=KAFKA, token_keys=(key,))
