"""Coupons: unique codes, given once, recognised on the order."""

from __future__ import annotations

from decimal import Decimal

from schemas.signals import CouponChanged
from tests.harness import DAY, HOUR, START, Harness
from tests.products.test_products import files

COUPONS = """
id: coupons
definition: coupons
campaigns:
  - {id: welcome, kind: percent, value: "10", description: {it: "10%"}, lasts: 30d, prefix: CIAO}
  - {id: pool, kind: gift, description: {it: regalo}, pool: [UNO, DUE]}
  - {id: large, kind: amount, value: "5", description: {it: 5 euro}, minimum: "30"}
  - {id: over, kind: gift, description: {it: regalo}, until: "2020-01-01T00:00:00Z"}
"""
GIVES = """
id: w22-gives
title: {it: Codice}
trigger: order.completed
entry: {once_per: order}
steps:
  - {id: code, coupon: CAMPAIGN}
  - {id: mail, send: second-order, kind: promotional}
"""


def world_of(campaign: str) -> Harness:
    return Harness(files(COUPONS, GIVES.replace("CAMPAIGN", campaign)))


def signals(harness: Harness) -> list[tuple[str, str, str]]:
    found = (e.content for e in harness.effects if isinstance(e.content, CouponChanged))
    return [(each.change, each.customer, each.code) for each in found]


def codes(harness: Harness) -> list[object]:
    coupons = (command.variables["coupon"] for command in harness.commands)
    return [coupon and coupon["code"] for coupon in coupons]  # type: ignore[index, call-overload]  # JSON


def test_a_generated_code_is_the_customers_own_and_announced() -> None:
    harness = world_of("welcome").subscribed("anna").subscribed("bruno")
    harness.order("o1", "anna").order("o2", "bruno")
    first, second = codes(harness)
    assert isinstance(first, str)
    assert first.startswith("CIAO")
    assert len(first) == len("CIAO") + 10
    assert first != second
    assert signals(harness) == [("issued", "anna", first), ("issued", "bruno", second)]
    kept = harness.customer().coupons[0]
    assert (kept.campaign, kept.expires) == ("welcome", START + 30 * DAY * 1000)


def test_the_key_makes_the_codes() -> None:
    harnesses = [world_of("welcome"), world_of("welcome"), world_of("welcome")]
    harnesses[2].definitions.coupon_key = b"another"
    made = [codes(harness.subscribed().order("o1"))[0] for harness in harnesses]
    assert made[0] == made[1] != made[2]


def test_a_code_is_redeemed_once_whatever_its_case() -> None:
    harness = world_of("welcome").subscribed().order("o1")
    code = str(codes(harness)[0])
    harness.at(HOUR).order("o2", coupon=f"other, {code.lower()}").at(2 * HOUR).order(
        "o3", coupon=code
    )
    kept = harness.customer().coupons[0]
    assert (kept.redeemed, kept.order_id) == (START + HOUR * 1000, "o2")
    assert signals(harness)[1] == ("redeemed", "anna", code)
    assert [each[0] for each in signals(harness)].count("redeemed") == 1


def test_the_mail_and_the_till_know_the_minimum_and_any_order_uses_the_code() -> None:
    harness = world_of("large").subscribed().order("o1")
    coupon = harness.commands[0].variables["coupon"]
    assert isinstance(coupon, dict)
    assert (coupon["minimum"], coupon["currency"]) == ("30.00", "EUR")
    harness.at(HOUR).order("o2", total="9.90", coupon=coupon["code"])
    assert harness.customer().coupons[0].order_id == "o2"
    told = [e.content for e in harness.effects if isinstance(e.content, CouponChanged)]
    assert [(each.change, each.minimum) for each in told[:2]] == [
        ("issued", Decimal(30)),
        ("redeemed", Decimal(30)),
    ]


def test_a_pool_gives_each_code_to_one_customer_until_it_is_empty() -> None:
    harness = world_of("pool")
    for number, name in enumerate(("anna", "bruno", "carla")):
        harness.subscribed(name).order(f"o{number}", name)
    assert codes(harness) == ["UNO", "DUE", None]
    assert signals(harness) == [("issued", "anna", "UNO"), ("issued", "bruno", "DUE")]
    assert (0, "code", "skipped", "no_coupon") in harness.said("w22")


def test_a_pool_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    heard = world_of("pool").subscribed().order("o1")
    deaf = world_of("pool")
    for record in heard.records:
        if record.header("ce_type") not in (b"coupon.requested", b"coupon.issued"):
            deaf.records.append(record._replace(offset=len(deaf.records)))
            deaf.actors.receive(deaf.records[-1:])
    assert len(deaf.records) == len(heard.records) - 2
    deaf.at(2 * HOUR)
    assert [(mail.at, mail.step) for mail in deaf.mails] == [(HOUR, "mail")]


def test_a_campaign_that_is_over_gives_nothing() -> None:
    assert codes(world_of("over").subscribed().order("o1")) == [None]


def test_a_code_that_is_over_is_in_no_mail() -> None:
    late = GIVES.replace("CAMPAIGN", "welcome").replace("{id: mail,", "{id: mail, wait: 30d,")
    harness = Harness(files(COUPONS, late)).subscribed().order("o1").at(31 * DAY)
    assert codes(harness) == [None]


def test_each_change_of_a_code_has_an_id_of_its_own() -> None:
    harness = world_of("welcome").subscribed().order("o1")
    code = str(codes(harness)[0])
    for number, coupon in enumerate([code, "OTHER", code, "OTHER"]):
        harness.at((number + 1) * HOUR).tell("order.updated", order_id="o1", coupon=coupon)
    harness.at(5 * HOUR).order("o2", coupon=code)
    found = [e.content for e in harness.effects if isinstance(e.content, CouponChanged)]
    of_code = [each for each in found if each.code == code]
    assert [each.change for each in of_code] == [
        "issued", "redeemed", "released", "redeemed", "released", "redeemed",
    ]  # fmt: skip
    assert len({each.id for each in of_code}) == len(of_code)
