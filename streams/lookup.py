"""Looking up one customer's latest state in the changelog, also while a worker runs.

The changelog is the truth and the worker's store a copy that only the worker may open, so a lookup
reads the customer's partition of the changelog from end to end, as recovery does and by the same
rule: the highest `applied` wins, a tombstone wins over all before it.
"""

from __future__ import annotations

from collections.abc import Callable

from schemas.stored import head
from streams.log import Log
from streams.partitioner import partition_of
from streams.topology import CUSTOMERS_CHANGELOG


async def latest_state(
    log: Log, key: bytes, on_progress: Callable[[int, int], None] = lambda _done, _all: None
) -> bytes | None:
    """Return the kept record of `key` (`schemas/stored.py`), None when there is none.

    `on_progress` gets the records read so far and those to read in all. Raises LogError.
    """
    partition = partition_of(key, await log.partitions(CUSTOMERS_CHANGELOG))
    span = (await log.offsets(CUSTOMERS_CHANGELOG))[partition]
    latest: bytes | None = None
    async for chunk in log.read(CUSTOMERS_CHANGELOG, partition, span.start, span.end):
        for record in chunk:
            if record.key == key and _wins(record.value, latest):
                latest = record.value
        if chunk:
            on_progress(chunk[-1].offset + 1 - span.start, span.end - span.start)
    return latest


def _wins(value: bytes | None, latest: bytes | None) -> bool:
    if value is None or latest is None:
        return True
    return head(value).applied >= head(latest).applied
