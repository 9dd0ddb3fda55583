"""Looks up the customer whom a page's link is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from schemas import topics
from schemas.customer import Customer, decode_customer
from schemas.reference import is_visitors, of_visitor
from schemas.stored import is_erased
from streams.http.internal.client import Lookups
from streams.log import Log, LogError
from streams.logging import get_logger
from streams.operate.lookup import latest_states
from streams.runtime.customers import NotOwned

SECONDS = 4.0
"""As long as somebody waits for a page. A worker that has the customer's partition answers at once,
another one asks that one; while nobody has it, the changelog is read as a recovery does."""

AT_ONCE = 2
"""Customers of others at the same time: a page that is asked for again and again costs little."""

_log = get_logger(__name__)


class LookupUnavailable(Exception):
    """It can't be told right now what is known."""


class CustomerLookup:
    """Finds the kept record of a customer."""

    def __init__(
        self, log: Log, read_own: Callable[[bytes, int], bytes | None], lookups: Lookups | None
    ) -> None:
        """`read_own` reads the state of this worker, or raises NotOwned; `lookups` asks others."""
        self._log = log
        self._read_own = read_own
        self._lookups = lookups
        self._reading = asyncio.Semaphore(AT_ONCE)

    async def find(self, customer_id: str) -> Customer | None:
        """Return who it is, None when nothing is known (any more). Raises Unseen."""
        try:
            async with asyncio.timeout(SECONDS):
                customer = await self._find(customer_id)
                if customer is None and not is_visitors(customer_id):
                    customer = await self._find(of_visitor(customer_id))  # a link of release 0.1
                if customer is not None and customer.became:
                    return await self._find(customer.became)
                return customer
        except (LogError, TimeoutError) as error:
            _log.warning("a customer's choices can't be shown", error=repr(error))
            raise LookupUnavailable from error

    async def _find(self, customer_id: str) -> Customer | None:
        key = customer_id.encode()
        partitions = await self._log.partitions(topics.CUSTOMER_EVENTS)
        try:
            stored = self._read_own(key, partitions)
        except NotOwned:
            async with self._reading:
                states = await latest_states(self._log, customer_id, lookups=self._lookups)
                stored = states.get(customer_id)
        if stored is None or is_erased(stored):
            return None
        return decode_customer(customer_id, stored)
