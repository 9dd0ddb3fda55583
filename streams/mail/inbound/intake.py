"""Takes in messages that came back, one at a time, and says when one may be forgotten."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from agents.mail.bounces.limits import LARGEST
from agents.mail.bounces.matching import ReadLink, match, outcome
from agents.mail.message.verp import ReturnAddresses
from schemas import topics
from schemas.events import Event
from schemas.signing import RecordSigner
from schemas.wire import to_record
from streams.clock import Clock
from streams.log import Log
from streams.logging import get_logger
from streams.mail.inbound.kept import KeptFullError, KeptMessages
from streams.mail.inbound.reading_process import ReadingProcess
from streams.operate.return_metrics import Channel, IntakeResult, ReturnCounters
from streams.partitioner import partition_of

DIGEST_BYTES = 16

_log = get_logger(__name__)


class ReturnIntake:
    """Turns messages into events."""

    def __init__(
        self,
        *,
        log: Log,
        returns: ReturnAddresses,
        read_link: ReadLink,
        clock: Clock,
        metrics: ReturnCounters,
        reader: ReadingProcess,
        kept: KeptMessages,
        signer: RecordSigner,
    ) -> None:
        """`kept` takes the messages that a person should read."""
        self.returns = returns
        self.metrics = metrics
        self._log = log
        self._read_link = read_link
        self._clock = clock
        self._reader = reader
        self._kept = kept
        self._signer = signer

    async def accept(
        self, raw: bytes, channel: Channel, recipients: Sequence[str] = ()
    ) -> IntakeResult:
        """Take a message in; once this returns, it may be forgotten where it came from.

        `recipients` are those of the envelope, where it is known. Raises BusyError (by SMTP alone,
        others wait), KeptFullError (a message for a person has no room here, and lies in no mailbox
        either), LogError, OSError.
        """
        digest = hashlib.blake2b(raw, digest_size=DIGEST_BYTES).hexdigest()
        verdict = await self._reader.read(raw, patient=channel != "smtp")
        found = match(verdict, recipients, self.returns, self._read_link)
        if found.forged:
            self.metrics.forged(channel, found.forged)
        event = None
        result: IntakeResult = "unmatched"
        if found.reference is not None:
            event = outcome(verdict, found.reference, digest, self._clock.now())
            result = "unclear" if verdict.first.kind == "unknown" else "noted"
        if event is not None:
            await self._append_event(event)
            result = "told"
        elif result != "noted":
            result = await self._keep(digest, raw, channel, result)
        self.metrics.returned(channel, verdict.first.kind, result)
        _log.info("a message came back", way=channel, kind=verdict.first.kind,
                  reason=verdict.first.reason, taken=result,
                  command=found.reference.command_id if found.reference else None)  # fmt: skip
        return result

    async def _keep(
        self, digest: str, raw: bytes, channel: Channel, result: IntakeResult
    ) -> IntakeResult:
        """Keep what was read of a message for a person, and return what became of it."""
        try:
            await asyncio.to_thread(self._kept.add, digest, raw[:LARGEST])
        except KeptFullError as error:
            _log.error("there is no room for messages that a person should read", way=channel,
                       error=str(error))  # fmt: skip
            self.metrics.failed(channel)
            if channel == "smtp":
                raise
            return "full"
        return result

    async def _append_event(self, event: Event) -> None:
        key = event.customer.encode()
        partition = partition_of(key, await self._log.partitions(topics.CUSTOMER_EVENTS))
        record = self._signer.sign(topics.CUSTOMER_EVENTS, to_record(event))
        await self._log.append(topics.CUSTOMER_EVENTS, partition, [record])
