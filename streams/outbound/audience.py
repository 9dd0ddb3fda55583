"""Writes the audience of a segment into a file: hashes alone, in an order that names nobody."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from agents.mail.suppression import AddressHashes, Suppressions
from agents.outbound.audience import (
    COLUMNS,
    AudienceFormat,
    AudienceRow,
    Selection,
    is_member,
    row_of,
)
from schemas.customer import UnreadableRecord, decode_customer
from schemas.definitions import DEFINITION
from schemas.definitions.shop import Segments
from schemas.failures import InputError
from schemas.records import OutRecord
from schemas.reserved import SUBJECTS
from schemas.signals import SIGNAL, AudienceExported
from schemas.stored import OWN_PREFIX, is_erased
from schemas.suppressions import AUDIT, read_suppression
from streams.log import Log, OnProgress, no_progress, scan
from streams.partitioner import partition_of
from streams.runtime import definitions
from streams.runtime.state.recovery import recovered_stores
from streams.topology import CUSTOMER_SIGNALS, CUSTOMERS_CHANGELOG, SUPPRESSIONS

_NOBODY = (OWN_PREFIX, *(subject.encode() for subject in SUBJECTS))
"""Begin the keys of what is no customer's."""


TOLD_TOGETHER = 500
"""Signals in one append: some 150 kB."""


class AudienceReport(NamedTuple):
    """What was written, and who was left out."""

    written: int
    with_phone: int
    left_out: dict[str, int]
    unreadable: int


class AudienceExport(NamedTuple):
    """What is said of a file to those who are in it."""

    id: str
    time: int
    by: str
    """Who writes it."""


class UnknownSegment(InputError):
    """No live segment is called so."""


async def export_audience(
    log: Log,
    path: Path,
    *,
    segment: str,
    format_: AudienceFormat,
    country: str,
    hashes: AddressHashes,
    export: AudienceExport,
    also: tuple[str, ...] = (),
    on_progress: OnProgress = no_progress,
) -> AudienceReport:
    """Write the file, which is there as a whole or not at all. The same log gives the same bytes.

    Who is in it is told of in `customer-signals` before it is there (`AudienceExported`), so no
    file is without a trace. Customers are read a partition at a time; what is held of all are 16
    bytes for each that is written. Raises LogError, UnknownSegment, OSError.
    """
    await _check_segment(log, segment)
    suppressions = await _suppressions(log, hashes)
    selection = Selection(
        segment, format_, country, lambda email: suppressions.suppressed(email, "marketing"), also
    )
    counts: Counter[str] = Counter()
    unreadable = written = with_phone = 0
    known: set[bytes] = set()
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(COLUMNS[format_])
            async for partition, store in recovered_stores(log, CUSTOMERS_CHANGELOG, on_progress):
                rows: list[tuple[AudienceRow, str]] = []
                for key, stored in store.scan():
                    if key.startswith(_NOBODY) or is_erased(stored):
                        continue
                    try:
                        customer = decode_customer(key.decode(), stored)
                    except (UnreadableRecord, UnicodeDecodeError):
                        unreadable += 1
                        continue
                    if not is_member(customer, segment):
                        continue
                    found = row_of(customer, selection)
                    if isinstance(found, AudienceRow):
                        rows.append((found, customer.key))
                    else:
                        counts[found] += 1
                traces = (_trace(who, segment, format_, export) for _, who in rows)
                while together := list(islice(traces, TOLD_TOGETHER)):
                    await log.append(CUSTOMER_SIGNALS, partition, together)
                for row, _ in sorted(rows):
                    digest = bytes.fromhex(row.email)[:16]
                    if digest in known:
                        counts["twice"] += 1
                        continue
                    known.add(digest)
                    out.writerow(row)
                    written += 1
                    with_phone += bool(row.phone)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return AudienceReport(written, with_phone, dict(sorted(counts.items())), unreadable)


async def exports(
    log: Log, customer: str | None = None, on_progress: OnProgress = no_progress
) -> list[tuple[AudienceExported, int]]:
    """Return the files of which the log knows, oldest first, each as one of those in it was told,
    and how many were; `customer`: only those in which somebody is. Raises LogError."""
    found: dict[str, tuple[AudienceExported, int]] = {}
    partitions = None
    if customer is not None:
        count = await log.partitions(CUSTOMER_SIGNALS)
        partitions = [partition_of(customer.encode(), count)]
    async for record in scan(log, CUSTOMER_SIGNALS, partitions, on_progress=on_progress):
        if b'"audience.exported"' not in (record.value or b""):
            continue
        try:
            told = SIGNAL.validate_json(record.value or b"")
        except ValidationError:
            continue
        if isinstance(told, AudienceExported) and customer in (None, told.customer):
            first, count = found.get(told.export, (told, 0))
            found[told.export] = first, count + 1
    return sorted(found.values(), key=lambda each: each[0].time)


def _trace(customer: str, segment: str, format_: str, export: AudienceExport) -> OutRecord:
    told = AudienceExported(
        id=hashlib.blake2b(f"{export.id}\0{customer}".encode(), digest_size=16).hexdigest(),
        time=export.time,
        customer=customer,
        export=export.id,
        segment=segment,
        format=format_,
        by=export.by,
    )
    return OutRecord(customer.encode(), told.model_dump_json().encode())


async def _check_segment(log: Log, segment: str) -> None:
    published = await definitions.read(log)
    version = (published.live or {}).get("segments", "")
    content = published.definitions.get(("segments", version))
    found = None if content is None else DEFINITION.validate_json(content)
    names = [each.id for each in found.segments] if isinstance(found, Segments) else []
    if segment not in names:
        there_are = ", ".join(names) or "none"
        raise UnknownSegment(f"no segment {segment!r} is published; there are: {there_are}")


async def _suppressions(log: Log, hashes: AddressHashes) -> Suppressions:
    found = Suppressions(hashes)
    async for record in scan(log, SUPPRESSIONS):
        name = (record.key or b"").decode("ascii", "replace")
        suppression = None if name.startswith(AUDIT) else read_suppression(record.value)
        if suppression is not None:
            found.apply(name, suppression)
    return found
