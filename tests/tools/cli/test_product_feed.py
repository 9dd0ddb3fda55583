"""`ritorno products`, and lines about products among events."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.tools.cli.conftest import Done, Ritorno

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
        ("[" * 100_000, "not JSON: maximum recursion depth"),
        ("[{]", "not JSON"),
        ("", "the first line should name the columns; it is empty"),
    ],
)
def test_what_is_no_feed_changes_nothing(
    ritorno: Ritorno, tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "feed").write_text(text, encoding="utf-8")
    ritorno("topics", "create")
    done = ritorno("products", "publish", "feed")
    assert done.code == 2
    assert complaint in done.err
    assert ritorno("products", "list", "--json").json == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sku,name,price\nmoka,Moka,cheap\n", "line 2, moka (Moka): price"),
        ("sku,name\nmoka,Moka\n", "line 2, moka (Moka): price"),
        ('{"sku": "moka"\n', "line 1: not JSON"),
        ("[1]", "product 1: not a product"),
        ('{"sku": "moka", "stock": ' + "9" * 5_000 + "}", "line 1: not JSON: Exceeds the limit"),
        ('{"sku": "moka", "name": "M", "price": ' + "9" * 99 + "}", "line 1, moka (M): price"),
        ('{"type": "product.updated", "data": {"sku": "moka"}}', "line 1, moka: name"),
    ],
)
def test_a_line_that_cannot_be_read_costs_the_line(
    ritorno: Ritorno, tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "feed").write_text(text, encoding="utf-8")
    ritorno("topics", "create")
    done = ritorno("products", "publish", "feed")
    assert done.code == 1
    assert complaint in done.err
    assert "1 line could not be read." in done.err


def test_the_others_are_published_and_the_exit_code_says_so(
    ritorno: Ritorno, tmp_path: Path
) -> None:
    (tmp_path / "feed").write_text(CSV + "cucchiaino;Cucchiaino;gratis;;\n", encoding="utf-8")
    ritorno("topics", "create")
    done = ritorno("products", "publish", "feed", "--json")
    assert done.code == 1
    assert done.json[0]["changed"] == 2
    assert "line 4" in done.json[0]["examples"][0]["place"]
    assert "'gratis'" in done.json[0]["examples"][0]["detail"]


def test_what_a_whole_feed_leaves_out_is_gone_unless_it_is_too_much(
    ritorno: Ritorno, tmp_path: Path
) -> None:
    lines = [json.dumps({**PRODUCT, "sku": f"p{number}"}) for number in range(10)]
    ritorno("topics", "create")

    def publish(count: int, *options: str) -> Done:
        (tmp_path / "feed").write_text("\n".join(lines[:count]), encoding="utf-8")
        return ritorno("products", "publish", "feed", "--whole", "--json", *options)

    assert publish(10).json[0]["gone"] == 0
    assert publish(7).json[0] == {"products": 7, "changed": 3, "gone": 3}
    refused = publish(4)
    assert refused.code == 1
    assert "3 of 7 products that can be bought are missing" in refused.err
    assert publish(4, "--even-if-many-are-gone").json[0]["gone"] == 3
    listed = ritorno("products", "list", "--json").json
    assert sum(product["availability"] == "in_stock" for product in listed) == 4


def test_standard_input_and_a_named_column(
    ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch
) -> None:
    ritorno("topics", "create")
    feed = "codice;nome;prezzo;Dura\nmoka;Moka;29,90;30d\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(feed.encode())))
    done = ritorno("products", "publish", "-", "--map", "lasts=Dura")
    assert done.code == 0, done.err
    assert ritorno("products", "list", "--json").json[0]["lasts"] == "4w2d"
    assert ritorno("products", "publish", "-", "--map", "lasts").code == 2


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
    ritorno("topics", "create")
    before = csv.field_size_limit(1_000)  # of the whole process, in which imports want more
    try:
        done = ritorno("products", "publish", "feed")
    finally:
        csv.field_size_limit(before)
    assert done.code == 1
    assert "not CSV: field larger than field limit" in done.err
