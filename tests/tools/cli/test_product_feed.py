"""`ritorno products`, and lines about products among events."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.tools.cli.conftest import Ritorno

CSV = """sku;name;price;stock;complements
moka;Moka 3 tazze;29.90;4;tazza, caffè
tazza;Tazza;8.50;;
"""
PRODUCT = {"sku": "moka", "name": "Moka 3 tazze", "price": "29.90"}


@pytest.mark.parametrize(
    "text",
    [CSV, json.dumps([PRODUCT, {**PRODUCT, "sku": "tazza"}]),
     "\n".join(json.dumps({"type": "product.updated", "data": {**PRODUCT, "sku": sku}})
               for sku in ("moka", "tazza"))],
    ids=["csv", "json", "ndjson"],
)  # fmt: skip
def test_a_feed_is_published_once(ritorno: Ritorno, tmp_path: Path, text: str) -> None:
    (tmp_path / "feed").write_text(text, encoding="utf-8")
    assert ritorno("topics", "create").code == 0
    assert ritorno("products", "publish", "feed", "--json").json == [{"products": 2, "changed": 2}]
    assert ritorno("products", "publish", "feed", "--json").json == [{"products": 2, "changed": 0}]
    listed = ritorno("products", "list", "--json").json
    assert [product["sku"] for product in listed] == ["moka", "tazza"]
    assert "29.90 EUR" in ritorno("products", "list").out


def test_a_feed_of_long_texts_is_told_in_more_records(ritorno: Ritorno, tmp_path: Path) -> None:
    review = {"author": "Anna", "text": "🦊" * 1000}
    feed = [{**PRODUCT, "sku": f"p{n}", "reviews": [review] * 5} for n in range(120)]
    (tmp_path / "feed").write_text(json.dumps(feed), encoding="utf-8")
    ritorno("topics", "create")
    published = ritorno("products", "publish", "feed", "--json")
    assert (published.code, published.json) == (0, [{"products": 120, "changed": 120}])
    assert len(ritorno("products", "list", "--json").json) == 120


def test_what_a_csv_leaves_empty_is_not_known_and_a_cell_holds_several(
    ritorno: Ritorno, tmp_path: Path
) -> None:
    (tmp_path / "feed").write_text(CSV, encoding="utf-8")
    ritorno("topics", "create")
    ritorno("products", "publish", "feed")
    moka, tazza = ritorno("products", "list", "--json").json
    assert (moka["complements"], moka["stock"], tazza["stock"]) == (["tazza", "caffè"], 4, None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sku,name,price\nmoka,Moka,cheap\n", "line 2: price"),
        ("sku,name\nmoka,Moka\n", "line 2: price"),
        ('{"sku": "moka"\n', "line 1: not JSON"),
        ("[1]", "product 1: not a product"),
        ("[" * 100_000, "not JSON: maximum recursion depth"),
        ('{"sku": "moka", "stock": ' + "9" * 5_000 + "}", "line 1: not JSON: Exceeds the limit"),
        ('{"sku": "moka", "name": "M", "price": ' + "9" * 99 + "}", "line 1: price"),
        ('{"type": "product.updated", "data": {"sku": "moka"}}', "line 1: name"),
    ],
)
def test_a_broken_feed_is_named_and_changes_nothing(
    ritorno: Ritorno, tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "feed").write_text(text, encoding="utf-8")
    ritorno("topics", "create")
    done = ritorno("products", "publish", "feed")
    assert done.code == 2
    assert complaint in done.err
    assert ritorno("products", "list", "--json").json == []


def test_lines_about_products_go_the_feeds_way(ritorno: Ritorno, tmp_path: Path) -> None:
    viewed = {"specversion": "1.0", "id": "e1", "type": "product.viewed", "subject": "anna",
              "data": {"product_id": "moka"}}  # fmt: skip
    told = {"specversion": "1.0", "type": "product.updated", "data": PRODUCT}
    lines = [viewed, told, {**told, "data": {**PRODUCT, "price": "a lot"}}, {**viewed, "id": "e2"}]
    (tmp_path / "events").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    done = ritorno("publish", "events", "--json")
    assert done.code == 1
    assert done.json[0]["refused"] == 1
    listed = ritorno("products", "list", "--json").json
    assert [(product["sku"], product["price"]) for product in listed] == [("moka", "29.90")]


def test_a_field_that_no_reader_of_csv_holds_is_named(ritorno: Ritorno, tmp_path: Path) -> None:
    (tmp_path / "feed").write_text('sku,name,price\nmoka,"' + "x" * 2_000, encoding="utf-8")
    before = csv.field_size_limit(1_000)  # of the whole process, in which imports want more
    try:
        done = ritorno("products", "publish", "feed")
    finally:
        csv.field_size_limit(before)
    assert done.code == 2
    assert "not CSV: field larger than field limit" in done.err
