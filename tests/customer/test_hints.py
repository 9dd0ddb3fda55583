"""What libraries send along counts where nothing else was said; the shop's tags are its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.signals import SegmentChanged
from schemas.wire import parse_published, to_record
from tests.harness import DAY, START, Harness

SEGMENTS = """
id: segments
definition: segments
segments:
  - {id: italian, if: {profile.locale: it-IT}}
  - {id: newsletter, if: {acquired.source: {contains: newsletter}}}
  - {id: club, if: {tags: {contains: club}}}
"""
HINTS = {
    "locale": "it-IT", "timezone": "Europe/Rome", "ip": "203.0.113.7",
    "campaign": {"source": "newsletter", "name": "marzo"},
}  # fmt: skip


def call(
    harness: Harness, type_: str = "page", who: str = "anna", at: int = 0, **more: Any
) -> Harness:
    ids = {"anonymousId": who} if who.startswith("v") else {"userId": who}
    body = {"type": type_, "messageId": f"m{len(harness.records)}", **ids, "timestamp": START + at,
            **more}  # fmt: skip
    harness.append(to_record(parse_published(json.dumps(body))))
    return harness


def shop() -> Harness:
    return Harness.of(SEGMENTS).at(DAY)


def entered(harness: Harness) -> list[str]:
    found = (e.content for e in harness.effects if isinstance(e.content, SegmentChanged))
    return [each.segment for each in found if each.change == "entered"]


def test_language_zone_and_campaign_of_an_ordinary_call() -> None:
    harness = call(shop().tell("page.viewed"), at=DAY * 1000, context=HINTS)
    anna = harness.customer()
    assert (anna.profile.locale, anna.profile.zone) == ("it-IT", "Europe/Rome")
    assert anna.source == "newsletter / marzo"
    assert sorted(entered(harness)) == ["italian", "newsletter"]
    assert "203.0.113.7" not in str(harness.records) + str(harness.store)


def test_any_event_may_say_the_campaign_and_the_first_one_does() -> None:
    harness = call(shop(), "track", event="Product Viewed", properties={"product_id": "m"},
                   context=HINTS)  # fmt: skip
    call(harness, context={"campaign": {"source": "ads"}})
    assert harness.customer().source == "newsletter / marzo"


def test_a_stated_trait_stays_and_replaces_a_hint() -> None:
    harness = call(shop().tell("customer.updated", locale="de"), context=HINTS)
    assert (harness.customer().profile.locale, harness.customer().profile.zone) == (
        "de", "Europe/Rome",
    )  # fmt: skip
    harness.tell("customer.updated", zone="Europe/Berlin", happened=-9 * DAY)
    assert harness.customer().profile.zone == "Europe/Berlin"


def test_what_was_taken_away_stays_away() -> None:
    harness = shop().tell("customer.updated", locale="de").tell("customer.updated", locale=None)
    assert call(harness, context=HINTS).customer().profile.locale == ""


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_latest_hint_counts_in_whatever_order(order: tuple[int, int]) -> None:
    harness = shop()
    for number in order:
        call(harness, at=number * 1000, context={"locale": ("it-IT", "de-DE")[number]})
    assert harness.customer().profile.locale == "de-DE"


def test_an_address_beside_an_order_is_the_customers_who_has_none() -> None:
    beside = {"traits": {"email": "anna@example.com", "city": "Roma"}}
    order = {"event": "Order Completed", "properties": {"order_id": "o1", "total": "9.00"}}
    harness = call(shop(), "track", context=beside, **order)
    anna = harness.customer()
    assert (anna.profile.email, anna.profile.ground, anna.profile.city) == (
        "anna@example.com", "typed", "",
    )  # fmt: skip
    call(harness, context={"traits": {"email": "other@example.com"}})
    assert harness.customer().profile.email == "anna@example.com"
    harness.tell("customer.updated", email="new@example.com", happened=-9 * DAY)
    assert harness.customer().profile.email == "new@example.com"


def test_a_visitors_traits_name_nobodys_address() -> None:
    beside = {"traits": {"email": "anna@example.com"}, "locale": "it-IT"}
    harness = call(shop().tell("page.viewed"), who="v1", context=beside)
    assert (harness.customer("v1").profile.email, harness.customer("v1").profile.locale) == (
        "", "it-IT",
    )  # fmt: skip
    harness.tell("customer.identified", anonymous_id="v1", customer_id="anna", named=True)
    call(harness, who="v1", context=beside)
    assert (harness.customer().profile.email, harness.customer().profile.locale) == ("", "it-IT")


def test_a_visitor_who_became_somebody_keeps_nothing() -> None:
    harness = call(shop(), who="v1", context=HINTS)
    call(harness, "alias", previousId="v1", context=HINTS)
    assert harness.customer().profile.locale == "it-IT"
    assert harness.customer("v1").became == "anna"
    assert harness.customer("v1").profile.locale == ""
    body = {"type": "alias", "messageId": "a", "userId": "anna", "previousId": "v2"}
    event = parse_published(json.dumps(body | {"context": {"locale": "de-DE"}}))
    harness.visitors.add("v2")
    harness.tell("page.viewed", "v2")
    harness.append(to_record(event._replace(customer="v2", anonymous_id="v2", named=False)))
    assert harness.customer("v2").became == "anna"
    assert (harness.customer("v2").profile.locale, harness.customer("v2").stated) == ("", {})
    assert harness.customer().profile.locale == "de-DE"


# Tags of the shop's.


def test_the_shops_tags_are_as_it_lists_them() -> None:
    harness = call(shop(), "identify", traits={"tags": ["club", " b2b ", "club", ""]})
    assert list(harness.customer().tags) == ["club", "b2b"]
    assert entered(harness) == ["club"]
    call(harness, "identify", at=1, traits={"tags": "b2b, gold"})
    assert sorted(harness.customer().tags) == ["b2b", "gold"]
    call(harness, "identify", at=2, traits={"city": "Roma"})
    assert sorted(harness.customer().tags) == ["b2b", "gold"]
    call(harness, "identify", at=-5, traits={"tags": "late"})
    assert sorted(harness.customer().tags) == ["b2b", "gold"]


@pytest.mark.parametrize("none", [None, "", [], " , "])
def test_an_empty_list_takes_all_of_the_shops_off_and_none_of_a_workflows(none: Any) -> None:
    tagging = """
