"""Every row is applied, cancelled, anonymous or refused, and the orders are those of the file."""

from decimal import Decimal
from pathlib import Path

import pytest

from schemas.instant import to_rfc3339
from schemas.wire import parse_published
from streams.tools.order_import.event_lines import to_line
from streams.tools.order_import.imported_order import MAX_LINES
from tests.tools.order_import.orders import HEADER, import_file, import_lines

GOOD = "1,c-1,2026-03-01 10:00:00,p-1,Olio,2,16.90"


def test_scattered_lines_make_one_order_at_its_earliest_time(tmp_path: Path) -> None:
    done = import_lines(
        tmp_path,
        [
            "1,c-1,2026-03-01 10:01:00,p-1,Olio,2,16.90",
            "2,c-2,2026-03-01 09:00:00,p-2,Moka,1,29.90",
            "1,c-1,2026-03-01 10:00:00,p-3,Omaggio,1,0",
        ],
    )
    assert [event.id for event in done.events] == ["import:2", "import:1"]
    order = done.events[1]
    assert order.customer == "c-1"
    assert order.backfill
    assert to_rfc3339(order.time or 0) == "2026-03-01T09:00:00Z"
    assert [product.product_id for product in order.data.products] == ["p-1", "p-3"]
    assert order.data.total == Decimal("33.80")
    report = done.report
    assert (report.applied, report.orders, report.items, report.customers) == (3, 2, 4, 2)
    assert report.revenue == {"EUR": Decimal("63.70")}


def test_reversals_are_refunds_under_their_own_id(tmp_path: Path) -> None:
    done = import_lines(
        tmp_path,
        [GOOD, "C1,c-1,2026-03-02 10:00:00,p-1,Olio,-1,16.90", "C1,c-1,2026-03-02,p-2,Moka,1,10"],
        cancelled_prefix="C",
    )
    refund = done.events[1]
    assert refund.type == "order.refunded"
    assert (refund.data.order_id, refund.data.refund_id) == ("1", "C1")
    assert refund.data.total == Decimal("26.90")  # with or without the minus: money went back
    assert (done.report.applied, done.report.cancelled, done.report.refunds) == (1, 2, 1)


def test_without_a_prefix_nothing_is_a_reversal(tmp_path: Path) -> None:
    done = import_lines(tmp_path, ["C1,c-1,2026-03-02,p-1,Olio,-1,16.90"])
    assert done.reasons() == {2: "bad_quantity"}
    assert "--cancelled-prefix" in done.refusals[0].detail


def test_orders_without_a_customer_are_anonymous(tmp_path: Path) -> None:
    done = import_lines(tmp_path, [GOOD, "2,,2026-03-01 10:00:00,p-1,Olio,1,16.90"])
    assert (done.report.applied, done.report.anonymous, done.report.orders) == (1, 1, 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,1,-1.00", "negative_price"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,0,1.00", "bad_quantity"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,-3,1.00", "bad_quantity"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,1.5,1.00", "bad_quantity"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,many,1.00", "bad_quantity"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,99999999,1.00", "bad_quantity"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,1,NaN", "bad_price"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,1,1e9", "bad_price"),
        ('1,c-1,2026-03-01 10:00:00,p-1,Olio,1,"1,250"', "bad_price"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,1,", "bad_price"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,1000000,999999", "too_large"),
        ("1,c-1,1970-01-01 10:00:00,p-1,Olio,1,1.00", "bad_time"),
        ("1,c-1,2100-01-01 10:00:00,p-1,Olio,1,1.00", "bad_time"),
        ("1,c-1,12/31/2025,p-1,Olio,1,1.00", "bad_time"),
        ("3,c-1,,p-1,Olio,1,1.00", "bad_time"),
        (",c-1,2026-03-01 10:00:00,p-1,Olio,1,1.00", "missing_id"),
        ("1,c-2,2026-03-01 10:00:00,p-1,Olio,1,1.00", "other_customer"),
        ("1,c-1,2026-03-01 10:00:00,,,1,1.00", "missing_product"),
        ("1,c\x07-1,2026-03-01 10:00:00,p-1,Olio,1,1.00", "missing_id"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,1", "bad_csv"),
        ("1,c-1,2026-03-01 10:00:00,p-1,Olio,1,1.00,more", "bad_csv"),
        ("1,c-1,2026-03-01 10:00:00,p-1,\udce8,1,1.00", "bad_encoding"),
    ],
)
def test_a_bad_line_is_refused_and_the_others_make_the_order(
    tmp_path: Path, line: str, reason: str
) -> None:
    done = import_lines(tmp_path, [GOOD, line])
    assert done.reasons() == {3: reason}
    assert done.refusals[0].row.raw == line.encode("utf-8", "surrogateescape")
    assert done.report.revenue == {"EUR": Decimal("33.80")}
    assert done.report.applied == 1


def test_an_endless_order_is_cut_and_says_so(tmp_path: Path) -> None:
    done = import_lines(tmp_path, [GOOD] * (MAX_LINES + 2))
    assert done.report.refused == {"too_large": 2}
    assert len(done.events[0].data.products) == MAX_LINES


