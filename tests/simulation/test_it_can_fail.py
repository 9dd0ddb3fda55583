"""The simulation is worth something only if it fails when a law is broken: each is, once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from agents import digests, recognition
from agents.budget import Budget, Laying
from agents.context import Context
from agents.mailer import lifecycle
from agents.mailer.changes import Ended
from agents.mailer.entry import Entry
from agents.namespaces import Addressed, Namespaces
from agents.partition import PartitionActors
from agents.pools import Pools
from agents.tellings import Tellings
from schemas.customer import Customer
from schemas.events import Event
from schemas.records import Record
from schemas.reference import of_visitor
from schemas.stored import PROGRESS_KEY, pack_progress
from streams import customers, replay
from streams.customers import CustomersRuntime
from streams.mail.attempt import Attempts
from streams.state import recovery
from streams.state.changelog import Changelog
from streams.state.graves import Survey
from streams.state.store import Store
from tests.simulation import laws
from tests.simulation.laws import Broken
from tests.simulation.test_simulation import tell

ENOUGH = 60
"""Seeds within which every break is found; most are in the first few."""

Patch = pytest.MonkeyPatch


def repeated_records_count_again(patch: Patch) -> None:
    apply = PartitionActors._apply

    def unchecked(self: Any, event: Any, key: bytes, offset: int, context: Context) -> None:
        someone = self._customers.get(key)
        if offset <= someone.applied and key not in self._visited:
            someone.memory = {}  # as if all that is remembered had been forgotten since
        self._visited.add(key)
        apply(self, event, key, offset, context)

    patch.setattr(PartitionActors, "_apply", unchecked)


def repeated_events_count_again(patch: Patch) -> None:
    patch.setattr(recognition, "is_known", lambda *_: False)


def events_are_remembered_by_a_count(patch: Patch) -> None:
    def among_the_last(customer: Customer, _event: Event, wanted: bytes, _: Context) -> bool:
        ids = b"".join(customer.memory[day] for day in sorted(customer.memory))
        return digests.contains(ids[-64 * len(wanted) :], wanted)

    patch.setattr(recognition, "is_known", among_the_last)


def sources_are_not_told_apart(patch: Patch) -> None:
    patch.setattr(recognition, "digest", lambda event, _: digests.digest(event.id))


def a_pool_begins_anew(patch: Patch) -> None:
    def first(self: Pools, _given: Any, version: str) -> str:
        pool = self._versions.get(version)
        return pool.codes[0] if pool is not None else ""

    patch.setattr(Pools, "next_code", first)


def a_replay_knows_of_no_place(patch: Patch) -> None:
    async def none(*_: Any) -> list[Any]:
        return []

    patch.setattr(replay, "_set_aside", none)


def no_record_names_a_place(patch: Patch) -> None:
    async def silent(*_: Any) -> None:
        return

    patch.setattr(CustomersRuntime, "_name", silent)


def timers_fire_a_record_late(patch: Patch) -> None:
    fire = PartitionActors._fire_timers

    def every_other_time(self: Any, offset: int, *rest: Any) -> None:
        if offset % 2:
            fire(self, offset, *rest)

    patch.setattr(PartitionActors, "_fire_timers", every_other_time)


def an_event_at_the_time_of_a_timer_is_lost(patch: Patch) -> None:
    wake = PartitionActors._wake

    def forgetful(self: Any, *args: Any) -> None:
        wake(self, *args)
        self._visited.clear()

    patch.setattr(PartitionActors, "_wake", forgetful)


def timers_are_not_recovered(patch: Patch) -> None:
    found = customers.survey

    def without_timers(*args: Any) -> Survey:
        return found(*args)._replace(timers=[])

    patch.setattr(customers, "survey", without_timers)


def recovery_takes_the_last_record(patch: Patch) -> None:
    def last(chunk: Sequence[Record], store: Store, overtaken: set[bytes]) -> None:
        store.write([(r.key or b"", r.value) for r in chunk], chunk[-1].offset + 1)

    async def unlooked(*_: Any) -> set[bytes]:
        return set()

    patch.setattr(recovery, "fold", last)
    patch.setattr(Changelog, "_older", unlooked)


def progress_is_written_before_the_states(patch: Patch) -> None:
    async def keep(self: Any, changes: Any, check: Callable[[], None]) -> None:
        await self.changelog.write([(PROGRESS_KEY, pack_progress(changes.progress))], check)
        items = self._graves.bury(changes.states, changes.progress)
        await self.changelog.write([*items, (PROGRESS_KEY, pack_progress(changes.progress))], check)

    patch.setattr(customers._Partition, "keep", keep)


def effects_are_written_after_the_states(patch: Patch) -> None:
    async def commit(self: Any, partition: Any, records: Any, turn: Any, **_: Any) -> None:
        await self._library.ensure(records)
        changes = partition.actors.receive(records)
        await partition.keep(changes, turn.check)
        await self._send(changes.effects, turn.check)
        turn.done(changes.progress.next_offset)

    patch.setattr(CustomersRuntime, "_commit", commit)


def a_failed_batch_goes_on_with_the_same_actors(patch: Patch) -> None:
    async def commit(self: Any, partition: Any, records: Any, turn: Any, **_: Any) -> None:
        await self._library.ensure(records)
        changes = partition.actors.receive(records)
        turn.done(changes.progress.next_offset)
        try:
            await self._send(changes.effects, turn.check)
            await partition.keep(changes, turn.check)
        except customers.LogError:
            return

    patch.setattr(CustomersRuntime, "_commit", commit)


def mails_go_before_their_claim_is_durable(patch: Patch) -> None:
    async def talk(self: Any, claimed: Any, changes: Any, hand_over: Any) -> Any:
        result = await hand_over()
        await self._committer.submit(changes)
        return Ended(claimed.id, claimed.attempt, claimed.term, result)

    patch.setattr(Attempts, "_talk", talk)


def ambiguous_marketing_is_sent_again(patch: Patch) -> None:
    lost = lifecycle.lost

    def again(mail: Entry, result: Any, now: int) -> Entry:
        urgent = lifecycle._changed(mail, urgent=True)
        return lifecycle._changed(lost(urgent, result, now), urgent=False)

    patch.setattr(lifecycle, "lost", again)


def transactional_mails_are_given_up(patch: Patch) -> None:
    lost = lifecycle.lost
    patch.setattr(
        lifecycle, "lost", lambda mail, *rest: lost(lifecycle._changed(mail, urgent=False), *rest)
    )


def time_is_the_last_append_time(patch: Patch) -> None:
    absorb = PartitionActors.absorbing

    def absorbed(self: Any, records: Sequence[Record]) -> Iterator[bool]:
        for record in records:
            self._now = min(self._now, record.timestamp)
            yield from absorb(self, [record])

    patch.setattr(PartitionActors, "absorbing", absorbed)


def how_far_the_work_went_is_not_written(patch: Patch) -> None:
    patch.setattr(Laying, "take", lambda *_: None)


def the_budget_depends_on_the_process(patch: Patch) -> None:
    patch.setattr(Laying, "budget", lambda self, _: Budget(random.randint(1, 3)))


def who_was_told_of_a_sale_is_not_remembered(patch: Patch) -> None:
    patch.setattr(Tellings, "progress", lambda self: [(each.telling.offset, b"") for each in self])


def what_was_to_be_told_is_forgotten(patch: Patch) -> None:
    patch.setattr(Tellings, "progress", lambda _: [])


def an_id_is_whose_who_claimed_it(patch: Patch) -> None:
    """As it was without namespaces: the visitor's record is there, and takes what is said."""
    to_customer = Namespaces._to_customer

    def taken_over(self: Any, event: Event, offset: int) -> Addressed:
        visitor = of_visitor(event.customer)
        if self._is_there(visitor.encode(), offset):
            return Addressed(event._replace(customer=visitor), visitor.encode())
        return to_customer(self, event, offset)

    patch.setattr(Namespaces, "_to_customer", taken_over)


