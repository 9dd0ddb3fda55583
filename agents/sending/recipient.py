"""To which address a mail goes: to the one that belongs to its occasion.

A transactional mail of a run about an order goes to the address that the order itself names,
whoever has it: who orders for somebody else, or corrects a slip at the checkout, is told there.
A mail that asks an address on a list to confirm goes to that address, also where it is not the
customer's (`agents/customer/list_addresses.py`). Without either, and for all marketing, it is the
profile's. The answer follows from what is kept alone,
so it is the same at each look; where an order is changed, its latest statement counts.
"""

from __future__ import annotations

from agents.customer import list_addresses, mailed
from schemas.addresses import same_address
from schemas.commands import MailClass
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.decisions import Reason


def recipient(customer: Customer, run: Run, mail_class: MailClass) -> str:
    """Return the address that a run's mails of a class go to, empty when there is none."""
    if mail_class == "transactional" and run.order_id:
        order = customer.order(run.order_id, run.shop or None)
        if order is not None and order.email:
            return order.email
    if mail_class == "transactional" and run.list:
        asked = list_addresses.asked_by(customer, run)
        if asked is not None:
            return asked
    return customer.profile.email


def asks_to_confirm(run: Run) -> bool:
    """Return whether a run's transactional mails ask an address to confirm a list."""
    return bool(run.list) and "list.pending" in run.anchors


def refusal(customer: Customer, address: str) -> Reason | None:
    """Return why no mail at all may go to one of the customer's addresses; None when one may."""
    if not address:
        return "no_address"
    if same_address(address, customer.profile.email):
        return "suppressed" if customer.suppressed else None
    return "suppressed" if mailed.has_ended(customer, address) else None
