"""How many mails one core renders, builds and signs, beside `EmailMessage` and dkimpy.

The mail is the shop's own: the cart reminder in Italian, with three products of a catalogue or as
many as make its HTML 15 KB, other ones for each customer. Both render it with the same templates;
the peer then builds it as the standard library's documentation shows and signs it with the same
key. Ours also puts anonymous tracking into it, which the peer is spared.

One process, one thread, and what counts is the time that thread was on the processor, so that
neighbours on the same cores don't.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import partial
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agents.mail.addresses import read_recipient
from agents.mail.message.compose import ComposedMail, Composer
from agents.mail.message.dkim import DkimKey
from agents.mail.message.render import Rendered, Renderer
from agents.mail.settings import MailSettings, Shop, SigningKey
from benchmarks.results import Result, result
from benchmarks.say import Say
from schemas.commands import SendCommand
from schemas.instant import to_datetime
from streams.mail.templates import load_renderer
from streams.settings import Settings

MAILS = 1_000
PEER_MAILS = 100
ROUNDS = 3
"""The best one counts: what slows a round down is never the code."""

CATALOGUE = 500
"""Products."""
HTML_BYTES = 15_000
PEER = "EmailMessage and dkimpy"

START = 1_772_357_400_000
"""2026-03-01T09:30:00Z."""
NAMES = ("Giulia Bianchi", "Nicolò D’Angiò", "Anna Maria Esposito", "Zoë Conti", "Luca Ferrari")


def measure(say: Say) -> list[Result]:
    """Measure with an RSA key of 2048 bits, with Ed25519, with no signature, and the peer."""
    renderer = load_renderer(Settings().workflows_dir)
    templates = _compile_ms()
    products = _products_for(renderer, HTML_BYTES)
    commands = [_command(number, products) for number in range(MAILS)]
    key = DkimKey("shop.example", "r2026", rsa.generate_private_key(65_537, 2_048))
    modern = DkimKey("shop.example", "e2026", ed25519.Ed25519PrivateKey.generate())

    say(f"{MAILS:,} mails on one core, signed with RSA, with Ed25519, and not at all")
    signed, fast, bare = (
        _per_second(Composer(replace(SETTINGS, dkim_keys=keys), renderer).compose, commands)
        for keys in ((key,), (modern,), ())
    )
    say(f"{PEER} in the same thread")
    peer = _per_second(_Peer(renderer, key).compose, commands[:PEER_MAILS])
    rendered = _per_second(partial(_rendered, renderer), commands)
    html = len(_rendered(renderer, commands[0]).html.encode())
    return [
        result("assembly.rsa_2048", signed, "mails/s per core", PEER, peer),
        result("assembly.ed25519", fast, "mails/s per core"),
        result("assembly.unsigned", bare, "mails/s per core"),
        result("assembly.rendered", rendered, "mails/s per core"),
        result("assembly.templates", templates, "ms to compile a mail template"),
        result("assembly.html", html, "bytes of HTML/mail"),
    ]


def mails(number: int) -> list[ComposedMail]:
    """Return mails as they are measured here, unsigned, for whoever delivers them."""
    renderer = load_renderer(Settings().workflows_dir)
    products = _products_for(renderer, HTML_BYTES)
    compose = Composer(SETTINGS, renderer).compose
    return [compose(_command(each, products)) for each in range(number)]


SETTINGS = MailSettings(
    shop=Shop(
        name="Bottega del Colle",
        url="https://shop.example",
        support_email="aiuto@shop.example",
    ),
    from_address="negozio@shop.example",
    from_name="Bottega del Colle",
    reply_to="aiuto@shop.example",
    public_url="https://mail.shop.example",
    signing_keys=(SigningKey("k1", "a secret of the benchmark"),),
    unsubscribe_mailbox="via@shop.example",
)


def _compile_ms() -> float:
    began = time.thread_time()
    renderer = load_renderer(Settings().workflows_dir)
    return (time.thread_time() - began) * 1_000 / len(renderer.pages)


def _per_second(compose: Callable[[SendCommand], Any], commands: list[SendCommand]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time()
        for command in commands:
            compose(command)
        best = min(best, time.thread_time() - began)
    return len(commands) / best


def _products_for(renderer: Renderer, size: int) -> int:
    """Return how many products make the HTML of a mail as large as `size`; at least three."""
    products = 3
    while len(_rendered(renderer, _command(0, products)).html.encode()) < size:
        products += 1
    return products


def _rendered(renderer: Renderer, command: SendCommand) -> Rendered:
    ours = {"shop": SETTINGS.shop, "zone": command.zone, "unsubscribe_url": "https://x.example/u"}
    return renderer.render(command.template, command.locale, {**command.variables, **ours})


def _command(number: int, products: int) -> SendCommand:
    name = NAMES[number % len(NAMES)]
    lines = [_line((number * 31 + each * 7) % CATALOGUE) for each in range(products)]
    total = sum(Decimal(line["price"]) * line["quantity"] for line in lines)
    cart = {"id": f"c{number}", "url": f"https://shop.example/carrello/{number}", "currency": "EUR",
            "lines": lines, "total": str(total)}  # fmt: skip
    customer = {"first_name": name.split()[0]}
    return SendCommand.model_validate(
        {
            "id": f"{number:032x}", "time": START, "expires": START + 86_400_000,
            "customer": f"customer-{number}", "email": f"cliente{number}@example.com",
            "name": name, "workflow": "w06-abandoned-cart-a", "version": "1", "run": "r",
            "step": "s", "class": "marketing", "kind": "informative",
            "template": "cart-reminder", "legal_basis": "consent", "reason": "due",
            "tracking": "anonymous",
            "variables": {"customer": customer, "cart": cart, "coupon": None, "reason": "due"},
        }
    )  # fmt: skip


def _line(product: int) -> dict[str, Any]:
    return {
        "product_id": f"p{product}",
        "name": f"Caffettiera «Alba» n. {product}, acciaio e noce",
        "price": f"{5 + product}.90",
        "quantity": 1 + product % 2,
        "url": f"https://shop.example/prodotti/caffettiera-alba-{product}?utm_source=ritorno",
        "image_url": f"https://shop.example/immagini/caffettiera-alba-{product}.jpg",
    }


class _Peer:
    """What one writes without us: EmailMessage, quoted-printable as it chooses, dkimpy."""

    def __init__(self, renderer: Renderer, key: DkimKey) -> None:
        self._renderer = renderer
        self._key = key
        self._pem = key.key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )

    def compose(self, command: SendCommand) -> bytes:
        """Return one mail."""
        rendered = _rendered(self._renderer, command)
        recipient = read_recipient(command.email, command.name)
        local, _, domain = recipient.address.partition("@")
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(SETTINGS.from_name, addr_spec=SETTINGS.from_address)
        message["Reply-To"] = SETTINGS.reply_to
        message["To"] = Address(recipient.name, local, domain)
        message["Subject"] = rendered.subject
        message["Date"] = format_datetime(to_datetime(command.time))
        message["Message-ID"] = f"<{command.id}@shop.example>"
        message["List-Unsubscribe"] = f"<https://mail.shop.example/u/{command.id}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(rendered.text)
        message.add_alternative(rendered.html, subtype="html")
        content = message.as_bytes()
        signature: bytes = dkim.sign(
            content,
            self._key.selector.encode(),
            self._key.domain.encode(),
            self._pem,
            canonicalize=(b"relaxed", b"relaxed"),
        )
        return signature + content
