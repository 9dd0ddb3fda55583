"""Commands and settings as the tests of the mailer use them."""

from __future__ import annotations

from typing import Any

from agents.mail.settings import MailSettings, Shop, SigningKey
from schemas.commands import (
    CancelCommand,
    Command,
    Control,
    FeedbackCommand,
    NotifyCommand,
    PauseCommand,
    ReleaseCommand,
    ResumeCommand,
    SendCommand,
)
from schemas.records import OutRecord, Record
from schemas.signing import NUMBER
from tests.keys import SIGNER

START = 1_772_357_400_000
"""2026-03-01T09:30:00Z."""
HOUR = 3_600_000
DAY = 24 * HOUR

TOPIC = "send-commands"

CUSTOMER = {"first_name": "Giulia"}
LINES = [
    {
        "product_id": "p1",
        "name": "Tazza «Alba»",
        "price": "18.50",
        "quantity": 2,
        "url": "https://shop.example/p1",
        "image_url": "https://shop.example/p1.jpg",
    },
    {
        "product_id": "p2",
        "name": "Tè verde & zenzero",
        "price": "1015.00",
        "quantity": 1,
        "url": None,
        "image_url": None,
    },
]
CART = {
    "id": "c1",
    "url": "https://shop.example/cart/c1?a=1&b=2",
    "currency": "EUR",
    "lines": LINES,
    "total": "1052.00",
}
ORDER = {
    "id": "2026-0042",
    "currency": "EUR",
    "total": "1052.00",
    "subtotal": "1050.00",
    "shipping": "2.00",
    "discount": None,
    "tax": "189.70",
    "lines": LINES,
    "estimated_delivery": "2026-03-05",
    "tracking_url": None,
    "tracking_number": None,
}
PRODUCT = {
    "product_id": "p2",
    "name": "Tè verde & zenzero",
    "url": "https://shop.example/p2",
    "image_url": "https://shop.example/p2.jpg",
}
COUPON = {"code": "CIAO10", "expires": "2026-03-08T22:59:59Z", "description": "10 %"}

VARIABLES: dict[str, dict[str, Any]] = {
    "welcome-thanks": {"customer": CUSTOMER, "coupon": COUPON, "reason": "due"},
    "welcome-tips": {"customer": CUSTOMER, "coupon": None, "reason": "due"},
    "welcome-first-purchase": {"customer": CUSTOMER, "coupon": COUPON, "reason": "due"},
    "cart-reminder": {"customer": CUSTOMER, "cart": CART, "coupon": None, "reason": "due"},
    "cart-free-shipping": {"customer": CUSTOMER, "cart": CART, "coupon": None, "reason": "due"},
    "cart-last-call": {"customer": CUSTOMER, "cart": CART, "coupon": None, "reason": "due"},
    "order-confirmation": {
        "customer": CUSTOMER,
        "order": ORDER,
        "product": PRODUCT,
        "coupon": None,
        "reason": "due",
    },
    "product-guide": {"customer": CUSTOMER, "order": ORDER, "product": PRODUCT, "reason": "due"},
    "review-request": {"customer": CUSTOMER, "order": ORDER, "product": PRODUCT, "reason": "due"},
}

SETTINGS = MailSettings(
    shop=Shop(
        name="Bottega del Colle", url="https://shop.example", support_email="aiuto@shop.example"
    ),
    from_address="negozio@shop.example",
    from_name="Bottega del Colle",
    reply_to="aiuto@shop.example",
    public_url="https://mail.shop.example",
    signing_keys=(SigningKey("k1", "a secret of the tests"),),
)


def send(id_: str = "m1", *, urgent: bool = False, **fields: Any) -> SendCommand:
    """A command to send: a marketing mail, or an order confirmation when `urgent`."""
    template = "order-confirmation" if urgent else "cart-reminder"
    values: dict[str, Any] = {
        "id": id_,
        "time": START,
        "expires": START + (2 * DAY if urgent else DAY),
        "customer": "u1",
        "email": "giulia@example.com",
        "name": "Giulia Bianchi",
        "workflow": "w05" if urgent else "w06",
        "version": "v1",
        "run": "r1",
        "step": "s1",
        "class": "transactional" if urgent else "marketing",
        "kind": "transactional" if urgent else "informative",
        "template": template,
        "variables": VARIABLES[template],
        "legal_basis": "contract" if urgent else "consent",
        "reason": "due",
    }
    return SendCommand.model_validate(values | fields)


def cancel(id_: str = "m1", **fields: Any) -> CancelCommand:
    """A command to take a mail back."""
    values = {"id": id_, "time": START, "customer": "u1", "reason": "order.completed"}
    return CancelCommand.model_validate(values | fields)


def notify(id_: str = "n1", **fields: Any) -> NotifyCommand:
    """A command to post a webhook."""
    values: dict[str, Any] = {
        "id": id_,
        "time": START,
        "expires": START + DAY,
        "customer": "u1",
        "workflow": "w20",
        "version": "v1",
        "run": "r1",
        "step": "s1",
        "url": "https://crm.example/hook",
        "body": {"customer": "u1", "score": 80, "città": "Forlì"},
    }
    return NotifyCommand.model_validate(values | fields)


def pause(**fields: Any) -> PauseCommand:
    """A control record that holds mails back."""
    return PauseCommand.model_validate({"time": START} | fields)


def resume(**fields: Any) -> ResumeCommand:
    """A control record that ends pauses."""
    return ResumeCommand.model_validate({"time": START} | fields)


def release(id_: str = "") -> ReleaseCommand:
    """A control record that lets held mails go."""
    return ReleaseCommand(time=START, id=id_)


def feedback(id_: str, verdict: str = "complained", **fields: Any) -> FeedbackCommand:
    """What the world says of a mail that was sent, to somebody of the same name."""
    values = {"id": id_, "time": START, "customer": id_, "command_id": "m1", "verdict": verdict}
    return FeedbackCommand.model_validate(values | fields)


def record(command: Command, offset: int = 0, *, timestamp: int = START) -> Record:
    """A command as a record of `send-commands`, signed, a control command numbered as well."""
    plain = unsigned(command, offset)
    number = ((NUMBER, b"%d" % (offset + 1)),) if isinstance(command, Control) else ()
    ours = SIGNER.sign(TOPIC, OutRecord(plain.key, plain.value, number))
    return Record(TOPIC, 0, offset, timestamp, *ours)


def unsigned(command: Command, offset: int = 0) -> Record:
    """The same as a stranger's record, or one of release 0.1."""
    value = command.model_dump_json(by_alias=True).encode()
    key = None if isinstance(command, Control) else command.customer.encode()
    return Record(TOPIC, 0, offset, START, key, value)
