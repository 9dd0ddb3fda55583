"""What each source sends wrongly is summed up, however much it is."""

from __future__ import annotations

from agents.insights.event_quality import (
    EXAMPLES_KEPT,
    KINDS_KEPT,
    OTHER,
    OWN,
    SOURCES_KEPT,
    EventQuality,
    OddKind,
    RefusedKind,
)
from schemas.events import Event
from schemas.events.odd import OddField
from schemas.events.shopping import PageViewed


def event(*odd: OddField, source: str = "/shop") -> Event:
    return Event("1", "page.viewed", source, 1, "anna", None, False, PageViewed(), odd=odd)


def test_names_of_the_shops_own_are_listed_and_summed_up() -> None:
    quality = EventQuality(lambda event: None)  # none of them is declared
    for number in range(KINDS_KEPT + 3):
        quality.read(event()._replace(type=f"custom.e{number % (KINDS_KEPT + 1)}"), number)
    shop = quality.sources["/shop"]
    assert shop.events == {OWN: KINDS_KEPT + 3}
    assert (shop.own["custom.e1"].count, len(shop.own), quality.beyond) == (2, KINDS_KEPT, 1)


def test_odd_fields_are_summed_up_by_source_and_kind() -> None:
    quality = EventQuality()
    quality.read(event(), 10)
    for time, value in ((30, "'a'"), (20, "'b'"), (40, "'a'")):
        quality.read(event(OddField(f"products.{time}.url", value, "unreadable", False)), time)
    quality.refused("/shop", "order.completed", "invalid_event", "order_id: missing", 50)
    quality.read(event(source="/till"), 60)
    shop = quality.sources["/shop"]
    assert shop.events == {"page.viewed": 4}
    assert shop.with_odd == 3
    [(kind, seen)] = shop.odd.items()
    assert kind == OddKind("page.viewed", "products.url", "unreadable", kept=False)
    assert (seen.count, seen.first, seen.last, seen.examples) == (3, 20, 40, ["'a'", "'b'"])
    [(refused, letters)] = shop.refused.items()
    assert refused == RefusedKind("order.completed", "invalid_event")
    assert (letters.count, letters.examples) == (1, ["order_id: missing"])
    assert quality.sources["/till"].odd == {}


def test_neither_sources_nor_kinds_nor_examples_grow_without_end() -> None:
    quality = EventQuality()
    for number in range(2 * SOURCES_KEPT):
        quality.read(event(source=f"/{number}"), 1)
    assert len(quality.sources) == SOURCES_KEPT + 1
    assert quality.sources[OTHER].events == {"page.viewed": SOURCES_KEPT}
    for number in range(KINDS_KEPT + 7):
        quality.read(event(OddField(f"trait_{number}", "1", "kind", True)), 1)
        quality.read(event(OddField("url", str(number), "kind", True)), 1)
    kinds = quality.sources[OTHER].odd
    assert len(kinds) == KINDS_KEPT
    assert quality.beyond == 8  # `url` is one of those kept
    [urls] = [seen for kind, seen in kinds.items() if kind.field == "url"]
    assert (urls.count, len(urls.examples)) == (KINDS_KEPT + 7, EXAMPLES_KEPT)


def test_a_time_that_is_not_known_is_none() -> None:
    quality = EventQuality()
    quality.refused("", "", "invalid_json", "not JSON", 0)
    [seen] = quality.sources["(unknown)"].refused.values()
    assert (seen.first, seen.last) == (0, 0)
