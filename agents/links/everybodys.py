"""Customers who are nobody in particular."""

from __future__ import annotations

from schemas.customer import Customer
from schemas.everybodys import is_everybodys


def stands_for_many(customer: Customer) -> bool:
    """Return whether a record is nobody's in particular: by its id, or since more addresses were
    named with it than a person has."""
    return customer.links.customers_many or is_everybodys(customer.key)
