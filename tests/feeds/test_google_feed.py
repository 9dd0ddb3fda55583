"""Google Merchant: RSS, Atom, tables; reductions, variants, and XML that means harm."""

from __future__ import annotations

import gzip
import tracemalloc
from io import BytesIO

import pytest

from schemas.instant import parse_instant
from streams.feeds.source_rows import FeedError
from streams.feeds.xml_items import xml_items
from tests.feeds.reading import ATOM, RSS, read, shown

MOKA = {
    "sku": "MOKA-3", "product_id": "MOKA-3", "name": "Moka 3 tazze", "brand": "Esempio",
    "category": "Caffè", "price": "47.10", "list_price": "49.90",
    "url": "https://negozio.example.it/p/moka", "image_url": "https://negozio.example.it/m.jpg",
}  # fmt: skip


def test_rss_is_read_item_by_item() -> None:
    (moka, tazza), reading = read(RSS)
    assert shown(moka) == MOKA
    assert shown(tazza) == {
        "sku": "TAZZA", "product_id": "TAZZA", "name": "Tazza & piattino", "price": "8.50",
        "url": "https://negozio.example.it/p/tazza", "availability": "out_of_stock",
    }  # fmt: skip
    assert (reading.kind, reading.products, reading.refused) == ("google", 2, 0)
    assert reading.odd == {}


def test_atom_has_its_link_in_an_attribute() -> None:
    (moka,), _ = read(ATOM)
    assert (moka.url, moka.availability) == ("https://negozio.example.it/p/moka", "preorder")


@pytest.mark.parametrize("mark", ["\t", ",", ";"])
def test_tables_have_the_same_names_with_blanks_too(mark: str) -> None:
    head = ["id", "title", "link", "image link", "availability", "price", "sale_price", "brand",
            "product_type", "custom_label_0"]  # fmt: skip
    row = ["MOKA-3", "Moka 3 tazze", "https://negozio.example.it/p/moka",
           "https://negozio.example.it/m.jpg", "in stock", "49.90 EUR", "47.10 EUR", "Esempio",
           "Cucina > Caffè", "primavera"]  # fmt: skip
    (moka,), reading = read("\n".join(mark.join(cells) for cells in (head, row)))
    assert shown(moka) == MOKA
    assert reading.unused == ["custom_label_0"]


def test_a_column_that_is_named_goes_where_it_is_wanted() -> None:
    feed = "id\ttitle\tlink\tavailability\tprice\tcustom_label_0\nM\tMoka\t\tin stock\t5 EUR\t30d\n"
    (moka,), reading = read(feed, columns={"lasts": "custom_label_0"})
    assert shown(moka)["lasts"] == "4w2d"
    assert reading.unused == []
    xml = RSS.replace("<g:brand>Esempio</g:brand>", "<g:custom_label_0>30d</g:custom_label_0>")
    (moka, _), _ = read(xml, columns={"lasts": "g:custom_label_0"})
    assert shown(moka)["lasts"] == "4w2d"


@pytest.mark.parametrize(
    ("dates", "price", "next_change"),
    [
        ("2026-03-01T00:00+0100/2026-03-10T23:59+0100", "47.10", "2026-03-10T22:59:00Z"),
        ("2026-03-03T00:00+0100/2026-03-10T23:59+0100", "49.90", "2026-03-02T23:00:00Z"),
        ("2026-02-01T00:00+0100/2026-03-01T23:59+0100", "49.90", None),
        ("2026-03-01/2026-03-02", "49.90", None),  # of the shop's midnight, which was at 23:00
        ("whenever", "49.90", None),
        ("2026-03-01T00:00+0100", "49.90", None),
    ],
)
def test_a_reduction_holds_within_its_dates(
    dates: str, price: str, next_change: str | None
) -> None:
    element = f"<g:sale_price_effective_date>{dates}</g:sale_price_effective_date>"
    (moka, _), reading = read(RSS.replace("<g:brand>", f"{element}<g:brand>"))
    assert shown(moka)["price"] == price
    assert reading.next_change == (next_change and parse_instant(next_change))


def test_sizes_are_rows_of_one_product_or_each_its_own() -> None:
    sizes = "".join(
        f"<item><g:id>MAGLIA-{size}</g:id><title>Maglia - {size}</title><g:price>30 EUR</g:price>"
        f"<g:item_group_id>MAGLIA</g:item_group_id></item>"
        for size in "SML"
    )
    feed = RSS.partition("<item>")[0] + sizes + "</channel></rss>"
    rows, _ = read(feed)
    assert [(row.sku, row.id) for row in rows] == [(f"MAGLIA-{s}", "MAGLIA") for s in "SML"]
    rows, _ = read(feed, variants="each")
    assert [row.id for row in rows] == ["MAGLIA-S", "MAGLIA-M", "MAGLIA-L"]


