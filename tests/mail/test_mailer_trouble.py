"""Everything that a relay may do to a mail, for both promises, up to the mail's end.

In each trouble two mails are on their way: the first one meets it, the second must not notice. What
holds: the right outcome, nothing lost, nothing twice beyond the promise of the class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agents.mail.message.message_ids import local_part
from schemas.wire import parse_record
from tests.mail.mailshop import TINY, Shop, shop
from tests.mail.samples import DAY, HOUR, START, send
from tests.mail.servers import (
    AUTH,
    CERTIFICATE,
    DATA,
    DOT,
    DRIP,
    DROP,
    EHLO,
    MAIL,
    RCPT,
    SILENCE,
    STARTTLS,
    TEXT,
    ScriptedRelay,
    scripted,
)

ONE = dataclasses.replace(TINY, connections=1)
CA = f"ca={CERTIFICATE}"
TLS_OFFERED = "250-relay.test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"
AUTH_OFFERED = "250-relay.test\r\n250 AUTH PLAIN"
PIPELINING = "250-relay.test\r\n250-PIPELINING\r\n250 SMTPUTF8"

both_classes = pytest.mark.parametrize("urgent", [True, False], ids=["receipt", "marketing"])
together_or_apart = pytest.mark.parametrize("hello", [None, PIPELINING], ids=["apart", "together"])


@asynccontextmanager
async def two_mails(
    script: dict[str, list[str]], hello: str | None, *, urgent: bool
) -> AsyncIterator[tuple[ScriptedRelay, Shop]]:
    """Send x, which meets the trouble, and y behind it; live on until both have their outcome."""
    greeting = {} if hello is None else {EHLO: [hello] * 20}
    async with scripted(script | greeting) as relay, shop(relay.url, limits=ONE) as here:
        await here.take(send("x", urgent=urgent))
        await here.drive(START)
        await here.take(send("y", urgent=urgent))
        await here.drive(START + 3 * DAY)
        yield relay, here


def told(here: Shop, id_: str) -> list[str]:
    """Return the types of the outcomes of a mail, in order."""
    events = [parse_record(each) for each in here.log.events()]
    return [each.type.removeprefix("mail.") for each in events if each.data.command_id == id_]


def copies(mails: list[bytes], id_: str) -> list[bytes]:
    """Return the copies of a mail among those that arrived."""
    return [each for each in mails if local_part(id_).encode() in each]


@both_classes
@together_or_apart
@pytest.mark.parametrize("stage", [MAIL, RCPT, DATA, DOT])
@pytest.mark.parametrize("reply", ["421 bye", "450 4.2.0 grey", "452 4.2.2 full", "454 4.7.0 busy"])
async def test_refused_for_now(reply: str, stage: str, hello: str | None, urgent: bool) -> None:
    async with two_mails({stage: [reply]}, hello, urgent=urgent) as (relay, here):
        assert told(here, "x") == ["deferred", "sent"]
        assert told(here, "y") == ["sent"]
        assert here.outcomes("mail.deferred")[0]["code"] == int(reply[:3])
    assert len(copies(relay.taken, "x")) == len(copies(relay.taken, "y")) == 1


@both_classes
@together_or_apart
@pytest.mark.parametrize("stage", [MAIL, RCPT, DATA, DOT])
@pytest.mark.parametrize("reply", ["550 5.1.1 no", "552 5.2.2 full", "554 5.7.1 no"])
async def test_refused_for_good(reply: str, stage: str, hello: str | None, urgent: bool) -> None:
    async with two_mails({stage: [reply]}, hello, urgent=urgent) as (relay, here):
        assert told(here, "x") == ["bounced"]
        assert told(here, "y") == ["sent"]
        assert here.outcomes("mail.bounced")[0]["code"] == int(reply[:3])
    assert (len(copies(relay.taken, "x")), len(copies(relay.taken, "y"))) == (0, 1)


@both_classes
@together_or_apart
@pytest.mark.parametrize("stage", [MAIL, RCPT, DATA])
@pytest.mark.parametrize("end", [DROP, SILENCE, DRIP])
async def test_gone_before_the_text(end: str, stage: str, hello: str | None, urgent: bool) -> None:
    async with two_mails({stage: [end]}, hello, urgent=urgent) as (relay, here):
        assert told(here, "x") == ["deferred", "sent"]
        assert told(here, "y") == ["sent"]
        assert not any(each["ambiguous"] for each in here.outcomes("mail.sent"))
    assert len(copies(relay.mails, "x")) == len(copies(relay.mails, "y")) == 1


@both_classes
@pytest.mark.parametrize("end", [DROP, SILENCE])
async def test_gone_inside_the_text(end: str, urgent: bool) -> None:
    """A small mail is in the kernel's hands with its dot by then, so it counts as in doubt."""
    async with two_mails({TEXT: [end]}, None, urgent=urgent) as (relay, here):
        if urgent:
            assert told(here, "x") == ["deferred", "sent"]
        else:
            assert told(here, "x") in (["failed"], ["deferred", "sent"])
        assert told(here, "y") == ["sent"]
    assert len(copies(relay.taken, "x")) == (told(here, "x")[-1] == "sent")


