"""Shopify's and WooCommerce's feeds, and our own in Italian."""

from __future__ import annotations

import json

import pytest

from schemas.money import amount_text
from schemas.notation import Notation
from streams.feeds.reading import MapError
from streams.feeds.source_rows import FeedError
from tests.feeds.reading import NOW, RSS, read, shown

SHOP = Notation(shop_url="https://negozio.example.it")

MAGLIA = {
    "id": 9001, "title": "Maglia", "handle": "maglia", "vendor": "Esempio",
    "product_type": "Maglieria", "tags": ["lana"], "published_at": "2026-01-02T10:00:00+01:00",
    "images": [{"id": 1, "src": "https://cdn.example.it/maglia.jpg"}],
    "variants": [
        {"id": 90011, "title": "S", "sku": "MAGLIA-S", "price": "30.00",
         "compare_at_price": "40.00", "available": False},
        {"id": 90012, "title": "M", "sku": "", "price": "32.00", "compare_at_price": None,
         "available": True},
    ],
}  # fmt: skip


def test_products_json_has_a_row_for_each_variant() -> None:
    rows, reading = read(json.dumps({"products": [MAGLIA]}), notation=SHOP)
    assert reading.kind == "shopify"
    assert [(row.sku, row.id, row.availability) for row in rows] == [
        ("MAGLIA-S", "9001", "out_of_stock"), ("90012", "9001", "in_stock"),
    ]  # fmt: skip
    assert shown(rows[0]) == {
        "sku": "MAGLIA-S", "product_id": "9001", "name": "Maglia", "brand": "Esempio",
        "category": "Maglieria", "price": "30.00", "list_price": "40.00",
        "url": "https://negozio.example.it/products/maglia",
        "image_url": "https://cdn.example.it/maglia.jpg", "availability": "out_of_stock",
    }  # fmt: skip


def test_the_admins_list_tells_stock_and_hides_drafts() -> None:
    variant = {"id": 1, "title": "Default Title", "sku": "X", "price": "5.00",
               "inventory_management": "shopify", "inventory_policy": "deny"}  # fmt: skip
    products = [
        {**MAGLIA, "status": "active", "variants": [{**variant, "inventory_quantity": 3}]},
        {**MAGLIA, "id": 2, "status": "active",
         "variants": [{**variant, "sku": "Y", "inventory_quantity": 0,
                       "inventory_policy": "continue"}]},
        {**MAGLIA, "id": 3, "status": "draft",
         "variants": [{**variant, "sku": "Z", "inventory_quantity": 3}]},
    ]  # fmt: skip
    rows, _ = read("\n".join(map(json.dumps, products)))
    assert [(row.stock, row.availability) for row in rows] == [
        (3, "in_stock"), (None, "in_stock"), (3, "out_of_stock"),
    ]  # fmt: skip


SHOPIFY_CSV = """Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,\
Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price,\
Variant Compare At Price,Image Src,Image Position,Variant Image,Status
maglia,Maglia,"<p>Lana,
calda</p>",Esempio,Maglieria,lana,true,Taglia,S,MAGLIA-S,shopify,0,deny,30.00,40.00,\
https://cdn.example.it/1.jpg,1,,active
maglia,,,,,,,,M,MAGLIA-M,shopify,4,deny,30.00,,https://cdn.example.it/2.jpg,2,,
maglia,,,,,,,,,,,,,,,https://cdn.example.it/3.jpg,3,,
tazza,Tazza,,Esempio,Casa,,true,Title,Default Title,,,,deny,8.50,0.00,,,,draft
"""


def test_shopifys_csv_says_a_products_words_once() -> None:
    rows, reading = read(SHOPIFY_CSV, notation=SHOP)
    assert reading.kind == "shopify"
    assert [(row.sku, row.id, row.stock, row.availability) for row in rows] == [
        ("MAGLIA-S", "maglia", 0, "in_stock"), ("MAGLIA-M", "maglia", 4, "in_stock"),
        ("tazza:Default Title", "tazza", None, "out_of_stock"),
    ]  # fmt: skip
    assert not rows[0].available
    assert {row.category for row in rows[:2]} == {"Maglieria"}
    assert rows[1].image_url == "https://cdn.example.it/2.jpg"
    assert rows[2].list_price is None
    assert reading.unused == ["Option1 Name"]


