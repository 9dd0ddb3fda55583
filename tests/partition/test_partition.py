"""The partition: its clock, the order of its timers, versions, poison, erasure, slicing."""

from __future__ import annotations

import itertools
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer import actor
from agents.definitions.published import Definitions
from agents.partition.batch import BatchChanges, FailureSite, Poisoned
from agents.partition.cache import CacheMemory
from agents.partition.partition import PartitionActors
from agents.sending import send_commands
from agents.workflows import engine
from schemas.controls import control_record
from schemas.customer import Customer, encode_customer, encode_erased
from schemas.decisions import REASONS, Reason
from schemas.definitions.triggers import OCCURRENCES
from schemas.events import RETRY
from schemas.origin import HEADER as ORIGIN
from schemas.records import OutRecord, Record
from schemas.retry import Retry, encode_retry
from schemas.set_aside import SetAside
from schemas.signals import CustomerErased
from schemas.stored import HEAD_SIZE, Progress, head
from tests.examples import examples
from tests.harness import DAY, FILES, HOUR, MINUTE, START, Harness, changed

W06 = "w06-abandoned-cart-a"


MAIL = {"command_id": "c1", "workflow": W06}
TOLD: dict[str, dict[str, Any]] = {
    "list.joined": {"type_": "list.subscribed", "confirmed": True},
    "list.left": {"type_": "list.unsubscribed", "list": "x"},
    "customer.active": {"type_": "page.viewed"},
    "cart.changed": {"type_": "cart.product_added", "product_id": "tazza"},
    "cart.emptied": {"type_": "cart.product_removed", "product_id": "moka"},
    "product.viewed": {"product_id": "moka"},
    "cart.product_added": {"product_id": "tazza"},
    "cart.product_removed": {"product_id": "moka"},
    "wishlist.added": {"product_id": "moka"},
    "wishlist.removed": {"product_id": "moka"},
    "product.reviewed": {"product_id": "moka"},
    "consent.given": {"purpose": "tracking"},
    "order.partially_refunded": {"type_": "order.refunded", "total": "1.00"},
    "consent.withdrawn": {"purpose": "tracking"},
    "mail.sent": MAIL | {"message_id": "m"},
    "mail.deferred": MAIL | {"attempt": 1, "reason": "later"},
    "mail.bounced": MAIL | {"code": 550, "kind": "soft", "reason": "full"},
    "mail.failed": MAIL | {"reason": "gone"},
    "mail.rejected": MAIL | {"reason": "invalid_address"},
    "mail.held": MAIL | {"reason": "paused"},
    "mail.skipped": MAIL | {"reason": "expired"},
    "mail.delivered": MAIL,
    "mail.opened": MAIL | {"verdict": "human"},
    "mail.clicked": MAIL | {"verdict": "human"},
}
"""What to tell for an occurrence where its name and an order id don't do."""
NEVER_TOLD = {"customer.erasure_requested", "mail.complained", "mail.unsubscribed", "list.pending",
              "product.stocked", "order.hinted"}  # fmt: skip
"""The first three end the run by themselves; the next needs a workflow that asks for a proof, the
next a product in the feed, the last is a visitor's to say."""


def test_whatever_may_end_a_run_is_a_reason() -> None:
    assert set(get_args(Reason)) == REASONS >= OCCURRENCES
    assert engine.ENDS_MARKETING.keys() == {"consent.withdrawn", "address.bounced"} < REASONS


@pytest.mark.parametrize("name", sorted(OCCURRENCES - NEVER_TOLD))
def test_each_occurrence_can_end_a_run(name: str) -> None:
    harness = Harness(FILES | {W06: changed(W06, trigger="cart.changed", exit_on=[name])})
    harness.subscribed().mailed("c1").add().at(MINUTE)
    if name in {"order.cancelled", "order.refunded"}:  # they wait until their order is known
        harness.order("o9", products=["tazza"], total="9.00")
    harness.tell(**({"type_": name, "order_id": "o9", "total": "9.00"} | TOLD.get(name, {})))
    assert (MINUTE, "", "exited", name) in harness.said("w06")


# Timers.


def test_timers_fire_in_the_order_of_due_time_and_customer() -> None:
    harness = Harness()
    for seconds, name in [(0, "zoe"), (40, "bea"), (1_800, "carla"), (1_800, "anna")]:
        harness.at(seconds).subscribed(name).add(customer=name)
    harness.sleep_until(30 * HOUR)
    sent = [(c.customer, c.step) for c in harness.commands]
    assert sent == [(name, "free-shipping") for name in ("zoe", "bea", "anna", "carla")]


