"""A mail in the browser: made again of its command, with nothing in it that runs or is tracked."""

from __future__ import annotations

import pytest

from agents.mail.message.tokens import View
from schemas.commands import SendCommand
from schemas.records import OutRecord
from schemas.topics import SEND_COMMANDS
from streams.clock import VirtualClock
from streams.log import LogUnavailable
from streams.partitioner import partition_of
from tests.http.public.visits import ITALIAN, PARTITIONS, SiteVisit, visit
from tests.mail.doubles import MemoryLog
from tests.mail.samples import HOUR, START, VARIABLES, cancel, record, send


async def command(here: SiteVisit, content: SendCommand) -> View:
    """Put a command into the log, and return the token that its mail has."""
    key = content.customer.encode()
    out = OutRecord(*record(content)[4:])
    await here.log.append(SEND_COMMANDS, partition_of(key, PARTITIONS), [out])
    return View(content.customer, content.id, content.time)


async def test_the_mail_is_shown_as_it_was_written() -> None:
    async with visit(tracking="identified") as here:
        for number in range(40):
            await command(here, send(f"other-{number}"))
        here.clock.advance(START + HOUR)
        content = await command(here, send(tracking="identified", time=START + HOUR))
        await command(here, send("m2", customer="u2"))
        answer, page = await here.get(here.url("v", content))
    assert answer.status == 200
    assert "Tazza «Alba»" in page
    assert "https://shop.example/cart/c1?a=1&amp;b=2" in page
    assert "/c/" not in page.replace("/cart/c1", "")
    assert "/o/" not in page
    policy = answer.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "script" not in policy
    assert "default-src 'none'" in policy


async def test_looking_at_it_counts_for_nothing() -> None:
    async with visit(tracking="identified") as here:
        content = await command(here, send())
        before = dict(here.log.kept)
        await here.get(here.url("v", content))
        await here.get(here.url("v", content), "HEAD")
    assert here.log.kept == before
    assert not here.metrics.seen


async def test_a_mail_that_was_decided_long_before_it_was_commanded() -> None:
    """A worker that was away decides at the log's old time and appends now."""
    async with visit() as here:
        here.clock.advance(START + 30 * HOUR)
        content = await command(here, send(time=START))
        assert (await here.get(here.url("v", content)))[0].status == 200


@pytest.mark.parametrize(
    "content",
    [
        View("u1", "m2", START),
        View("u2", "m1", START),
        View("u1", "m1", START + 48 * HOUR),
        View("u1", "m1", 2**62),
        View("u1", "m1", -(2**62)),
    ],
)
async def test_what_is_not_kept_can_not_be_shown(content: View) -> None:
    async with visit() as here:
        await command(here, send())
        answer, page = await here.get(here.url("v", content))
        if content == View("u1", "m1", -(2**62)):  # searches from the beginning, and finds it
            assert answer.status == 200
            return
        assert answer.status == 410
        assert ITALIAN["view_gone"] in page


async def test_rubbish_in_the_log_is_passed_over() -> None:
    async with visit() as here:
        partition = partition_of(b"u1", PARTITIONS)
        rubbish = [OutRecord(b"u1", b"{"), OutRecord(b"u1", None)]
        await here.log.append(SEND_COMMANDS, partition, rubbish)
        await here.log.append(SEND_COMMANDS, partition, [OutRecord(*record(cancel())[4:])])
        content = await command(here, send())
        assert (await here.get(here.url("v", content)))[0].status == 200


async def test_a_template_that_is_gone() -> None:
    async with visit() as here:
        content = await command(here, send(template="no-such-template"))
        assert (await here.get(here.url("v", content)))[0].status == 410


async def test_data_in_the_mail_is_text() -> None:
    customer = {"first_name": "<script>alert(1)</script>"}
    variables = VARIABLES["welcome-thanks"] | {"customer": customer}
    async with visit() as here:
        content = await command(here, send(template="welcome-thanks", variables=variables))
        _, page = await here.get(here.url("v", content))
    assert "<script>" not in page


class UnreadableLog(MemoryLog):
    async def offset_at(self, *_: object) -> int:
        raise LogUnavailable("no broker")


async def test_a_log_that_is_away_is_admitted() -> None:
    async with visit(UnreadableLog(VirtualClock(START), PARTITIONS)) as here:
        answer, _ = await here.get(here.url("v", View("u1", "m1", START)))
        assert answer.status == 503