def test_a_quoted_field_may_hold_line_breaks(tmp_path: Path) -> None:
    lines = ['1,c-1,2026-03-01,p-1,"Olio\nbuono",1,1.00', "2,c-1,2026-03-02,p-1,Olio,x,1.00"]
    done = import_lines(tmp_path, lines)
    assert done.events[0].data.products[0].name == "Olio buono"
    assert done.reasons() == {4: "bad_quantity"}


def test_one_row_per_order_with_its_total(tmp_path: Path) -> None:
    done = import_lines(
        tmp_path,
        ["#1,anna@posta.example,2026-03-01 10:00:00 +0100,52.00,EUR,Anna",
         "#2,Anna@Posta.example,2026-03-02 10:00:00 +0100,10.00,,Anna",
         "#3,anna@posta.example,2026-03-02 10:00:00 +0100,-10.00,EUR,Anna"],
        header="Order,Email,Created at,Total,Currency,First name",
    )  # fmt: skip
    assert done.reasons() == {4: "negative_price"}
    assert [event.customer for event in done.events] == ["anna@posta.example"] * 3
    assert done.events[0].data.first_name == "Anna"
    assert [event.data.total for event in done.events[1:]] == [Decimal(52), Decimal(10)]
    assert done.events[1].data.products == []
    assert to_rfc3339(done.events[1].time or 0) == "2026-03-01T09:00:00Z"


def test_times_without_a_zone_are_the_shops(tmp_path: Path) -> None:
    line = "1,c-1,2026-07-01 10:00:00,p-1,Olio,1,1.00"
    rome = import_lines(tmp_path, [line]).events[0].time
    london = import_lines(tmp_path, [line], zone="Europe/London").events[0].time
    assert to_rfc3339(rome or 0) == "2026-07-01T08:00:00Z"
    assert to_rfc3339(london or 0) == "2026-07-01T09:00:00Z"


def test_italian_notation(tmp_path: Path) -> None:
    done = import_lines(
        tmp_path,
        ["7;c-1;01/03/2026 10:30;p-1;2;€ 1.234,50"],
        header="Numero ordine;Codice cliente;Data ordine;Codice prodotto;Quantità;Prezzo",
        time_format="%d/%m/%Y %H:%M",
        decimal_comma=True,
    )
    assert done.report.revenue == {"EUR": Decimal("2469.00")}
    assert to_rfc3339(done.events[0].time or 0) == "2026-03-01T09:30:00Z"


def test_what_a_file_says_of_customers_comes_before_their_orders(tmp_path: Path) -> None:
    header = HEADER + ",email,country"
    lines = [f"{GOOD},anna@posta.example,IT", "2,c-2,2026-03-02,p-1,Olio,1,1.00,none,IT"]
    done = import_lines(tmp_path, lines, header=header)
    assert [event.type for event in done.events] == [
        "customer.updated", "order.completed", "customer.updated", "order.completed",
    ]  # fmt: skip
    assert done.events[0].data.email == "anna@posta.example"
    assert done.events[2].data.email is None
    assert done.report.left_out.counts() == {"email": 1}


def test_what_a_file_says_of_a_customer_was_said_at_the_time_of_its_order(tmp_path: Path) -> None:
    header = HEADER + ",email,country"
    rows = [("4", "2026-03-04", "new@posta.example,"), ("1", "2026-03-01", "old@posta.example,IT"),
            ("3", "2026-03-03", "new@posta.example,IT"), ("2", "2026-03-02", ","),
            ("5", "2026-03-05", "old@posta.example,IT")]  # fmt: skip
    lines = [f"{id_},c-1,{day} 12:00,p-1,Olio,1,1.00,{said}" for id_, day, said in rows]
    done = import_lines(tmp_path, lines, header=header)
    said = [event for event in done.events if event.type == "customer.updated"]
    assert [(to_rfc3339(each.time or 0)[8:10], each.data.email, each.data.country)
            for each in said] == [
        ("01", "old@posta.example", "IT"), ("03", "new@posta.example", None),
        ("05", "old@posta.example", None),
    ]  # fmt: skip
    assert len({each.id for each in said}) == 3, "what is said again is another statement"
    assert import_lines(tmp_path, lines, header=header).events == done.events
    assert all(each.data.model_fields_set for each in said), "an empty cell says nothing"


def test_the_same_file_gives_the_same_ids(tmp_path: Path) -> None:
    lines = [GOOD, "2,c-1,2026-03-02,p-1,Olio,1,1.00"]
    first = import_lines(tmp_path, lines, header=HEADER)
    again = import_lines(tmp_path, lines, header=HEADER)
    assert first.events == again.events


def test_events_survive_being_written_to_a_file(tmp_path: Path) -> None:
    header = HEADER + ",email"
    done = import_lines(
        tmp_path,
        [f"{GOOD},anna@posta.example", "C9,c-1,2026-03-02,p-1,Olio,-1,1.00,"],
        header=header,
        cancelled_prefix="C",
    )
    read = [parse_published(to_line(event)) for event in done.events]
    assert [event._replace(data=None) for event in read] == [
        event._replace(data=None, named=True) for event in done.events
    ]
    for one, other in zip(read, done.events, strict=True):
        assert one.data.model_dump() == other.data.model_dump()


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(f"{HEADER}\n{GOOD.replace('Olio', 'Caffè')}\n".encode("latin-1"))
    assert import_file(path).reasons() == {2: "bad_encoding"}
    assert import_file(path, encoding="latin-1").events[0].data.products[0].name == "Caffè"