def test_a_later_step_of_one_comes_after_an_earlier_step_of_another() -> None:
    steps = [{**json.loads(FILES[W06])["steps"][0], "id": f"s{n}", "late": {"then": "fire"},
              "wait": [{"for": f"{n}h", "since": "cart.changed"}]} for n in (1, 2, 3)]  # fmt: skip
    harness = (
        Harness(FILES | {W06: changed(W06, steps=steps)}).subscribed("anna").subscribed("bruno")
    )
    harness.add(customer="anna").at(HOUR / 2).add(customer="bruno").sleep_until(5 * HOUR)
    assert [(c.customer, c.step) for c in harness.commands] == [
        (name, f"s{n}") for n in (1, 2, 3) for name in ("anna", "bruno")
    ]


def test_all_timers_of_one_customer_fire_at_the_same_record() -> None:
    harness = Harness().subscribed().add().order("o1", products=["tazza"]).at(20 * MINUTE).add()
    harness.sleep_until(61 * HOUR)
    fired = [said.step for said in harness.said() if said.at == 61 * HOUR]
    assert sorted(fired) == [
        "free-shipping", "free-shipping-code", "reminder", "w03-product-guide"
    ]  # fmt: skip
    assert harness.actors.next_timer > harness.now


def test_a_customer_has_one_entry_in_the_heap() -> None:
    harness = Harness({W06: FILES[W06]}).subscribed()
    for minute in range(50):
        harness.at(minute * MINUTE).add(f"p{minute}")
    assert len(harness.actors._state.timers) == 1
    assert harness.actors.timers_pending == 1


def test_the_clock_of_the_log_never_goes_back() -> None:
    harness = Harness().subscribed().add().at(HOUR)
    harness.now -= HOUR * 1000
    harness.add("tazza")
    assert harness.actors.log_time == START + HOUR * 1000
    assert harness.customer().cart.changed == START


# Versions.


def test_a_run_keeps_its_version_and_the_next_begins_with_the_new_one() -> None:
    harness = Harness().subscribed("anna").subscribed("bruno").add(customer="anna")
    old = harness.live[W06]
    new = harness.publish(changed(W06, title={"en": "new"}))
    harness.activate(harness.live | {W06: new}).add(customer="bruno").at(10 * DAY)
    versions = {(c.customer, c.version) for c in harness.commands}
    assert versions == {("anna", old), ("bruno", new)}


def test_a_workflow_that_is_not_live_begins_nothing_and_finishes_what_it_began() -> None:
    harness = Harness().subscribed("anna").subscribed("bruno").add(customer="anna").activate({})
    harness.add(customer="bruno").at(10 * DAY)
    assert [c.customer for c in harness.commands] == ["anna"] * 3


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (b'{"live":{"w06-abandoned-cart-a":"forged"}}', "unknown_version",
         "live: not published: w06-abandoned-cart-a@forged"),
        (b'{"live":["w06"]}', "invalid_event", "live: "),
        (b"{", "invalid_event", "value: not JSON"),
        (b"", "invalid_event", "value: not JSON"),
    ],
)  # fmt: skip
def test_a_control_record_that_cannot_be_followed(value: bytes, reason: str, detail: str) -> None:
    harness = Harness()
    harness.append(OutRecord(None, value, (("ce_type", b"ritorno.workflows"),)))
    assert [r for r, _ in harness.refusals] == [reason]
    assert harness.refusals[0][1].startswith(detail)
    assert len(harness.subscribed().add().at(2 * HOUR).mails) == 1


def test_live_versions_must_be_published() -> None:
    with pytest.raises(Poisoned) as failure:
        PartitionActors(partition=0, load=lambda _: None, definitions=Definitions(),
                        progress=Progress(live={"w06": "v1"}))  # fmt: skip
    assert failure.value.site == FailureSite(0, "definition", "w06@v1")


def test_a_run_whose_version_is_lost_can_only_end() -> None:
    harness = Harness().subscribed().add()
    harness.definitions._workflows.clear()
    harness._progress = Progress(harness._progress.next_offset, harness._progress.log_time, {})
    harness.build()
    harness.at(HOUR)
    assert harness.said()[-1] == (HOUR, "", "exited", "definition_gone")


# Poison.


def test_an_event_at_which_an_actor_fails_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = actor._HANDLERS["page.viewed"]

    def fails(someone: Any, event: Any, context: Any) -> Any:
        if someone.key == "eve":
            raise ZeroDivisionError("a defect")
        return handler(someone, event, context)

    monkeypatch.setattr(actor, "_HANDLERS", {**actor._HANDLERS, "page.viewed": fails})
    harness = Harness().tell("page.viewed", "eve").tell("page.viewed", "anna").add(customer="eve")
    ((reason, detail),) = harness.refusals
    assert reason == "internal_error"
    assert detail.startswith("ZeroDivisionError in agents/")
    assert harness.customer("anna").views == 1
    assert (harness.customer("eve").views, len(harness.customer("eve").cart.lines)) == (0, 1)


