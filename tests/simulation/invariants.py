"""What must hold at the end of every scenario."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from agents.definitions.published import Definitions
from agents.effects import Effect
from agents.partition.partition import PartitionActors
from schemas.commands import COMMAND, SendCommand
from schemas.dead_letters import DeadLetter, read_letter
from schemas.decisions import Decision
from schemas.events import SET_ASIDE
from schemas.pending_work import BROADCAST_PREFIX, LAYOUT_KEY
from schemas.records import OutRecord, Record
from schemas.reference import is_visitors
from schemas.set_aside import SetAside, decode_set_aside
from schemas.stored import (
    HEAD_SIZE,
    HELD_BACK_PREFIX,
    NAMESPACE_DECISIONS_KEY,
    OWN_PREFIX,
    PROGRESS_KEY,
    WAITING_PREFIX,
    Progress,
    is_erased,
    unpack_progress,
)
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, DEAD_LETTERS, SEND_COMMANDS
from streams.partitioner import partition_of
from streams.runtime.definitions import load
from streams.runtime.transports.batch import TopicPartition
from streams.tools.replay import replay_topic
from tests.keys import SIGNER
from tests.simulation import laws
from tests.simulation.expected import Reckoning, customer_of
from tests.simulation.laws import Court
from tests.simulation.lost_partition import check_anew
from tests.simulation.machine import PARTITIONS, Environment, Process
from tests.simulation.mails import check_mails, check_once
from tests.simulation.naive import fold
from tests.simulation.scenario import POOL
from tests.simulation.shop import CLAIMED, FORGED, KNOWN, Shop
from tests.simulation.timers import check_timers

FOREVER = 2**61


@dataclass
class Folded:
    """What the log ends in, by one set of actors for each partition, without any crash."""

    states: dict[bytes, bytes] = field(default_factory=dict)
    told: list[tuple[int, list[Effect]]] = field(default_factory=list)
    """What each partition has asked for, by number, those that are lost first."""
    current: list[Effect] = field(default_factory=list)
    """Of the partitions that are still there."""
    behind: set[int] = field(default_factory=set)
    """Times of the log at which work was left over."""

    @property
    def effects(self) -> list[Effect]:
        """All that was asked for."""
        return [effect for _, effects in self.told for effect in effects]


async def check(
    environment: Environment, shop: Shop, process: Process, *, rests: bool = True
) -> None:
    """Try all laws; `rests`: whether it has come to rest. Raises Broken."""
    court = Court()
    with court.tries(laws.REST):
        assert rests, "there is always more to do"
    if not rests:
        court.judge()  # the others are about the end
    definitions = Definitions()
    for (_, version), content in (await load(environment.log)).items():
        definitions.add(version, content)
    live = _live(environment, process, court)
    folded = _fold(environment, definitions, court)
    effects = folded.effects
    with court.tries(laws.FOLD):
        assert live == folded.states
    kept, live = live, {key: each for key, each in live.items() if not key.startswith(OWN_PREFIX)}
    with court.tries(laws.TOPICS):
        _check_topics(environment, effects)
    with court.tries(laws.TOLD):
        _check_told(environment, folded)
    with court.tries(laws.ONCE):
        check_once(environment)
    with court.tries(laws.REPLAY):
        await _check_replay(environment, definitions, live, folded.current)
    with court.tries(laws.MAILS):
        check_mails(environment)
    reckoning = Reckoning(environment, shop, _all_places(environment))
    with court.tries(laws.TIMERS):
        held = {key for key, each in reckoning.waiting.items() if each.spans}
        check_timers(environment, effects, folded.behind, live, held)
        reckoning.check_timers(effects)
    with court.tries(laws.PLAIN):
        reckoning.check_plain(live)
    with court.tries(laws.HELD):
        assert not any(key.startswith((HELD_BACK_PREFIX, WAITING_PREFIX)) for key in kept)
        reckoning.check_held(live, effects, _refused(environment, "held_back"))
    with court.tries(laws.ORDERS):
        _check_orders(shop, live)
    with court.tries(laws.CLAIMS):
        _check_claims(shop, live)
    with court.tries(laws.CODES):
        _check_codes(environment)
    with court.tries(laws.ASIDE):
        _check_aside(environment, shop, reckoning)
    with court.tries(laws.ANEW):
        check_anew(environment, shop, live)
    court.judge()


def _live(environment: Environment, process: Process, court: Court) -> dict[bytes, bytes]:
    """Return the kept states, the same from the owner's store and from the changelog."""
    states: dict[bytes, bytes] = {}
    for number in range(PARTITIONS):
        tp = TopicPartition(CUSTOMER_EVENTS, number)
        owned = dict(process.customers._open[tp].changelog.scan())
        with court.tries(laws.CHANGELOG):
            assert _highest(environment.log.topics[CUSTOMERS_CHANGELOG][number]) == owned
        with court.tries(laws.REST):
            waiting = [each for each in owned.items() if each[0].startswith(BROADCAST_PREFIX)]
            assert all(is_erased(stored) for _, stored in waiting), "everybody was told"
        progress = unpack_progress(owned.pop(PROGRESS_KEY))
        part = environment.log.topics[CUSTOMER_EVENTS][number]
        with court.tries(laws.PROGRESS):
            assert progress.next_offset == len(part)
            assert progress.log_time == max(record.timestamp for record in part)
        states |= _states(number, owned.items())
    return states


