"""How mails are built: MIME and headers; the standard library's parser is the judge."""

from __future__ import annotations

import dataclasses
import re
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from agents.mail.addresses import InvalidAddress, read_recipient
from agents.mail.message.compose import MAX_SUBJECT, Composer
from agents.mail.message.links import MailLinks
from agents.mail.message.tokens import Tokens, Unsubscribe
from agents.mail.settings import MailSettings
from streams.mail.templates import load_renderer
from tests.mail.samples import CUSTOMER, SETTINGS, VARIABLES, send
from tests.mail.servers import parse

RENDERER = load_renderer(Path("workflows"))
COMPOSER = Composer(SETTINGS, RENDERER)


def render(template: str, locale: str = "it", **variables: Any) -> Any:
    known = {
        "shop": SETTINGS.shop,
        "zone": "Europe/Rome",
        "unsubscribe_url": "https://mail.shop.example/u/t",
    }
    return RENDERER.render(template, locale, {**VARIABLES[template], **known, **variables})


def test_the_same_command_makes_the_same_bytes() -> None:
    again = Composer(SETTINGS, load_renderer(Path("workflows")))
    for urgent in (True, False):
        first, second = COMPOSER.compose(send(urgent=urgent)), again.compose(send(urgent=urgent))
        assert first == second
    assert COMPOSER.compose(send("m2")).message_id != COMPOSER.compose(send()).message_id


def test_marketing_headers_survive_the_parser() -> None:
    settings = dataclasses.replace(
        SETTINGS, unsubscribe_mailbox="via@shop.example", feedback_sender="bottega"
    )
    command = send(customer="u" * 150, name="Nicolò D’Angiò")
    mail = Composer(settings, RENDERER).compose(command)
    parsed = parse(mail.message)
    https, mailbox = re.findall(r"<([^>]*)>", parsed["List-Unsubscribe"])
    assert len(https) > 250
    token = https.removeprefix("https://mail.shop.example/u/")
    assert Tokens(settings.signing_keys).read(token, Unsubscribe).customer == "u" * 150
    assert mailbox == "mailto:via@shop.example?subject=unsubscribe"
    assert f"<{https}>".encode() in mail.message  # neither folded nor encoded
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed["List-Id"] == "<news.shop.example>"
    assert parsed["Feedback-ID"] == "w06:cart-reminder:marketing:bottega"
    assert "Auto-Submitted" not in parsed
    assert parsed["To"].addresses[0].display_name == "Nicolò D’Angiò"
    assert max(map(len, mail.message.split(b"\r\n"))) <= 998


def test_every_mail_has_a_feedback_id() -> None:
    """Without a setting its last field is made of the domain: at most 15 characters that stay."""
    for urgent in (True, False):
        *_, mail_class, sender = parse(COMPOSER.compose(send(urgent=urgent)).message)[
            "Feedback-ID"
        ].split(":")
        assert mail_class == ("transactional" if urgent else "marketing")
        assert re.fullmatch(r"[a-z0-9]{5,15}", sender)
        assert sender == SETTINGS.default_feedback_sender
    other = dataclasses.replace(SETTINGS, from_address="negozio@other.example")
    assert other.default_feedback_sender != SETTINGS.default_feedback_sender


def test_an_endless_subject_is_cut() -> None:
    customer = {**CUSTOMER, "first_name": "x" * 100_000}
    variables = {**VARIABLES["welcome-thanks"], "customer": customer}
    mail = COMPOSER.compose(send(template="welcome-thanks", variables=variables))
    assert len(parse(mail.message)["Subject"]) == MAX_SUBJECT


def test_transactional_headers() -> None:
    parsed = parse(COMPOSER.compose(send(urgent=True)).message)
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert not [name for name in parsed if name.startswith("List-")]
    assert parsed["Date"].datetime.isoformat() == "2026-03-01T09:30:00+00:00"
    assert re.fullmatch(r"<[0-9a-f]{40}@shop\.example>", parsed["Message-ID"])
    assert parsed["From"].addresses[0].addr_spec == "negozio@shop.example"
    assert parsed["Reply-To"].addresses[0].addr_spec == "aiuto@shop.example"


