"""Suppressions as people handle them: who is on the list and why, adding, releasing.

The list is `suppressions` (`schemas/suppressions.py`); what a person does is written there a second
time for good. A release also tells the actors of all customers who have the address: they are found
in their changelog, since the list knows no customers.
"""

from __future__ import annotations

from typing import NamedTuple

from agents.digests import address_digest, derived_id
from agents.mail.suppression import AddressHashes
from schemas.addresses import normalized_address, same_address
from schemas.customer import UnreadableRecord, decode_customer
from schemas.events import Event
from schemas.events.own import AddressReleased
from schemas.records import OutRecord
from schemas.signing import RecordSigner
from schemas.stored import OWN_PREFIX, Damaged, head, is_erased
from schemas.suppressions import (
    AUDIT,
    Suppression,
    SuppressionScope,
    read_suppression,
    to_suppression_record,
)
from schemas.wire import to_record
from streams.log import Log, OnProgress, no_progress, scan
from streams.partitioner import partition_of
from streams.runtime.skipped_records import SkippedRecords
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, SUPPRESSIONS

SOURCE = "/ritorno/suppressions"


class Listed(NamedTuple):
    """The topic's content."""

    latest: dict[str, Suppression]
    """By hash, in the order of the last change."""
    audit: list[tuple[str, Suppression]]
    """Hash and what a person did, oldest first."""


class Author(NamedTuple):
    """Who decides, when and why."""

    by: str
    time: int
    note: str


async def read_list(log: Log) -> Listed:
    """Read the whole topic. Raises LogError."""
    listed = Listed({}, [])
    async for record in scan(log, SUPPRESSIONS):
        key = (record.key or b"").decode("ascii", "replace")
        suppression = read_suppression(record.value)
        if suppression is None:
            continue  # the workers' logs say so
        if key.startswith(AUDIT):
            listed.audit.append((key.removeprefix(AUDIT).partition(".")[2], suppression))
        else:
            listed.latest.pop(key, None)
            listed.latest[key] = suppression
    return listed


async def suppress(
    log: Log, hashes: AddressHashes, address: str, scope: SuppressionScope, author: Author
) -> None:
    """Put an address on the list. Raises LogError."""
    suppression = Suppression(
        state="suppressed",
        scope=scope,
        reason="manual",
        time=author.time,
        by=author.by,
        note=author.note,
    )
    await _write(log, {hashes.current(address): suppression})


class Released(NamedTuple):
    """What a release has changed."""

    hashes: int
    customers: list[str]


async def release(
    log: Log,
    hashes: AddressHashes,
    address: str,
    author: Author,
    signer: RecordSigner,
    on_progress: OnProgress = no_progress,
) -> Released:
    """Take an address off the list, and let its customers' actors know. Raises LogError.

    Interrupted, it can be repeated: what is released already is no hindrance.
    """
    latest = (await read_list(log)).latest
    on_list = {
        key: latest[key].model_copy(
            update={"state": "released", "time": author.time, "by": author.by, "note": author.note}
        )
        for key in hashes.all(address)
        if key in latest and latest[key].state == "suppressed"
    }
    customers = await _suppressed_customers(log, address, on_progress)
    await _write(log, on_list)
    await _tell(log, customers, address, author, signer)
    return Released(len(on_list), customers)


async def _write(log: Log, changes: dict[str, Suppression]) -> None:
    records: list[OutRecord] = []
    for key, suppression in changes.items():
        records.append(to_suppression_record(key, suppression))
        records.append(to_suppression_record(f"{AUDIT}{suppression.time}.{key}", suppression))
    if records:
        await log.append(SUPPRESSIONS, 0, records)


async def _suppressed_customers(log: Log, address: str, on_progress: OnProgress) -> list[str]:
    """Return the customers with this address whose actors mail them no more."""
    latest: dict[bytes, int] = {}
    found: dict[bytes, int] = {}
    skipped = SkippedRecords("a customer's record")
    async for record in scan(log, CUSTOMERS_CHANGELOG, on_progress=on_progress):
        try:
            _follow(record.key or b"", record.value, normalized_address(address), latest, found)
        except (UnreadableRecord, UnicodeDecodeError, Damaged) as error:
            skipped.note(record, error)
    skipped.tell()
    return sorted(key.decode() for key in found)


def _follow(
    key: bytes, value: bytes | None, wanted: str, latest: dict[bytes, int], found: dict[bytes, int]
) -> None:
    """Take note of one record of the changelog; the highest `applied` wins, as in recovery."""
    if key.startswith(OWN_PREFIX):
        return
    if value is None:
        latest.pop(key, None)
        found.pop(key, None)
        return
    applied = head(value).applied
    matches = not is_erased(value) and _matches(key, value, wanted)
    if not matches and key not in found:
        return
    if applied < latest.get(key, -1):
        return
    latest[key] = applied
    if matches:
        found[key] = applied
    else:
        found.pop(key, None)


def _matches(key: bytes, value: bytes, wanted: str) -> bool:
    local = wanted.partition("@")[0]
    if local.isascii() and local.encode() not in value.lower():
        return False  # a twentieth of the time that decoding takes
    customer = decode_customer(key.decode(), value)
    if same_address(wanted, customer.profile.email):
        return bool(customer.suppressed)
    # The actor's rules take a while to import, for which who lists needn't wait.
    from agents.customer import mailed  # noqa: PLC0415  # see above

    own = (order.email for order in customer.orders if order.email)
    return any(same_address(wanted, address) for address in own) and mailed.has_ended(
        customer, wanted
    )


async def _tell(
    log: Log, customers: list[str], address: str, author: Author, signer: RecordSigner
) -> None:
    partitions = await log.partitions(CUSTOMER_EVENTS)
    for customer in customers:
        event = Event(
            id=derived_id("address.released", customer, str(author.time)),
            type="address.released",
            source=SOURCE,
            time=author.time,
            customer=customer,
            anonymous_id=None,
            backfill=False,
            data=AddressReleased(reason=author.note, by=author.by, address=address_digest(address)),
        )
        partition = partition_of(customer.encode(), partitions)
        record = signer.sign(CUSTOMER_EVENTS, to_record(event))
        await log.append(CUSTOMER_EVENTS, partition, [record])
