"""A name server on loopback that knows what a test tells it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

from dns import flags, message, rcode, rdatatype, rrset
from dns.asyncresolver import Resolver

Records = Mapping[str, Mapping[str, Sequence[str]]]
"""Name → type → records, as a zone file writes them."""


class NameServer(asyncio.DatagramProtocol):
    """Answers by UDP; a name that it doesn't know does not exist."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.broken = False
        """Whether it answers with SERVFAIL."""
        self.silent = False
        """Whether it does not answer at all."""
        self.asked: Counter[tuple[str, str]] = Counter()
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = message.from_wire(data)
        (question,) = query.question
        name, type_ = question.name.to_text(omit_final_dot=True), question.rdtype
        self.asked[name, rdatatype.to_text(type_)] += 1
        if self.silent:
            return
        answer = message.make_response(query)
        answer.flags |= flags.RA
        if self.broken:
            answer.set_rcode(rcode.SERVFAIL)
        elif name not in self.records:
            answer.set_rcode(rcode.NXDOMAIN)
        elif found := self.records[name].get(rdatatype.to_text(type_)):
            answer.answer.append(rrset.from_text(question.name, 300, "IN", type_, *found))
        self._transport.sendto(answer.to_wire(), addr)

    def resolver(self) -> Resolver:
        """Return a resolver that asks nobody else."""
        resolver = Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self.port
        resolver.lifetime = 2.0
        return resolver


@asynccontextmanager
async def nameserver(records: Records) -> AsyncIterator[NameServer]:
    """Run one."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(records), local_addr=("127.0.0.1", 0)
    )
    server.port = transport.get_extra_info("sockname")[1]
    try:
        yield server
    finally:
        transport.close()
