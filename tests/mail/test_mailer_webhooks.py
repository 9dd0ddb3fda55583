"""Webhooks over real HTTP: each answer, each silence, at least once, signed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from agents.mail.message.webhook import InvalidUrl, read_secrets, request, signature
from agents.mail.queue.queued_mail import unpack_entry
from streams.mail.webhooks import Webhooks
from tests.mail.mailshop import TP, Shop, shop
from tests.mail.samples import DAY, HOUR, START, cancel, notify, pause, resume, send
from tests.mail.servers import scripted

SECRET = "a secret of the tests"
NEWER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOBODY = "http://127.0.0.1:1/hook"


@dataclass
class Receiver:
    """A web server that answers as planned, 200 when nothing is."""

    answers: list[int | str] = field(default_factory=list)
    got: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""
    busy: int = 0
    most: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, incoming: web.Request) -> web.StreamResponse:
        """Handle one request."""
        self.got.append(incoming)
        self.bodies.append(await incoming.read())
        self.arrived.set()
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            answer = self.answers.pop(0) if self.answers else 200
            if answer == "silence":
                await asyncio.get_running_loop().create_future()
            if answer == "wait":
                await self.gate.wait()
                answer = 200
            if answer == "drop":
                assert incoming.transport is not None
                incoming.transport.abort()
                return web.Response()
            headers = {"Location": "/elsewhere"} if answer == 302 else None
            return web.Response(status=int(answer), headers=headers)
        finally:
            self.busy -= 1


@asynccontextmanager
async def receiver(*answers: int | str) -> AsyncIterator[Receiver]:
    hooks = Receiver(list(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hooks.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hooks.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook"  # type: ignore[union-attr]  # it listens
    try:
        yield hooks
    finally:
        hooks.gate.set()
        await runner.cleanup()


@asynccontextmanager
async def sender(*, seconds: float = 5.0) -> AsyncIterator[Shop]:
    hooks = Webhooks(secrets=read_secrets(f"{SECRET},{NEWER}"), seconds=seconds)
    async with scripted() as relay, shop(relay.url, webhooks=hooks) as here:
        yield here


def state(here: Shop, id_: str = "n1") -> str:
    """Return the last state of a webhook in the changelog."""
    records = here.log.kept["mailer-changelog", 0]
    last = [each.value for each in records if each.key == id_.encode()][-1]
    return unpack_entry(last or b"").state


async def test_it_arrives_once_signed_and_named() -> None:
    async with receiver() as hooks, sender() as here:
        await here.take(notify(url=hooks.url + "?a=1"), notify(url=hooks.url))
        await here.metrics.until("webhook", "done")
        await here.runtime.until_idle()
    (incoming,), (body,) = hooks.got, hooks.bodies
    assert (incoming.method, incoming.path_qs) == ("POST", "/hook?a=1")
    assert json.loads(body) == {"customer": "u1", "score": 80, "città": "Forlì"}
    assert incoming.headers["Content-Type"] == "application/json"
    assert incoming.headers["webhook-id"] == "n1"
    assert int(incoming.headers["webhook-timestamp"]) == here.clock.now() // 1000
    signed = b"n1.%b.%b" % (incoming.headers["webhook-timestamp"].encode(), body)
    old = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    new = hmac.new(base64.b64decode(NEWER[6:]), signed, hashlib.sha256).digest()
    assert incoming.headers["webhook-signature"].split(" ") == [
        f"v1,{base64.b64encode(each).decode()}" for each in (old, new)
    ]
    assert here.log.events() == []  # the customer hears nothing of it
    assert not any(key[0] in ("request", "outcome") for key in here.metrics.seen)  # it is no mail


def test_without_a_secret_it_goes_unsigned() -> None:
    assert "webhook-signature" not in request(notify(), (), START).headers


def test_what_the_libraries_verify_is_what_is_signed() -> None:
    """The example of Standard Webhooks' own libraries."""
    (secret,) = read_secrets(NEWER)
    body = b'{"test": 2432232314}'
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_another_id_or_another_time_is_another_signature() -> None:
    secrets = read_secrets(SECRET)
    signatures = {
        request(notify(id_), secrets, now).headers["webhook-signature"]
        for id_ in ("n1", "n2")
        for now in (START, START + 1000)
    }
    assert len(signatures) == 4