def _highest(records: Iterable[Record]) -> dict[bytes, bytes]:
    """Return of each key the record that has read most of the log, of as much the later one, or
    the one that has a body."""
    kept: dict[bytes, tuple[int, bool, bytes]] = {}
    for record in records:
        key, value = record.key or b"", record.value
        if value is None:
            kept.pop(key, None)
            continue
        mine = int.from_bytes(value[:8], signed=True), len(value) > HEAD_SIZE, value
        if key not in kept or kept[key][:2] <= mine[:2]:
            kept[key] = mine
    return {key: value for key, (_, _, value) in kept.items()}


def _fold(environment: Environment, definitions: Definitions, court: Court) -> Folded:
    """Apply each partition to one set of actors, without any crash and without any defect."""
    folded = Folded()
    for place, (number, records) in enumerate(environment.partitions()):
        actors = PartitionActors(
            partition=number,
            load=lambda _: None,
            definitions=definitions,
            progress=Progress(set_aside=tuple(_places(records))),
            home=lambda key: partition_of(key, PARTITIONS),
            signer=SIGNER,
            visits=environment.visits,
        )
        for record in records:
            actors.absorb([record])
            if actors.unfinished:
                folded.behind.add(actors.log_time)
        with court.tries(laws.REST):
            assert not actors.unfinished, "nothing is left over in the end"
        changes = actors.take()
        folded.told.append((number, changes.effects))
        if place >= len(environment.past):
            folded.current += changes.effects
            folded.states |= _states(number, changes.states)
    return folded


def _states(partition: int, items: Iterable[tuple[bytes, bytes | None]]) -> dict[bytes, bytes]:
    """Return what a fold of the log has to end in: not how the work lay over its records."""
    return {
        # What is a partition's own is told from the same of another.
        key + b"/%d" % partition if key.startswith(OWN_PREFIX) else key: stored
        for key, stored in items
        if stored
        and not is_erased(stored)
        and key not in (LAYOUT_KEY, NAMESPACE_DECISIONS_KEY)
        and not key.startswith(BROADCAST_PREFIX)
    }


def _check_topics(environment: Environment, effects: list[Effect]) -> None:
    """What was decided is in the log: all of it, nothing else, and repeats are identical."""
    expected: defaultdict[str, set[object]] = defaultdict(set)
    for effect in effects:
        record = effect.signed(SIGNER)
        expected[effect.topic].add((record.key, record.value, tuple(record.headers)))
    for topic, wanted in expected.items():
        found = {(r.key, r.value, tuple(r.headers)) for r in environment.log.records(topic)}
        if topic == CUSTOMER_EVENTS:
            continue  # another law's
        if topic == DEAD_LETTERS:
            found = {_told(r) for r in environment.log.records(topic) if _is_letter(r)}
        assert found == wanted, f"{topic}: what was decided, and nothing else"
    by_id: defaultdict[str, set[bytes | None]] = defaultdict(set)
    for record in environment.log.records(SEND_COMMANDS):
        command = COMMAND.validate_json(record.value or b"")
        if isinstance(command, SendCommand):
            by_id[command.id].add(record.value)
    assert all(len(values) == 1 for values in by_id.values()), "repeats are identical"


def _check_told(environment: Environment, folded: Folded) -> None:
    """What is news to a partition came to it in the order in which it was told, and all of it."""
    wanted: defaultdict[tuple[int, int], list[OutRecord]] = defaultdict(list)
    for number, effects in folded.told:
        for effect in effects:
            if effect.topic == CUSTOMER_EVENTS:
                hearer = partition_of(effect.key, PARTITIONS)
                wanted[number, hearer].append(_told(effect.signed(SIGNER)))
    heard: defaultdict[tuple[int, int], list[OutRecord]] = defaultdict(list)
    for hearer, records in environment.partitions():
        highest: dict[int, list[int]] = {}
        for record in records:
            origin = record.header("ritorno_origin")
            if origin is None:
                continue
            epoch, teller, *rest = map(int, origin.split(b"/"))
            if [epoch, *rest] > highest.get(teller, []):
                highest[teller] = [epoch, *rest]
                heard[teller, hearer].append(_told(record))
    assert heard == wanted


def _told(record: OutRecord | Record) -> OutRecord:
    return OutRecord(record.key, record.value, tuple(record.headers))