@both_classes
@pytest.mark.parametrize("end", [DROP, SILENCE, DRIP, "gibberish", "250-never\r\n250-ending"])
async def test_gone_after_the_final_dot(end: str, urgent: bool) -> None:
    async with two_mails({DOT: [end]}, None, urgent=urgent) as (relay, here):
        if urgent:
            assert told(here, "x") == ["deferred", "sent"]
            assert [each["ambiguous"] for each in here.outcomes("mail.sent")] == [False, True]
        else:
            assert told(here, "x") == ["failed"]
            assert here.outcomes("mail.failed")[0]["ambiguous"] is True
        assert told(here, "y") == ["sent"]
        assert here.metrics.seen["ambiguous", "transactional" if urgent else "marketing"] == 1
    arrived = copies(relay.mails, "x")
    assert len(arrived) == (2 if urgent else 1)
    assert len(set(arrived)) == 1


@both_classes
@pytest.mark.parametrize(
    ("script", "user", "reason"),
    [
        ({EHLO: [TLS_OFFERED] * 9, STARTTLS: ["454 4.7.0 not now"]}, "", "relay_tls"),
        ({EHLO: [AUTH_OFFERED] * 9, AUTH: ["535 5.7.8 wrong password"]}, "u:p@", "relay_auth"),
        ({EHLO: [AUTH_OFFERED] * 9, AUTH: ["454 4.7.0 try later"]}, "u:p@", "relay_auth"),
    ],
    ids=["STARTTLS refused", "login refused", "login refused for now"],
)
async def test_a_relay_that_can_not_be_entered(
    script: dict[str, list[str]], user: str, reason: str, urgent: bool
) -> None:
    """No mail is worn out on it: both go as their first attempt once it opens."""
    async with scripted({stage: list(replies) for stage, replies in script.items()}) as relay:
        tls = "" if user else f"?starttls=required&{CA}"
        url = f"smtp://{user}localhost:{relay.port}{tls}"
        async with shop(url, limits=ONE) as here:
            await here.take(send("x", urgent=urgent), send("y", urgent=urgent))
            await here.drive(START + HOUR)
            sent = here.outcomes("mail.sent")
            deferred = here.outcomes("mail.deferred")
    assert [(each["attempt"], each["ambiguous"]) for each in sent] == [(1, False)] * 2
    assert {each["reason"] for each in deferred} == {reason}
    assert len(relay.taken) == 2
    if not user:
        assert all(any(verb in each for each in relay.encrypted) for verb in ("MAIL", "RCPT"))


@both_classes
@pytest.mark.parametrize(
    ("host", "trusts"), [("127.0.0.1", True), ("localhost", False)], ids=["name", "issuer"]
)
async def test_a_wrong_certificate(host: str, trusts: bool, urgent: bool) -> None:
    """Never used, however long it lasts; the next relay takes over at once."""
    wrong = f"starttls=required{'&' + CA if trusts else ''}"
    async with scripted({EHLO: [TLS_OFFERED] * 99}) as relay:
        url = f"smtp://{host}:{relay.port}?{wrong}"
        async with shop(url, limits=ONE) as here:
            await here.take(send("x", urgent=urgent))
            await here.drive(START + 20 * 60_000)
            assert told(here, "x") == ["deferred"]  # said once, not once a try
            assert here.outcomes("mail.deferred")[0]["reason"] == "relay_tls"
        async with scripted() as second, shop(url, second.url, limits=ONE) as here:
            await here.take(send("x", urgent=urgent))
            await here.drive(START)
            assert told(here, "x") == ["sent"]
        assert len(second.taken) == 1
    assert not any(each.startswith(("MAIL", "AUTH")) for each in relay.commands)


@both_classes
async def test_a_day_of_refusals_ends_as_a_bounce_with_the_last_code(urgent: bool) -> None:
    script = {RCPT: ["452 4.2.2 mailbox full"] * 500}
    async with scripted(script) as relay, shop(relay.url, limits=ONE) as here:
        await here.take(send("x", urgent=urgent))
        await here.drive(START + 2 * DAY)
        words = told(here, "x")
        (bounced,) = here.outcomes("mail.bounced")
    assert (bounced["code"], bounced["enhanced_code"], bounced["kind"]) == (452, "4.2.2", "soft")
    assert words == ["deferred"] * (len(words) - 1) + ["bounced"]
    assert len(words) - 1 == len([each for each in relay.commands if each.startswith("RCPT")])
    assert relay.taken == []


@both_classes
async def test_a_day_of_silence_ends_as_failed_and_never_as_a_bounce(urgent: bool) -> None:
    script = {RCPT: [DROP] * 500}
    async with scripted(script) as relay, shop(relay.url, limits=ONE) as here:
        await here.take(send("x", urgent=urgent))
        await here.drive(START + 2 * DAY)
        assert told(here, "x")[-1] == "failed"
        (failed,) = here.outcomes("mail.failed")
    assert (failed["reason"], failed["ambiguous"]) == ("expired", False)
    assert relay.taken == []