def where_visitors_took_something_is_not_written(patch: Patch) -> None:
    patch.setattr(Namespaces, "take", lambda _: {})


BREAKS: list[tuple[Callable[[Patch], None], str, int]] = [
    (repeated_records_count_again, laws.PLAIN, 0),
    (repeated_events_count_again, laws.PLAIN, 0),
    (events_are_remembered_by_a_count, laws.PLAIN, 0),
    (sources_are_not_told_apart, laws.PLAIN, 9),
    (timers_fire_a_record_late, laws.TIMERS, 13),
    (an_event_at_the_time_of_a_timer_is_lost, laws.PLAIN, 3),
    (timers_are_not_recovered, laws.TIMERS, 0),
    (recovery_takes_the_last_record, laws.FOLD, 27),
    (progress_is_written_before_the_states, laws.FOLD, 0),
    (effects_are_written_after_the_states, laws.TOPICS, 0),
    (a_failed_batch_goes_on_with_the_same_actors, laws.TOPICS, 0),
    (mails_go_before_their_claim_is_durable, laws.MAILS, 3),
    (ambiguous_marketing_is_sent_again, laws.MAILS, 2),
    (transactional_mails_are_given_up, laws.MAILS, 5),
    (time_is_the_last_append_time, laws.REST, 0),
    (how_far_the_work_went_is_not_written, laws.TOPICS, 29),
    (the_budget_depends_on_the_process, laws.FOLD, 0),
    (who_was_told_of_a_sale_is_not_remembered, laws.FOLD, 3),
    (what_was_to_be_told_is_forgotten, laws.FOLD, 2),
    (an_id_is_whose_who_claimed_it, laws.CLAIMS, 6),
    (where_visitors_took_something_is_not_written, laws.FOLD, 30),
    (a_pool_begins_anew, laws.CODES, 10),
    (a_replay_knows_of_no_place, laws.REPLAY, 0),
    (no_record_names_a_place, laws.REPLAY, 0),
]
"""What is broken, the law that finds it, and a seed that has found it lately: one to begin with."""


@pytest.mark.parametrize(
    ("break_it", "law", "first"), BREAKS, ids=[each.__name__ for each, *_ in BREAKS]
)
def test_a_broken_law_is_found(
    break_it: Callable[[Patch], None], law: str, first: int, monkeypatch: Patch
) -> None:
    break_it(monkeypatch)
    for seed in range(first, first + ENOUGH):
        try:
            tell(seed)
        except Broken as broken:
            if law in broken.laws:
                print(f"found at seed {seed}: {broken}")
                return
    pytest.fail(f"{ENOUGH} seeds have not noticed it")
