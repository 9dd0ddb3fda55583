"""Webhooks of signals over real sockets: signed, in order, at least once, nobody held up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.topics import CUSTOMER_EVENTS, CUSTOMER_SIGNALS
from streams.operate.dead_letters import open_letters, resend
from streams.outbound.following import EmbeddedFollowing
from streams.outbound.letters import failed_letters, replay_letters, replay_span
from streams.outbound.runtime import AGAIN_MS
from streams.outbound.subscriptions import read_subscriptions
from streams.outbound.webhooks import Endpoint
from tests.keys import SIGNER
from tests.outbound.doubles import (
    LIMIT,
    START,
    Shop,
    is_signed,
    receiver,
    shop,
    signal,
    tell,
    webhook,
    write,
)
from tests.outbound.test_messages import outcome
from tests.waiting import eventually

SECRET = "il segreto del negozio"
MINUTE = 60_000
DAY = 24 * 60 * MINUTE


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    async with shop(tmp_path) as opened:
        yield opened


async def letters(here: Shop, count: int) -> list[str]:
    """Wait for so many open letters of webhooks and return what they say."""
    async with asyncio.timeout(LIMIT):
        while True:
            version = here.log.version
            found = [each.detail async for each in failed_letters(here.log)]
            if len(found) >= count:
                return found
            await here.log.wait_beyond(version)


async def test_a_signal_arrives_signed(here: Shop) -> None:
    async with receiver() as till:
        write(here.path, webhook("till", till.url))
        here.start()
        await here.begun("till")
        await tell(here.log, [signal("s1")])
        await till.until(1)
    ((headers, body),) = till.headers
    assert headers["webhook-id"] == "s1"
    assert int(headers["webhook-timestamp"]) == START // 1000
    assert is_signed(headers, body, SECRET)
    assert not is_signed(headers, body + b" ", SECRET)
    assert till.got[0]["type"] == "segment.changed"


async def test_what_became_of_a_mail_arrives_as_well(here: Shop) -> None:
    async with receiver() as till:
        write(here.path, webhook("till", till.url, types=["mail.bounced"]))
        here.start()
        await here.begun("till", topic=CUSTOMER_EVENTS)
        forged, ours = outcome(), SIGNER.sign(CUSTOMER_EVENTS, outcome(kind="hard"))
        await here.log.append(CUSTOMER_EVENTS, 0, [forged, ours])
        await till.until(1)
    assert [each["data"]["kind"] for each in till.got] == ["hard"]


async def test_only_what_is_wanted(here: Shop) -> None:
    async with receiver() as till:
        condition = 'data.segment == "vip"'
        write(here.path, webhook("till", till.url, types=["segment.*"], when=condition))
        here.start()
        await here.begun("till")
        await tell(here.log, [signal("s1", segment="gold"), signal("s2", kind="tier.changed"),
                              signal("s3")])  # fmt: skip
        await till.until(1)
    assert till.ids() == ["s3"]


async def test_an_endpoint_that_is_down_holds_nobody_up_and_gets_all_in_order(here: Shop) -> None:
    async with receiver() as up, receiver() as down:
        down.always = 503
        write(here.path, webhook("up", up.url), webhook("down", down.url))
        here.start()
        await here.begun("up", "down")
        await tell(here.log, [signal(f"s{n}") for n in range(20)])
        await up.until(20)
        await here.counts.until("down", "failed", 1)
        assert up.ids() == [f"s{n}" for n in range(20)]
        while len(down.asked) < 4:  # one at a time, in growing gaps
            asked = len(down.asked)
            here.pass_time(MINUTE)
            await here.counts.until("down", "failed", asked + 1)
        assert {each["data"]["id"] for each in down.asked} == {"s0"}
        down.always = 200
        here.pass_time(20 * MINUTE)
        await down.until(20)
    assert down.ids() == up.ids()
    assert here.counts.results["down", "failed"] >= 4
    assert here.counts.results["down", "delivered"] == 20


async def test_one_that_hangs_holds_nobody_up(here: Shop) -> None:
    async with receiver() as up, receiver(*["hang"] * 4) as hangs:
        write(here.path, webhook("up", up.url), webhook("hangs", hangs.url))
        here.start()
        await here.begun("up", "hangs")
        await tell(here.log, [signal(f"s{n}", f"c{n}") for n in range(30)])
        await up.until(30)
        await here.stop()


async def test_what_it_refuses_is_a_dead_letter_and_the_rest_goes_on(here: Shop) -> None:
    async with receiver(200, 422, 200) as till:
        write(here.path, webhook("till", till.url))
        here.start()
        await here.begun("till")
        await tell(here.log, [signal(f"s{n}") for n in range(3)])
        assert await letters(here, 1) == ["till: it answers 422"]
        await till.until(2)
        assert till.ids() == ["s0", "s2"]
        # `dead-letters resend` would tell it in the log once more: it leaves it alone
        report = await resend(here.log, lambda _: True, lambda: SIGNER)
        assert (report.resent, len(report.kept)) == (0, 1)
        endpoint = Endpoint(read_subscriptions(here.path)[0], here.clock)
        done = await replay_letters(here.log, endpoint, SIGNER)
        assert (done.delivered, done.kept) == (1, [])
        assert till.ids() == ["s0", "s2", "s1"]
        assert [each async for each in open_letters(here.log)] == []
        again = await replay_letters(here.log, endpoint, SIGNER)
        assert again.delivered == 0
        await endpoint.close()


async def test_a_replay_stops_where_the_endpoint_fails(here: Shop) -> None:
    async with receiver(422, 422, 422) as till:
        write(here.path, webhook("till", till.url))
        here.start()
        await here.begun("till")
        await tell(here.log, [signal(f"s{n}") for n in range(3)])
        await letters(here, 3)
        till.answers += [200, 500]
        endpoint = Endpoint(read_subscriptions(here.path)[0], here.clock)
        done = await replay_letters(here.log, endpoint, SIGNER)
        assert (done.delivered, done.stopped) == (1, True)
        assert len(await letters(here, 2)) == 2
        await endpoint.close()


async def test_what_is_old_is_given_up_and_can_be_posted_again(here: Shop) -> None:
    async with receiver() as till:
        till.always = 500
        write(here.path, webhook("till", till.url, give_up_after="1d"))
        here.start()
        await here.begun("till")
        await tell(here.log, [signal(f"s{n}") for n in range(5)])
        for asked in range(1, 4):
            await here.counts.until("till", "failed", asked)
            here.pass_time(20 * MINUTE)
        await here.counts.until("till", "failed", 4)
        here.pass_time(DAY)
        found = await letters(here, 5)
        assert set(found) == {"till: given up after 1d: it answers 500"}
        assert len(till.asked) == 5  # nothing is asked for what is old anyway
        till.always = 200
        endpoint = Endpoint(read_subscriptions(here.path)[0], here.clock)
        span = await replay_span(here.log, endpoint, SIGNER, since=START, until=START + 1)
        assert span.delivered == 5
        await endpoint.close()
    assert till.ids() == [f"s{n}" for n in range(5)]


async def test_it_goes_on_where_it_was_and_a_new_one_begins_now(here: Shop) -> None:
    async with receiver() as till, receiver() as crm:
        write(here.path, webhook("till", till.url))
        await tell(here.log, [signal("before")])
        here.start()
        await here.begun("till")
        await tell(here.log, [signal("s0")])
        await till.until(1)
        await here.stop()
        await tell(here.log, [signal("s1")])
        here.start()
        await till.until(2)
        write(here.path, webhook("till", till.url), webhook("crm", crm.url))
        await here.begun("crm")
        await tell(here.log, [signal("s2")])
        await crm.until(1)
        await till.until(3)
    assert till.ids() == ["s0", "s1", "s2"]
    assert crm.ids() == ["s2"]


async def test_a_partition_that_is_anothers_is_left_to_it(here: Shop) -> None:
    async with receiver() as till:
        write(here.path, webhook("till", till.url))
        here.start()
        await here.begun("till")
        here.owned = {0}
        # partitions of 2: anna's is one, somebody's of the other
        told = [signal(f"s{n}", f"c{n}") for n in range(12)]
        await asyncio.sleep(0.1)  # as often as ownership is looked at, and once more
        await tell(here.log, told)
        in_0 = [each for each in range(12) if _partition(f"c{each}") == 0]
        await till.until(len(in_0))
        assert till.ids() == [f"s{n}" for n in in_0]
        here.owned = {0, 1}
        await till.until(12)


async def test_what_was_not_committed_comes_again_in_its_order(
    here: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash leaves behind; test_webhooks_killed.py kills a real process."""
    async with receiver() as till:
        write(here.path, webhook("till", till.url))
        here.start()
        await here.begun("till")
        with monkeypatch.context() as crashing:
            crashing.setattr(EmbeddedFollowing, "commit", _lost)
            await tell(here.log, [signal(f"s{n}") for n in range(6)])
            await till.until(6)
            await here.stop()
        here.start()
        await till.until(12)
    assert till.ids() == [f"s{n}" for n in range(6)] * 2