id: tagger
title: {it: T, en: T}
trigger: product.viewed
entry: {once_per: customer}
steps: [{id: tag, tag: seen}]
"""
    harness = Harness.of(tagging).at(DAY).tell("product.viewed", product_id="m")
    call(harness, "identify", traits={"tags": ["seen", "club"]})
    assert sorted(harness.customer().tags) == ["club", "seen"]
    call(harness, "identify", at=1, traits={"tags": none})
    assert sorted(harness.customer().tags) == ["seen"]


@pytest.mark.parametrize("given", [{"a": 1}, 5, [["a"]], [None]])
def test_what_is_no_list_of_tags_is_left_out_and_said(given: Any) -> None:
    harness = call(shop(), "identify", traits={"tags": ["club"]})
    call(harness, "identify", at=1, traits={"tags": given, "city": "Roma"})
    assert list(harness.customer().tags) == ["club"]
    assert harness.customer().profile.city == "Roma"
    assert any(("customer.updated", "tags", "kind") in each.odd for each in harness.counts)


def test_tags_are_bounded() -> None:
    harness = call(shop(), "identify", traits={"tags": [f"{n:03}" + "x" * 500 for n in range(99)]})
    tags = harness.customer().tags
    assert len(tags) == 50
    assert max(map(len, tags)) == 100


def test_the_latest_hint_counts_after_a_merge_too() -> None:
    harness = call(shop(), who="v", at=1_000, context={"locale": "it-IT", "timezone": "Asia/Tokyo"})
    harness.tell("customer.identified", "anna", anonymous_id="v")
    assert harness.customer().profile.locale == "it-IT"
    call(harness, at=3_000, context={"locale": "de-DE"})
    call(harness, at=2_000, context={"locale": "fr-FR", "timezone": "Europe/Rome"})
    anna = harness.customer().profile
    assert (anna.locale, anna.zone) == ("de-DE", "Europe/Rome")


def test_a_visitors_hint_moves_nothing_that_was_stated() -> None:
    harness = shop().tell("customer.updated", named=True, locale="de-DE")
    call(harness, who="v", at=DAY * 1000, context={"locale": "it-IT"})
    harness.tell("customer.identified", "anna", anonymous_id="v")
    assert harness.customer().profile.locale == "de-DE"
