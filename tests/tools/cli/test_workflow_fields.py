"""`ritorno workflows fields` and `review`."""

from __future__ import annotations

from pathlib import Path

from agents.commerce.coupons import POOL_PREFIX
from schemas.customer import Customer, encode_customer, encode_erased
from schemas.wire import parse_record
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from tests.tools.cli.conftest import Ritorno
from tests.tools.cli.test_commands import append, stored

SHIPPED = str(Path(__file__).parents[3] / "workflows")


def test_fields_are_listed_with_the_shops_own(ritorno: Ritorno) -> None:
    fields = {each["name"]: each for each in ritorno("workflows", "fields", SHIPPED, "--json").json}
    count = fields["orders.count"]
    assert (count["type"], count["by_time"]) == ("number", False)
    assert "order.completed" in count["changed_by"]
    assert "at_least" in count["possible"]
    assert fields["scores.engagement"]["by_time"]
    assert "is" not in fields["scores.engagement"]["possible"]
    assert "fields.first_purchase" in fields
    assert "vip" in fields["segments"]["values"]
    assert "event.price" not in fields
    listed = ritorno("workflows", "fields", SHIPPED, "--event", "product.viewed").out
    assert "event.price" in listed
    assert "orders.count" in listed


def test_an_event_that_there_is_not_is_a_mistake(ritorno: Ritorno) -> None:
    done = ritorno("workflows", "fields", SHIPPED, "--event", "product.seen")
    assert done.code == 2
    assert "product.seen" in done.err
    near = ritorno("workflows", "fields", SHIPPED, "--event", "product.view")
    assert "did you mean product.viewed?" in near.err


def test_a_review_is_for_every_known_customer(ritorno: Ritorno) -> None:
    assert ritorno("topics", "create").code == 0
    before = len(stored(CUSTOMER_EVENTS))
    for key in ("anna", "bruno", "carla"):
        known = encode_customer(Customer(key=key, applied=1, views=1))
        append(CUSTOMERS_CHANGELOG, key.encode(), known, known)
    append(CUSTOMERS_CHANGELOG, b"carla", encode_erased(2))
    append(CUSTOMERS_CHANGELOG, b"bruno", None)
    pool = f"{POOL_PREFIX}welcome"
    append(CUSTOMERS_CHANGELOG, pool.encode(), encode_customer(Customer(key=pool, views=1)))
    assert ritorno("workflows", "review", "--json").json == [{"customers": 1, "partitions": 4}]
    assert "1 customer will" in ritorno("workflows", "review").out
    events = [parse_record(each) for each in stored(CUSTOMER_EVENTS)[before:] if each.key]
    assert [(each.type, each.customer) for each in events] == [("customer.reviewed", "anna")] * 2
    assert len({each.id for each in events}) == 2
