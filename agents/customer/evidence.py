"""Evidence: what proves each yes and no that a customer has said, as far as there is room."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agents.context import Context
from schemas.bounds import brought_within, cut, kept_bytes, largest
from schemas.customer import Customer
from schemas.customer.consent import (
    EVIDENCE_KEPT,
    EVIDENCE_TEXT,
    EVIDENCE_TOTAL_BYTES,
    IP_BYTES,
    Evidence,
)
from schemas.events import Event
from schemas.events.person import ListChange, Statement
from schemas.time_units import HOUR_MS

ON_LIST = "list"
"""Purpose of the evidence for lists."""

SAID_AGAIN_MS = HOUR_MS
"""Within an hour the same words on a page that the same mail has led to prove nothing new."""

_LARGEST = largest(Evidence)


def evidence_of(event: Event, context: Context, purpose: str, *, agreed: bool) -> Evidence:
    """Return what an event says of a purpose, with its proof."""
    data: Statement = event.data
    return Evidence(
        purpose=purpose,
        given=agreed,
        time=context.when(event.time),
        source=cut(data.source or event.source, EVIDENCE_TEXT),
        event_id=event.id,
        list=data.list if isinstance(data, ListChange) else "",
        wording=cut(data.wording or "", EVIDENCE_TEXT),
        mail=cut(data.mail or "", EVIDENCE_TEXT),
        ip=cut(data.ip or "", IP_BYTES),
    )


def keep_evidence(customer: Customer, evidence: Evidence) -> None:
    """Keep a piece of evidence, also when it comes too late to count; the oldest of many gives way.

    What proves the last word on a list, or the last yes and no to a purpose, never does.
    """
    if evidence.mail and any(_says_again(evidence, each) for each in customer.evidence):
        return
    customer.evidence.append(evidence)
    drop_surplus(customer, evidence.purpose)


def drop_surplus(customer: Customer, purpose: str) -> None:
    """Let the oldest evidence give way where there is too much, of a purpose or of all."""
    while sum(each.purpose == purpose for each in customer.evidence) > EVIDENCE_KEPT:
        _drop_oldest(customer, [each for each in customer.evidence if each.purpose == purpose])
    if len(customer.evidence) * _LARGEST > EVIDENCE_TOTAL_BYTES:
        while kept_bytes(customer.evidence) > EVIDENCE_TOTAL_BYTES:
            _drop_oldest(customer, customer.evidence)


def bring_evidence_within(customer: Customer) -> None:
    """Let evidence give way that is too much since there were no bounds."""
    customer.evidence = [brought_within(each) for each in customer.evidence]
    while kept_bytes(customer.evidence) > EVIDENCE_TOTAL_BYTES:
        _drop_oldest(customer, customer.evidence)


def _says_again(evidence: Evidence, other: Evidence) -> bool:
    if abs(evidence.time - other.time) > SAID_AGAIN_MS:
        return False
    said = msgspec.structs.replace(evidence, time=other.time, event_id=other.event_id)
    return said == other


def _drop_oldest(customer: Customer, candidates: Sequence[Evidence]) -> None:
    """Drop the oldest of the candidates that is no proof of what holds.

    There is one: those that are, are as many at most as there are lists, and six.
    """
    proofs: dict[tuple[str, str, bool], Evidence] = {}
    for each in customer.evidence:
        about_list = each.purpose == ON_LIST
        if about_list and each.list not in customer.lists:
            continue
        about = (each.purpose, each.list if about_list else "", not about_list and each.given)
        if about not in proofs or each.time >= proofs[about].time:
            proofs[about] = each
    proving = {id(each) for each in proofs.values()}
    superseded = next((each for each in candidates if id(each) not in proving), candidates[0])
    customer.evidence = [each for each in customer.evidence if each is not superseded]
