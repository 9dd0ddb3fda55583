"""Who is meant by a link: the one whom it names, and by one of release 0.1 also a visitor."""

from __future__ import annotations

import pytest

from schemas.customer import Customer, encode_customer
from schemas.reference import of_visitor
from streams.http.public.lookup import CustomerLookup
from tests.runtime.doubles import memory_log

KEPT = {
    each.key.encode(): encode_customer(each)
    for each in (
        Customer(key="anna", first_seen=1, views=1),
        Customer(key=of_visitor("anna"), first_seen=1, views=2),
        Customer(key=of_visitor("w"), first_seen=1, views=3),
        Customer(key=of_visitor("known"), became="anna"),
    )
}


@pytest.mark.parametrize(
    ("named", "views"),
    [("anna", 1), (of_visitor("anna"), 2), (of_visitor("w"), 3), ("w", 3), ("known", 1),
     (of_visitor("known"), 1), ("nobody", None)],
)  # fmt: skip
async def test_a_link_leads_to_whom_it_names(named: str, views: int | None) -> None:
    lookup = CustomerLookup(await memory_log(2), lambda key, _: KEPT.get(key), None)
    found = await lookup.find(named)
    assert (found.views if found else None) == views
