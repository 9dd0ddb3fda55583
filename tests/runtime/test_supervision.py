"""Work in the background that fails is begun again, counted and told of; each that there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog
from prometheus_client import generate_latest

from agents.mail.providers import Providers
from streams.clock import VirtualClock
from streams.mail.inbound.kept import KeptMessages
from streams.mail.mail_hosts import MailHosts
from streams.mail.suppression_list import SuppressionList
from streams.operate.metrics import Metrics
from streams.operate.privacy.eraser import Eraser
from streams.runtime import background
from streams.runtime.background import BACKOFF, FAILURES, Failures, Work, kept_up, watched
from streams.runtime.backoff import Backoff
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.logs.embedded.compaction import Compaction
from tests.keys import SIGNER
from tests.mail.bounces.harness import Counted
from tests.mail.samples import record as command_record
from tests.mail.samples import send
from tests.runtime.doubles import START, memory_log
from tests.simulation.machine import HASHES


class Pauses:
    """Remembers them, and makes none."""

    def __init__(self) -> None:
        self.made: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.made.append(seconds)
        await asyncio.sleep(0)


def failing(times: int) -> Callable[[], Awaitable[None]]:
    left = iter(range(times))

    async def work() -> None:
        if next(left, None) is not None:
            raise ZeroDivisionError("a defect")

    return work


async def test_what_fails_is_begun_again_after_a_growing_pause() -> None:
    failures, pauses = Failures(), Pauses()
    await kept_up("erasing", failing(12), pause=pauses, failures=failures)
    assert pauses.made == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert failures.counts["erasing"] == 12


async def test_who_has_gone_on_for_long_begins_at_the_shortest_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures, pauses = Failures(), Pauses()
    loop = asyncio.get_running_loop()
    real, late = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + late)
    attempts = iter(range(5))

    async def work() -> None:
        nonlocal late
        attempt = next(attempts, None)
        if attempt is None:
            return
        if attempt == 3:
            late += BACKOFF.longest + 1
        raise ZeroDivisionError

    await kept_up("erasing", work, pause=pauses, failures=failures)
    assert pauses.made == [1, 2, 4, 1, 2]


async def test_it_is_told_when_it_begins_and_then_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(background.time, "monotonic", lambda: now)
    failures = Failures()
    with structlog.testing.capture_logs() as lines:
        for _ in range(20):
            failures.note("compaction", ZeroDivisionError("a defect"))
        failures.note("hits", ZeroDivisionError())
        now = background.LOG_EVERY
        failures.note("compaction", ZeroDivisionError("a defect"))
    assert [(line["work"], line["failures"]) for line in lines] == [
        ("compaction", 1), ("hits", 1), ("compaction", 21),
    ]  # fmt: skip
    assert str(lines[0]["exc_info"]) == "a defect"


async def test_what_ends_by_itself_only_says_how() -> None:
    failures = Failures()

    async def work(result: str) -> str:
        if not result:
            raise ZeroDivisionError
        return result

    well = watched("hits", asyncio.create_task(work("fine")), failures)
    ill = watched("hits", asyncio.create_task(work("")), failures)
    left = watched("hits", asyncio.create_task(asyncio.Event().wait()), failures)
    left.cancel()
    await asyncio.wait([well, ill, left])
    assert (well.result(), failures.counts["hits"]) == ("fine", 1)


def test_every_work_is_a_metric_from_the_start() -> None:
    text = generate_latest(Metrics().registry).decode()
    for work in FAILURES.counts:
        assert f'ritorno_background_failures_total{{work="{work}"}}' in text


# Each of them meets an error that nobody has thought of.


async def until_failed(work: Work, before: int) -> None:
    async with asyncio.timeout(10):
        while FAILURES.counts[work] == before:  # noqa: ASYNC110  # a count gives no signal
            await asyncio.sleep(0)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "BACKOFF", Backoff(0, 0))


@pytest.mark.usefixtures("no_pauses")
async def test_compaction_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    async def look_after(self: Compaction, topic: object, partition_id: int, now: int) -> None:
        looked.append(partition_id)
        if len(looked) == 1:
            raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Compaction, "look_after", look_after)
    log = EmbeddedLog(tmp_path / "log", VirtualClock(START))
    await log.start()
    try:
        await log.create_topics((await memory_log()).specs.values())  # type: ignore[arg-type]
        before = FAILURES.counts["compaction"]
        await log.claim()
        await until_failed("compaction", before)
        async with asyncio.timeout(10):
            while len(looked) < len(log._ends):  # noqa: ASYNC110  # as above
                await asyncio.sleep(0)
    finally:
        await log.stop()


@pytest.mark.usefixtures("no_pauses")
async def test_suppressions_are_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    log, before = await memory_log(), FAILURES.counts["suppressions"]
    read = asyncio.Event()
    outcomes = iter([None, ZeroDivisionError("a defect")])

    async def refresh(self: SuppressionList) -> None:
        if (error := next(outcomes, None)) is not None:
            raise error
        if FAILURES.counts["suppressions"] > before:
            read.set()

    monkeypatch.setattr(SuppressionList, "refresh", refresh)
    follower = SuppressionList(log, HASHES, Counted(), pause=lambda _: asyncio.sleep(0))
    await follower.start()
    async with asyncio.timeout(10):
        await read.wait()
    await follower.stop()


@pytest.mark.usefixtures("no_pauses")
async def test_erasing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = FAILURES.counts["erasing"]
    outcomes = iter([ZeroDivisionError("a defect")])

    async def carry_out(self: Eraser) -> bool:
        if (error := next(outcomes, None)) is not None:
            raise error
        return True

    async def scrub(partition: int, customers: list[bytes]) -> None: ...

    monkeypatch.setattr(Eraser, "_carry_out", carry_out)
    eraser = Eraser(await memory_log(), VirtualClock(START), scrub, SIGNER)
    passed = asyncio.ensure_future(eraser.passed())
    eraser.start()
    async with asyncio.timeout(10):
        await passed
    assert FAILURES.counts["erasing"] == before + 1
    await eraser.stop()


@pytest.mark.usefixtures("no_pauses")
async def test_old_messages_go_on_going(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, pruned = FAILURES.counts["kept_messages"], asyncio.Event()
    loop = asyncio.get_running_loop()
    outcomes = iter([ZeroDivisionError("a defect")])

    def prune(self: KeptMessages) -> int:
        if (error := next(outcomes, None)) is not None:
            raise error
        loop.call_soon_threadsafe(pruned.set)
        return 0

    monkeypatch.setattr(KeptMessages, "prune", prune)
    kept = KeptMessages(tmp_path, VirtualClock(START), days=1, most=1 << 20)
    kept.start()
    async with asyncio.timeout(10):
        await pruned.wait()
    assert FAILURES.counts["kept_messages"] == before + 1
    await kept.stop()


async def test_a_question_to_the_dns_that_fails_oddly_is_noticed() -> None:
    class Odd:
        async def resolve(self, *_: object) -> object:
            raise ZeroDivisionError("a defect")

    before = FAILURES.counts["mail_hosts"]
    hosts = MailHosts(Providers(), VirtualClock(START), resolver=Odd())  # type: ignore[arg-type]
    await hosts.learn([command_record(send("x", email="anna@shop.it"), 0, timestamp=START)])
    await until_failed("mail_hosts", before)
    await hosts.close()
