"""`ritorno suppressions`: what is listed, added and released, by whom and why."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agents.customer import mailed
from schemas.customer import Customer, encode_customer
from schemas.customer.person import Profile
from schemas.customer.shopping import Order
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from tests.tools.cli.conftest import Ritorno
from tests.tools.cli.test_commands import append, stored

ADDRESS = "anna.verdi@cliente.example"


@pytest.fixture
def shop(ritorno: Ritorno) -> Ritorno:
    assert ritorno("topics", "create").code == 0
    return ritorno


def kept(key: str, email: str, suppressed: str, applied: int = 1) -> bytes:
    profile = Profile(email=email)
    return encode_customer(
        Customer(key=key, applied=applied, profile=profile, suppressed=suppressed)
    )


def with_order(key: str, *, ended: bool) -> bytes:
    """Somebody with another address, and an order that names this one."""
    order = Order("o1", 1, Decimal(5), "EUR", email=ADDRESS.upper())
    customer = Customer(key=key, applied=1, profile=Profile(email="z@x.example"), orders=[order])
    mailed.remember(customer, "m1", ADDRESS, 1)
    if ended:
        mailed.end(customer, ADDRESS)
    return encode_customer(customer)


def test_add_list_show_release(shop: Ritorno) -> None:
    assert "Nothing is suppressed" in shop("suppressions", "list").out
    done = shop("suppressions", "add", ADDRESS, "--reason", "asked by phone", "--by", "ugo")
    assert (done.code, done.out) == (0, "suppressed (all)\n")
    (listed,) = shop("suppressions", "list", "--json").json
    assert (listed["scope"], listed["reason"], listed["by"]) == ("all", "manual", "ugo")
    assert listed["note"] == "asked by phone"
    assert "anna" not in shop("suppressions", "list").out
    done = shop("suppressions", "release", ADDRESS.upper(), "--reason", "she wrote", "--by", "lia")
    assert (done.code, done.out) == (0, "released; told: 0 customers\n")
    assert shop("suppressions", "list", "--json").json == []
    assert len(shop("suppressions", "list", "--all", "--json").json) == 1
    history = shop("suppressions", "show", ADDRESS, "--json").json
    assert [(each["state"], each["by"]) for each in history] == [
        ("suppressed", "ugo"),
        ("released", "lia"),
    ]
    assert "is not on the list" in shop("suppressions", "show", "ugo@cliente.example").out


def test_a_release_reaches_the_customers_who_have_the_address(shop: Ritorno) -> None:
    append(CUSTOMERS_CHANGELOG, b"anna", kept("anna", ADDRESS, "bounced"))
    append(CUSTOMERS_CHANGELOG, b"same", kept("same", ADDRESS.title(), "bounced"))
    append(CUSTOMERS_CHANGELOG, b"other", kept("other", "x@cliente.example", "bounced"))
    append(CUSTOMERS_CHANGELOG, b"free", kept("free", ADDRESS, ""))
    append(
        CUSTOMERS_CHANGELOG,
        b"moved",
        kept("moved", ADDRESS, "bounced"),
        kept("moved", "y@cliente.example", "", 2),
    )
    append(CUSTOMERS_CHANGELOG, b"guest", with_order("guest", ended=True))
    append(CUSTOMERS_CHANGELOG, b"delivered", with_order("delivered", ended=False))
    append(CUSTOMERS_CHANGELOG, b"gone", kept("gone", ADDRESS, "bounced"), None)
    done = shop("suppressions", "release", ADDRESS, "--reason", "it was the server's mistake",
                "--json")  # fmt: skip
    assert done.json == [{"state": "released", "customers": 3}]
    records = [record for record in stored(CUSTOMER_EVENTS) if record.key]
    assert sorted(record.key or b"" for record in records) == [b"anna", b"guest", b"same"]
    assert {record.header("ce_type") for record in records} == {b"address.released"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["add", "nobody", "--reason", "x"], "nobody is no mail address"),
        (["add", ADDRESS, "--reason", " "], "--reason: expected 1 to 500 characters"),
        (["add", ADDRESS], "Missing option '--reason'"),
        (["add", ADDRESS, "--reason", "x", "--scope", "some"], "--scope some: expected all or"),
        (["release", ADDRESS, "--reason", "x"], f"{ADDRESS} is not suppressed"),
    ],
)
def test_mistakes_are_one_clear_line(shop: Ritorno, arguments: list[str], expected: str) -> None:
    done = shop("suppressions", *arguments)
    assert done.code == 2
    assert expected in done.err
    assert "Traceback" not in done.err
