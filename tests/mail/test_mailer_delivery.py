"""Deliveries over real connections: each reply, at each stage, and each way a relay can vanish."""

from __future__ import annotations

import asyncio
import dataclasses
import socket

import pytest

from agents.mail.queue.queued_mail import unpack_entry
from agents.mail.replies import Dropped
from schemas.wire import parse_record
from streams.mail import smtp
from streams.mail.smtp import SmtpPool
from streams.mail.smtp_transaction import Connection, SmtpLimits
from tests.mail.doubles import batch
from tests.mail.mailshop import COMPOSER, TINY, TP, shop
from tests.mail.samples import HOUR, START, cancel, record, send
from tests.mail.servers import (
    DATA,
    DOT,
    DRIP,
    DROP,
    EHLO,
    GREETING,
    MAIL,
    RCPT,
    SILENCE,
    TEXT,
    parse,
    scripted,
)


async def test_a_mail_arrives_whole_and_its_outcome_names_it() -> None:
    async with scripted() as relay, shop(relay.url) as here:
        await here.take(send(urgent=True))
        (sent,) = await here.until("mail.sent")
    (mail,) = relay.mails
    assert mail == COMPOSER.compose(send(urgent=True)).message
    assert relay.recipients == ["giulia@example.com"]
    assert sent == {
        "command_id": "m1",
        "workflow": "w05",
        "step": "s1",
        "template": "order-confirmation",
        "class": "transactional",
        "message_id": parse(mail)["Message-ID"],
        "relay": f"127.0.0.1:{relay.port}",
        "attempt": 1,
        "ambiguous": False,
    }
    event = parse_record(here.log.events()[0])
    assert (event.id, event.source, event.customer) == ("m1/sent", "/ritorno/mailer", "u1")
    assert here.partition_manager.leases[0].next_offset == 1


@pytest.mark.parametrize("stage", [MAIL, RCPT, DATA, DOT])
@pytest.mark.parametrize("reply", ["421", "450", "451 4.7.1", "452", "454"])
async def test_a_temporary_refusal_defers_and_the_next_try_delivers(stage: str, reply: str) -> None:
    async with scripted({stage: [f"{reply} not now"]}) as relay, shop(relay.url) as here:
        await here.take(send(urgent=True))
        (deferred,) = await here.until("mail.deferred")
        assert deferred["code"] == int(reply[:3])
        assert deferred["attempt"] == 1
        assert "mail.sent" not in here.log.types()
        here.clock.advance(START + 29_000)
        here.clock.advance(START + 30_000)
        (sent,) = await here.until("mail.sent")
    assert sent["attempt"] == 2
    assert sent["ambiguous"] is False
    kind = "throttled" if reply in ("451 4.7.1", "454") else "soft"
    assert here.metrics.seen["outcome", "transactional", "deferred", kind] == 1


@pytest.mark.parametrize(
    ("stage", "reply", "kind"),
    [
        (MAIL, "550 5.7.1", "blocked"),
        (MAIL, "552 5.3.4", "content"),
        (MAIL, "554", "blocked"),
        (RCPT, "550", "blocked"),
        (RCPT, "550 5.1.1", "hard"),
        (RCPT, "550 5.7.1", "blocked"),
        (RCPT, "552 5.2.2", "soft"),
        (RCPT, "552", "soft"),
        (RCPT, "554", "blocked"),
        (DATA, "550", "blocked"),
        (DATA, "552", "content"),
        (DATA, "554 5.6.0", "content"),
        (DOT, "550 5.7.1", "blocked"),
        (DOT, "552 5.3.4", "content"),
        (DOT, "554", "content"),
    ],
)
async def test_a_refusal_for_good_bounces(stage: str, reply: str, kind: str) -> None:
    async with scripted({stage: [f"{reply} no"]}) as relay, shop(relay.url) as here:
        await here.take(send(), send("m2"))
        (bounced,) = await here.until("mail.bounced")
        await here.until("mail.sent")  # the other one; the connection is as good as new
    assert (bounced["code"], bounced["kind"]) == (int(reply[:3]), kind)
    assert bounced.get("enhanced_code") == (reply[4:] or None)


