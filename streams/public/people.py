"""What is known of the person who opens a page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from schemas import topics
from schemas.customer import Customer, decode_customer
from schemas.stored import is_erased
from streams.customers import NotOwned
from streams.log import Log, LogError
from streams.lookup import latest_state

SECONDS = 4.0
"""As long as somebody waits for a page. A worker that has the customer's partition answers at once;
another one reads the changelog, as fast as a recovery does (see `make bench`)."""

AT_ONCE = 2
"""Changelogs read at the same time: a page that is asked for again and again must cost little."""

_log = structlog.get_logger(__name__)


class Unseen(Exception):
    """It can't be told right now what is known."""


class People:
    """Finds the kept record of a customer."""

    def __init__(self, log: Log, read_own: Callable[[bytes, int], bytes | None]) -> None:
        """`read_own` reads the state of this worker, or raises NotOwned."""
        self._log = log
        self._read_own = read_own
        self._reading = asyncio.Semaphore(AT_ONCE)

    async def find(self, customer_id: str) -> Customer | None:
        """Return who it is, None when nothing is known (any more). Raises Unseen."""
        try:
            async with asyncio.timeout(SECONDS):
                customer = await self._find(customer_id)
                if customer is not None and customer.became:
                    return await self._find(customer.became)
                return customer
        except (LogError, TimeoutError) as error:
            _log.warning("a customer's choices can't be shown", error=repr(error))
            raise Unseen from error

    async def _find(self, customer_id: str) -> Customer | None:
        key = customer_id.encode()
        partitions = await self._log.partitions(topics.CUSTOMER_EVENTS)
        try:
            stored = self._read_own(key, partitions)
        except NotOwned:
            async with self._reading:
                stored = await latest_state(self._log, key)
        if stored is None or is_erased(stored):
            return None
        return decode_customer(customer_id, stored)
