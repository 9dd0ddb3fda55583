"""A recorded topic is replayed as the worker read it, misplaced records and defects included."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from agents.customer import actor
from agents.effects import Effect
from agents.partition.partition import PartitionActors
from schemas.customer import decode_customer
from schemas.records import OutRecord
from schemas.reference import of_visitor
from schemas.stored import NEVER, OWN_PREFIX, PROGRESS_KEY, Progress, pack_progress
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from streams.clock import VirtualClock
from streams.partitioner import partition_of
from streams.runtime.definitions import control_record
from streams.runtime.ticks import TICK
from streams.tools.replay import replay_topic
from streams.tools.replayed_partition import Outcome, ReplayError
from tests.harness import DAY, HOUR, START, Harness
from tests.keys import SIGNER
from tests.runtime.doubles import MemoryLog, memory_log

FOREVER = 2**61


def event(number: int, type_: str, customer: str, **data: Any) -> OutRecord:
    headers = (("ce_id", f"e{number}".encode()), ("ce_type", type_.encode()))
    return OutRecord(customer.encode(), json.dumps(data).encode(), headers)


async def recorded() -> tuple[MemoryLog, list[Effect], dict[str, bytes]]:
    """Return a log of two partitions as a worker has left it, with what the worker decided."""
    clock, harness = VirtualClock(START), Harness()
    log = await memory_log(2, clock)
    actors = [
        PartitionActors(partition=number, load=lambda _: None, definitions=harness.definitions,
                        progress=Progress(), home=lambda key: partition_of(key, 2))
        for number in range(2)
    ]  # fmt: skip
    effects: list[Effect] = []
    states: dict[str, bytes] = {}

    async def append(place: int, record: OutRecord) -> None:
        await log.append(CUSTOMER_EVENTS, place, [record])
        changes = actors[place].receive(log.topics[CUSTOMER_EVENTS][place][-1:])
        effects.extend(changes.effects)
        states.update({
            key.decode(): stored for key, stored in changes.states
            if stored and not key.startswith(OWN_PREFIX)
        })  # fmt: skip
        for effect in changes.effects:
            if effect.topic == CUSTOMER_EVENTS:
                await append(partition_of(effect.key, 2), effect.record)

    names = ("anna", "bruno", "carla", "v")
    for place in (0, 1):
        await append(place, control_record(harness.live))
    for number, name in enumerate(names):
        data = {"email": f"{name}@example.com", "confirmed": True}
        home = partition_of(name.encode(), 2)
        await append(home, event(number, "list.subscribed", name, **data))
        await append(1 - home, event(10 + number, "cart.product_added", name, product_id="p"))
    home = partition_of(b"anna", 2)
    await append(home, event(20, "customer.identified", "anna", anonymous_id="v"))
    await append(0, OutRecord(b"x", b"{", (("ce_type", b"page.viewed"), ("ce_id", b"1"))))
    for hour in range(1, 100):
        clock.advance(START + hour * HOUR * 1000)
        for place in (0, 1):
            await append(place, TICK)
    return log, effects, states


async def replayed(log: MemoryLog, until: int = FOREVER, **options: Any) -> Outcome:
    return await replay_topic(
        log, topic=CUSTOMER_EVENTS, until=until, definitions=Harness().definitions, **options
    )


async def test_it_equals_what_was_decided_live() -> None:
    log, effects, states = await recorded()
    outcome = await replayed(log)
    assert outcome.customers == states
    wanted = sorted(
        (e.content.time, e.content.id) for e in effects
        if e.topic == "send-commands" and getattr(e.content, "action", "") == "send"
    )  # fmt: skip
    found = sorted((each[0], json.loads(each[-1])["id"]) for each in outcome.commands)
    assert found == wanted
    assert len(wanted) > 10
    assert len(outcome.decisions) == sum(e.topic == "facts" for e in effects)
    assert [reason for _, reason, _ in outcome.refusals] == ["invalid_json"]
    assert (await replayed(log)).commands == outcome.commands


async def test_until_cuts_by_append_time_and_reports() -> None:
    log, *_ = await recorded()
    seen: list[tuple[int, int]] = []
    outcome = await replayed(log, START, report=lambda *each: seen.append(each))
    assert {json.loads(each[-1])["step"] for each in outcome.commands} == {"thanks"}
    total = len(log.records(CUSTOMER_EVENTS))
    assert seen[-1] == (total, total)
    assert outcome.after_until == 0  # what comes later are ticks
    late = event(99, "page.viewed", "anna")
    await log.append(CUSTOMER_EVENTS, 0, [late])
    assert (await replayed(log, START + DAY * 1000)).after_until == 1


async def test_a_defect_is_refused_as_the_worker_does(monkeypatch: pytest.MonkeyPatch) -> None:
    log, *_ = await recorded()
    for number in range(2):
        await log.append(CUSTOMER_EVENTS, number, [event(50 + number, "page.viewed", "anna")])

    def fails(*_: Any) -> Any:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(actor, "_HANDLERS", {**actor._HANDLERS, "page.viewed": fails})
    outcome = await replayed(log)
    # The one in the wrong partition is moved there, and was not forwarded in this recording.
    assert outcome.reasons() == {"invalid_json": 1, "internal_error": 1}
    assert len(outcome.commands) == len((await replayed(log)).commands)


async def test_there_has_to_be_a_topic() -> None:
    class Nothing(MemoryLog):
        async def offsets(self, topic: str) -> Any:
            from streams.log import UnknownTopic  # noqa: PLC0415  # only here

            raise UnknownTopic(topic)

    with pytest.raises(ReplayError, match="there is no topic 'customer-events'"):
        await replayed(Nothing())


async def unsigned() -> MemoryLog:
    """Return a log in which somebody has forged a word of ours; a worker has begun to read it."""
    log = await memory_log(1, VirtualClock(START))
    forged = event(1, "visitor.linked", "anna", customer_id="mallory")
    signed = SIGNER.sign(CUSTOMER_EVENTS, event(2, "visitor.linked", "v", customer_id="anna"))
    await log.append(CUSTOMER_EVENTS, 0, [event(0, "page.viewed", "anna"), forged, signed])
    return log


@pytest.mark.parametrize(("insists_from", "refused"), [(0, 1), (1, 1), (2, 0), (NEVER, 0)])
async def test_with_keys_it_believes_what_the_worker_has_believed(
    insists_from: int, refused: int
) -> None:
    log = await unsigned()
    kept = pack_progress(Progress(1, START, insists_from=insists_from))
    states = [OutRecord(b"c%d" % number, b"x") for number in range(5_000)]
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, kept), *states])
    outcome = await replayed(log, signer=SIGNER)
    assert outcome.reasons() == Counter(unsigned=refused) or not refused
    assert (len(outcome.refusals), outcome.believed) == (refused, 1 - refused)
    visitor = of_visitor("v")
    assert decode_customer(visitor, outcome.customers[visitor]).became == "anna"


async def test_without_keys_or_of_another_topic_it_believes_everybody() -> None:
    log = await unsigned()
    assert (await replayed(log)).refusals == []
    log.topics["mirror"] = log.topics[CUSTOMER_EVENTS]
    outcome = await replay_topic(
        log, topic="mirror", until=FOREVER, definitions=Harness().definitions, signer=SIGNER
    )
    assert outcome.refusals == []


async def test_what_nobody_has_read_yet_has_to_be_signed() -> None:
    assert (await replayed(await unsigned(), signer=SIGNER)).reasons() == {"unsigned": 1}
