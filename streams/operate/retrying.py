"""Lists what is set aside and still open, and has a customer who is held back tried again.

All of it is told from the dead letters: each place has one, and who sends it again resolves it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from schemas.controls import control_record
from schemas.dead_letters import DeadLetter, resolve
from schemas.events import RETRY
from schemas.records import OutRecord
from schemas.retry import Retry, decode_retry, encode_retry
from schemas.signing import RecordSigner
from streams.log import Log
from streams.operate.dead_letters import open_letters
from streams.partitioner import partition_of
from streams.runtime.control_numbers import reserve
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS, WORKFLOWS

REASONS = ("internal_error", "held_back")


class WaitingCustomer(NamedTuple):
    """A customer whose events wait."""

    partition: int
    customer: str


@dataclass(slots=True)
class SetAsides:
    """What nobody has dealt with."""

    events: int = 0
    """Records that were refused by a defect of ours."""
    others: Counter[str] = field(default_factory=Counter)
    """Timers, changes, definitions, products."""
    held_back: list[WaitingCustomer] = field(default_factory=list)
    overflowing: int = 0
    """Events that could not even wait."""

    def __bool__(self) -> bool:
        return bool(self.events or self.others or self.held_back or self.overflowing)


async def set_asides(log: Log) -> SetAsides:
    """Return what is open. Raises LogError."""
    found, held = SetAsides(), dict[WaitingCustomer, None]()
    async for letter in open_letters(log, lambda each: each.reason in REASONS):
        if letter.reason == "held_back":
            found.overflowing += 1
            continue
        retry = _retry_of(letter)
        if retry is None:
            found.events += 1
        elif kind := _kind(retry):
            found.others[kind] += 1
        else:
            held[WaitingCustomer(letter.origin.partition, retry.customer)] = None
    found.held_back = list(held)
    return found


async def try_again(log: Log, customer: str, signer: RecordSigner, *, afresh: bool) -> None:
    """Have what waits for a customer applied; `afresh`: to nothing, giving up what is kept.

    Resolves the dead letters about it. Does nothing for who isn't held back. Raises LogError.
    """
    number = partition_of(customer.encode(), await log.partitions(CUSTOMER_EVENTS))
    plain = retry_record(Retry(customer=customer, afresh=afresh, partition=number))
    record = signer.sign(CUSTOMER_EVENTS, (await reserve(log, WORKFLOWS)).on(plain))
    await log.append(CUSTOMER_EVENTS, number, [record])
    about = Retry(customer=customer)
    resolved: dict[int, list[OutRecord]] = defaultdict(list)
    async for letter in open_letters(log, lambda each: _retry_of(each) == about):
        resolved[letter.partition].append(resolve(letter))
    for partition, records in resolved.items():
        await log.append(DEAD_LETTERS, partition, records)


def retry_record(retry: Retry) -> OutRecord:
    """Return the control record that has something tried again."""
    return control_record(RETRY, encode_retry(retry))


def _retry_of(letter: DeadLetter) -> Retry | None:
    """Return what a letter has tried again, wherever; None when it is the record itself."""
    if dict(letter.original.headers).get("ce_type") != RETRY.encode():
        return None
    try:
        return replace(decode_retry(letter.original.value), partition=None)
    except ValueError:
        return None


def _kind(retry: Retry) -> str:
    """Return what it is, in a word; empty for a customer who is held back."""
    if retry.definition:
        return "definitions"
    if retry.product:
        return "products"
    if retry.news or retry.follow or retry.workflows:
        return "changes not told"
    return "timers" if retry.runs or retry.watches else ""