@pytest.mark.parametrize("stage", [MAIL, RCPT, DATA])
@pytest.mark.parametrize("end", [DROP, SILENCE])
async def test_a_relay_that_goes_before_the_text_gets_the_mail_again(stage: str, end: str) -> None:
    async with scripted({stage: [end]}) as relay, shop(relay.url, limits=TINY) as here:
        await here.take(send())
        (deferred,) = await here.until("mail.deferred")
        assert "code" not in deferred
        assert deferred["ambiguous"] is False
        here.clock.advance(START + HOUR)
        await here.until("mail.sent")
    assert len(relay.mails) == 1


async def test_a_relay_that_goes_inside_the_text_can_not_have_the_mail() -> None:
    """The text is larger than what the kernel takes, so the dot is still here."""
    async with scripted({TEXT: [DROP]}) as relay, shop(relay.url) as here:
        mail = COMPOSER.compose(send())
        async with here.pool.connection() as connection:
            shrink_send_buffer(connection)
            result = await connection.deliver(mail._replace(message=mail.message * 200))
    assert isinstance(result, Dropped)
    assert result.stage == "data"
    assert not connection.dotted


def shrink_send_buffer(connection: Connection) -> None:
    """Let the kernel take a few KB only, so that writing blocks until the relay reads."""
    transport = connection._dialogue._transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@pytest.mark.parametrize("end", [DROP, SILENCE, "999 what", "no reply at all"])
async def test_marketing_is_never_sent_again_after_the_final_dot(end: str) -> None:
    async with scripted({DOT: [end]}) as relay, shop(relay.url, limits=TINY) as here:
        await here.take(send())
        (failed,) = await here.until("mail.failed")
        here.clock.advance(START + 30 * HOUR)
        await here.take(send("m2", time=START + 30 * HOUR, expires=START + 40 * HOUR))
        await here.until("mail.sent")
    assert (failed["reason"], failed["ambiguous"]) == ("ambiguous", True)
    assert len(relay.mails) == 2
    assert here.metrics.seen["ambiguous", "marketing"] == 1


async def test_transactional_is_sent_again_after_the_final_dot_byte_for_byte() -> None:
    async with scripted({DOT: [DROP]}) as relay, shop(relay.url) as here:
        await here.take(send(urgent=True))
        (deferred,) = await here.until("mail.deferred")
        assert deferred["ambiguous"] is True
        here.clock.advance(START + 30_000)
        (sent,) = await here.until("mail.sent")
    assert sent["ambiguous"] is True
    assert relay.mails[0] == relay.mails[1]
    assert here.metrics.seen["ambiguous", "transactional"] == 1


@pytest.mark.parametrize(
    ("stage", "reply"),
    [(GREETING, "554 go away"), (GREETING, DROP), (GREETING, DRIP), (EHLO, DRIP), (EHLO, DROP)],
)
async def test_a_relay_that_can_not_be_used_wears_no_mail_out(stage: str, reply: str) -> None:
    limits = dataclasses.replace(TINY, connections=1)
    async with scripted({stage: [reply] * 3}) as relay, shop(relay.url, limits=limits) as here:
        await here.take(*(send(f"m{n}") for n in range(30)))
        for failures in (1, 2, 3):
            await here.metrics.until("relay_down", "connect", count=failures)
            here.clock.advance(here.pool.retry_at)
        await here.until("mail.sent", 30)
    assert {each["attempt"] for each in here.outcomes("mail.sent")} == {1}
    deferred = here.outcomes("mail.deferred")
    assert {each["reason"] for each in deferred} == {"relay_connect"}
    assert len(deferred) == len({each["command_id"] for each in deferred}) <= 3
    assert here.clock.now() == START + 1_000 + 2_000 + 4_000
    assert here.metrics.seen["relay_down", "connect"] == 3
    assert here.metrics.seen["relay_up",] == 1
    assert len(relay.mails) == 30


