"""The same order by webhook, poll and file is one, whatever comes first; everything of a file is
history."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.events import Event
from schemas.wire import parse_published, to_record
from streams.connect.facts import as_history, guest_key
from streams.connect.shopify.customers import customer_events
from streams.connect.shopify.orders import order_events
from streams.connect.shopify.settings import ShopifyConnection
from tests.harness import Harness
from tests.tools.order_import import exports
from tests.tools.order_import.conftest import Ritorno

SHOP = ShopifyConnection(
    kind="shopify", name="negozio", shop="negozio.myshopify.com", secret="env:NONE"
)
ANNA = guest_key("anna.verdi@example.it")


def webhook(**fields: Any) -> list[Event]:
    """Return what the webhook of the file's first order tells."""
    order = {
        "id": 820001, "email": "anna.verdi@example.it", "test": False, "currency": "EUR",
        "processed_at": "2026-03-02T10:15:00+01:00", "updated_at": "2026-03-02T10:15:04+01:00",
        "total_price": "52.00", "financial_status": "paid", "customer": None,
        "line_items": [{"id": 1, "sku": "MOKA-3", "title": "Moka", "quantity": 1,
                        "price": "47.10"}],
    }  # fmt: skip
    return order_events({**order, **fields}, SHOP)


@pytest.fixture
def from_file(ritorno: Ritorno, tmp_path: Path) -> list[Event]:
    """Return the events of the file."""
    (tmp_path / "orders.csv").write_text(exports.SHOPIFY_ORDERS)
    source = "shopify:negozio.myshopify.com"
    options = ("--source", source, "--out", "out.ndjson", "--no-refunds")
    assert ritorno("import", "orders.csv", *options).code == 0
    return [parse_published(line) for line in (tmp_path / "out.ndjson").read_bytes().splitlines()]


@pytest.mark.parametrize("order", list(itertools.permutations(["webhook", "poll", "file"])))
def test_a_guests_order_is_one(from_file: list[Event], order: tuple[str, ...]) -> None:
    told = {"webhook": webhook(), "poll": as_history(webhook()), "file": from_file}
    harness = Harness()
    for by in order:
        for event in told[by]:
            harness.append(to_record(event))
    anna = harness.customer(ANNA)
    assert [each.id for each in anna.orders] == ["820001"]
    assert (anna.purchases.counts, anna.orders[0].total) == ({"EUR": 1}, Decimal("52.00"))


@pytest.mark.parametrize("file_first", [True, False])
def test_the_order_of_the_file_is_the_customers_whom_the_shop_names(
    from_file: list[Event], file_first: bool
) -> None:
    customer = {
        "id": 70001, "email": "anna.verdi@example.it", "first_name": "Anna",
        "created_at": "2026-01-01T10:00:00+01:00", "updated_at": "2026-03-01T10:00:00+01:00",
    }  # fmt: skip
    named = [*customer_events(customer, SHOP, is_new=True), *webhook(customer=customer)]
    harness = Harness()
    for event in [*from_file, *named] if file_first else [*named, *from_file]:
        harness.append(to_record(event))
    anna = harness.customer("70001")
    assert [each.id for each in anna.orders] == ["820001"]
    assert anna.purchases.counts == {"EUR": 1}
    assert anna.profile.first_name == "Anna"


def test_a_file_starts_nothing(from_file: list[Event]) -> None:
    harness = Harness()
    for event in from_file:
        harness.append(to_record(event))
    assert harness.mails == []
    assert {decided.decision for decided in harness.said()} <= {"not_entered"}
