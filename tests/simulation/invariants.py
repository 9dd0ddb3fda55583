"""What must hold at the end of every story."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal

from agents.definitions import Definitions
from agents.effects import Effect
from agents.partition import PartitionActors
from schemas.aside import SetAside, decode_set_aside
from schemas.checking import Unreadable
from schemas.commands import COMMAND, SendCommand
from schemas.customer import Customer, decode_customer
from schemas.dead_letters import DeadLetter, read_letter
from schemas.decisions import Decision
from schemas.events import SET_ASIDE, WORKFLOWS, Event
from schemas.records import Record
from schemas.reference import bare_key, id_of, is_visitors
from schemas.stored import (
    NEVER,
    OWN_PREFIX,
    PROGRESS_KEY,
    TURNS_KEY,
    Progress,
    head,
    is_erased,
    unpack_progress,
)
from schemas.topics import (
    CUSTOMER_EVENTS,
    CUSTOMERS_CHANGELOG,
    DEAD_LETTERS,
    SEND_COMMANDS,
)
from schemas.unfinished import LAYOUT_KEY
from schemas.wire import parse_record
from streams.definitions import load
from streams.partitioner import partition_of
from streams.replay import replay_topic
from streams.state.memory import MemoryStore
from streams.state.recovery import recover
from streams.transports.batch import TopicPartition
from tests.keys import SIGNER
from tests.simulation import laws
from tests.simulation.laws import Court
from tests.simulation.machine import PARTITIONS, Process, World
from tests.simulation.naive import fold
from tests.simulation.shop import CLAIMED, FORGED, PLAIN, Shop

FOREVER = 2**61


async def check(world: World, shop: Shop, process: Process) -> None:
    """Try all laws. Raises Broken."""
    court = Court()
    definitions = Definitions()
    for (_, version), content in (await load(world.log)).items():
        definitions.add(version, content)
    live = await _live(world, process, court)
    folded, effects, behind = _fold(world, definitions, court)
    with court.tries(laws.FOLD):
        assert live == folded
    live = {key: stored for key, stored in live.items() if not key.startswith(OWN_PREFIX)}
    with court.tries(laws.TOPICS):
        _check_topics(world, effects)
    with court.tries(laws.ONCE):
        _check_once(effects)
    with court.tries(laws.REPLAY):
        await _check_replay(world, definitions, live, effects)
    with court.tries(laws.MAILS):
        _check_mails(world)
    with court.tries(laws.TIMERS):
        _check_timers(world, effects, live, behind)
    with court.tries(laws.PLAIN):
        _check_plain(shop, live)
    with court.tries(laws.ORDERS):
        _check_orders(shop, live)
    with court.tries(laws.CLAIMS):
        _check_claims(shop, live)
    with court.tries(laws.CODES):
        _check_codes(world)
    with court.tries(laws.ASIDE):
        await _check_aside(world, shop)
    court.judge()


async def _live(world: World, process: Process, court: Court) -> dict[bytes, bytes]:
    """Return the kept states, the same from the owner's store and from the changelog."""
    states: dict[bytes, bytes] = {}
    for number in range(PARTITIONS):
        store = MemoryStore()
        await recover(world.log, CUSTOMERS_CHANGELOG, number, store)
        tp = TopicPartition(CUSTOMER_EVENTS, number)
        owned = dict(process.customers._open[tp].changelog.scan())
        with court.tries(laws.CHANGELOG):
            assert dict(store.scan()) == owned
        progress = unpack_progress(owned.pop(PROGRESS_KEY))
        part = world.log.topics[CUSTOMER_EVENTS][number]
        with court.tries(laws.PROGRESS):
            assert progress.next_offset == len(part)
            assert progress.log_time == max(record.timestamp for record in part)
        states |= _states(number, owned.items())
    return states


def _fold(
    world: World, definitions: Definitions, court: Court
) -> tuple[dict[bytes, bytes], list[Effect], set[int]]:
    """Apply each partition to one set of actors, without any crash and without any defect.

    The last are the times of the log at which work was left over.
    """
    states: dict[bytes, bytes] = {}
    effects: list[Effect] = []
    behind: set[int] = set()
    for number, records in enumerate(world.log.topics[CUSTOMER_EVENTS]):
        actors = PartitionActors(
            partition=number,
            load=lambda _: None,
            definitions=definitions,
            progress=Progress(aside=tuple(_places(records))),
            home=lambda key: partition_of(key, PARTITIONS),
            signer=SIGNER,
            visits=world.visits,
        )
        for record in records:
            actors.absorb([record])
            if actors.unfinished:
                behind.add(actors.log_time)
        with court.tries(laws.REST):
            assert not actors.unfinished, "nothing is left over in the end"
        changes = actors.take()
        effects += changes.effects
        states |= _states(number, changes.states)
    return states, effects, behind


