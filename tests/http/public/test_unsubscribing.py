"""Unsubscribing and confirming over HTTP: a GET changes nothing, a POST does."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from aiohttp import FormData
from structlog.testing import capture_logs

from agents.mail.message.tokens import Confirm, Preferences, Tokens, Unsubscribe
from agents.mail.settings import SigningKey
from streams.clock import VirtualClock
from streams.log import LogUnavailable
from tests.http.public.visits import ENGLISH, ITALIAN, PARTITIONS, visit
from tests.mail.doubles import MemoryLog
from tests.mail.samples import DAY, SETTINGS, START

UNSUBSCRIBE = Unsubscribe("u1", "m1", START)
CONFIRM = Confirm("u1", "m1", "newsletter", START + 7 * DAY)
TOKEN = Tokens(SETTINGS.signing_keys).make(UNSUBSCRIBE)

LANGUAGES = [("en-GB,en;q=0.9", "Unsubscribe"), ("xx,it", "Annulla"), ("", "Annulla")]


@pytest.mark.parametrize(("language", "words"), LANGUAGES)
async def test_a_get_asks_in_the_visitors_language_and_changes_nothing(
    language: str, words: str
) -> None:
    async with visit() as here:
        url = here.url("u", UNSUBSCRIBE)
        answer, page = await here.get(url, headers={"Accept-Language": language})
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        assert words in page
        assert 'method="post"' in page
        answer, _ = await here.get(url, "HEAD")
        assert answer.status == 200
    assert not here.log.kept


@pytest.mark.parametrize("multipart", [False, True])
async def test_one_click_unsubscribes(multipart: bool) -> None:
    form = FormData({"List-Unsubscribe": "One-Click"}, default_to_multipart=multipart)
    async with visit() as here:
        answer, _ = await here.post(here.url("u", UNSUBSCRIBE), data=form)
        assert answer.status == 200
    (event,) = here.events()
    assert (event.type, event.customer, event.time) == ("mail.unsubscribed", "u1", START)
    assert (event.data.command_id, event.data.reason) == ("m1", "one_click")
    assert (event.data.wording, event.data.ip) == ("", "")  # no page was seen
    assert here.metrics.seen["consent", "marketing", "withdrawn", "one_click"] == 1


async def test_the_page_unsubscribes_and_says_with_which_words() -> None:
    async with visit() as here:
        _, page = await here.post(here.url("u", UNSUBSCRIBE, "?lang=en"))
        assert ENGLISH["unsubscribed"] in page
    (event,) = here.events()
    assert (event.data.reason, event.data.wording) == ("unsubscribe_page", ENGLISH.version)


async def test_who_comes_back_can_leave_again_by_the_same_link() -> None:
    async with visit() as here:
        for _ in range(2):
            await here.post(here.url("u", UNSUBSCRIBE))
    first, second = here.events()
    assert first.id != second.id


async def test_an_old_link_still_unsubscribes_and_an_old_key_too() -> None:
    old = SETTINGS.signing_keys[0]
    keys = (SigningKey("k2", "the new secret"), old)
    async with visit(signing_keys=keys) as here:
        here.clock.advance(START + 10_000 * DAY)
        answer, _ = await here.post(here.url("u", TOKEN))
        assert answer.status == 200
    assert len(here.events()) == 1


async def test_the_page_leads_to_the_preferences() -> None:
    async with visit() as here:
        _, page = await here.get(here.url("u", UNSUBSCRIBE))
        token = page.partition('href="../p/')[2].partition("?")[0]
        assert here.tokens.read(token, Preferences) == Preferences("u1", "m1", START)


BAD = ["nonsense", TOKEN[:-2], "k9" + TOKEN[2:], "a/b", "%00", "", "..%2f..%2fetc", "%F0%28", "k1."]


@pytest.mark.parametrize("token", BAD)
@pytest.mark.parametrize("place", ["u", "y", "p", "v", "o", "c"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_bad_token_is_a_page_that_says_so(place: str, token: str, method: str) -> None:
    async with visit() as here:
        answer, page = await here.get(here.url(place, token), method)
        assert answer.status == 404
        assert ITALIAN["unknown"] in page
    assert not here.log.kept


@pytest.mark.parametrize("place", ["y", "p", "v", "o", "c"])
async def test_an_unsubscribe_link_opens_nothing_else(place: str) -> None:
    async with visit() as here:
        for method in ("GET", "POST"):
            answer, _ = await here.get(here.url(place, TOKEN), method)
            assert answer.status == 404


class BrokenLog(MemoryLog):
    async def append(self, *_: object) -> int:
        raise LogUnavailable("no broker")


@pytest.mark.parametrize("place", ["u", "y"])
async def test_a_log_that_is_away_is_admitted(place: str) -> None:
    broken = BrokenLog(VirtualClock(START), PARTITIONS)
    async with visit(broken) as here:
        content = UNSUBSCRIBE if place == "u" else CONFIRM
        answer, _ = await here.post(here.url(place, content))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "120")
    assert not here.metrics.seen


@pytest.mark.parametrize(
    "options",
    [
        {"data": {"x": "y" * 200_000}},
        {"data": b"\xff\xfe", "headers": {"Content-Type": "multipart/form-data"}},
        {"data": b"{}", "headers": {"Content-Type": "application/json"}},
        {"data": b"a=%ff&b", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ],
)
async def test_whatever_the_body_says_the_token_counts(options: dict[str, object]) -> None:
    async with visit() as here:
        answer, _ = await here.post(here.url("u", UNSUBSCRIBE), **options)
        assert answer.status == 200
    assert len(here.events()) == 1


# Double opt-in.


async def test_scanners_confirm_nothing() -> None:
    async with visit() as here:
        for method in ("GET", "HEAD"):
            answer, _ = await here.get(here.url("y", CONFIRM), method)
            assert answer.status == 200
    assert not here.log.kept


@pytest.mark.row("R04")
async def test_a_confirmation_is_consent_with_its_evidence() -> None:
    async with visit() as here:
        _, page = await here.post(here.url("y", CONFIRM))
        assert ITALIAN["confirmed"] in page
    (event,) = here.events()
    assert (event.type, event.data.list, event.data.confirmed) == (
        "list.subscribed", "newsletter", True,
    )  # fmt: skip
    assert (event.data.source, event.data.wording, event.data.mail, event.data.ip) == (
        "double_opt_in", ITALIAN.version, "m1", None,
    )  # fmt: skip
    assert here.metrics.seen["consent", "marketing", "given", "double_opt_in"] == 1


async def test_a_confirmation_expires() -> None:
    async with visit() as here:
        here.clock.advance(START + 7 * DAY - 1)
        assert (await here.get(here.url("y", CONFIRM)))[0].status == 200
        here.clock.advance(START + 7 * DAY)
        for method in ("GET", "POST"):
            answer, page = await here.get(here.url("y", CONFIRM), method)
            assert answer.status == 410
            assert ITALIAN["confirm_expired"] in page
    assert not here.log.kept


# Evidence.


@pytest.mark.parametrize(
    ("forwarded", "ip"),
    [
        (None, "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("10.9.9.9, 192.0.2.7", "192.0.2.7"),  # whatever comes before our proxy's word is hearsay
        ("<script>", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
async def test_the_address_is_kept_only_when_the_shop_says_so(
    forwarded: str | None, ip: str
) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    async with visit(keep_ip=True) as here:
        await here.post(here.url("y", CONFIRM), headers=headers)
        await here.post(here.url("u", UNSUBSCRIBE), headers=headers)
    assert [event.data.ip for event in here.events()] == [ip, ip]
    async with visit() as here:
        await here.post(here.url("y", CONFIRM), headers=headers)
        await here.post(here.url("u", UNSUBSCRIBE), headers=headers)
    assert not [record for record in here.log.events(1) if b"192.0.2" in (record.value or b"")]
    assert [event.data.ip for event in here.events()] == [None, ""]


async def test_who_breaks_off_is_no_defect_of_ours() -> None:
    with capture_logs() as logs:
        async with visit() as here:
            address = urlsplit(here.url("u", UNSUBSCRIBE))
            _, stream = await asyncio.open_connection(address.hostname, address.port)
            stream.write(
                f"POST {address.path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n".encode()
            )
            await stream.drain()
            await here.get(here.url("u", UNSUBSCRIBE))  # the page waits for the rest by now
            stream.close()
            await stream.wait_closed()
            await here.get(here.url("u", UNSUBSCRIBE))
    assert not logs
