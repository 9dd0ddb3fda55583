"""Somebody who gets mails of the shop answers them with forged reports, to a whole worker by SMTP:
nobody else loses a mail, and marketing goes on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiosmtplib import SMTP

from streams.runtime.worker import Worker
from streams.topology import SEND_COMMANDS, SUPPRESSIONS
from tests.mail.bounces.harness import bounce
from tests.mail.bounces.messages import feedback
from tests.mail.bounces.test_bounced_worker import ADDRESS, order, settings, start, told, until
from tests.runtime.test_worker import Inbox, all_done, event, everything, inbox, tell

__all__ = ["inbox", "settings", "start"]

Start = Callable[[], Awaitable[Worker]]

OWN = "mallory@attacker.example"


async def forged(worker: Worker, to: str, *messages: bytes) -> None:
    """Answer a mail, as its return address allows whoever has it."""
    port = worker.inbound.smtp_port
    async with SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        for message in messages:
            await client.sendmail("", [to], message)
    await all_done(worker)


def complaints(token: str, count: int) -> list[bytes]:
    """Complaints about one mail that are not the same message."""
    fields = f"Feedback-Type: abuse\nOriginal-Mail-From: <{token}>"
    text = feedback(fields).lstrip()
    return [text.replace("Ciao!", "Ciao!" + "." * number).encode() for number in range(count)]


async def actions(worker: Worker) -> list[str]:
    """What the mailer was told to do."""
    found = [json.loads(each.value or b"") for each in await everything(worker.log, SEND_COMMANDS)]
    return [each["action"] for each in found]


def ignored(worker: Worker, verdict: str, why: str) -> float | None:
    labels = {"verdict": verdict, "why": why}
    registry = worker.metrics.registry
    return registry.get_sample_value("ritorno_mail_verdicts_ignored_total", labels)


async def test_nobody_suppresses_anybody_else(start: Start, inbox: tuple[Inbox, str]) -> None:
    """Order with an address of one's own, read the return address, move to the victim's, and have
    the mail bounce."""
    worker = await start()
    await tell(worker.log, event("customer.updated", "m-1", "mallory", email=OWN))
    await tell(worker.log, event("order.completed", "m-2", "mallory", order_id="o1",
                                 products=[{"product_id": "p1", "price": "9.90"}]))  # fmt: skip
    envelope = await inbox[0].mails.get()
    assert envelope.rcpt_tos == [OWN]
    token = envelope.mail_from or ""
    await told(worker, "mallory", "mail.sent")

    await tell(worker.log, event("customer.updated", "m-3", "mallory", email=ADDRESS))
    await forged(worker, token, bounce(token), bounce(token, status="5.1.2"))
    await forged(worker, token, *complaints(token, 2))
    assert ignored(worker, "bounced", "another_address") == 2
    assert ignored(worker, "complained", "another_address") == 2
    assert await everything(worker.log, SUPPRESSIONS) == []
    assert await actions(worker) == ["send"]

    for number, customer in enumerate(("anna", "mallory")):  # the victim, and under whatever id
        await order(worker, customer, f"o{2 + number}")
        assert (await inbox[0].mails.get()).rcpt_tos == [ADDRESS]
    await told(worker, "mallory", "mail.sent")


async def test_two_complaints_one_byte_apart_are_one(
    start: Start, inbox: tuple[Inbox, str]
) -> None:
    worker = await start()
    await order(worker, "anna", "o1")
    envelope = await inbox[0].mails.get()
    token = envelope.mail_from or ""
    await told(worker, "anna", "mail.sent")
    await forged(worker, token, *complaints(token, 3))
    await until(worker, SUPPRESSIONS, lambda record: record.key is not None)
    assert ignored(worker, "complained", "repeated") == 2
    assert sorted(await actions(worker)) == ["feedback", "send", "suppress"]
    assert worker.metrics.registry.get_sample_value("ritorno_mail_breaker_open") == 0
