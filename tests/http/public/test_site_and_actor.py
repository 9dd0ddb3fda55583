"""From the link in a real mail to the customer's actor: a whole worker, public port and relay."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiosmtpd.smtp import SMTP, Envelope

from agents.customer.tracking import BURST_MS
from schemas.customer import Customer
from schemas.records import OutRecord
from streams.clock import VirtualClock
from streams.operate.lookup import known_customers, latest_states
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.values import Address
from streams.topology import CUSTOMER_EVENTS
from tests.http.public.visits import BROWSER
from tests.runtime.doubles import START
from tests.runtime.test_worker import all_done, event, everything, tell

LOOPBACK = Address("127.0.0.1", 0)
LIMIT = 20


class Shop:
    """A running worker, what its relay has taken, and a visitor's HTTP client."""

    def __init__(self, worker: Worker, clock: VirtualClock, session: ClientSession) -> None:
        self.worker, self.clock, self.session = worker, clock, session
        self.mails: asyncio.Queue[Message] = asyncio.Queue()

    async def tell(self, *records: OutRecord) -> None:
        await tell(self.worker.log, *records)
        await all_done(self.worker)

    async def mail(self) -> Message:
        return await asyncio.wait_for(self.mails.get(), LIMIT)

    async def customer(self, key: str = "anna") -> Customer | None:
        await all_done(self.worker)
        return known_customers(await latest_states(self.worker.log, key)).get(key)

    async def visit(self, method: str, path: str, **form: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.worker.public_port}{path}"
        async with self.session.request(
            method, url, data=form or None, headers=BROWSER, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text(errors="replace")

    async def told(self, type_: str) -> None:
        """Wait until the log has an event of a type and the actors have dealt with it."""
        log = self.worker.log
        assert isinstance(log, EmbeddedLog)
        async with asyncio.timeout(LIMIT):
            while True:
                version = log.version
                records = await everything(log, CUSTOMER_EVENTS)
                if any(record.header("ce_type") == type_.encode() for record in records):
                    break
                await log.wait_beyond(version)
        await all_done(self.worker)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    mails: list[asyncio.Queue[Message]] = []

    class Inbox:
        async def handle_DATA(self, _server: SMTP, _session: object, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
            assert isinstance(envelope.content, bytes)
            mails[0].put_nowait(message_from_bytes(envelope.content))
            return "250 taken"

    loop = asyncio.get_running_loop()
    relay = await loop.create_server(lambda: SMTP(Inbox(), hostname="relay"), "127.0.0.1", 0)
    clock = VirtualClock(START)
    settings = Settings(
        broker=f"embedded://{tmp_path}/log", data_dir=tmp_path / "data", admin_bind=LOOPBACK,
        public_bind=LOOPBACK, smtp_url=f"smtp://127.0.0.1:{relay.sockets[0].getsockname()[1]}",
        mail_public_url="https://mail.shop.example", partitions=2, tick_seconds=60, store="memory",
        tracking_mode="identified",
    )  # fmt: skip
    worker = Worker(settings, clock=clock)
    async with ClientSession() as session:
        running = Shop(worker, clock, session)
        mails.append(running.mails)
        await asyncio.wait_for(worker.start(), LIMIT)
        yield running
        await worker.stop()
    relay.close()


SIGNED_UP = (
    event("customer.created", "e1", "anna", email="anna@example.it", first_name="Anna"),
    event("consent.given", "e2", "anna", purpose="tracking", source="checkout"),
    event("list.subscribed", "e3", "anna", list="newsletter", source="form", confirmed=True),
)


def links(mail: Message) -> dict[str, list[str]]:
    """Return the paths of our links in a mail, by their first part."""
    html = mail.get_payload()[1].get_payload(decode=True).decode()  # type: ignore[union-attr,index]
    found = re.findall(r'(?:href|src)="https://mail\.shop\.example(/(\w)/[^"]+)"', html)
    found += re.findall(
        r"<https://mail\.shop\.example(/(\w)/[^>]+)>", str(mail["List-Unsubscribe"])
    )
    return {kind: [path for path, other in found if other == kind] for _, kind in found}


async def test_the_life_of_a_mail(shop: Shop) -> None:
    await shop.tell(*SIGNED_UP)
    ours = links(await shop.mail())

    # The click leads to the shop, and the actor learns of it a second later.
    shop.clock.advance(START + 60_000)
    before = await shop.customer()
    status, _ = await shop.visit("GET", ours["c"][0])
    assert status == 302
    shop.clock.advance(shop.clock.now() + BURST_MS)
    await shop.told("mail.clicked")
    after = await shop.customer()
    assert before is not None
    assert after is not None
    assert after.engagement.value == pytest.approx(before.engagement.value + 3, abs=0.01)

    # A scanner follows every link and presses no button.
    for path in [path for paths in ours.values() for path in paths]:
        await shop.visit("GET", path)
        await shop.visit("HEAD", path)
    scanned = await shop.customer()
    assert scanned is not None
    assert scanned.consented("marketing")

    # One click.
    status, _ = await shop.visit("POST", ours["u"][0], **{"List-Unsubscribe": "One-Click"})
    assert status == 200
    left = await shop.customer()
    assert left is not None
    assert not left.consented("marketing")
    assert not left.lists["newsletter"].subscribed
    said = left.evidence[-1]
    assert (said.purpose, said.given, said.source) == (
        "marketing", False, "unsubscribed, one_click",
    )  # fmt: skip
    assert said.mail


async def preferences(shop: Shop) -> str:
    """Return the path of the preferences page: the unsubscribe page leads there."""
    _, page = await shop.visit("GET", links(await shop.mail())["u"][0])
    return re.findall(r'href="\.\.(/p/[^"?]+)', page)[0]


async def test_preferences_reach_the_actor_with_their_evidence(shop: Shop) -> None:
    await shop.tell(*SIGNED_UP)
    path = await preferences(shop)
    status, page = await shop.visit("GET", path)
    assert status == 200
    assert 'name="tracking" value="yes" checked' in page
    form = {"tracking": "no", "profiling": "yes", "frequency": "less", "language": "en"}
    status, _ = await shop.visit("POST", path, **form)
    assert status == 200
    anna = await shop.customer()
    assert anna is not None
    assert {name: each.given for name, each in anna.consents.items()} == {
        "marketing": True, "tracking": False, "profiling": True,
    }  # fmt: skip
    assert (anna.profile.mail_frequency, anna.profile.locale) == ("less", "en")
    by_purpose = {each.purpose: each for each in anna.evidence}
    assert by_purpose["profiling"].source == "preferences_page"
    assert re.fullmatch(r"it-[0-9a-f]{10}", by_purpose["profiling"].wording)
    assert by_purpose["profiling"].mail == by_purpose["tracking"].mail != ""
    assert by_purpose["profiling"].ip == ""


async def test_the_right_to_be_forgotten(shop: Shop) -> None:
    await shop.tell(*SIGNED_UP)
    path = await preferences(shop)
    await shop.visit("GET", f"{path}/erase")
    await shop.visit("POST", f"{path}/erase")  # not understood
    assert (await shop.customer()).profile.email  # type: ignore[union-attr]
    status, _ = await shop.visit("POST", f"{path}/erase", understood="yes")
    assert status == 200
    assert await shop.customer() is None
    status, page = await shop.visit("GET", path)
    assert status == 200
    assert "Non abbiamo dati su di te" in page
