"""What an erased person's actor has told to actors of our own, coupon pools and links: it lies
under their keys, names the person, and says nothing about anybody once it doesn't."""

from __future__ import annotations

import json
from dataclasses import dataclass

from schemas.events import TOLD_TO_LINKS
from schemas.records import OutRecord, Record
from schemas.signing import SIGNATURE, RecordSigner
from streams.operate.lookup import latest_progress
from streams.operate.privacy.record_contents import json_of, spellings, superseded, text_of
from streams.operate.privacy.traces import Erasure
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.logs.embedded.redaction import Redaction
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG

_NAMES = ("customer_id", "replaces")
_ASKED, _LEFT = "coupon.requested", "link.left"
_TOLD = frozenset(each.encode() for each in (_ASKED, *TOLD_TO_LINKS))


@dataclass(slots=True)
class ToldToOurs:
    """Those messages, of one person."""

    log: EmbeddedLog
    names: tuple[str, ...]
    records: list[Record]
    signer: RecordSigner | None

    async def is_obeyed(self) -> bool:
        """Return whether the links know that the person has left: they have read all of it."""
        for partition in {each.partition for each in self.records}:
            progress = await latest_progress(self.log, partition)
            read = 0 if progress is None else progress.next_offset
            if any(each.offset >= read for each in self.records if each.partition == partition):
                return False
        return True

    async def anonymise(self, redaction: Redaction) -> None:
        """Let the messages name nobody, and older states of the links neither."""
        for partition in {each.partition for each in self.records}:
            theirs = [each for each in self.records if each.partition == partition]
            changes = {each.offset: self._anonymous(each) for each in theirs}
            await redaction.change(CUSTOMER_EVENTS, partition, changes)
            for key in {each.key for each in theirs if each.key and _is_of_link(each)}:
                states = superseded(await redaction.with_key(CUSTOMERS_CHANGELOG, partition, key))
                removed = dict.fromkeys(each.offset for each in states)
                await redaction.change(CUSTOMERS_CHANGELOG, partition, removed)

    def _anonymous(self, record: Record) -> OutRecord:
        message = json_of(record.value)
        for name in _NAMES:
            if message.get(name) in self.names:
                message = {**message, name: "erased"}
        if "run" in message:
            message = {**message, "run": ""}
        changed = OutRecord(record.key, json.dumps(message).encode(), record.headers)
        if self.signer is None or record.header(SIGNATURE) is None:
            return changed
        return self.signer.sign(CUSTOMER_EVENTS, changed)


async def told_of(
    log: EmbeddedLog, redaction: Redaction, erasure: Erasure, signer: RecordSigner | None
) -> ToldToOurs:
    """Return what a person's actor has told before it was erased, and that it has left. `signer`
    signs what is changed of a signed record. Raises LogError."""
    words = spellings(*erasure.names)
    found: list[Record] = []
    for partition in range(await log.partitions(CUSTOMER_EVENTS)):
        found += [
            each
            for each in await redaction.holding(CUSTOMER_EVENTS, partition, words)
            if each.header("ce_type") in _TOLD
            and any(text_of(each.value, name) in erasure.names for name in _NAMES)
            and (each.timestamp <= erasure.stamp or each.header("ce_type") == _LEFT.encode())
        ]
    return ToldToOurs(log, erasure.names, found, signer)


def _is_of_link(record: Record) -> bool:
    return record.header("ce_type") != _ASKED.encode()
