"""What shops and mailers export, known by the heads; with the facts of a connected shop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.connect.facts import as_history, guest_key
from streams.connect.shopify.orders import order_events
from streams.connect.shopify.settings import ShopifyConnection
from streams.log import Log, LogError
from streams.settings import Settings
from streams.tools.cli import import_files, import_writing
from streams.tools.export_formats import FORMATS, recognised
from tests.tools.order_import import exports
from tests.tools.order_import.conftest import Ritorno

SOURCE = "shopify:negozio.myshopify.com"
ANNA = guest_key("anna.verdi@example.it")


class Imports:
    """Imports a file into NDJSON and reads it back."""

    def __init__(self, ritorno: Ritorno, directory: Path) -> None:
        self._ritorno = ritorno
        self._directory = directory
        self.err = ""
        self.report: dict[str, Any] = {}

    def __call__(self, content: str | bytes, *options: str) -> list[dict[str, Any]]:
        path = self._directory / "export.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        done = self._ritorno("import", "export.csv", "--out", "out.ndjson", "--json", *options)
        self.err, self.report = done.err, done.json[0]
        assert done.code == (1 if self.report["dead_lettered"] else 0), done.err
        lines = (self._directory / "out.ndjson").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines]
        assert all(event["backfill"] for event in events)  # history starts nothing
        return events


@pytest.fixture
def imported(ritorno: Ritorno, tmp_path: Path) -> Imports:
    return Imports(ritorno, tmp_path)


def of(events: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == type_]


def test_each_format_is_recognised_by_its_own_heads() -> None:
    for each in FORMATS:
        header = [names[0] for names in each.needs]
        found = recognised(header)
        assert found is not None
        assert found.name == each.name
    assert recognised(["order_id", "customer_id", "price"]) is None


def test_shopifys_orders_are_the_facts_that_its_webhooks_tell(imported: Imports) -> None:
    events = imported(exports.SHOPIFY_ORDERS, "--source", SOURCE)
    assert "recognised: Shopify orders" in imported.err
    orders = of(events, "order.completed")
    assert [event["id"] for event in orders] == ["order:820001:completed", "order:820003:completed"]
    first = orders[0]
    assert (first["source"], first["backfill"], first["time"]) == (
        SOURCE, True, "2026-03-02T09:15:00Z",
    )  # fmt: skip
    data = first["data"]
    assert {name: data[name] for name in ("order_id", "total", "shipping", "tax", "discount")} == {
        "order_id": "820001", "total": "52.00", "shipping": "4.90", "tax": "9.38",
        "discount": "5.00",
    }  # fmt: skip
    assert (data["coupon"], data["payment_method"], data["email"]) == (
        "MARZO", "paypal", "anna.verdi@example.it",
    )  # fmt: skip
    assert data["order_number"] == "#1001"
    assert [(line["product_id"], line.get("quantity", 1)) for line in data["products"]] == [
        ("MOKA-3", 1), ("Tazza - blu", 2),
    ]  # fmt: skip
    connection = ShopifyConnection(
        kind="shopify", name="negozio", shop="negozio.myshopify.com", secret="env:NONE"
    )
    webhook = {
        "id": 820001, "email": "anna.verdi@example.it", "test": False, "currency": "EUR",
        "processed_at": "2026-03-02T10:15:00+01:00", "updated_at": "2026-03-02T10:15:04+01:00",
        "total_price": "52.00", "financial_status": "paid", "customer": None, "line_items": [],
    }  # fmt: skip
    [told] = [e for e in as_history(order_events(webhook, connection)) if e.type == first["type"]]
    assert (told.id, told.source, told.customer) == (first["id"], SOURCE, first["subject"])
    assert (told.anonymous_id, told.time) == (ANNA, 1_772_442_900_000)


def test_what_was_not_paid_is_no_purchase_and_what_was_called_off_is(imported: Imports) -> None:
    events = imported(exports.SHOPIFY_ORDERS, "--source", SOURCE)
    assert imported.report["unplaced_orders"] == 1
    [refund] = of(events, "order.refunded")
    assert (refund["data"]["order_id"], refund["data"]["total"]) == ("820001", "10.00")
    [cancelled] = of(events, "order.cancelled")
    assert (cancelled["id"], cancelled["time"]) == (
        "order:820003:cancelled", "2026-03-04T07:00:00Z",
    )  # fmt: skip
    events = imported(exports.SHOPIFY_ORDERS, "--source", SOURCE, "--no-refunds")
    assert of(events, "order.refunded") == []


def test_without_a_source_who_ordered_is_known_by_the_address(imported: Imports) -> None:
    events = imported(exports.SHOPIFY_ORDERS)
    assert {event["source"] for event in events} == {"/ritorno/import"}
    assert events[0]["subject"] == "anna.verdi@example.it"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_woocommerces_orders_in_italian_as_excel_writes_them(
    imported: Imports, encoding: str
) -> None:
    content = exports.WOO_ORDERS.replace("Macchina", "Macchina del caffè").encode(encoding)
    events = imported(content, "--source", "woocommerce:negozio.example.it")
    first, second = of(events, "order.completed")
    assert (first["id"], first["subject"]) == ("order:5001:completed", "12")
    assert "anonymousid" not in first  # the bill may go to somebody else's address
    assert first["time"] == "2026-03-02T09:15:00Z"
    assert first["data"]["products"][0] == {
        "product_id": "901", "sku": "MOKA-3", "name": "Moka 3 tazze", "price": "47.10",
    }  # fmt: skip
    assert (second["data"]["total"], second["data"]["coupon"]) == ("1052.00", "SCONTO")
    assert second["data"]["products"][0]["name"] == "Macchina del caffè"
    [refund] = of(events, "order.refunded")
    assert (refund["data"]["order_id"], refund["data"]["total"]) == ("5002", "1052.00")
    assert imported.report["unplaced"] == 1


def test_prestashops_and_magentos_orders(imported: Imports) -> None:
    [order] = of(
        imported(exports.PRESTA_ORDERS, "--source", "prestashop:negozio.example.it"),
        "order.completed",
    )
    assert (order["id"], order["subject"], order["data"]["total"]) == (
        "order:71:completed", "12", "52.00",
    )  # fmt: skip
    [order] = of(
        imported(exports.MAGENTO_ORDERS, "--source", "magento:negozio.example.it"),
        "order.completed",
    )
    assert (order["id"], order["subject"]) == ("order:000000301:completed", ANNA)
    assert "such a file lacks lines" in imported.err


def test_what_names_nobody_is_said_before_anything_is_read(
    ritorno: Ritorno, tmp_path: Path
) -> None:
    (tmp_path / "orders.csv").write_text(
        "ID;Riferimento;Nuovo cliente;Consegna;Cliente;Totale;Pagamento;Stato;Data\n"
        "71;XKBKNABJK;1;Italia;A. Verdi;52,00 €;Bonifico;Pagamento accettato;02/03/2026 10:15\n"
    )
    done = ritorno("import", "orders.csv", "--dry-run", "--source", "prestashop:negozio.example.it")
    assert "such a file lacks addresses" in done.err


def test_shopifys_customers_have_agreed_at_no_known_time(imported: Imports) -> None:
    events = imported(exports.SHOPIFY_CUSTOMERS, "--source", SOURCE)
    assert [event["subject"] for event in events] == ["70001", "70002"]
    assert events[0]["anonymousid"] == ANNA
    assert events[0]["data"]["tags"] == ["vip", "moka"]
    assert events[0]["data"]["phone"] == "+390212345"
    assert (imported.report["agreed_without_time"], imported.report["agreed"]) == (1, 0)
    options = ("--consented-since", "2026-01-01", "--confirmed")
    [said] = of(
        imported(exports.SHOPIFY_CUSTOMERS, "--source", SOURCE, *options), "list.subscribed"
    )
    assert (said["time"], said["data"]["confirmed"]) == ("2025-12-31T23:00:00Z", True)
    assert said["data"]["source"] == "export.csv"


def test_prestashops_customers_with_their_evidence(imported: Imports) -> None:
    events = imported(exports.PRESTA_CUSTOMERS, "--source", "prestashop:negozio.example.it")
    created = of(events, "customer.created")
    assert [event["id"] for event in created] == ["customer:12:created", "customer:13:created"]
    assert created[0]["data"]["birthday"] == "1980-05-17"
    assert "birthday" not in created[1]["data"]
    [said] = of(events, "list.subscribed")
    assert said["time"] == "2026-02-01T09:00:00Z"
    assert (said["data"]["ip"], said["data"]["email"]) == ("203.0.113.7", "anna.verdi@example.it")
    assert "confirmed" not in said["data"]
    assert imported.report["unconfirmed"] == 1


def test_klaviyos_profiles(imported: Imports) -> None:
    events = imported(exports.KLAVIYO)
    [said], [left] = of(events, "list.subscribed"), of(events, "list.unsubscribed")
    assert (said["time"], said["anonymousid"]) == ("2026-02-01T08:00:00Z", ANNA)
    assert left["time"] == "2026-02-03T08:00:00Z"
    assert imported.report["customers"] == 3


def test_mailchimps_files_say_who_has_confirmed_and_who_has_left(imported: Imports) -> None:
    events = imported(exports.MAILCHIMP_SUBSCRIBED, "--zone", "UTC")
    anna, dario = of(events, "list.subscribed")
    assert (anna["time"], anna["data"]["confirmed"]) == ("2026-02-01T09:05:00Z", True)
    assert anna["data"]["ip"] == "203.0.113.8"
    assert "confirmed" not in dario["data"]
    events = imported(exports.MAILCHIMP_UNSUBSCRIBED, "--zone", "UTC")
    assert of(events, "list.subscribed") == []
    [left] = of(events, "list.unsubscribed")
    assert (left["time"], left["data"]["source"]) == (
        "2026-02-05T09:00:00Z", "export.csv: NORMAL",
    )  # fmt: skip
    cleaned = exports.MAILCHIMP_UNSUBSCRIBED.replace("UNSUB_TIME", "CLEAN_TIME")
    assert len(of(imported(cleaned), "list.unsubscribed")) == 1


def test_other_customers_by_named_columns(imported: Imports) -> None:
    content = "Codice;Posta;Quando;Sì/No\n7;anna.verdi@example.it;01/02/2026 10:00;sì\n"
    events = imported(
        content, "--what", "customers", "--map", "customer_id=Codice", "--map", "email=Posta",
        "--map", "consent=Sì/No", "--map", "consent_time=Quando",
    )  # fmt: skip
    assert [event["type"] for event in events] == ["customer.updated", "list.subscribed"]
    assert events[1]["time"] == "2026-02-01T09:00:00Z"


def test_rows_that_cannot_be_used_cost_the_row(imported: Imports) -> None:
    content = exports.KLAVIYO + "nessuno,01X,,,,,,,SUBSCRIBED,2026-02-01 09:00:00\nx,y\n"
    imported(content)
    assert imported.report["dead_lettered_by_reason"] == {"bad_csv": 1, "missing_id": 1}
    assert imported.report["customers"] == 3


def test_a_dry_run_says_what_would_be_lost_and_writes_nothing(
    ritorno: Ritorno, tmp_path: Path
) -> None:
    (tmp_path / "c.csv").write_text(exports.SHOPIFY_CUSTOMERS)
    ritorno("topics", "create")
    done = ritorno("import", "c.csv", "--dry-run", "--source", SOURCE)
    assert done.code == 0
    assert "agreed, but not when: left out (--consented-since says it)" in done.out
    assert "columns: Customer ID → customer_id" in done.err
    assert "not read (rows with something in them): Total Spent (2), Total Orders (2)" in done.err
    assert ritorno("customer", "show", "70001").code == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--source", "negozio"], "--source negozio: expected KIND:HOST"),
        (["--consented-since", "allora"], "--consented-since allora: "),
        (["--map", "colour=Tags", "--what", "customers"], "--map colour=Tags: expected FIELD"),
    ],
)
def test_mistakes_in_the_call_are_explained(
    ritorno: Ritorno, tmp_path: Path, options: list[str], complaint: str
) -> None:
    (tmp_path / "c.csv").write_text(exports.SHOPIFY_CUSTOMERS)
    done = ritorno("import", "c.csv", *options)
    assert done.code == 2
    assert complaint in done.err


def test_what_is_in_one_log_is_in_no_other() -> None:
    def digest(**where: str) -> str:
        settings = Settings(data_dir=Path("data"), **where)  # type: ignore[arg-type]  # texts
        return import_files._digest(settings, "c", {}, chosen)

    chosen: Any = None
    kafka = digest(broker="kafka://kafka-1:9092")
    assert len({digest(), kafka, digest(broker="kafka://kafka-1:9092", topic_prefix="it.")}) == 3
    assert digest(broker="kafka://kafka-1:9092") == kafka


def test_an_interrupted_import_goes_on_where_it_was(
    ritorno: Ritorno, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"k{number},anna{number}@example.it,Anna" for number in range(1_200)]
    (tmp_path / "c.csv").write_text("\n".join(["customer_id,email,first_name", *rows]) + "\n")
    ritorno("topics", "create")
    options = ("import", "c.csv", "--what", "customers", "--json")
    append, times = import_writing.append_all, 0

    async def fail_at_the_third(log: Log, records: object) -> None:
        nonlocal times
        times += 1
        if times == 3:
            raise LogError("the broker is gone")
        await append(log, records)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(import_writing, "append_all", fail_at_the_third)
    done = ritorno(*options)
    assert done.code == 1
    assert "Published before: 1,000 events" in done.err
    assert len(list((tmp_path / "data" / "imports").glob("*.json"))) == 1
    done = ritorno(*options)
    assert (done.code, times) == (0, 4)
    assert "behind 1,000 events" in done.err
    assert done.json[0]["customers"] == 1_200
    assert list((tmp_path / "data" / "imports").iterdir()) == []