async def test_a_dead_relay_holds_back_nothing_but_mails() -> None:
    async with shop("smtp://127.0.0.1:1") as here:
        await here.take(send(), send("m2", urgent=True))
        deferred = await here.until("mail.deferred", 2)
        await here.take(cancel("m1", reason="order.completed"))
        (skipped,) = await here.until("mail.skipped")
        assert skipped["command_id"] == "m1"
        assert skipped["reason"] == "cancelled"
        here.clock.advance(START + 48 * HOUR)
        skipped = (await here.until("mail.skipped", 2))[1]
    assert (skipped["command_id"], skipped["reason"]) == ("m2", "expired")
    assert {each["attempt"] for each in deferred} == {1}


async def test_login_required_is_about_the_relay() -> None:
    async with scripted({MAIL: ["530 5.7.0 log in first"]}) as relay, shop(relay.url) as here:
        await here.take(send())
        (deferred,) = await here.until("mail.deferred")
        assert deferred["reason"] == "relay_refused"
        here.clock.advance(here.pool.retry_at)
        (sent,) = await here.until("mail.sent")
    assert sent["attempt"] == 1


async def test_an_old_connection_that_was_closed_costs_no_attempt() -> None:
    async with scripted({MAIL: ["250 ok", "421 too many"]}) as relay, shop(relay.url) as here:
        await here.take(send())
        await here.until("mail.sent")
        await here.take(send("m2"))
        sent = await here.until("mail.sent", 2)
    assert [each["attempt"] for each in sent] == [1, 1]
    assert relay.connections == 2
    assert "mail.deferred" not in here.log.types()


async def test_connections_are_kept_and_given_up_after_their_share() -> None:
    limits = SmtpLimits(connections=1, mails=3)
    async with scripted() as relay, shop(relay.url, limits=limits) as here:
        await here.take(*(send(f"m{n}") for n in range(7)))
        await here.until("mail.sent", 7)
    assert relay.connections == 3
    assert here.metrics.gauges["busy",] == 0


async def test_an_idle_connection_is_closed() -> None:
    limits = SmtpLimits(idle=0.01)
    async with scripted() as relay, shop(relay.url, limits=limits) as here:
        await here.take(send())
        await relay.until(lambda: "QUIT" in relay.commands)


async def test_transactional_mails_go_first() -> None:
    limits = SmtpLimits(connections=1)
    async with scripted() as relay, shop(relay.url, limits=limits) as here:
        await here.take(
            *(send(f"m{n}") for n in range(5)),
            *(send(f"t{n}", urgent=True, email=f"t{n}@example.com") for n in range(3)),
        )
        await here.until("mail.sent", 8)
    assert relay.recipients[:3] == ["t0@example.com", "t1@example.com", "t2@example.com"]


async def test_no_more_connections_than_allowed() -> None:
    async with scripted() as relay, shop(relay.url, limits=SmtpLimits(connections=4)) as here:
        await here.take(*(send(f"m{n}") for n in range(40)))
        await here.until("mail.sent", 40)
    assert relay.connections == 4


async def test_what_can_not_be_made_is_rejected_with_its_reason() -> None:
    async with scripted() as relay, shop(relay.url) as here:
        await here.take(
            send("bad", email="giulia@exam ple.com"),
            send("poor", variables={}),
            send("odd", template="no-such-template"),
            send("injected", email="a@example.com\r\nBcc: b@example.com"),
        )
        rejected = await here.until("mail.rejected", 4)
    assert {each["command_id"]: each["reason"] for each in rejected} == {
        "bad": "invalid_address",
        "injected": "invalid_address",
        "poor": "render: cart-reminder.it.j2:11: 'None' has no attribute 'url'",
        "odd": "render: no-such-template: there is no such template in it",
    }
    assert not relay.mails


@pytest.mark.parametrize("offered", [True, False])
async def test_an_international_local_part_needs_a_relay_that_takes_it(offered: bool) -> None:
    script = {} if offered else {EHLO: ["250 relay.test"]}
    async with scripted(script) as relay, shop(relay.url) as here:
        await here.take(send(email="nicolò@bücher.example"))
        if offered:
            await here.until("mail.sent")
            assert relay.recipients == ["nicolò@xn--bcher-kva.example"]
            assert "nicolò@xn--bcher-kva.example".encode() in relay.mails[0]
        else:
            (rejected,) = await here.until("mail.rejected")
            assert rejected["reason"] == "smtputf8_unsupported"