def _states(partition: int, items: Iterable[tuple[bytes, bytes | None]]) -> dict[bytes, bytes]:
    """Return what a fold of the log has to end in: not how the work lay over its records."""
    return {
        # What is a partition's own is told from the same of another.
        key + b"/%d" % partition if key.startswith(OWN_PREFIX) else key: stored
        for key, stored in items
        if stored and not is_erased(stored) and key not in (LAYOUT_KEY, TURNS_KEY)
    }


def _check_topics(world: World, effects: list[Effect]) -> None:
    """What was decided is in the log: all of it, nothing else, and repeats are identical."""
    expected: defaultdict[str, set[object]] = defaultdict(set)
    for effect in effects:
        record = effect.signed(SIGNER)
        expected[effect.topic].add((record.key, record.value, tuple(record.headers)))
    for topic, wanted in expected.items():
        found = {(r.key, r.value, tuple(r.headers)) for r in world.log.records(topic)}
        if topic == CUSTOMER_EVENTS:
            assert wanted <= found, "what actors tell each other is in the log"
        elif topic == DEAD_LETTERS:
            assert found == wanted, "each refused record is a dead letter"
        else:
            assert found == wanted, f"{topic}: what was decided, and nothing else"
    by_id: defaultdict[str, set[bytes | None]] = defaultdict(set)
    for record in world.log.records(SEND_COMMANDS):
        command = COMMAND.validate_json(record.value or b"")
        if isinstance(command, SendCommand):
            by_id[command.id].add(record.value)
    assert all(len(values) == 1 for values in by_id.values()), "repeats are identical"


def _check_once(effects: list[Effect]) -> None:
    sends = Counter(e.content.id for e in effects if isinstance(e.content, SendCommand))
    assert all(count == 1 for count in sends.values())


async def _check_replay(
    world: World, definitions: Definitions, live: dict[bytes, bytes], effects: list[Effect]
) -> None:
    replayed = await replay_topic(
        world.log,
        topic=CUSTOMER_EVENTS,
        until=FOREVER,
        definitions=definitions,
        signer=SIGNER,
        visits=world.visits,
    )
    states = {k.encode(): v for k, v in replayed.customers.items() if not is_erased(v)}
    assert states == live, "replay ends in the live states, byte for byte"
    sends = {e.content.id for e in effects if isinstance(e.content, SendCommand)}
    assert len(replayed.commands) == len(sends)
    assert len(replayed.decisions) == sum(isinstance(e.content, Decision) for e in effects)
    for number in range(PARTITIONS):
        commands = (
            COMMAND.validate_json(r.value or b"") for r in world.log.topics[SEND_COMMANDS][number]
        )
        asked = dict.fromkeys(c.id for c in commands if isinstance(c, SendCommand))
        lines = [line for line in sorted(replayed.commands) if line[1] == number]
        order = sorted(lines, key=lambda line: line[2])
        assert [line[-1].split(b'"')[3].decode() for line in order] == list(asked), (
            "replay decides the same mails in the same order"
        )


def _check_mails(world: World) -> None:
    """Marketing at most once, transactional at least once, what is more is admitted."""
    commands: dict[str, SendCommand] = {}
    for record in world.log.records(SEND_COMMANDS):
        command = COMMAND.validate_json(record.value or b"")
        if isinstance(command, SendCommand):
            commands[command.id] = command
    finals: defaultdict[str, set[tuple[str, str, str]]] = defaultdict(set)
    ambiguous: set[str] = set()
    for record in world.log.records(CUSTOMER_EVENTS):
        event = _event(record)
        if event is None or event.source != "/ritorno/mailer":
            continue
        if event.type not in ("mail.deferred", "mail.held"):
            reason = getattr(event.data, "reason", "")
            finals[event.data.command_id].add((event.type, reason, event.id))
        if getattr(event.data, "ambiguous", False):
            ambiguous.add(event.data.command_id)
    for id_, command in commands.items():
        copies = world.handed_over[id_]
        # A command that is repeated more than a day after its expiry was forgotten: it has expired.
        told = {final for final in finals[id_] if final[1] != "expired"} or finals[id_]
        assert len(told) == 1, f"one final outcome: {id_} {finals[id_]}"
        kind, reason, _ = next(iter(told))
        assert copies <= 1 or id_ in ambiguous, "a second copy is admitted"
        if command.mail_class == "marketing":
            assert copies <= 1, "marketing at most once"
        else:
            taken_back = reason in ("expired", "cancelled")
            assert copies or kind == "mail.bounced" or taken_back, "transactional at least once"
        assert copies or kind != "mail.sent"
        assert not copies or kind not in ("mail.skipped", "mail.bounced") or id_ in ambiguous