WOO = """\ufeffID,Type,SKU,Name,Published,Date sale price starts,Date sale price ends,In stock?,\
Stock,Backorders allowed?,Sale price,Regular price,Categories,Images,Parent,Upsells,Cross-sells
902,"variation",MAGLIA-S,Maglia - S,1,,,1,2,0,,30,,,id:901,,
901,variable,MAGLIA,Maglia,1,,,1,,0,,,"Abbigliamento > Maglieria, Novità",\
"https://negozio.example.it/1.jpg, https://negozio.example.it/2.jpg",,,
903,"variation, virtual",MAGLIA-M,Maglia - M,1,,,0,0,0,,32,,,MAGLIA,,
910,simple,MOKA-3,Moka 3 tazze,1,2026-03-01,2026-03-20,1,,0,"47,10","49,90",Cucina > Caffè,,,\
id:911,"TAZZA, id:912"
911,simple,TAZZA,Tazza,-1,,,1,5,0,,8.5,,,,,
912,simple,,Cucchiaino,1,,,backorder,-2,1,,3,,,,,
"""


def test_woocommerces_variations_belong_to_their_product_wherever_it_stands() -> None:
    rows, reading = read(WOO)
    assert reading.kind == "woocommerce"
    assert [(row.sku, row.id, amount_text(row.price), row.availability) for row in rows] == [
        ("MAGLIA-S", "901", "30.00", "in_stock"), ("MAGLIA-M", "901", "32.00", "out_of_stock"),
        ("MOKA-3", "910", "47.10", "in_stock"), ("TAZZA", "911", "8.50", "out_of_stock"),
        ("912", "912", "3.00", "preorder"),
    ]  # fmt: skip
    assert rows[0].category == "Maglieria"
    assert rows[0].image_url == "https://negozio.example.it/1.jpg"
    assert (rows[2].complements, rows[2].upgrades) == (["911", "912"], ["911"])
    assert str(rows[2].list_price) == "49.90"
    assert reading.next_change is not None
    assert reading.next_change > NOW


def test_woocommerce_in_italian() -> None:
    feed = (
        "ID;Tipo;COD;Nome;Pubblicato;In stock?;Magazzino;Prezzo in offerta;Prezzo di listino;"
        "Categorie;Genitore\n"
        "910;simple;MOKA-3;Moka 3 tazze;1;1;;47,10;49,90;Cucina > Caffè;\n"
    )
    (moka,), reading = read(feed)
    assert (reading.kind, moka.category) == ("woocommerce", "Caffè")
    assert (str(moka.price), str(moka.list_price)) == ("47.10", "49.90")


