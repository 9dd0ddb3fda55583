"""What exports say of parcels, with their times, and of the places that orders go to."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from streams.connect.facts import fact
from streams.tools.export_formats import FORMATS, mapped
from tests.tools.order_import import exports
from tests.tools.order_import.conftest import Ritorno

MARCH_5 = "2026-03-05T09:00:00Z"


def imported(
    ritorno: Ritorno, content: str, *options: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the events of a file, and the report."""
    Path("export.csv").write_text(content, encoding="utf-8")
    done = ritorno("import", "export.csv", "--out", "out.ndjson", "--json", *options)
    assert done.code == 0, done.err
    lines = Path("out.ndjson").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], done.json[0]


def parcels(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return id, type and time of what is told of parcels."""
    kinds = ("order.shipped", "order.delivered")
    return [(each["id"], each["type"], each["time"]) for each in events if each["type"] in kinds]


SHOPIFY = {
    "Name": "#1001", "Id": "820001", "Email": "anna@example.it", "Financial Status": "paid",
    "Created at": "2026-03-02 10:15:00 +0100", "Total": "52.00", "Lineitem name": "Moka",
    "Lineitem price": "52.00", "Lineitem quantity": "1",
}  # fmt: skip


def table(*rows: dict[str, str]) -> str:
    """Return rows as CSV."""
    content = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(content, list(names))
    writer.writeheader()
    writer.writerows(rows)
    return content.getvalue()


def test_shopify_says_when_an_order_was_fulfilled(ritorno: Ritorno) -> None:
    sent = {"Fulfillment Status": "fulfilled", "Fulfilled at": "2026-03-05 10:00:00 +0100"}
    content = table(
        {**SHOPIFY, **sent},
        {**SHOPIFY, "Name": "#1002", "Id": "820002", "Fulfillment Status": "partial"},
        {**SHOPIFY, "Name": "#1003", "Id": "820003", "Fulfillment Status": "unfulfilled"},
        {**SHOPIFY, **sent, "Name": "#1004", "Id": "820004", "Financial Status": "pending"},
    )
    events, report = imported(ritorno, content, "--source", "shopify:negozio.myshopify.com")
    assert parcels(events) == [("order:820001:shipped", "order.shipped", MARCH_5)]
    # The second has gone as well, and nobody says when.
    assert (report["shipped"], report["delivered"], report["sent_without_time"]) == (1, 0, 1)
    assert (report["applied"], report["unplaced"]) == (3, 1)


def test_woocommerce_says_when_an_order_was_completed(ritorno: Ritorno) -> None:
    header, first, *rest = exports.WOO_ORDERS.splitlines()
    lines = [f"{header};Completed Date;Tracking Number", f"{first};05/03/2026 10:00;IT123"]
    content = "\n".join([*lines, *(f"{each};;" for each in rest)])
    events, _ = imported(ritorno, content, "--source", "woocommerce:negozio.example.it")
    assert parcels(events) == [("order:5001:shipped:IT123", "order.shipped", MARCH_5)]
    [parcel] = [each for each in events if each["type"] == "order.shipped"]
    assert parcel["data"] == {"order_id": "5001", "tracking_number": "IT123"}
    assert parcel["subject"] == "12"


@pytest.mark.parametrize(
    ("status", "told"),
    [("Spedito", [(fact("order", 71, "shipped", "IT9"), "order.shipped", MARCH_5)]),
     ("Consegnato", [(fact("order", 71, "delivered"), "order.delivered", MARCH_5)]),
     ("Pagamento accettato", [])],
)  # fmt: skip
def test_prestashops_state_is_so_since_the_last_change(
    ritorno: Ritorno, status: str, told: list[tuple[str, str, str]]
) -> None:
    header, row = exports.PRESTA_ORDERS.splitlines()
    content = f"{header};osname;date_upd;tracking_number;city;country\n"
    content += f"{row};{status};2026-03-05 10:00:00;IT9;Torino;IT\n"
    events, report = imported(ritorno, content, "--source", "prestashop:negozio.example.it")
    assert parcels(events) == told
    assert report["sent_without_time"] == 0
    assert events[0]["data"]["city"] == "Torino"


def test_any_file_may_say_it_by_columns_of_its_own(ritorno: Ritorno) -> None:
    content = (
        "order_id,customer_id,time,total,Stato,Spedito il,Consegnato il,Corriere\n"
        "1,c-1,2026-03-01 10:00,10.00,consegnato,2026-03-05 10:00,2026-03-05 10:00,BRT\n"
        "2,c-1,2026-03-05 10:00,10.00,spedito,2026-03-05,boh,\n"
        "3,c-1,2026-03-05 10:00,10.00,consegnato,,,\n"
    )
    events, report = imported(ritorno, content)
    assert parcels(events) == [
        ("import:order:1:shipped", "order.shipped", MARCH_5),
        ("import:order:1:delivered", "order.delivered", MARCH_5),
        ("import:order:2:shipped", "order.shipped", MARCH_5),  # not before it was placed
    ]
    assert next(each for each in events if each["type"] == "order.shipped")["data"] == {
        "order_id": "1", "carrier": "BRT",
    }  # fmt: skip
    assert (report["shipped"], report["delivered"], report["sent_without_time"]) == (2, 1, 1)
    assert report["ignored_examples"] == {"delivered_at": {"boh": 1}}
    shown = ritorno("import", "export.csv", "--dry-run").out
    assert "left out         1    sent or arrived, but not when" in shown


def test_where_one_address_is_empty_the_other_counts(ritorno: Ritorno) -> None:
    both = {"Billing City": "Torino", "Billing Country": "IT", "Shipping City": "Milano",
            "Shipping Country": "IT"}  # fmt: skip
    fetched = {"Id": "820002", "Email": "bruno@example.it", "Billing City": "Bari",
               "Billing Country": "IT", "Name": "#1002"}  # fmt: skip
    content = table({**SHOPIFY, **both}, {**SHOPIFY, **fetched})
    events, report = imported(ritorno, content)
    told = {each["subject"]: each["data"] for each in events if each["type"] == "customer.updated"}
    assert told == {
        "anna@example.it": {"email": "anna@example.it", "city": "Milano", "country": "IT"},
        "bruno@example.it": {"email": "bruno@example.it", "city": "Bari", "country": "IT"},
    }
    fields = {each["column"]: each["read_as"] for each in report["columns"]}
    assert fields["Billing City"] == fields["Shipping City"] == "city"
    events, _ = imported(ritorno, content, "--map", "city=Billing City")
    assert [each["data"]["city"] for each in events if each["type"] == "customer.updated"] == [
        "Torino", "Bari",
    ]  # fmt: skip


def test_each_export_of_orders_reads_what_its_heads_give_of_people() -> None:
    heads = {
        "Shopify orders": ["Billing Name", "Shipping Phone", "Shipping City", "Shipping Country"],
        "WooCommerce orders (Advanced Order Export)": [
            "First Name (Billing)", "Last Name (Shipping)", "Phone (Billing)", "City (Shipping)",
            "Country Code (Billing)",
        ],
        "PrestaShop orders (SQL manager)": ["firstname", "lastname", "phone", "city", "country"],
        "Magento orders": ["Ship-to Name"],
    }  # fmt: skip
    for each in FORMATS:
        if each.what == "orders" and each.columns:
            found = mapped(each, heads[each.name])
            assert sorted(found.values()) == sorted(heads[each.name])
