"""Origins: which message of another partition is news, and what they say after a crash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.definitions.published import Definitions
from agents.effects import Effect
from agents.partition.origins import Origins
from agents.partition.partition import PartitionActors
from schemas.events import TICK, Event
from schemas.origin import Origin, parse_origin
from schemas.records import OutRecord, Record
from schemas.stored import OWN_PREFIX, Progress, head
from schemas.topics import CUSTOMER_EVENTS
from schemas.validation import Unreadable
from schemas.wire import parse_record
from tests.commerce.test_coupons import COUPONS, GIVES
from tests.harness import HOUR, START, Harness
from tests.products.test_products import files

numbers = st.integers(0, 2**62)


@given(numbers, numbers, numbers, numbers)
def test_an_origin_travels_as_a_header(
    partition: int, log_epoch: int, offset: int, number: int
) -> None:
    origin = Origin(partition, log_epoch, offset, number)
    name, text = origin.header()
    assert (name, parse_origin(text)) == ("ritorno_origin", origin)
    assert text == f"{log_epoch}/{partition}/{offset}/{number}".encode()


@pytest.mark.parametrize("text", [b"", b"1/2/3", b"1/2/3/4/5", b"1/2/3/-4", b"a/b/c/d", b"1/2//4",
                                  b"9" * 20 + b"/1/1/1", b"\xff"])  # fmt: skip
def test_a_strange_origin_is_refused(text: bytes) -> None:
    headers = (("ce_id", b"1"), ("ce_type", b"page.viewed"), ("ritorno_origin", text))
    with pytest.raises(Unreadable, match="ritorno_origin: expected four numbers"):
        parse_record(Record("t", 0, 0, START, b"anna", b"{}", headers))


def test_only_what_is_above_the_mark_is_news() -> None:
    store: dict[bytes, bytes] = {}
    origins = Origins(0, store.get)
    assert origins.is_news(Origin(3, 10, 5, 1), 100)
    assert not origins.is_news(Origin(3, 10, 5, 1), 101)
    assert not origins.is_news(Origin(3, 10, 5, 0), 102)
    assert not origins.is_news(Origin(3, 10, 4, 9), 103)
    assert origins.is_news(Origin(4, 10, 0, 0), 104), "another partition"
    assert origins.is_news(Origin(3, 10, 5, 2), 105)
    store.update(origins.take())
    assert origins.take() == []
    again = Origins(0, store.get)
    assert not again.is_news(Origin(3, 10, 5, 2), 106)
    assert sorted(head(stored).applied for stored in store.values()) == [104, 105]


def test_a_topic_that_was_made_anew_begins_again() -> None:
    """Its offsets are lower, its epoch is not; what is told of the old one stays told."""
    origins = Origins(0, lambda _: None)
    assert origins.is_news(Origin(3, 10, 500, 1), 0)
    assert origins.is_news(Origin(3, 20, 0, 0), 1)
    assert origins.is_news(Origin(3, 20, 1, 0), 2)
    assert not origins.is_news(Origin(3, 10, 501, 0), 3)


def test_each_message_has_its_origin() -> None:
    harness = (
        Harness().add("moka", "v").at(HOUR).tell("customer.identified", "anna", anonymous_id="v")
    )
    linked, merged = (event.origin for event in harness.told[:2])
    assert linked is not None
    assert merged is not None
    assert linked.log_epoch == merged.log_epoch == START
    assert harness.records[linked.offset].header("ce_type") == b"customer.identified"
    assert harness.records[merged.offset].header("ce_type") == b"visitor.linked"
    assert harness.records[merged.offset].header("ritorno_origin") == linked.header()[1]


def test_a_message_told_again_is_not_heard_again() -> None:
    harness = Harness().add("moka", "v").tell("customer.identified", "anna", anonymous_id="v")
    before = harness.customer()
    for record in [r for r in harness.records if r.header("ritorno_origin")]:
        harness.append(OutRecord(record.key, record.value, record.headers))
    after = harness.customer()
    after.applied = before.applied
    assert after == before
    assert harness.counts[-1].events["visitor.merged", "repeated"] == 1


NAMES = [f"c{number}" for number in range(12)]


def many() -> tuple[Harness, Record]:
    """A partition of which many customers have a timer that is due, each with a message to tell."""
    waits = GIVES.replace("CAMPAIGN", "pool").replace("{id: code,", "{id: code, wait: 1h,")
    harness = Harness(files(COUPONS, waits))
    for number, name in enumerate(NAMES):
        harness.order(f"o{number}", name)
    tick = OutRecord(None, b"", (("ce_type", TICK.encode()),))
    return harness, Record(CUSTOMER_EVENTS, 0, len(harness.records), START + HOUR * 1000, *tick)


def build(harness: Harness, states: dict[bytes, bytes]) -> PartitionActors:
    return PartitionActors(
        partition=0,
        load=states.get,
        definitions=harness.definitions,
        progress=harness._progress,
        due=[(head(stored).due, key) for key, stored in states.items()],
        scan=states.items,
    )


def messages(effects: list[Effect]) -> list[Event]:
    return [e.content for e in effects if isinstance(e.content, Event)]


@given(st.sets(st.sampled_from(NAMES)))
def test_who_is_ahead_after_a_crash_makes_nothing_of_the_others_news(ahead: set[str]) -> None:
    """The state of some was written and that of others not: they tell again what was told."""
    harness, tick = many()
    undisturbed = build(harness, harness.store).receive([tick])
    first = messages(undisturbed.effects)
    assert len(first) == len(NAMES)
    written = {key: stored for key, stored in undisturbed.states if key.decode() in ahead}
    again = messages(build(harness, {**harness.store, **written}).receive([tick]).effects)
    assert {event.id for event in again} == {
        event.id for event in first if event.data.customer_id not in ahead
    }
    origins = Origins(1, lambda _: None)
    heard = [origins.is_news(event.origin, n) for n, event in enumerate(first) if event.origin]
    assert heard == [True] * len(NAMES)
    assert not any(origins.is_news(event.origin, 0) for event in again if event.origin)
    known = {event.id: event.origin for event in first}
    for event in again:
        origin = known[event.id]
        assert event.origin is not None
        assert origin is not None
        assert event.origin <= origin, "the same place, or a lower one"
        assert event.origin[:3] == origin[:3]


def test_nobody_is_ahead_at_the_record_after() -> None:
    """So what is news there has the place that it always has."""
    harness, tick = many()
    undisturbed = build(harness, harness.store)
    changes = undisturbed.receive([tick])
    headers = (("ce_id", b"e"), ("ce_type", b"customer.identified"), ("ce_anonymousid", b"v"))
    later = tick._replace(offset=tick.offset + 1, key=b"c0", headers=headers)
    told = messages(undisturbed.receive([later]).effects)
    written = dict(changes.states[:5])
    states = {**harness.store, **{key: stored for key, stored in written.items() if stored}}
    again = build(harness, states)
    again.receive([tick])
    assert messages(again.receive([later]).effects) == told


def test_the_epoch_is_the_time_of_the_first_record() -> None:
    harness = Harness().tell("page.viewed").at(HOUR).tell("page.viewed")
    assert harness._progress.log_epoch == START
    assert Progress().log_epoch == 0
    old, load = Progress(5, START), harness.store.get
    actors = PartitionActors(partition=0, load=load, definitions=Definitions(), progress=old)
    record = harness.records[-1]._replace(offset=5)
    assert actors.receive([record]).progress.log_epoch == record.timestamp, (
        "of before 0.2: from now on"
    )


def test_marks_are_the_partitions_own() -> None:
    harness = Harness().add("moka", "v").tell("customer.identified", "anna", anonymous_id="v")
    harness.tell("customer.erasure_requested")
    own = [key for key in harness.store if key.startswith(OWN_PREFIX)]
    assert own == [b"\x00origin/0"]
