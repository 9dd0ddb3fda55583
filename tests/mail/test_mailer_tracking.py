"""Tracking in the mail: what is led through us, what a token says in each mode, open redirects."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agents.mail.message.compose import Composer
from agents.mail.message.tokens import Click, Confirm, OpenToken, Preferences, Tokens, View
from agents.mail.message.tracking import AllowedHosts, Tracking
from agents.mail.settings import MailSettings
from schemas.commands import SendCommand, TrackingMode
from streams.mail.templates import load_renderer
from tests.mail.samples import DAY, HOUR, SETTINGS, START, VARIABLES, send

RENDERER = load_renderer(Path(__file__).parents[2] / "workflows")
TOKENS = Tokens(SETTINGS.signing_keys)
ROOT = "https://mail.shop.example"
ALL = replace(SETTINGS, tracking="identified")


def instrument(html: str, mode: TrackingMode = "identified", settings: MailSettings = ALL,
               **fields: object) -> str:  # fmt: skip
    return Tracking(settings, TOKENS).instrument(html, send(tracking=mode, **fields))


def clicks(html: str) -> list[Click]:
    found = re.findall(rf'href\s*=\s*"{ROOT}/c/([^"]+)"', html, re.IGNORECASE)
    return [TOKENS.read(token, Click) for token in found]


def opens(html: str) -> list[OpenToken]:
    return [TOKENS.read(token, OpenToken) for token in re.findall(rf'src="{ROOT}/o/([^"]+)"', html)]


def page(*links: str) -> str:
    anchors = "".join(f'<p><a href="{link}">x</a></p>' for link in links)
    return f"<html><body>{anchors}</body></html>"


# What is led through us.


def test_links_to_the_shop_are_led_through_us_and_the_pixel_comes_last() -> None:
    html = instrument(page("https://shop.example/a", "https://www.shop.example/b?x=1&amp;y=2"))
    assert [(c.link, c.links, c.target) for c in clicks(html)] == [
        (1, 2, "https://shop.example/a"), (2, 2, "https://www.shop.example/b?x=1&y=2"),
    ]  # fmt: skip
    assert len(opens(html)) == 1
    assert html.endswith('style="display:block"></body></html>')


@pytest.mark.parametrize(
    "link",
    [
        "mailto:aiuto@shop.example", "tel:+39055", "#top", "", "/relative", "javascript:alert(1)",
        "https://evil.example/", "https://shop.example.evil.example/", "https://notshop.example/",
        "https://evil.example/?shop.example", "https://shop.example@evil.example/",
        "https://user:pass@shop.example/", "https://evil.example\\@shop.example/",
        "https://shop.example\\.evil.example/", "//evil.example/", "https:/shop.example/",
        "https:shop.example/", "https://shop.example:99999/", "ftp://shop.example/",
        "https://shop.example/\r\nX: y", "https://shop.example/a b", "https://shop.example\t/",
        "https://[::1]/", "https://shop。example/", "https://ѕhop.example/", "data:text/html,x",
        "https://shop.example%2eevil.example/", "https://.shop.example.evil.example",
        f"{ROOT}/u/x", f"{ROOT}/p/x", "https://shop.example/" + "x" * 2_100,
    ],
)  # fmt: skip
def test_what_stays_as_it_is(link: str) -> None:
    """What could lead elsewhere, and what is ours already."""
    escaped = link.replace("&", "&amp;")
    assert f'href="{escaped}"' in instrument(page(escaped))


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://shop.example/", None),  # schemes are lower-case in what we write
        ("http://shop.example:8080/x", "http://shop.example:8080/x"),
        ("https://shop.example/tè?q=caffè", "https://shop.example/t%C3%A8?q=caff%C3%A8"),
        ("https://shop.example/%C3%A8?u=https://evil.example#x", ""),
        ("https://SHOP.example/", "https://SHOP.example/"),
        ("https://eu.shop.example/", "https://eu.shop.example/"),
    ],
)
def test_targets(link: str, target: str | None) -> None:
    found = [click.target for click in clicks(instrument(page(link)))]
    assert found == ([] if target is None else [target or link])


def test_the_hosts_of_others_are_led_through_us_only_when_named() -> None:
    settings = replace(ALL, tracking_hosts=("Corriere.example",))
    html = instrument(page("https://track.corriere.example/1"), settings=settings)
    assert clicks(html)[0].target == "https://track.corriere.example/1"


def test_a_shop_with_www_has_its_bare_domain_too() -> None:
    hosts = AllowedHosts("https://www.shop.example/it", ())
    assert "https://shop.example/" in hosts
    assert "https://www.shop.example/" in hosts
    assert "https://example/" not in hosts
    assert "https://shop.example/" not in AllowedHosts("", ())


@pytest.mark.parametrize(
    "html",
    [
        '<a data-href="https://shop.example/" name="x">x</a>',
        '<link href="https://shop.example/style.css">',
        '<abbr href="https://shop.example/">x</abbr>',
        "https://shop.example/",
        '<img src="https://shop.example/x.png" alt="<a href=">',
    ],
)
def test_only_links_are_links(html: str) -> None:
    assert clicks(instrument(html)) == []
    assert html in instrument(html)


def test_links_are_found_however_they_are_written() -> None:
    html = (
        "<A class='a>b' HREF = 'https://shop.example/1'>x</A>"
        '<a title="href=&quot;no&quot; > x" href="https://shop.example/2"><img></a>'
        '<a\n  target="_blank"\n  href="https://shop.example/3">x</a>'
    )
    assert [click.target[-1] for click in clicks(instrument(html))] == ["1", "2", "3"]


def test_hostile_html_takes_no_time() -> None:
    for html in ("<a " * 20_000, '<a x="' * 5_000, "<a href=" * 20_000, "</body" * 50_000):
        assert instrument(html).startswith(html[:100])


# What a token says.


def sources(mode: TrackingMode, **fields: object) -> set[str]:
    """All that distinguishes the tokens of a mail."""
    html = instrument(page("https://shop.example/a", "https://shop.example/b"), mode, **fields)
    return set(re.findall(rf"{ROOT}/[co]/[^\"]+", html))


@pytest.mark.row("R05")
def test_off_leaves_no_trace() -> None:
    html = page("https://shop.example/a")
    assert instrument(html, "off") == html
    assert instrument(html, settings=replace(ALL, tracking="off")) == html


def test_anonymous_tokens_are_everybodys() -> None:
    mine = sources("anonymous")
    assert mine == sources(
        "anonymous", id="m2", customer="u2", email="b@example.com", run="r2", time=START + 9 * DAY
    )
    assert mine != sources("anonymous", step="s2")
    for content in (*clicks(instrument(page("https://shop.example/a"), "anonymous")),
                    *opens(instrument("", "anonymous"))):  # fmt: skip
        source = content.source
        assert (source.time, source.mail, source.person, source.customer, source.command_id) == (
            0, "", "", "", "",
        )  # fmt: skip


def test_pseudonymous_tokens_name_nobody() -> None:
    (opened,) = opens(instrument("", "pseudonymous"))
    source = opened.source
    assert (source.customer, source.command_id) == ("", "")
    assert re.fullmatch("[0-9a-f]{16}", source.person)
    assert re.fullmatch("[0-9a-f]{16}", source.mail)


def person(**fields: object) -> str:
    (opened,) = opens(instrument("", "pseudonymous", **fields))
    return opened.source.person


def test_a_pseudonym_is_another_one_next_month() -> None:
    assert person() == person(id="m2", time=START + HOUR)
    assert person() != person(customer="u2")
    assert person() != person(time=START + 31 * DAY)
    other = replace(ALL, signing_keys=(replace_key(),))
    assert person() != person(settings=other)


def replace_key():  # type: ignore[no-untyped-def]  # a SigningKey
    return SETTINGS.signing_keys[0]._replace(secret="another shop's secret")


def test_identified_tokens_say_who() -> None:
    (opened,) = opens(instrument("", "identified"))
    assert (opened.source.customer, opened.source.command_id) == ("u1", "m1")


@pytest.mark.parametrize("mode", ["off", "anonymous", "pseudonymous", "identified"])
@pytest.mark.parametrize("shop", ["off", "anonymous", "pseudonymous", "identified"])
def test_the_shop_can_lower_what_was_allowed_and_never_raise_it(
    mode: TrackingMode, shop: TrackingMode
) -> None:
    order = ["off", "anonymous", "pseudonymous", "identified"]
    lowest = order[min(order.index(mode), order.index(shop))]
    found = opens(instrument("", mode, replace(SETTINGS, tracking=shop)))
    assert [opened.source.mode for opened in found] == ([] if lowest == "off" else [lowest])


# In a whole mail.


def parts(settings: MailSettings, command: SendCommand) -> tuple[str, str]:
    from email import message_from_bytes  # noqa: PLC0415  # only here

    message = message_from_bytes(Composer(settings, RENDERER).compose(command).message)
    text, html = (part.get_payload(decode=True).decode() for part in message.get_payload())  # type: ignore[union-attr]
    return text, html


def test_the_text_keeps_plain_links() -> None:
    text, html = parts(ALL, send(tracking="identified"))
    assert f"{ROOT}/c/" in html
    assert f"{ROOT}/o/" in html
    assert f"{ROOT}/c/" not in text
    assert "https://shop.example/cart/c1" in text


@pytest.mark.parametrize("template", sorted(VARIABLES))
@pytest.mark.parametrize("locale", ["it", "en"])
def test_every_link_to_the_shop_in_every_mail_is_counted(template: str, locale: str) -> None:
    urgent = template == "order-confirmation"
    command = send(
        urgent=urgent, template=template, locale=locale, variables=VARIABLES[template],
        tracking="anonymous",
    )  # fmt: skip
    _, html = parts(SETTINGS, command)
    assert not re.findall(r'<a\s[^>]*href="https://shop\.example', html)
    assert clicks(html)
    assert len(opens(html)) == 1


def test_a_mail_that_is_sent_again_has_the_same_bytes() -> None:
    command = send(tracking="identified")
    assert Composer(ALL, RENDERER).compose(command) == Composer(ALL, RENDERER).compose(command)


def test_no_link_shows_an_address_or_an_id() -> None:
    command = send(customer="giulia@example.com", tracking="identified")
    _, html = parts(ALL, command)
    links = re.findall(r'(?:href|src)="([^"]+)"', html)
    assert links
    assert not [link for link in links if "giulia" in link]


@pytest.mark.parametrize("template", ["newsletter-invitation", "sunset-last"])
def test_the_lists_that_a_mail_asks_about_are_sealed(template: str) -> None:
    shown = Composer(SETTINGS, RENDERER).view(send(template=template, variables={}))
    for part in (shown.html, shown.text):
        addresses = set(re.findall(r"/p/([\w.-]+)(\?list=[\w-]+)?", part))
        assert {TOKENS.read(token, Preferences) for token, _ in addresses} == {
            Preferences("u1", "m1", START, ("newsletter",))
        }
        assert "?list=newsletter" in {asked for _, asked in addresses}


def test_templates_get_the_links_of_ours() -> None:
    seen = {}

    class Recording:
        def render(self, template: str, locale: str, variables: dict[str, object]) -> object:
            seen.update(variables)
            return RENDERER.render(template, locale, variables)

    composer = Composer(replace(SETTINGS, confirm_days=2), Recording())  # type: ignore[arg-type]
    variables = VARIABLES["cart-reminder"] | {"list": "newsletter"}
    composer.compose(send(variables=variables))
    read = {
        name: TOKENS.read(str(seen[name]).rpartition("/")[2], kind)
        for name, kind in [
            ("preferences_url", Preferences), ("browser_url", View), ("confirm_url", Confirm),
        ]
    }  # fmt: skip
    assert read["confirm_url"] == Confirm("u1", "m1", "newsletter", START + 2 * DAY)
    assert read["preferences_url"] == Preferences("u1", "m1", START)
    composer.compose(send(urgent=True))
    assert (seen["unsubscribe_url"], seen["confirm_url"]) == (None, None)
    assert "survey" not in seen
    assert seen["preferences_url"]  # R04: in every mail
    composer.view(send())
    assert seen["browser_url"] is None


@pytest.mark.parametrize(
    ("html", "at"),
    [
        ("<body>a</body></html>", 7),
        ("<BODY>a</BODY></html>", 7),
        ("<body>a</body>b</BODY >c", 15),
        ("<body>a</body >b</body>c", 16),
        ("no end", 6),
    ],
)
def test_the_pixel_stands_before_the_last_end_however_it_is_written(html: str, at: int) -> None:
    tracked = instrument(html)
    assert tracked[:at] + tracked[len(tracked) - len(html) + at :] == html
    assert tracked[at : at + 4] == "<img"