def test_a_timer_at_which_an_actor_fails_is_given_up_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    send = send_commands.send

    def fails(someone: Any, *rest: Any, **more: Any) -> Any:
        if someone.key == "eve":
            raise ZeroDivisionError("a defect")
        return send(someone, *rest, **more)

    monkeypatch.setattr(send_commands, "send", fails)
    harness = Harness()
    for name in ("anna", "eve", "zoe"):
        harness.subscribed(name).add(customer=name)
    harness.at(10 * DAY)
    assert {c.customer for c in harness.commands} == {"anna", "zoe"}
    assert len(harness.commands) == 6
    assert (HOUR, "", "exited", "internal_error") in harness.said()
    assert {reason for reason, _ in harness.refusals} == {"internal_error"}
    assert harness.customer("eve").runs == []


# Misplaced records, erasure.


def test_a_record_in_the_wrong_partition_is_moved_unchanged() -> None:
    harness = Harness()
    actors = PartitionActors(
        partition=0, load=lambda _: None, definitions=harness.definitions, progress=Progress(),
        home=lambda key: {b"anna": 1, b"bruno": 0}[key],
    )  # fmt: skip
    headers = (("ce_id", b"1"), ("ce_type", b"page.viewed"), ("custom", b"\xff"))
    structured = b'{"specversion":"1.0","id":"2","type":"page.viewed","subject":"anna"}'
    changes = actors.receive([
        Record("customer-events", 0, 0, START, b"anna", b"{}", headers),
        Record("customer-events", 0, 1, START, b"bruno", structured),
        Record("customer-events", 0, 2, START, b"bruno", b"{}", headers),
    ])  # fmt: skip
    moved = [(e.topic, e.key, e.record) for e in changes.effects if e.topic == "customer-events"]
    assert moved == [
        (
            "customer-events",
            b"anna",
            OutRecord(b"anna", b"{}", [*headers, ("ritorno_origin", b"%d/0/0/0" % START)]),
        ),
        (
            "customer-events",
            b"anna",
            OutRecord(b"anna", structured, [("ritorno_origin", b"%d/0/1/0" % START)]),
        ),
    ]
    assert [key for key, _ in changes.states] == [b"bruno"]
    assert changes.counts.events["page.viewed", "moved"] == 2


def test_who_is_decoded_for_another_reason_is_still_at_home_elsewhere() -> None:
    store = {b"anna": encode_customer(Customer(key="anna", applied=-1, first_seen=1))}
    actors = PartitionActors(
        partition=0, load=store.get, definitions=Definitions(), progress=Progress(),
        home=lambda _: 1, scan=lambda: list(store.items()),
    )  # fmt: skip
    retry = control_record(RETRY, encode_retry(Retry(customer="anna", follow=True)))
    event = OutRecord(b"anna", b"{}", (("ce_id", b"1"), ("ce_type", b"page.viewed")))
    changes = actors.receive([
        Record("customer-events", 0, 0, START, *retry),
        Record("customer-events", 0, 1, START, *event),
    ])  # fmt: skip
    assert dict(changes.counts.events) == {("page.viewed", "moved"): 1}


def test_erasure_leaves_nothing_but_the_offset() -> None:
    harness = Harness().subscribed().add().order().at(MINUTE)
    sent = [command.id for command in harness.commands]
    harness.tell("customer.erasure_requested")
    asked = next(r for r in reversed(harness.records) if r.key == b"anna")
    assert harness.store[b"anna"] == encode_erased(asked.offset)
    assert len(harness.store[b"anna"]) == HEAD_SIZE
    assert [(i, reason) for i, _, reason in harness.cancels] == [
        (id_, "customer.erased") for id_ in sent
    ]
    assert any(isinstance(e.content, CustomerErased) for e in harness.effects)
    assert harness.said()[-1].reason == "customer.erased"
    harness.at(30 * DAY).add("tazza")
    assert [line.product_id for line in harness.customer().cart.lines] == ["tazza"]
    assert harness.customer().profile.email == ""
    assert len(harness.mails) == 1


# Batches.

KINDS = ["view", "add", "remove", "order", "subscribe", "withdraw", "identify", "erase", "tick"]
Script = list[tuple[str, str, int]]
scripts = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(["anna", "bruno", "v"]),
              st.sampled_from([1, 59, 1_800, 3_600, 90_000])),
    max_size=30,
)  # fmt: skip