def test_rows_with_one_id_do_not_overwrite_each_other() -> None:
    feed = "id\ttitle\tlink\tavailability\tprice\nM\tMaglia S\t\tin stock\t5 EUR\n" \
           "M\tMaglia L\t\tin stock\t6 EUR\n"  # fmt: skip
    rows, reading = read(feed)
    assert [(row.sku, row.id) for row in rows] == [("M", "M"), ("M#2", "M")]
    assert reading.repeated == 1


def test_an_item_that_cannot_be_read_costs_the_item() -> None:
    broken = RSS.replace("<g:price>8,50 €</g:price>", "<g:price>su richiesta</g:price>")
    (moka,), reading = read(broken)
    assert moka.sku == "MOKA-3"
    place, product, detail = reading.examples[0]
    assert product == "TAZZA (Tazza & piattino)"
    assert place == "line 12"
    assert "price" in detail
    assert "su richiesta" in detail
    assert reading.refused_skus == {"TAZZA"}
    assert reading.is_complete


def test_odd_fields_are_told_and_cost_nothing() -> None:
    (moka, _), reading = read(RSS.replace("in_stock", "chissà"))
    assert moka.availability == "in_stock"
    assert ("availability", "unknown_word", False) in reading.odd


def test_what_ends_in_the_middle_is_read_so_far_and_not_whole() -> None:
    rows, reading = read(RSS[: RSS.index("<g:google_product_category>")])
    assert [row.sku for row in rows] == ["MOKA-3"]
    assert "not XML" in reading.broken
    assert not reading.is_complete


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE rss SYSTEM "https://negozio.example.it/rss.dtd">',
    ],
)
def test_document_types_and_entities_are_not_read(declared: str) -> None:
    with pytest.raises(FeedError, match="a document type or an entity is declared"):
        read(RSS.replace("?>\n", f"?>\n{declared}\n", 1))


def test_an_item_has_limits() -> None:
    long = f"<g:description>{'x' * 600_000}</g:description>"
    rows, reading = read(RSS.replace("<g:brand>", f"{long}<g:brand>"))
    assert [row.sku for row in rows] == ["TAZZA"]
    assert "more than 500,000 characters" in reading.examples[0].detail
    deep = "<a>" * 30 + "</a>" * 30
    with pytest.raises(FeedError, match="line 9: nested deeper"):
        read(RSS.replace("<g:brand>", f"{deep}<g:brand>"))


@pytest.mark.parametrize("begin", ['<item a="', "<!-- ", "<?a "])
def test_a_tag_has_a_limit(begin: str) -> None:
    """Beyond it expat would read it again and again."""
    tag = begin + "x" * 6_000_000
    with pytest.raises(FeedError, match="line 1: a tag or comment of more than 1,048,576 bytes"):
        read(f"<rss><channel>{tag}")
    rows, reading = read(RSS.replace("</channel>", tag))
    assert len(rows) == 2
    assert "more than 1,048,576 bytes" in reading.broken


@pytest.mark.parametrize("named", ["utf-7", "idna", "rot13", "punycode", "gb18030", "nessuna"])
def test_an_encoding_that_cannot_be_read_is_no_traceback(named: str) -> None:
    with pytest.raises(FeedError, match="its encoding can't be read"):
        read(RSS.replace("UTF-8", named))


def test_gzip_and_other_encodings_are_seen_by_the_content() -> None:
    assert len(read(gzip.compress(RSS.encode()))[0]) == 2
    latin = RSS.replace("UTF-8", "ISO-8859-1").replace("8,50 €", "8,50 EUR").encode("latin-1")
    (moka, _), _ = read(latin)
    assert moka.category == "Caffè"
    (moka, _), _ = read(RSS.replace("UTF-8", "UTF-16").encode("utf-16"))
    assert moka.category == "Caffè"


def test_it_takes_no_more_memory_for_a_longer_feed() -> None:
    item = RSS[RSS.index("<item>") : RSS.index("</item>") + 7]

    def peak(items: int) -> int:
        text = RSS.partition("<item>")[0] + item * items + "</channel></rss>"
        file = BytesIO(text.encode())
        tracemalloc.start()
        assert sum(1 for _ in xml_items(file)) == items
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    assert peak(3_000) < peak(300) * 1.5
