"""What is wrong with kept records, one by one: by themselves, and beside a copy of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from agents.mail.queue.queued_mail import unpack_entry
from schemas.customer import decode_customer
from schemas.failures import Failure
from schemas.reference import shown
from schemas.stored import HEAD_SIZE, OWN_PREFIX, due_of, head, is_erased
from streams.messages.plurals import several
from streams.runtime.state.own import check_own
from streams.runtime.state.store import Store
from streams.topology import CUSTOMERS, AgentSpec

NAMED = 3
"""Records that are named for each thing that is wrong with some."""

PAUSE = 500
"""Records looked at between two pauses: some milliseconds."""


@dataclass(slots=True)
class Finding:
    """Records of which the same is wrong."""

    number: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, key: bytes) -> None:
        """One more."""
        self.number += 1
        if len(self.names) < NAMED:
            self.names.append(_name(key))

    def __str__(self) -> str:
        more = ", …" if self.number > len(self.names) else ""
        return f"{several(self.number, 'record')} ({', '.join(self.names)}{more})"


Findings = dict[str, Finding]
"""By what is wrong."""


def problem_of(agent: AgentSpec, key: bytes, stored: bytes, end: int) -> str:
    """Return what is wrong with a kept record, empty if nothing is. `end`: of the log that the
    agent reads."""
    if len(stored) < HEAD_SIZE:
        return "too short to be read"
    if key.startswith(OWN_PREFIX):
        return _problem_of_own(agent, key, stored)
    # A mail's number is another one than an offset.
    if agent is CUSTOMERS and head(stored).applied >= end:
        return "ahead of the log"
    try:
        if not is_erased(stored) and _due(agent, key, stored) != due_of(stored):
            return "whose timer is not where it is looked for"
    except (Failure, msgspec.MsgspecError, UnicodeError):
        return "that can't be read"
    return ""


def _problem_of_own(agent: AgentSpec, key: bytes, stored: bytes) -> str:
    if agent is CUSTOMERS:
        try:
            check_own(key, stored)
        except Failure:
            return "of the partition's own that can't be read"
    return ""


def _due(agent: AgentSpec, key: bytes, stored: bytes) -> int:
    """Return when something is due of a customer or a mail, by its body."""
    if agent is CUSTOMERS:
        return decode_customer(key.decode(), stored).due()
    mail = unpack_entry(stored)
    return mail.forget if mail.finished else mail.due


async def differences(store: Store, reference: Store) -> Findings:
    """Return in what a store differs from another one, both by key. Raises StateError."""
    wrong: Findings = {}
    for count, (key, ours, theirs) in enumerate(_side_by_side(store, reference), start=1):
        if count % PAUSE == 0:
            await asyncio.sleep(0)
        if ours == theirs:
            continue
        if theirs is None:
            what = "that the changelog has not"
        elif ours is None:
            what = "missing"
        else:
            what = "other than in the changelog"
        wrong.setdefault(what, Finding()).add(key)
    return wrong


def _side_by_side(
    store: Store, reference: Store
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield each key with what both have of it."""
    one, other = store.scan(), reference.scan()
    ours, theirs = next(one, None), next(other, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and ours[0] < theirs[0]):
            assert ours is not None
            yield ours[0], ours[1], None
            ours = next(one, None)
        elif ours is None or theirs[0] < ours[0]:
            yield theirs[0], None, theirs[1]
            theirs = next(other, None)
        else:
            yield ours[0], ours[1], theirs[1]
            ours, theirs = next(one, None), next(other, None)


def _name(key: bytes) -> str:
    return repr(shown(key.decode("utf-8", "backslashreplace")))