ITALIAN = """Codice;Nome;Prezzo;Prezzo di listino;Giacenza;Disponibilità;Categoria;Colonna mia
MOKA-3;Moka 3 tazze;"1.234,50 €";1.300,00;4;sì;Caffè;x
TAZZA;Tazza;"8,50";;0;esaurito;Casa;
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_our_own_in_italian_and_as_excel_writes_it(encoding: str) -> None:
    (moka, tazza), reading = read(ITALIAN.encode(encoding))
    assert shown(moka) == {
        "sku": "MOKA-3", "name": "Moka 3 tazze", "price": "1234.50", "list_price": "1300.00",
        "stock": 4, "category": "Caffè",
    }  # fmt: skip
    assert (str(tazza.price), tazza.availability) == ("8.50", "out_of_stock")
    assert reading.unused == ["Colonna mia"]


def test_one_comma_and_three_digits_need_to_be_declared() -> None:
    feed = "sku;name;price\nA;A;1,234\n"
    rows, reading = read(feed)
    assert rows == []
    assert "price" in reading.examples[0].detail
    (product,), _ = read(feed, decimal_mark="comma")
    assert amount_text(product.price) == "1.234"
    (product,), _ = read(feed, decimal_mark="point")
    assert amount_text(product.price) == "1234.00"


def test_a_line_of_bytes_that_are_no_text_costs_the_line() -> None:
    feed = "sku;name;price\nA;Caffè però;1\nB;Caf\udce8;2\nC;perché più;3\n"
    rows, reading = read(feed.encode("utf-8", "surrogateescape"))
    assert [row.sku for row in rows] == ["A", "C"]
    assert reading.examples == [("line 3", "", "bytes that are no text in UTF-8")]
    assert not reading.is_complete


def test_lines_are_counted_over_line_breaks_in_quotes() -> None:
    rows, reading = read('sku,name,price\nA,"Moka\nblu",1\nB,B,gratis\nC,C,1,2,3\n')
    assert [row.name for row in rows] == ["Moka blu"]
    assert [each.place for each in reading.examples] == ["line 4", "line 5"]


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(
        MapError, match=r"name=Titolo: no such column\. There are: sku, nome, price"
    ):
        read("sku,nome,price\nA,A,1\n", columns={"name": "Titolo"})
    with pytest.raises(MapError, match="colour is no field of a product"):
        read("sku,nome,price\nA,A,1\n", columns={"colour": "nome"})


@pytest.mark.parametrize("feed", ["", "\n", "[{]", '{"products": [1,'])
def test_what_is_no_feed_is_named(feed: str) -> None:
    try:
        rows, reading = read(feed)
    except FeedError as error:
        assert str(error)
    else:
        assert (rows, reading.refused) == ([], 1)


def test_reductions_in_our_own() -> None:
    feed = "sku,name,price,sale_price,sale_begins,sale_ends\n" \
           "A,A,10,8,2026-03-01,2026-03-09\nB,B,10,8,2026-04-01,\nC,C,10,8,,\n"  # fmt: skip
    rows, _ = read(feed)
    assert [amount_text(row.price) for row in rows] == ["8.00", "10.00", "8.00"]


@pytest.mark.parametrize(
    ("word", "known"),
    [("disponibile", "in_stock"), ("Disponibilità immediata", "in_stock"), ("sì", "in_stock"),
     ("Ultimi pezzi!", "in_stock"), ("sofort verfügbar", "in_stock"), ("auf Lager", "in_stock"),
     ("https://schema.org/InStock", "in_stock"), ("Limited availability", "in_stock"),
     ("non disponibile", "out_of_stock"), ("ESAURITO", "out_of_stock"), ("no", "out_of_stock"),
     ("nicht verfügbar", "out_of_stock"), ("ausverkauft", "out_of_stock"),
     ("Sold out", "out_of_stock"), ("unavailable", "out_of_stock"),
     ("su ordinazione", "preorder"), ("in arrivo", "preorder"), ("vorbestellbar", "preorder")],
)  # fmt: skip
def test_words_of_availability_are_understood_wherever_they_stand(word: str, known: str) -> None:
    feeds = {
        "own": f"Codice;Nome;Prezzo;Disponibilità\nA;Moka;10,00;{word}\n",
        "google": f"id;title;link;availability;price\nA;Moka;;{word};10.00 EUR\n",
        "woocommerce": f"ID;Tipo;COD;Nome;In stock?;Prezzo di listino\n1;simple;A;Moka;{word};10\n",
    }
    for kind, feed in feeds.items():
        [product], reading = read(feed)
        assert (reading.kind, product.availability, reading.odd) == (kind, known, {})
    mapped = f"sku;name;price;Stato\nA;Moka;10,00;{word}\n"
    [product], _ = read(mapped, columns={"availability": "Stato"})
    assert product.availability == known
    if word not in ("sì", "no"):  # which say nothing of how many
        [product], reading = read(f"Codice;Nome;Prezzo;Giacenza\nA;Moka;10,00;{word}\n")
        assert (product.availability, product.stock, reading.odd) == (known, None, {})


@pytest.mark.parametrize(
    "feed",
    ["Codice;Nome;Prezzo;Disponibilità\nA;Moka;10,00;boh\n",
     "ID;Tipo;COD;Nome;In stock?;Prezzo di listino\n1;simple;A;Moka;boh;10\n"],
)  # fmt: skip
def test_a_word_that_is_not_known_is_told_with_its_product(feed: str) -> None:
    _, reading = read(feed)
    assert list(reading.odd) == [("availability", "unknown_word", False)]
    assert list(reading.odd_examples.values()) == ["line 2, A (Moka): 'boh'"]


def test_what_is_not_used_is_told_of_each_form() -> None:
    item = {"id": 1, "title": "Moka", "handle": "moka", "body_html": "<p>",
            "variants": [{"id": 2, "sku": "M", "price": "5.00", "barcode": "8001"}]}  # fmt: skip
    event = {"type": "product.updated", "source": "/erp",
             "data": {"sku": "M", "name": "Moka", "price": "5.00", "gtin": "8001"}}  # fmt: skip
    for feed, unused in (
        (RSS.replace("<g:brand>", "<g:gtin>8001</g:gtin><g:brand>", 1),
         ["additional_image_link", "gtin"]),
        (json.dumps({"products": [item]}), ["body_html", "barcode"]),
        (json.dumps(event), ["gtin"]),
        ("sku,name,price,GTIN\nM,Moka,5.00,8001\n", ["GTIN"]),
    ):  # fmt: skip
        rows, reading = read(feed)
        assert rows
        assert reading.unused == unused


def test_a_row_that_cannot_be_read_names_its_product() -> None:
    _, reading = read(
        "Codice;Nome;Prezzo\nMOKA-3;Moka 3 tazze;su richiesta\nTAZZA;Tazza;1;2;3\n;Senza codice;1\n"
    )
    assert [(each.place, each.product) for each in reading.examples] == [
        ("line 2", "MOKA-3 (Moka 3 tazze)"), ("line 3", "TAZZA (Tazza)"),
        ("line 4", "Senza codice"),
    ]  # fmt: skip
    assert reading.examples[1].told().startswith("line 3, TAZZA (Tazza): 5 fields")
    assert (reading.refused_skus, reading.refused_without_sku) == ({"MOKA-3"}, 2)
