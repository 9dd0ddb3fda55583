"""A worker writes to customers whom a relay refuses, each in words of its own: only who has no
mailbox there gets no mail any more."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from streams.clock import VirtualClock
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.topology import CUSTOMER_EVENTS, SUPPRESSIONS
from tests.mail.servers import scripted
from tests.runtime.doubles import START
from tests.runtime.test_worker import LOOPBACK, all_done, event, everything, tell

REFUSED = {
    "unknown": ("hard", "550 5.1.1 User unknown"),
    "plain-unknown": ("hard", "550 No such user here"),
    "access541": ("hard", "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"),
    "disabled": ("hard", "554 5.7.1 This mailbox is disabled"),
    "casella": ("hard", "550 5.7.1 Casella inesistente"),
    "rbl": (
        "blocked",
        "550-JunkMail rejected - mail.example [192.0.2.10]:41234 is in an RBL:\r\n"
        "550 listed, see https://rbl.example/192.0.2.10",
    ),
    "norelay": ("blocked", "550 relay not permitted"),
    "senderverify": (
        "blocked",
        "550-Verification failed for <shop@bottega.example>\r\n"
        "550-No Such User Here\r\n550 Sender verify failed",
    ),
    "ours": ("blocked", "550 5.1.1 <shop@bottega.example>: User unknown"),
    "helo": ("blocked", "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)"),
    "auth": (
        "blocked",
        "550 Please turn on SMTP Authentication in your mail client, or login to the "
        "IMAP/POP3 server before sending your message.",
    ),
    "spf": (
        "blocked",
        "550 SPF: 192.0.2.10 is not allowed to send mail from bottega.example",
    ),
    "policy551": ("blocked", "551 not our customer"),
    "sender510": ("blocked", "550 5.1.0 <shop@bottega.example> sender rejected"),
    "mittente": ("blocked", "550 Indirizzo del mittente non valido"),
    "quota": ("soft", "550 Mailbox quota exceeded"),
    "rate": ("throttled", "550 5.7.1 Too many messages, try again later"),
}
TRANSACTIONAL = {"product_id": "p1", "price": "9.90"}


async def test_only_who_has_no_mailbox_is_suppressed(tmp_path: Path) -> None:
    wanted = {name: kind for name, (kind, _) in REFUSED.items()} | {"ok": "sent"}
    async with scripted() as relay:
        relay.by_recipient = {
            f"{name}@cliente.example": said for name, (_, said) in REFUSED.items()
        }
        settings = Settings(
            broker=f"embedded://{tmp_path}/log",
            data_dir=tmp_path / "data",
            admin_bind=LOOPBACK,
            public_bind=LOOPBACK,
            smtp_url=relay.url,
            mail_from_address="shop@bottega.example",
            partitions=1,
            tick_seconds=60,
        )
        worker = Worker(settings, clock=VirtualClock(START))
        try:
            await worker.start()
            for name in wanted:  # one after the other: who asks for less slows the next ones down
                await _order(worker, name, "first")
            assert await _told(worker, len(wanted)) == wanted
            keys = {record.key for record in await everything(worker.log, SUPPRESSIONS)}
            assert len(keys - {None}) == sum(kind == "hard" for kind in wanted.values())
        finally:
            await worker.stop()


async def _order(worker: Worker, name: str, order_id: str) -> None:
    await tell(
        worker.log,
        event("customer.updated", f"u-{name}", name, email=f"{name}@cliente.example"),
        event(
            "order.completed",
            f"o-{name}",
            name,
            order_id=f"{order_id}-{name}",
            products=[TRANSACTIONAL],
        ),
    )


async def _told(worker: Worker, count: int) -> dict[str, str]:
    """Wait until `count` mails have come to something, and return to what."""
    assert isinstance(worker.log, EmbeddedLog)
    async with asyncio.timeout(60):
        while True:
            version = worker.log.version
            found = {}
            for record in await everything(worker.log, CUSTOMER_EVENTS):
                name = (record.key or b"").decode()
                if record.header("ce_type") == b"mail.bounced":
                    found[name] = json.loads(record.value or b"{}")["kind"]
                elif record.header("ce_type") == b"mail.sent":
                    found[name] = "sent"
            if len(found) >= count:
                await all_done(worker)
                return found
            await worker.log.wait_beyond(version)