@pytest.mark.parametrize("text", ["whsec_not base64", "whsec_AAAA"])
def test_a_secret_that_no_library_could_use_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="what follows whsec_"):
        read_secrets(text)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_a_refusal_ends_it(status: int) -> None:
    async with receiver(status) as hooks, sender() as here:
        await here.take(notify(url=hooks.url))
        await here.metrics.until("webhook", "failed")
        here.clock.advance(START + HOUR)
        await here.runtime.until_idle()
        assert state(here) == "failed"
    assert len(hooks.got) == 1


@pytest.mark.parametrize("answer", [302, 408, 429, 500, 502, 503, "drop", "silence"])
async def test_whatever_may_pass_is_tried_again(answer: int | str) -> None:
    async with receiver(answer) as hooks, sender(seconds=0.3) as here:
        await here.take(notify(url=hooks.url))
        await here.metrics.until("webhook", "retried")
        await here.runtime.until_idle()
        assert state(here) == "deferred"
        here.clock.advance(START + 30_000)
        await here.metrics.until("webhook", "done")
    assert len(hooks.got) == 2
    assert hooks.bodies[0] == hooks.bodies[1]
    assert {each.path for each in hooks.got} == {"/hook"}  # no redirect was followed


async def test_nobody_there_and_then_its_time_is_over() -> None:
    async with sender() as here:
        await here.take(notify(url=NOBODY))
        await here.metrics.until("webhook", "retried")
        here.clock.advance(START + DAY)
        await here.metrics.until("webhook", "expired")
        await here.runtime.until_idle()
        assert state(here) == "failed"


@pytest.mark.parametrize(
    "url", ["ftp://crm.example/x", "crm.example/x", "https://", "http://[", "https://a b/", "/x"]
)
async def test_an_impossible_url_is_rejected(url: str) -> None:
    async with sender() as here:
        await here.take(notify(url=url))
        await here.metrics.until("webhook", "rejected")
        await here.runtime.until_idle()
        assert state(here) == "rejected"
    with pytest.raises(InvalidUrl, match=r"^url: expected https"):
        request(notify(url=url), read_secrets(SECRET), START)


async def test_it_can_be_cancelled_while_it_waits() -> None:
    async with sender() as here:
        await here.take(notify(url=NOBODY))
        await here.metrics.until("webhook", "retried")
        await here.take(cancel("n1"))
        await here.metrics.until("webhook", "cancelled")


async def test_pausing_mails_leaves_webhooks_alone_and_the_other_way_round() -> None:
    async with receiver() as hooks, sender() as here:
        await here.take(pause(), notify(url=hooks.url), send())
        await here.metrics.until("webhook", "done")
        await here.take(resume())
        await here.until("mail.sent")
        await here.take(pause(**{"class": "notify"}), notify("n2", url=hooks.url), send("m2"))
        await here.until("mail.sent", 2)
        await here.runtime.until_idle()
        assert state(here, "n2") == "held"
        await here.take(resume())
        await here.metrics.until("webhook", "done", count=2)


async def test_a_host_that_hangs_leaves_room_for_the_others() -> None:
    async with receiver(*["wait"] * 10) as slow, receiver() as quick, sender() as here:
        slow_url = slow.url.replace("127.0.0.1", "localhost")
        await here.take(*(notify(f"s{n}", url=slow_url) for n in range(10)))
        await here.take(*(notify(f"q{n}", url=quick.url) for n in range(20)))
        await here.metrics.until("webhook", "done", count=20)
        assert (len(quick.got), slow.most) == (20, 4)
        slow.gate.set()
        await here.metrics.until("webhook", "done", count=30)


async def test_one_in_flight_when_the_partition_is_let_go_is_sent_again() -> None:
    async with receiver("silence") as hooks, sender() as here:
        await here.take(notify(url=hooks.url))
        await hooks.arrived.wait()
        await here.runtime.closed(TP)
        await here.runtime.opened(TP)
        await here.metrics.until("webhook", "done")
    assert len(hooks.got) == 2


async def test_what_is_left_of_a_finished_one_says_nothing() -> None:
    async with receiver() as hooks, sender() as here:
        await here.take(notify(url=hooks.url))
        await here.metrics.until("webhook", "done")
        await here.runtime.until_idle()
        last = [e.value for e in here.log.kept["mailer-changelog", 0] if e.key == b"n1"][-1]
    assert unpack_entry(last or b"").command == b""
