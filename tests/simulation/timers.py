"""Timers, as the log shows them: each decision that was due says when it was, and when it came."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from agents.effects import Effect
from schemas.customer import decode_customer
from schemas.decisions import Decision
from schemas.events import WORKFLOWS
from schemas.records import Record
from schemas.reference import bare_key, id_of
from schemas.stored import NEVER, head
from streams.partitioner import partition_of
from tests.simulation.machine import PARTITIONS, Environment


def check_timers(
    environment: Environment,
    effects: Sequence[Effect],
    behind: Set[int],
    live: Mapping[bytes, bytes],
    held: Set[str],
) -> None:
    """None early, none late but for what a budget has left over, none twice, none lost.

    Of all workflows, and so with exceptions; what exactly becomes of the simplest one,
    `Reckoning.check_timers` knows. `effects` are those of a fold, `behind` times at which its work
    was left over, `live` the kept states, `held` who was held back at some time.
    """
    clocks: defaultdict[int, list[int]] = defaultdict(list)
    for number, part in environment.partitions():
        clocks[number] += _clock(part)
    busy = {
        (bare_key(record.key or b""), time)
        for _, part in environment.partitions()
        for record, time in zip(part, _times(part), strict=True)
    }
    activated = {
        time
        for _, part in environment.partitions()
        for record, time in zip(part, _times(part), strict=True)
        if ("ce_type", WORKFLOWS.encode()) in record.headers
    }
    openings = _openings(effects)
    done: Counter[tuple[str, str, str]] = Counter()
    for decision in (e.content for e in effects if isinstance(e.content, Decision)):
        if decision.due is None or decision.decision in _PUT_OFF or decision.customer in held:
            continue
        if decision.decision == "sent":
            done[decision.customer, decision.run, decision.step] += 1
        clock = clocks[partition_of(decision.customer.encode(), PARTITIONS)]
        waits = decision.reason != "stopped" and decision.time not in openings
        assert decision.due <= decision.time or not waits, "not early"
        before = clock[bisect_left(clock, decision.time) - 1]
        key = id_of(decision.customer).encode()
        at_an_event = (key, decision.time) in busy
        # What a merge brings along, or a version that waits less, fires at the record after it.
        at_an_event |= (key, before) in busy
        at_an_event |= before in activated or decision.time in activated
        at_an_event |= before in behind or decision.time in behind
        assert before < decision.due or at_an_event or decision.time in openings, (
            f"not late: {decision}"
        )
    assert all(count == 1 for count in done.values()), "not twice"
    for key, stored in live.items():
        number = partition_of(key, PARTITIONS)
        assert head(stored).due > clocks[number][-1], f"not lost: {key!r}"
        customer = decode_customer(key.decode(), stored)
        assert head(stored).due == NEVER or customer.runs or customer.watches


_PUT_OFF = ("postponed", "held")


def _openings(effects: Iterable[Effect]) -> set[int]:
    """Times at which steps came that had been put off: to the next opening of their window, or as
    mails that were held, which are looked at whenever another one is due."""
    put_off = {
        (e.content.run, e.content.step)
        for e in effects
        if isinstance(e.content, Decision) and e.content.decision in _PUT_OFF
    }
    return {
        e.content.time
        for e in effects
        if isinstance(e.content, Decision) and (e.content.run, e.content.step) in put_off
    }


def _times(part: list[Record]) -> list[int]:
    now, times = 0, []
    for record in part:
        now = max(now, record.timestamp)
        times.append(now)
    return times


def _clock(part: list[Record]) -> list[int]:
    return sorted(set(_times(part)))