async def test_unreadable_commands_become_dead_letters_and_the_rest_goes_on() -> None:
    async with scripted() as relay, shop(relay.url) as here:
        good = record(send(), 2)
        bad = [
            good._replace(offset=0, value=b"{nonsense"),
            good._replace(offset=1, value=b'{"action": "send", "id": "x"}'),
        ]
        stranger = good._replace(offset=3, key=b"somebody else")
        await here.runtime.process(batch([*bad, good, stranger]))
        await here.until("mail.sent")
    letters = here.log.kept["dead-letters", 0]
    reasons = [letter.header("dl_reason") for letter in letters]
    assert reasons == [b"invalid_json", b"invalid_command", b"invalid_command"]
    assert here.partition_manager.leases[0].next_offset == 4


async def test_closing_lets_the_mail_in_flight_end_and_keeps_the_rest() -> None:
    limits = SmtpLimits(connections=1)
    async with scripted() as relay, shop(relay.url, limits=limits) as here:
        await here.take(*(send(f"m{n}") for n in range(3)))
        await relay.until(lambda: any(each == "DATA" for each in relay.commands))
        await here.runtime.closed(TP)
        done = here.log.types().count("mail.sent")
        assert done == len(relay.mails) >= 1
        assert await here.runtime.opened(TP) == 3
        await here.until("mail.sent", 3)
    assert len(relay.mails) == 3


async def test_closing_gives_back_a_claim_that_was_not_used() -> None:
    """The relay falls silent before the text: after the grace the claim is given back."""
    async with scripted({RCPT: [SILENCE]}) as relay, shop(relay.url) as here:
        await here.take(send())
        await relay.until(lambda: any(each.startswith("RCPT") for each in relay.commands))
        await here.runtime.closed(TP)
        await here.runtime.opened(TP)
        (sent,) = await here.until("mail.sent")
    assert sent["attempt"] == 1
    assert here.log.types() == ["mail.sent"]


async def test_closing_leaves_the_claim_of_a_mail_whose_dot_has_left() -> None:
    async with scripted({DOT: [SILENCE]}) as relay, shop(relay.url) as here:
        await here.take(send())
        await relay.until(lambda: bool(relay.mails))
        await here.runtime.closed(TP)
        last = here.log.kept["mailer-changelog", 0][-1]
        assert unpack_entry(last.value or b"").state == "attempting"
        await here.runtime.opened(TP)
        (failed,) = await here.until("mail.failed")
    assert failed["ambiguous"] is True
    assert len(relay.mails) == 1


async def test_a_connection_whose_check_is_given_up_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was out of the pool and nobody's yet: it used to stay open for ever."""
    monkeypatch.setattr(smtp, "CHECK_AFTER", 0.0)
    async with scripted({"rset": [SILENCE]}) as relay, shop(relay.url) as here:
        async with here.pool.connection() as kept:
            pass
        seal_asked_lists = asyncio.create_task(_borrow(here.pool))
        await relay.until(lambda: "RSET" in relay.commands)
        seal_asked_lists.cancel()
        await asyncio.wait([seal_asked_lists])
        assert not kept.connected
        async with here.pool.connection() as another:
            assert another is not kept


async def _borrow(pool: SmtpPool) -> None:
    async with pool.connection():
        pass


async def test_pauses_begin_anew_once_a_partition_has_delivered_for_a_while() -> None:
    """Ten failures in a day must not make the eleventh last half a minute."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with shop("smtp://127.0.0.1:9") as here:
        here.runtime._pause = pause  # it is given at the beginning, to a watch that sleeps
        for lived in (0, 0, 0, 31_000, 0):
            here.clock.advance(here.clock.now() + lived)
            failed = here.runtime._open[TP]
            failed.delivery._fail(RuntimeError("boom"))
            async with asyncio.timeout(10):
                while here.runtime._open[TP] is failed:  # noqa: ASYNC110  # no signal of it
                    await asyncio.sleep(0)
    assert pauses == [0.1, 0.2, 0.4, 0.1, 0.2]
