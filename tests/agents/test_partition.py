"""The partition: its clock, the order of its timers, versions, poison, erasure, slicing."""

from __future__ import annotations

import itertools
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer import actor
from agents.partition.batch import BatchChanges, Place, Poisoned
from agents.partition.cache import CacheMemory
from agents.partition.partition import PartitionActors
from agents.sending import send_commands
from agents.workflows import engine
from agents.workflows.definitions import Definitions
from schemas.controls import control_record
from schemas.customer import Customer, encode_customer, encode_erased
from schemas.decisions import REASONS, Reason
from schemas.definitions.triggers import OCCURRENCES
from schemas.events import RETRY
from schemas.records import OutRecord, Record
from schemas.retry import Retry, encode_retry
from schemas.set_aside import SetAside
from schemas.signals import CustomerErased
from schemas.stored import HEAD_SIZE, Progress, head
from tests.agents.world import DAY, FILES, HOUR, MINUTE, START, World, changed
from tests.examples import examples

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
    "product.reviewed": {"product_id": "moka"},
    "consent.given": {"purpose": "tracking"},
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
               "product.stocked"}  # fmt: skip
"""The first three end the run by themselves; the next needs a workflow that asks for a proof, the
last a product in the feed."""


def test_whatever_may_end_a_run_is_a_reason() -> None:
    assert set(get_args(Reason)) == REASONS >= OCCURRENCES
    assert engine.ENDS_MARKETING.keys() == {"consent.withdrawn", "address.bounced"} < REASONS


@pytest.mark.parametrize("name", sorted(OCCURRENCES - NEVER_TOLD))
def test_each_occurrence_can_end_a_run(name: str) -> None:
    world = World(FILES | {W06: changed(W06, trigger="cart.changed", exit_on=[name])})
    world.subscribed().add().at(MINUTE)
    world.tell(**({"type_": name, "order_id": "o9"} | TOLD.get(name, {})))
    assert (MINUTE, "", "exited", name) in world.said("w06")


# Timers.


def test_timers_fire_in_the_order_of_due_time_and_customer() -> None:
    world = World()
    for seconds, name in [(0, "zoe"), (40, "bea"), (1_800, "carla"), (1_800, "anna")]:
        world.at(seconds).subscribed(name).add(customer=name)
    world.sleep_until(30 * HOUR)
    sent = [(c.customer, c.step) for c in world.commands]
    assert sent == [(name, "free-shipping") for name in ("zoe", "bea", "anna", "carla")]


def test_a_later_step_of_one_comes_after_an_earlier_step_of_another() -> None:
    steps = [{**json.loads(FILES[W06])["steps"][0], "id": f"s{n}", "late": {"then": "fire"},
              "wait": [{"for": f"{n}h", "since": "cart.changed"}]} for n in (1, 2, 3)]  # fmt: skip
    world = World(FILES | {W06: changed(W06, steps=steps)}).subscribed("anna").subscribed("bruno")
    world.add(customer="anna").at(HOUR / 2).add(customer="bruno").sleep_until(5 * HOUR)
    assert [(c.customer, c.step) for c in world.commands] == [
        (name, f"s{n}") for n in (1, 2, 3) for name in ("anna", "bruno")
    ]


def test_all_timers_of_one_customer_fire_at_the_same_record() -> None:
    world = World().subscribed().add().order("o1", products=["tazza"]).at(20 * MINUTE).add()
    world.sleep_until(61 * HOUR)
    fired = [said.step for said in world.said() if said.at == 61 * HOUR]
    assert sorted(fired) == [
        "free-shipping", "free-shipping-code", "reminder", "w03-product-guide"
    ]  # fmt: skip
    assert world.actors.next_timer > world.now


def test_a_customer_has_one_entry_in_the_heap() -> None:
    world = World({W06: FILES[W06]}).subscribed()
    for minute in range(50):
        world.at(minute * MINUTE).add(f"p{minute}")
    assert len(world.actors._timers) == 1
    assert world.actors.timers_pending == 1


def test_the_clock_of_the_log_never_goes_back() -> None:
    world = World().subscribed().add().at(HOUR)
    world.now -= HOUR * 1000
    world.add("tazza")
    assert world.actors.log_time == START + HOUR * 1000
    assert world.customer().cart.changed == START


# Versions.


def test_a_run_keeps_its_version_and_the_next_begins_with_the_new_one() -> None:
    world = World().subscribed("anna").subscribed("bruno").add(customer="anna")
    old = world.live[W06]
    new = world.publish(changed(W06, title={"en": "new"}))
    world.activate(world.live | {W06: new}).add(customer="bruno").at(10 * DAY)
    versions = {(c.customer, c.version) for c in world.commands}
    assert versions == {("anna", old), ("bruno", new)}