async def _lost(*_: object) -> None:
    """Commit nothing."""


async def test_the_position_of_a_partition_that_is_anothers_is_not_taken_back(here: Shop) -> None:
    async with receiver() as till:
        write(here.path, webhook("till", till.url))
        here.start()
        await here.begun("till")
        here.owned = {0}
        # Once another outlet follows, ownership has been looked at.
        write(here.path, webhook("till", till.url), webhook("side", till.url))
        mine, others = (CUSTOMER_SIGNALS, 0), (CUSTOMER_SIGNALS, 1)
        await _until(here, "side", mine, 0)
        await here.log.commit("ritorno-webhook-till", {mine: 7, others: 10})
        here.pass_time(AGAIN_MS)
        await _until(here, "till", mine, 0)  # all that is known is committed again
        await here.stop()
        assert (await here.log.committed("ritorno-webhook-till"))[others] == 10


async def _until(here: Shop, name: str, place: tuple[str, int], position: int) -> None:
    """Poll: a commit is no news of the log."""

    async def is_there() -> bool:
        return (await here.log.committed(f"ritorno-webhook-{name}")).get(place) == position

    await eventually(is_there, f"{name} is at {position}", seconds=LIMIT)


def _partition(customer: str) -> int:
    from streams.partitioner import partition_of  # noqa: PLC0415  # for this one

    return partition_of(customer.encode(), 2)


