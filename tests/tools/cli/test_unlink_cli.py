"""`ritorno customer unlink`: who isn't there is said, and what was done before isn't done again."""

from __future__ import annotations

import asyncio

import pytest

from agents.digests import digest
from schemas.customer import Customer, encode_customer
from schemas.customer.links import Links
from schemas.records import OutRecord
from schemas.reference import of_visitor
from streams.clock import SystemClock
from streams.log import scan
from streams.partitioner import partition_of
from streams.runtime.factories import log_from
from streams.settings.loading import load_settings
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["ritorno"]


@pytest.fixture
def kept(ritorno: Ritorno) -> Ritorno:
    """Anna was the visitor `v`, and an operator has said that she is not `w`."""
    ritorno("topics", "create")
    anna = Customer(key="anna", visitors=["v"], links=Links(unlinked=digest("w")))
    customers = [anna, Customer(key=of_visitor("v"), became="anna"), Customer(key=of_visitor("w"))]
    asyncio.run(_append([OutRecord(c.key.encode(), encode_customer(c)) for c in customers]))
    return ritorno


async def _append(records: list[OutRecord]) -> None:
    log = log_from(load_settings(), SystemClock())
    await log.start()
    partitions = await log.partitions(CUSTOMERS_CHANGELOG)
    for record in records:
        who = (record.key or b"").removeprefix(of_visitor("").encode())
        await log.append(CUSTOMERS_CHANGELOG, partition_of(who, partitions), [record])
    await log.stop()


async def _events() -> int:
    log = log_from(load_settings(), SystemClock())
    await log.start()
    found = [record async for record in scan(log, CUSTOMER_EVENTS) if record.key is not None]
    await log.stop()
    return len(found)


def test_it_is_said_that_a_worker_does_it_and_nothing_links_them_again(kept: Ritorno) -> None:
    done = kept("customer", "unlink", "anna", "v")
    assert done.code == 0
    assert "v is not anna from here on, as soon as a worker has read this." in done.out
    assert "Nothing links the two again." in " ".join(done.out.split())
    assert asyncio.run(_events()) == 1


def test_what_was_done_before_is_not_done_again(kept: Ritorno) -> None:
    done = kept("customer", "unlink", "anna", "w")
    assert (done.code, done.out) == (
        0,
        "w and anna are two people already, by an operator's word.\n",
    )
    assert asyncio.run(_events()) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("anna", "nobody"), "there is no visitor 'nobody'"),
        (("nobody", "v"), "there is no customer 'nobody'"),
        (("v", "anna"), "there is no customer 'v': the customer comes first, then the visitor 'v'"),
    ],
)
def test_who_is_not_there_is_said(kept: Ritorno, arguments: tuple[str, str], said: str) -> None:
    done = kept("customer", "unlink", *arguments)
    assert done.code == 2
    assert said in done.err
    assert asyncio.run(_events()) == 0
