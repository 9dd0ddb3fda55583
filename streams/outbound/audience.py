"""Writes the audience of a segment into a file: hashes alone, in an order that names nobody."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

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
from schemas.reserved import SUBJECTS
from schemas.stored import OWN_PREFIX, is_erased
from schemas.suppressions import AUDIT, read_suppression
from streams.log import Log, OnProgress, no_progress, scan
from streams.runtime import definitions
from streams.runtime.state.recovery import recovered_stores
from streams.topology import CUSTOMERS_CHANGELOG, SUPPRESSIONS

_NOBODY = (OWN_PREFIX, *(subject.encode() for subject in SUBJECTS))
"""Begin the keys of what is no customer's."""


class AudienceReport(NamedTuple):
    """What was written, and who was left out."""

    written: int
    with_phone: int
    left_out: dict[str, int]
    unreadable: int


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
    also: tuple[str, ...] = (),
    on_progress: OnProgress = no_progress,
) -> AudienceReport:
    """Write the file, which is there as a whole or not at all. The same log gives the same bytes.

    Customers are read a partition at a time; what is held of all are 16 bytes for each that is
    written. Raises LogError, UnknownSegment, OSError.
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
            async for _, store in recovered_stores(log, CUSTOMERS_CHANGELOG, on_progress):
                rows: list[AudienceRow] = []
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
                        rows.append(found)
                    else:
                        counts[found] += 1
                for row in sorted(rows):
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
