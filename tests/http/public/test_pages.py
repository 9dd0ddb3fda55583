"""What all pages share: words in every language, headers, and nothing that runs or is fetched."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from agents.mail.message.tokens import Confirm, Preferences, Unsubscribe
from agents.mail.settings import Shop
from schemas.customer import Customer
from schemas.customer.consent import Subscription
from streams.http.public.messages import PageMessages
from streams.messages.translations import languages
from tests.http.public.visits import ENGLISH, ITALIAN, visit
from tests.mail.samples import DAY, START
from tests.messages.locales import change, locale

__all__ = ["locale"]

PAGES = {
    "unsubscribe": ("u", Unsubscribe("u1", "m1", START), ""),
    "preferences": ("p", Preferences("u1", "m1", START), ""),
    "copy": ("p", Preferences("u1", "m1", START), "/copy"),
    "erase": ("p", Preferences("u1", "m1", START), "/erase"),
    "confirm": ("y", Confirm("u1", "m1", "news", START + DAY), ""),
    "unknown": ("u", "nonsense", ""),
}
GIULIA = {"u1": Customer(key="u1", lists={"news": Subscription(True, 1)})}
HOSTILE = Shop(
    name='<img src=x onerror="alert(1)">',
    url="https://shop.example",
    support_email="a@shop.example",
)


@pytest.mark.parametrize("name", PAGES)
async def test_headers_leave_nothing_to_leak(name: str) -> None:
    place, content, more = PAGES[name]
    async with visit(lookup=GIULIA) as here:
        answer, page = await here.get(here.url(place, content, more))
    headers = answer.headers
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex, nofollow"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "Set-Cookie" not in headers
    assert "Server" not in headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("language", languages())
async def test_pages_are_whole_and_fetch_nothing(name: str, language: str) -> None:
    place, content, more = PAGES[name]
    async with visit(lookup=GIULIA) as here:
        _, page = await here.get(here.url(place, content, f"{more}?lang={language}"))
    assert f'<html lang="{language}">' in page
    assert len(re.findall("<h1>", page)) == 1
    assert not re.findall(r"<script|<link|<img|<iframe|url\(|@import|\son\w+=|style=", page)
    assert 'name="viewport"' in page
    for control in re.findall(r'<input type="(?:radio|checkbox)"[^>]*>', page):
        assert re.search(rf"<label[^>]*>{re.escape(control)} [^<]+</label>", page), control
    for select in re.findall(r'<select id="([^"]+)"', page):
        assert f'<label for="{select}">' in page


@pytest.mark.parametrize("name", PAGES)
async def test_the_shops_own_name_is_text(name: str) -> None:
    place, content, more = PAGES[name]
    async with visit(lookup=GIULIA, shop=HOSTILE) as here:
        _, page = await here.get(here.url(place, content, more))
    assert "<img" not in page
    assert "&lt;img" in page


@pytest.mark.parametrize(
    ("query", "header", "messages"),
    [
        ("?lang=en", "it", ENGLISH),
        ("?lang=it", "en", ITALIAN),
        ("?lang=<script>", "en", ENGLISH),
        ("?lang=fr&lang=en", "", ITALIAN),
        ("", "fr-FR, en;q=0.8, it;q=0.5", ENGLISH),
        ("", "*", ITALIAN),
        ("", "x" * 5_000, ITALIAN),
    ],
)
async def test_the_language(query: str, header: str, messages: PageMessages) -> None:
    async with visit() as here:
        url = here.url("u", Unsubscribe("u1", "m1"), query)
        _, page = await here.get(url, headers={"Accept-Language": header})
    assert messages["unsubscribe"] in page
    assert "<script>" not in page


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_do_nothing(method: str) -> None:
    async with visit(lookup=GIULIA) as here:
        for place, content, more in PAGES.values():
            answer, _ = await here.get(here.url(place, content, more), method)
            assert answer.status in (404, 405)
            assert "Content-Security-Policy" in answer.headers
    assert not here.log.kept


@pytest.mark.parametrize("path", ["/", "/u", "/u/", "/admin", "/metrics", "/u/a/b/c", "/%2e%2e/x"])
async def test_other_paths_are_nothing(path: str) -> None:
    async with visit() as here:
        answer, page = await here.get(here.root + path)
    assert answer.status == 404
    assert ITALIAN["unknown"] in page


async def test_a_defect_shows_nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with visit() as here:
        monkeypatch.setattr("streams.http.public.confirmation._form", lambda _: 1 / 0)
        answer, page = await here.post(here.url("u", Unsubscribe("u1", "m1")))
    assert answer.status == 503
    assert "ZeroDivision" not in page


async def test_each_page_leads_to_the_same_in_the_other_languages() -> None:
    async with visit() as here:
        _, page = await here.get(here.url("u", Unsubscribe("u1", "m1"), "?lang=it"))
    links = re.findall(r'<a href="\?lang=(\w+)" hreflang="\1" lang="\1">([^<]+)</a>', page)
    assert ("en", "Read in English") in links
    assert dict(links) == {
        each: PageMessages(each)["read_in"] for each in languages() if each != "it"
    }


def test_another_word_is_another_version(locale: Path) -> None:
    version = PageMessages(ITALIAN.language).version
    assert version.startswith("it-")
    assert version != ENGLISH.version
    change(locale / "it.po", "Confermo l’iscrizione", "Confermo")
    assert PageMessages(ITALIAN.language).version != version
    change(locale / "it.po", '"Confermo"', '"Confermo l’iscrizione"')
    assert PageMessages(ITALIAN.language).version == version
    change(locale / "it.po", '"ogni anno', '"tutti gli anni')  # on no page
    assert PageMessages(ITALIAN.language).version == version
