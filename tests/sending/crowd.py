"""A crowded shop: many workflows live at once, months of customers to whom everything happens, and
what must hold of the mails that they got. Told through the actors of a partition, which restart at
random; said of the records that they wrote, without the code that decided."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from schemas.commands import SendCommand
from schemas.decisions import Decision
from schemas.definitions import DEFINITION, canonical
from schemas.wire import parse_record
from tests.harness import DAY, HOUR, MINUTE, SHIPPED, Harness
from tests.sending.mails import clock, most_in_any, worst_share

PRIORITIES = {"news": 40, "offers": 30, "looked": 80, "weekly": 50, "thanks": 60, "survey": 20}
STOPS = {"offers": "order.completed", "looked": "order.completed", "w11-welcome": "order.completed"}
CUSTOMERS = ("anna", "bruno", "carla", "dario")
ZONES = ("Europe/Rome", "America/New_York", "Asia/Tokyo", "Pacific/Auckland", "Mars/Olympus")
KINDS: dict[str, str] = {"cart": "informative"}


def _workflow(name: str, trigger: str, kinds: str, *, wait: str, **more: Any) -> bytes:
    """Mails one after the other: `i` is informative, `p` promotional."""
    steps = [
        {"id": f"{name}-{number}", "wait": {"for": wait if number else "0s"}, "send": "mail",
         "kind": "promotional" if kind == "p" else "informative",
         "expires": "5d" if kind == "p" else None}
        for number, kind in enumerate(kinds)
    ]  # fmt: skip
    data = {"id": name, "title": {"en": name}, "trigger": trigger, "steps": steps,
            "entry": {"once_per": "event"}, "priority": PRIORITIES[name], **more}  # fmt: skip
    return canonical(DEFINITION.validate_python(data))


FILES = {
    **SHIPPED,
    "news": _workflow("news", "page.viewed", "i", wait="1d"),
    "offers": _workflow("offers", "products.searched", "pp", wait="3d",
                        exit_on=["order.completed"]),
    "looked": _workflow("looked", "product.viewed", "ipi", wait="20h",
                        exit_on=["order.completed"]),
    "weekly": _workflow("weekly", "list.joined", "iiiiipii", wait="7d"),
    "thanks": _workflow("thanks", "order.completed", "ii", wait="2d"),
    "survey": _workflow("survey", "wishlist.added", "ip", wait="1h"),
}  # fmt: skip


class Crowd:
    """Months of it, of one seed."""

    def __init__(self, seed: int, *, days: int = 100) -> None:
        self.chance = random.Random(seed)
        self.harness = Harness(FILES)
        self.days = days
        self.lost: dict[str, float] = {}
        """Commands that never left, and since when the actors know."""

    def tell(self) -> Harness:
        """Tell it to the end, and let everything come to rest."""
        now = 0.0
        for each in CUSTOMERS:
            self.harness.subscribed(each)
        while now < self.days * DAY:
            now += self.chance.choice([MINUTE, HOUR, 5 * HOUR, 9 * HOUR])
            self.harness.at(now)
            self._happen(self.chance.choice(CUSTOMERS), now)
            if self.chance.random() < 0.3:
                self.harness.build()
        return self.harness.at(now + 80 * DAY)

    def _happen(self, who: str, now: float) -> None:
        harness, chance = self.harness, self.chance
        late = chance.choice([0, 0, 0, DAY])  # a phone that was off yesterday
        happened = max(0.0, now - late)
        product = f"p{chance.randrange(5)}"
        match chance.randrange(14):
            case 0 | 1:
                harness.tell("page.viewed", who, happened=happened, url="https://shop.example/a")
            case 2:
                harness.tell("products.searched", who, happened=happened, query="moka")
            case 3 | 4:
                harness.tell("product.viewed", who, happened=happened, product_id=product)
            case 5:
                harness.tell("wishlist.added", who, happened=happened, product_id=product)
            case 6 | 7:
                harness.add(product, who, happened=happened)
            case 8:
                harness.order(f"o{now}", who, products=[product])
            case 9:
                harness.tell("list.subscribed", who, list=chance.choice(["a", "b"]), confirmed=True)
            case 10:
                harness.tell("list.unsubscribed", who, list="a")
                harness.tell("consent.given", who, purpose="marketing")
            case 11:
                harness.tell("customer.updated", who, zone=chance.choice(ZONES))
            case 12:
                self._lose(who, now)
            case _:
                harness.tell("order.delivered", who, order_id=f"o{now}")

    def _lose(self, who: str, now: float) -> None:
        """The relay was down for so long that a mail has expired."""
        last = next((c for c in reversed(self.harness.commands) if c.customer == who), None)
        if last is not None and last.kind == "promotional" and last.id not in self.lost:
            self.lost[last.id] = now
            self.harness.tell("mail.skipped", who, command_id=last.id, reason="expired")


def check(crowd: Crowd) -> None:
    """Assert all of it."""
    for customer in CUSTOMERS:
        mails = [c for c in crowd.harness.commands if c.customer == customer]
        marketing = [mail for mail in mails if mail.mail_class == "marketing"]
        left = [mail for mail in marketing if mail.id not in crowd.lost]
        _check_caps(left)
        _check_nights(marketing)
        history = [(mail.time, mail.kind == "promotional") for mail in left]
        assert worst_share(30 * DAY * 1000, 10, history) <= 0.3 + 1e-9
        assert all(mail.quiet is not None and mail.legal_basis == "consent" for mail in marketing)
    _check_stops(crowd.harness)
    _check_holds(crowd.harness)
    _check_confirmations(crowd.harness)
    assert not crowd.harness.refusals


def _check_caps(marketing: list[SendCommand]) -> None:
    times = [mail.time for mail in marketing]
    assert most_in_any(7 * DAY * 1000, times) <= 3, "three in any seven days"
    for place, mail in enumerate(marketing):
        today = _clock(mail)[:10]
        same = [
            other for other in marketing[:place] if clock(other.time, _zone(mail))[:10] == today
        ]
        assert not same, "one a day"


def _check_nights(marketing: list[SendCommand]) -> None:
    for mail in marketing:
        assert "09:00" <= _clock(mail)[11:16] < "21:00", "nobody is woken"


def _zone(mail: SendCommand) -> str:
    return mail.zone if mail.zone != "Mars/Olympus" else "Europe/Rome"


def _clock(mail: SendCommand) -> str:
    return clock(mail.time, _zone(mail))


def decisions(harness: Harness) -> Iterator[Decision]:
    """All of them, in order."""
    return (e.content for e in harness.effects if isinstance(e.content, Decision))


def _check_stops(harness: Harness) -> None:
    """No mail after what stops its workflow."""
    bought = defaultdict(list)
    for record in harness.records:
        if record.key is not None and record.header("ce_type") == b"order.completed":
            bought[parse_record(record).customer].append(record.timestamp)
    began: dict[tuple[str, str], int] = {}
    for decision in decisions(harness):
        key = (decision.customer, decision.run)
        if decision.decision == "entered":
            began[key] = decision.time
        elif decision.decision == "sent" and STOPS.get(decision.workflow) == "order.completed":
            times = bought[decision.customer]
            assert not any(began[key] < time <= decision.time for time in times)


def _check_holds(harness: Harness) -> None:
    """Held once per reason, for something better when outranked, and not for ever.

    A cart that changes or a parcel that arrives makes another mail of it (`w06`, `w05`).
    """
    held: dict[tuple[str, str, str], Decision] = {}
    for decision in decisions(harness):
        key = (decision.customer, decision.run, decision.step)
        if decision.decision == "held":
            again = key in held and held[key].reason == decision.reason
            assert not again or decision.workflow.startswith("w0"), "once per reason"
            held[key] = decision
            if decision.reason == "outranked":
                better = decision.detail.split()[0]
                of_two = (PRIORITIES.get(better, 50), PRIORITIES.get(decision.workflow, 50))
                assert of_two[0] >= of_two[1], "the better one goes"
        elif decision.decision in ("sent", "skipped"):
            before = held.pop(key, None)
            if decision.reason == "expired":
                assert before is not None
                assert before.reason == decision.detail
        elif decision.decision in ("exited", "completed"):
            held = {k: v for k, v in held.items() if k[:2] != key[:2]}
    for (customer, run, _), decision in held.items():
        runs = {each.id for each in harness.customer(customer).runs}
        assert run in runs, f"held and forgotten: {decision}"
        assert decision.time > harness.now - 6 * DAY * 1000


def _check_confirmations(harness: Harness) -> None:
    orders = [r.timestamp for r in harness.records if r.header("ce_type") == b"order.completed"]
    sent = [mail.time for mail in harness.commands if mail.step == "w01-confirmation"]
    assert sorted(sent) == sorted(orders), "a confirmation never waits"