def _check_timers(
    world: World, effects: list[Effect], live: dict[bytes, bytes], behind: set[int]
) -> None:
    """None early, none late but for what a budget has left over, none twice, none lost."""
    clocks = [_clock(part) for part in world.log.topics[CUSTOMER_EVENTS]]
    busy = {
        (bare_key(record.key or b""), time)
        for part in world.log.topics[CUSTOMER_EVENTS]
        for record, time in zip(part, _times(part), strict=True)
    }
    activated = {
        time
        for part in world.log.topics[CUSTOMER_EVENTS]
        for record, time in zip(part, _times(part), strict=True)
        if ("ce_type", WORKFLOWS.encode()) in record.headers
    }
    openings = _openings(effects)
    done: Counter[tuple[str, str, str]] = Counter()
    for decision in (e.content for e in effects if isinstance(e.content, Decision)):
        if decision.due is None or decision.decision in _PUT_OFF:
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


def _openings(effects: list[Effect]) -> set[int]:
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


def _check_plain(shop: Shop, live: dict[bytes, bytes]) -> None:
    for key in PLAIN:
        naive = fold(shop.all, key)
        kept = _customer(live, key)
        numbers = kept.statistics
        assert numbers.count == len(naive.orders), key
        assert numbers.spent.get("EUR", Decimal(0)) == naive.spent, key
        assert numbers.refunded.get("EUR", Decimal(0)) == naive.refunded, key
        assert kept.consented("marketing") == naive.consent[1], key
        assert {line.product_id: line.quantity for line in kept.cart.lines} == naive.cart, key
        assert kept.views == naive.views, key


def _check_orders(shop: Shop, live: dict[bytes, bytes]) -> None:
    """However visitors and customers were merged: no order is lost, none counts twice."""
    if any(event.type == "customer.erasure_requested" for event in shop.all):
        return
    orders = {e.data["order_id"] for e in shop.all if e.type == "order.completed"}
    counted = sum(_customer(live, key.decode()).statistics.count for key in live)
    assert counted == len(orders), "orders are conserved"


def _check_claims(shop: Shop, live: dict[bytes, bytes]) -> None:
    """Whoever has claimed her id, and whenever: what the shop says of her is hers."""
    for key in live:
        customer = _customer(live, key.decode())
        assert is_visitors(customer.key) or not customer.became, key
    said = [each for each in shop.all if each.key == CLAIMED]
    hers = fold((each for each in said if each.headers.get("ce_anonymousid") != CLAIMED), CLAIMED)
    kept = _customer(live, CLAIMED)
    assert (kept.statistics.count, kept.views) == (len(hers.orders), hers.views)
    assert kept.profile.email != FORGED


def _check_codes(world: World) -> None:
    """Whatever is asked again, and whoever dies meanwhile."""
    given: dict[str, str] = {}
    for record in world.log.records(CUSTOMER_EVENTS):
        event = _event(record)
        if event is not None and event.type == "coupon.issued" and event.data.code:
            run = given.setdefault(event.data.code, event.data.run)
            assert run == event.data.run, event.data.code


async def _check_aside(world: World, shop: Shop) -> None:
    """Each event that fails has its place and its letter; what else has one is a timer."""
    letters = [read_letter(record) for record in world.log.records(DEAD_LETTERS)]
    refused = {
        (each.origin.partition, each.origin.offset)
        for each in letters
        if isinstance(each, DeadLetter) and each.reason == "internal_error"
    }
    for number, records in enumerate(world.log.topics[CUSTOMER_EVENTS]):
        places = _places(records)
        assert {each.what for each in places} <= {"record", "timer"}
        named = {each.offset for each in places if each.what == "record"}
        assert named <= {r.offset for r in records if shop.fails(r)}, "nothing else"
        assert {(number, offset) for offset in named} <= refused


def _places(records: Iterable[Record]) -> list[SetAside]:
    return [
        decode_set_aside(record.value, record.partition)
        for record in records
        if record.header("ce_type") == SET_ASIDE.encode()
    ]


def _customer(live: dict[bytes, bytes], key: str) -> Customer:
    stored = live.get(key.encode())
    return Customer(key=key) if stored is None else decode_customer(key, stored)


def _event(record: Record) -> Event | None:
    try:
        return parse_record(record)
    except Unreadable:
        return None