async def test_a_file_that_cant_be_used_changes_nothing(here: Shop) -> None:
    async with receiver() as till:
        write(here.path, webhook("till", till.url))
        here.start()
        await here.begun("till")
        for number, broken in enumerate(("webhooks: [", "")):
            here.path.write_text(broken)
            await asyncio.sleep(0.1)
            await tell(here.log, [signal(f"s{number}")])
            await till.until(number + 1)
        here.path.unlink()
        os.mkfifo(here.path)
        await asyncio.sleep(0.1)  # whoever opens it waits for who writes into it
        await tell(here.log, [signal("s2")])
        await till.until(3)


async def test_a_secret_is_exchanged_while_it_runs(here: Shop, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("uno\n")
    new.write_text("due\n")
    async with receiver() as till:
        write(here.path, webhook("till", till.url, secrets=[f"file:{new}", f"file:{old}"]))
        here.start()
        await here.begun("till")
        await tell(here.log, [signal("s0")])
        await till.until(1)
        new.write_text("tre\n")
        old.unlink()
        await tell(here.log, [signal("s1")])
        await till.until(2)
    first, second = till.headers
    assert is_signed(*first, "uno") and is_signed(*first, "due")
    assert is_signed(*second, "tre") and not is_signed(*second, "due")


async def test_without_a_secret_nothing_leaves(here: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as till:
        write(here.path, webhook("till", till.url))
        monkeypatch.delenv("SHOP_SECRET")
        here.start()
        await here.begun("till")
        await tell(here.log, [signal("s0")])
        await here.counts.until("till", "failed", 1)
        assert till.asked == []
        monkeypatch.setenv("SHOP_SECRET", SECRET)
        here.pass_time(MINUTE)
        await till.until(1)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "[::1]:1", "localhost:1", "10.0.0.1"])
async def test_nobody_is_led_into_the_shops_own_network(here: Shop, host: str) -> None:
    write(here.path, webhook("inside", f"https://{host}/hook", private=False))
    endpoint = Endpoint(read_subscriptions(here.path)[0], here.clock)
    from streams.outbound.letters import trial_message  # noqa: PLC0415  # for this one

    attempt = await endpoint.post(trial_message("inside", "t1", START))
    await endpoint.close()
    assert attempt.meaning == "failed"
    assert "not public" in attempt.why