async def _check_replay(
    environment: Environment,
    definitions: Definitions,
    live: dict[bytes, bytes],
    effects: list[Effect],
) -> None:
    replayed = await replay_topic(
        environment.log,
        topic=CUSTOMER_EVENTS,
        until=FOREVER,
        definitions=definitions,
        signer=SIGNER,
        visits=environment.visits,
    )
    states = {k.encode(): v for k, v in replayed.customers.items() if not is_erased(v)}
    assert states == live, "replay ends in the live states, byte for byte"
    sends = {e.content.id for e in effects if isinstance(e.content, SendCommand)}
    assert len(replayed.commands) == len(sends)
    assert len(replayed.decisions) == sum(isinstance(e.content, Decision) for e in effects)
    for number in range(PARTITIONS):
        commands = (
            COMMAND.validate_json(r.value or b"")
            for r in environment.log.topics[SEND_COMMANDS][number]
        )
        asked = dict.fromkeys(c.id for c in commands if isinstance(c, SendCommand))
        lines = [line for line in sorted(replayed.commands) if line[1] == number]
        order = sorted(lines, key=lambda line: line[2])
        assert [line[-1].split(b'"')[3].decode() for line in order] == list(asked), (
            "replay decides the same mails in the same order"
        )


def _check_orders(shop: Shop, live: dict[bytes, bytes]) -> None:
    """However visitors and customers were merged: no order is lost, none counts twice."""
    if shop.forgets or any(event.type == "customer.erasure_requested" for event in shop.all):
        return
    orders = {e.data["order_id"] for e in shop.all if e.type == "order.completed"}
    counted = sum(customer_of(live, key.decode()).statistics.count for key in live)
    assert counted == len(orders), "orders are conserved"


def _check_claims(shop: Shop, live: dict[bytes, bytes]) -> None:
    """Whoever has claimed her id, and whenever: what the shop says of her is hers."""
    for key in live:
        customer = customer_of(live, key.decode())
        assert is_visitors(customer.key) or not customer.became, key
    said = [each for each in shop.all if each.key == CLAIMED]
    hers = fold(each for each in said if each.headers.get("ce_anonymousid") != CLAIMED)
    kept = customer_of(live, CLAIMED)
    assert (kept.statistics.count, kept.views) == (len(hers.orders), hers.views)
    assert kept.profile.email != FORGED


def _check_codes(environment: Environment) -> None:
    """Whatever is asked again, and whoever dies meanwhile: each run has one, none is skipped."""
    given: dict[str, str] = {}
    for record in environment.events():
        if record.header("ce_type") != b"coupon.issued":
            continue
        said = json.loads(record.value or b"{}")
        code, run = said.get("code", ""), said["run"] + said["step"]
        if code.startswith("POOL-"):
            assert given.setdefault(code, run) == run, code
    assert len(set(given.values())) == len(given), "one code for each run"
    assert set(given) == set(POOL[: len(given)]), "none is skipped"


def _check_aside(environment: Environment, shop: Shop, reckoning: Reckoning) -> None:
    """Each event that fails has its place and its letter; what else has one is a timer, or a
    customer who can't be read."""
    refused = _refused(environment, "internal_error")
    passed_on = {
        (*record.header("ritorno_origin").split(b"/")[1:3], record.header("ce_id"))
        for record in environment.log.records(CUSTOMER_EVENTS)
        if record.header("ritorno_origin")
    }
    for number, records in enumerate(environment.log.topics[CUSTOMER_EVENTS]):
        places = _places(records)
        failing = {r.offset for r in records if shop.fails(r)}
        assert {each.what for each in places} <= {"record", "timer", "customer", "waiting"}
        named = {each.offset for each in places if each.what == "record"}
        waited = {int(each.name) for each in places if each.what == "waiting"}
        assert named | waited <= failing, "nothing else"
        whom = {each.name for each in places if each.what == "customer"}
        assert whom <= shop.unreadable, "nobody else"
        heard = set[bytes]()
        for record in records:
            origin = record.header("ritorno_origin") or b""
            if origin in heard:
                continue  # what is told again after a crash is no news, and nobody fails at it
            heard |= {origin} - {b""}
            key = (record.key or b"").decode("latin-1")
            here = (b"%d" % number, b"%d" % record.offset, record.header("ce_id"))
            if here in passed_on:
                continue  # by a visitor who has become somebody: it is failed at there
            if record.offset in failing and key in KNOWN and _is_home(record):
                who = reckoning.waiting[key]
                there = waited | who.refused | who.forgotten
                known = there if who.at(record.offset) else named
                assert record.offset in known, "it is passed over silently"
        assert {(number, offset) for offset in named} <= refused


def _is_letter(record: Record) -> bool:
    return isinstance(read_letter(record), DeadLetter)


def _is_home(record: Record) -> bool:
    return partition_of(record.key or b"", PARTITIONS) == record.partition


def _refused(environment: Environment, reason: str) -> set[tuple[int, int]]:
    """Return partition and offset of what was refused for a reason."""
    letters = map(read_letter, environment.log.records(DEAD_LETTERS))
    return {
        (each.origin.partition, each.origin.offset)
        for each in letters
        if isinstance(each, DeadLetter) and each.reason == reason
    }


def _all_places(environment: Environment) -> dict[int, list[SetAside]]:
    parts = environment.log.topics[CUSTOMER_EVENTS]
    return {number: _places(records) for number, records in enumerate(parts)}


def _places(records: Iterable[Record]) -> list[SetAside]:
    return [
        decode_set_aside(record.value, record.partition)
        for record in records
        if record.header("ce_type") == SET_ASIDE.encode()
    ]