def play(script: Script) -> Harness:
    harness, now = Harness(), 0
    for number, (kind, who, pause) in enumerate(script):
        now += pause
        harness.now = START + now * 1000
        match kind:
            case "view":
                harness.tell("page.viewed", who)
            case "add":
                harness.add(f"p{number % 3}", who, happened=now - pause / 2)
            case "remove":
                harness.tell("cart.product_removed", who, product_id=f"p{number % 3}")
            case "order":
                harness.order(f"o{number % 5}", who, products=["p1"])
            case "subscribe":
                harness.tell("list.subscribed", who, email="a@example.com", confirmed=True)
            case "withdraw":
                harness.tell("consent.withdrawn", who, purpose="marketing")
            case "identify":
                harness.tell("customer.identified", "anna", anonymous_id="v")
            case "erase":
                harness.tell("customer.erasure_requested", who)
            case "tick":
                harness.sleep_until(now)
    return harness


def run(harness: Harness, cuts: list[int], cache_bytes: int) -> tuple[Any, ...]:
    """Return what the records lead to in slices, each of them received by new actors or not."""
    store: dict[bytes, bytes] = {}
    progress, effects = Progress(live=harness.live), []
    actors: PartitionActors | None = None
    edges = sorted({0, len(harness.records), *(c % (len(harness.records) + 1) for c in cuts)})
    for start, end in itertools.pairwise(edges):
        if actors is None or (start + cache_bytes) % 2:
            actors = PartitionActors(
                partition=0, load=store.get, definitions=harness.definitions, progress=progress,
                due=[(head(v).due, k) for k, v in store.items()], memory=CacheMemory(cache_bytes),
            )  # fmt: skip
        changes: BatchChanges = actors.receive(harness.records[start:end])
        store.update({k: v for k, v in changes.states if v is not None})
        progress = changes.progress
        effects += [effect.record for effect in changes.effects]
    return store, progress, effects


@examples(60)
@given(scripts, st.lists(st.integers(0, 40)), st.sampled_from([0, 5_001, 1 << 30]))
def test_neither_slicing_nor_restarts_nor_the_cache_change_anything(
    script: Script, cuts: list[int], cache_bytes: int
) -> None:
    harness = play(script)
    assert run(harness, cuts, cache_bytes) == run(harness, [], 1 << 30)


@examples(60)
@given(scripts, st.integers(0, 40), st.lists(st.booleans(), min_size=3, max_size=3))
def test_records_read_again_change_nothing(script: Script, cut: int, written: list[bool]) -> None:
    """A crash between the states and the progress: some customers are ahead of the log."""
    harness = play(script)
    start = cut % (len(harness.records) + 1)
    before, progress, first = run(_part(harness, 0, start), [], 1 << 30)
    whole, end, effects = run(harness, [], 1 << 30)
    ahead = {
        key: whole[key]
        for key, was_written in zip([b"anna", b"bruno", b"v"], written, strict=True)
        if was_written and key in whole
    }
    store = before | ahead
    again = PartitionActors(
        partition=0, load=store.get, definitions=harness.definitions, progress=progress,
        due=[(head(v).due, k) for k, v in store.items()],
    ).receive(harness.records[start:])  # fmt: skip
    store.update({k: v for k, v in again.states if v is not None})
    assert store == whole
    assert again.progress == end
    repeated = [_without_number(effect.record) for effect in again.effects]
    later = [_without_number(record) for record in effects[len(first) :]]
    assert [record for record in repeated if record not in later] == []


def _without_number(record: OutRecord) -> OutRecord:
    """Return a record without the last number of its origin, lower where others are ahead."""
    headers = [
        (name, value.rpartition(b"/")[0] if name == ORIGIN else value)
        for name, value in record.headers
    ]
    return record._replace(headers=headers)


def _part(harness: Harness, start: int, end: int) -> Harness:
    part = Harness()
    part.records = harness.records[start:end]
    return part


def test_who_was_released_before_a_crash_still_has_timers() -> None:
    """All of the batch is in the store but that nobody is held back any more."""
    harness = Harness().subscribed().add().at(10)
    set_aside = (SetAside(len(harness.records), "customer", "anna", error="x"),)
    harness.continue_with(set_aside=set_aside).tell("page.viewed")
    assert harness.actors.held_back == 1
    retry = control_record(RETRY, encode_retry(Retry(customer="anna")))
    record = Record("customer-events", 0, len(harness.records), harness.now, *retry)
    for key, value in harness.actors.receive([record]).states:
        if value is not None:
            harness.store[key] = value
    harness.build()
    harness.append(retry)
    assert (harness.actors.held_back, harness.actors.timers_pending) == (0, 1)
    assert harness.at(3 * HOUR).mails