def test_the_body_is_text_and_html() -> None:
    message = COMPOSER.compose(send(urgent=True)).message
    parsed = parse(message)
    assert parsed.get_content_type() == "multipart/alternative"
    text, html = parsed.iter_parts()
    assert [text.get_content_type(), html.get_content_type()] == ["text/plain", "text/html"]
    links = MailLinks(SETTINGS, Tokens(SETTINGS.signing_keys)).variables(send(urgent=True), "")
    rendered = render("order-confirmation", **links)
    assert text.get_content() == rendered.text.replace("\n", "\r\n")
    assert html.get_content() == rendered.html.replace("\n", "\r\n")
    assert not parsed.defects + text.defects + html.defects
    assert b"\n" not in message.replace(b"\r\n", b"")
    strict = BytesParser(policy=policy.strict).parsebytes(message)  # raises on any defect
    assert strict["Subject"] == rendered.subject


@pytest.mark.parametrize("bad", ["Giulia\r\nBcc: x@example.com", "a\x00b\nc", "x\u2028y", "\r\n"])
def test_control_characters_can_not_add_headers(bad: str) -> None:
    customer = {**CUSTOMER, "first_name": bad}
    variables = {**VARIABLES["welcome-thanks"], "customer": customer}
    mail = COMPOSER.compose(send(name=bad, template="welcome-thanks", variables=variables))
    parsed = parse(mail.message)
    assert "Bcc" not in parsed
    assert list(parsed) == list(parse(COMPOSER.compose(send()).message))
    assert not re.search(r"[\x00-\x1f\u2028]", parsed["Subject"])


@pytest.mark.parametrize(
    "address",
    ["", "nobody", "a@b", "a b@example.com", "a@example.com\r\nx", "a@-x.com", "a@localhost"],
)
def test_impossible_addresses(address: str) -> None:
    with pytest.raises(InvalidAddress):
        read_recipient(address, "")


@pytest.mark.parametrize("local", ["a..b", ".a", "a.", "da..vi.", "..", "no.r'eply+x..y"])
def test_addresses_that_exist_although_the_standard_dislikes_them(local: str) -> None:
    address = f"{local}@docomo.ne.jp"
    assert read_recipient(address, "Rei").address == address
    mail = COMPOSER.compose(send(email=address))
    assert mail.recipient.address == address
    assert parse(mail.message)["To"].addresses[0].addr_spec.endswith("@docomo.ne.jp")
    assert not mail.recipient.smtputf8


def test_what_cant_be_seen_of_an_address_is_no_part_of_it() -> None:
    assert read_recipient("\u200brosa@example.com\ufeff", "").address == "rosa@example.com"


@pytest.mark.parametrize("local", ["a..b c", "a..b\r\nRCPT", "x" * 65 + "..", "a..<b>", "à..b"])
def test_dots_excuse_nothing_else(local: str) -> None:
    with pytest.raises(InvalidAddress):
        read_recipient(f"{local}@docomo.ne.jp", "")


def test_an_international_domain_becomes_ascii() -> None:
    assert read_recipient("info@città.example", "").address == "info@xn--citt-3na.example"


def test_settings_refuse_links_that_mail_programs_would_refuse() -> None:
    with pytest.raises(ValueError, match="public_url: must be https"):
        dataclasses.replace(SETTINGS, public_url="http://shop.example")
    with pytest.raises(ValueError, match="signing_keys"):
        dataclasses.replace(SETTINGS, signing_keys=())
    with pytest.raises(ValueError, match="public_url: stands in headers, so must be ASCII"):
        dataclasses.replace(SETTINGS, public_url="https://città.example")
    assert isinstance(
        dataclasses.replace(SETTINGS, public_url="http://127.0.0.1:8080"), MailSettings
    )


def test_international_domains_of_the_shop_are_written_in_ascii() -> None:
    settings = dataclasses.replace(
        SETTINGS,
        from_address="negozio@città.example",
        reply_to="aiuto@città.example",
        unsubscribe_mailbox="via@città.example",
    )
    mail = Composer(settings, RENDERER).compose(send())
    parsed = parse(mail.message)
    domain = "xn--citt-3na.example"
    assert mail.message.isascii()
    assert mail.sender == f"negozio@{domain}"
    assert parsed["Reply-To"].addresses[0].addr_spec == f"aiuto@{domain}"
    assert parsed["List-Id"] == f"<news.{domain}>"
    assert f"<mailto:via@{domain}?subject=unsubscribe>" in parsed["List-Unsubscribe"]


@pytest.mark.parametrize("field", ["from_address", "reply_to", "unsubscribe_mailbox"])
def test_settings_refuse_addresses_that_few_relays_would_take(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field}: before the @ must be ASCII"):
        dataclasses.replace(SETTINGS, **{field: "caffè@shop.example"})
    with pytest.raises(ValueError, match=f"{field}: .*nowhere"):
        dataclasses.replace(SETTINGS, **{field: "nowhere"})