def test_a_workflow_that_is_not_live_begins_nothing_and_finishes_what_it_began() -> None:
    world = World().subscribed("anna").subscribed("bruno").add(customer="anna").activate({})
    world.add(customer="bruno").at(10 * DAY)
    assert [c.customer for c in world.commands] == ["anna"] * 3


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (b'{"live":{"w06-abandoned-cart-a":"forged"}}', "unknown_version",
         "live: not published: w06-abandoned-cart-a@forged"),
        (b'{"live":["w06"]}', "invalid_event", "live: "),
        (b"{", "invalid_event", "value: Invalid JSON"),
        (b"", "invalid_event", "value: Invalid JSON"),
    ],
)  # fmt: skip
def test_a_control_record_that_cannot_be_followed(value: bytes, reason: str, detail: str) -> None:
    world = World()
    world.append(OutRecord(None, value, (("ce_type", b"ritorno.workflows"),)))
    assert [r for r, _ in world.refusals] == [reason]
    assert world.refusals[0][1].startswith(detail)
    assert len(world.subscribed().add().at(2 * HOUR).mails) == 1


def test_live_versions_must_be_published() -> None:
    with pytest.raises(Poisoned) as failure:
        PartitionActors(partition=0, load=lambda _: None, definitions=Definitions(),
                        progress=Progress(live={"w06": "v1"}))  # fmt: skip
    assert failure.value.place == Place(0, "definition", "w06@v1")


def test_a_run_whose_version_is_lost_can_only_end() -> None:
    world = World().subscribed().add()
    world.definitions._workflows.clear()
    world._progress = Progress(world._progress.next_offset, world._progress.log_time, {})
    world.build()
    world.at(HOUR)
    assert world.said()[-1] == (HOUR, "", "exited", "definition_gone")


# Poison.


def test_an_event_at_which_an_actor_fails_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = actor._HANDLERS["page.viewed"]

    def fails(someone: Any, event: Any, context: Any) -> Any:
        if someone.key == "eve":
            raise ZeroDivisionError("a defect")
        return handler(someone, event, context)

    monkeypatch.setattr(actor, "_HANDLERS", {**actor._HANDLERS, "page.viewed": fails})
    world = World().tell("page.viewed", "eve").tell("page.viewed", "anna").add(customer="eve")
    ((reason, detail),) = world.refusals
    assert reason == "internal_error"
    assert detail.startswith("ZeroDivisionError in agents/")
    assert world.customer("anna").views == 1
    assert (world.customer("eve").views, len(world.customer("eve").cart.lines)) == (0, 1)


def test_a_timer_at_which_an_actor_fails_is_given_up_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    send = send_commands.send

    def fails(someone: Any, *rest: Any, **more: Any) -> Any:
        if someone.key == "eve":
            raise ZeroDivisionError("a defect")
        return send(someone, *rest, **more)

    monkeypatch.setattr(send_commands, "send", fails)
    world = World()
    for name in ("anna", "eve", "zoe"):
        world.subscribed(name).add(customer=name)
    world.at(10 * DAY)
    assert {c.customer for c in world.commands} == {"anna", "zoe"}
    assert len(world.commands) == 6
    assert (HOUR, "", "exited", "internal_error") in world.said()
    assert {reason for reason, _ in world.refusals} == {"internal_error"}
    assert world.customer("eve").runs == []


# Misplaced records, erasure.


def test_a_record_in_the_wrong_partition_is_moved_unchanged() -> None:
    world = World()
    actors = PartitionActors(
        partition=0, load=lambda _: None, definitions=world.definitions, progress=Progress(),
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
    world = World().subscribed().add().order().at(MINUTE)
    sent = [command.id for command in world.commands]
    world.tell("customer.erasure_requested")
    assert world.store[b"anna"] == encode_erased(len(world.records) - 1)
    assert len(world.store[b"anna"]) == HEAD_SIZE
    assert [(i, reason) for i, _, reason in world.cancels] == [
        (id_, "customer.erased") for id_ in sent
    ]
    assert any(isinstance(e.content, CustomerErased) for e in world.effects)
    assert world.said()[-1].reason == "customer.erased"
    world.at(30 * DAY).add("tazza")
    assert [line.product_id for line in world.customer().cart.lines] == ["tazza"]
    assert world.customer().profile.email == ""
    assert len(world.mails) == 1


# Batches.

KINDS = ["view", "add", "remove", "order", "subscribe", "withdraw", "identify", "erase", "tick"]
Script = list[tuple[str, str, int]]
scripts = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(["anna", "bruno", "v"]),
              st.sampled_from([1, 59, 1_800, 3_600, 90_000])),
    max_size=30,
)  # fmt: skip


