"""What a refused record of `customer-events` is when it is sent again: after all that came since.

    workflows, products   as the guarded topics have them now, with a new number
    a retry               of the partition again, with a new number, if it is as we have written it
    what actors told      without its origin: what came behind it was heard meanwhile, so that by
                          its origin it would be a repetition; it goes by source and id, and has
                          a new number, so that no copy of it is heard again

Whoever may write to `customer-events` or `dead-letters` can't have anything signed in this way:
what is signed here is either what a guarded topic says, or what we had signed before and have
refused ourselves, though not because it was a copy. A copy of something that was obeyed long ago
is refused by us, too, and our letter says why: a retry had its number already (`outdated`), what an
actor told lay in another partition than it was told to (`misplaced`). Those stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import from_json

from schemas.dead_letters import DeadLetter, is_signed
from schemas.events import PRODUCTS, RETRY, WORKFLOWS
from schemas.origin import HEADER as ORIGIN
from schemas.records import OutRecord, Record
from schemas.reserved import is_anybodys
from schemas.signing import NUMBER, NotSigned, RecordSigner, number_of
from schemas.validation import Unreadable
from schemas.wire import parse_record
from streams.log import Log
from streams.partitioner import partition_of
from streams.runtime import definitions, product_feed
from streams.runtime.control_numbers import reserve
from streams.topology import CUSTOMER_EVENTS
from streams.topology import PRODUCTS as PRODUCT_TOPIC
from streams.topology import WORKFLOWS as WORKFLOW_TOPIC


class NotResent(Exception):
    """It stays where it is; the text says why, and what to do instead."""


async def as_of_now(
    log: Log, letter: DeadLetter, record: OutRecord, signer: Callable[[], RecordSigner]
) -> OutRecord:
    """Return the record of a letter as it is to be told now. Raises NotResent, and what `signer`
    raises."""
    kind = dict(record.headers).get("ce_type", b"").decode("utf-8", "replace")
    if kind == RETRY:
        # The letter has the customer's key, so that it is found.
        control = record._replace(key=None)
        if letter.reason == "misplaced":
            raise NotResent("a copy of a retry of another partition: not told once more")
        if letter.reason == "outdated" and number_of(record.headers) is not None:
            raise NotResent("a retry that has a number was told before: not told once more")
        if _is_ours(control, letter, signer()):
            return signer().sign(CUSTOMER_EVENTS, (await reserve(log, WORKFLOW_TOPIC)).on(control))
        return control  # and will be refused
    if record.key is None and kind == WORKFLOWS:
        live = (await definitions.read(log)).live
        if live is None or record.value != definitions.control_record(live).value:
            raise NotResent("other workflows have been published since: ritorno workflows publish")
        control = (await reserve(log, WORKFLOW_TOPIC)).on(definitions.control_record(live))
        return signer().sign(CUSTOMER_EVENTS, control)
    if record.key is None and kind == PRODUCTS:
        return await _products_now(log, record, signer)
    if dict(record.headers).keys() & {ORIGIN, NUMBER}:
        return await _told_again(log, letter, record, signer)
    return record


async def _products_now(
    log: Log, record: OutRecord, signer: Callable[[], RecordSigner]
) -> OutRecord:
    known = await product_feed.read(log)
    try:
        told = from_json(record.value or b"")["products"]
        ids = {str(each.get("product_id") or each["sku"]) for each in told}
    except (ValueError, KeyError, TypeError, AttributeError):
        return record  # it is refused again, with the reason
    control = product_feed.control_record(product_feed.told_of(known, ids))
    return signer().sign(CUSTOMER_EVENTS, (await reserve(log, PRODUCT_TOPIC)).on(control))


async def _told_again(
    log: Log, letter: DeadLetter, record: OutRecord, signer: Callable[[], RecordSigner]
) -> OutRecord:
    headers = [each for each in record.headers if each[0] not in (ORIGIN, NUMBER)]
    plain = record._replace(headers=headers)
    if not _is_ours(record, letter, signer()):
        return plain  # whatever only we may say is refused once more
    home = partition_of(record.key or b"", await log.partitions(CUSTOMER_EVENTS))
    if letter.reason == "misplaced" or letter.origin.partition != home:
        raise NotResent("a copy of what was told to another partition: not told once more")
    if letter.reason == "outdated":
        raise NotResent("what has a number was told before: not told once more")
    if not _is_anybodys(plain):
        plain = (await reserve(log, WORKFLOW_TOPIC)).on(plain)
    return signer().sign(CUSTOMER_EVENTS, plain)


def _is_anybodys(record: OutRecord) -> bool:
    """Whether anybody might publish it as it is, so that a copy of it is nothing more."""
    try:
        return is_anybodys(parse_record(Record(CUSTOMER_EVENTS, 0, 0, 0, *record)))
    except Unreadable:
        return False


def _is_ours(record: OutRecord, letter: DeadLetter, signer: RecordSigner) -> bool:
    """Whether we have written a record. Raises NotResent when it wasn't we who refused it."""
    try:
        signer.check(CUSTOMER_EVENTS, Record(CUSTOMER_EVENTS, 0, 0, 0, *record))
    except NotSigned:
        return False
    if not is_signed(letter, signer):
        raise NotResent("it wasn't Ritorno that has refused it: a copy, and not told once more")
    return True
