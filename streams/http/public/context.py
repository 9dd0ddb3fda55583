"""What the public pages share: they read tokens, answer with pages and write events."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from agents.customer.tracking import SOURCE
from agents.mail.message.tokens import BadToken, ContentT, Tokens
from schemas import topics
from schemas.events import PAYLOADS, Event
from schemas.signing import RecordSigner
from schemas.wire import to_record
from streams.clock import Clock
from streams.http.public.messages import PageMessages
from streams.http.public.pages import Pages
from streams.http.server.proxies import NamedProxies
from streams.log import Log
from streams.operate.public_metrics import SiteMetrics
from streams.partitioner import partition_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContext:
    """Handed to every part of the site."""

    log: Log
    tokens: Tokens
    signer: RecordSigner
    pages: Pages
    clock: Clock
    metrics: SiteMetrics
    keep_ip: bool
    """Whether evidence says from which address it came."""
    proxies: NamedProxies

    def read(self, request: web.Request, kind: type[ContentT]) -> ContentT | None:
        """Return what the link's token says, None when it is none of ours of this kind."""
        try:
            return self.tokens.read(request.match_info["token"], kind)
        except BadToken:
            return None

    def proof(
        self, request: web.Request, messages: PageMessages, *, source: str, mail: str
    ) -> dict[str, str]:
        """Return the fields of an event that prove what was said on a page, and how."""
        proof = {"source": source, "wording": messages.version, "mail": mail}
        if self.keep_ip:
            proof["ip"] = self.proxies.address(request)
        return proof

    def event(self, type_: str, customer: str, data: dict[str, Any]) -> Event:
        """Return an event of now, with an id of its own: who unsubscribes, comes back and
        unsubscribes by the same link means it."""
        return Event(
            id=uuid.uuid4().hex,
            type=type_,
            source=SOURCE,
            time=self.clock.now(),
            customer=customer,
            anonymous_id=None,
            backfill=False,
            data=PAYLOADS[type_].model_validate(data),
        )

    async def append(self, events: Sequence[Event]) -> None:
        """Append events about one customer, in order; once back they are durable.

        Raises LogError.
        """
        key = events[0].customer.encode()
        partition = partition_of(key, await self.log.partitions(topics.CUSTOMER_EVENTS))
        records = [self.signer.sign(topics.CUSTOMER_EVENTS, to_record(event)) for event in events]
        await self.log.append(topics.CUSTOMER_EVENTS, partition, records)