def play(script: Script) -> World:
    world, now = World(), 0
    for number, (kind, who, pause) in enumerate(script):
        now += pause
        world.now = START + now * 1000
        match kind:
            case "view":
                world.tell("page.viewed", who)
            case "add":
                world.add(f"p{number % 3}", who, happened=now - pause / 2)
            case "remove":
                world.tell("cart.product_removed", who, product_id=f"p{number % 3}")
            case "order":
                world.order(f"o{number % 5}", who, products=["p1"])
            case "subscribe":
                world.tell("list.subscribed", who, email="a@example.com", confirmed=True)
            case "withdraw":
                world.tell("consent.withdrawn", who, purpose="marketing")
            case "identify":
                world.tell("customer.identified", "anna", anonymous_id="v")
            case "erase":
                world.tell("customer.erasure_requested", who)
            case "tick":
                world.sleep_until(now)
    return world


def run(world: World, cuts: list[int], cache_bytes: int) -> tuple[Any, ...]:
    """Return what the records lead to in slices, each of them received by new actors or not."""
    store: dict[bytes, bytes] = {}
    progress, effects = Progress(live=world.live), []
    actors: PartitionActors | None = None
    edges = sorted({0, len(world.records), *(c % (len(world.records) + 1) for c in cuts)})
    for start, end in itertools.pairwise(edges):
        if actors is None or (start + cache_bytes) % 2:
            actors = PartitionActors(
                partition=0, load=store.get, definitions=world.definitions, progress=progress,
                due=[(head(v).due, k) for k, v in store.items()], memory=CacheMemory(cache_bytes),
            )  # fmt: skip
        changes: BatchChanges = actors.receive(world.records[start:end])
        store.update({k: v for k, v in changes.states if v is not None})
        progress = changes.progress
        effects += [effect.record for effect in changes.effects]
    return store, progress, effects


@examples(60)
@given(scripts, st.lists(st.integers(0, 40)), st.sampled_from([0, 5_001, 1 << 30]))
def test_neither_slicing_nor_restarts_nor_the_cache_change_anything(
    script: Script, cuts: list[int], cache_bytes: int
) -> None:
    world = play(script)
    assert run(world, cuts, cache_bytes) == run(world, [], 1 << 30)


@examples(60)
@given(scripts, st.integers(0, 40), st.lists(st.booleans(), min_size=3, max_size=3))
def test_records_read_again_change_nothing(script: Script, cut: int, written: list[bool]) -> None:
    """A crash between the states and the progress: some customers are ahead of the log."""
    world = play(script)
    start = cut % (len(world.records) + 1)
    before, progress, first = run(_part(world, 0, start), [], 1 << 30)
    whole, end, effects = run(world, [], 1 << 30)
    ahead = {
        key: whole[key]
        for key, was_written in zip([b"anna", b"bruno", b"v"], written, strict=True)
        if was_written and key in whole
    }
    store = before | ahead
    again = PartitionActors(
        partition=0, load=store.get, definitions=world.definitions, progress=progress,
        due=[(head(v).due, k) for k, v in store.items()],
    ).receive(world.records[start:])  # fmt: skip
    store.update({k: v for k, v in again.states if v is not None})
    assert store == whole
    assert again.progress == end
    repeated = [effect.record for effect in again.effects]
    later = effects[len(first) :]
    assert [record for record in repeated if record not in later] == []


def _part(world: World, start: int, end: int) -> World:
    part = World()
    part.records = world.records[start:end]
    return part


def test_who_was_released_before_a_crash_still_has_timers() -> None:
    """All of the batch is in the store but that nobody is held back any more."""
    world = World().subscribed().add().at(10)
    aside = (SetAside(len(world.records), "customer", "anna", error="x"),)
    world.continue_with(aside=aside).tell("page.viewed")
    assert world.actors.held_back == 1
    retry = control_record(RETRY, encode_retry(Retry(customer="anna")))
    record = Record("customer-events", 0, len(world.records), world.now, *retry)
    for key, value in world.actors.receive([record]).states:
        if value is not None:
            world.store[key] = value
    world.build()
    world.append(retry)
    assert (world.actors.held_back, world.actors.timers_pending) == (0, 1)
    assert world.at(3 * HOUR).mails
