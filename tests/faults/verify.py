"""What must hold after a fault run: nothing lost, nothing twice, and replay tells the same."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agents.commerce.coupons import POOL_PREFIX
from agents.definitions.published import Definitions
from schemas import topics
from schemas.commands import COMMAND, SendCommand
from schemas.customer import Customer, decode_customer
from schemas.definitions import version_of
from schemas.origin import HEADER as ORIGIN
from schemas.records import Record
from schemas.stored import OWN_PREFIX, PROGRESS_KEY, Progress, head, is_erased, unpack_progress
from streams.log import Log
from streams.runtime.definitions import load
from streams.tools.replayed_partition import Outcome, ReplayedPartition
from tests.faults.fleet import Inbox
from tests.faults.load import Load
from tests.waiting import poll_pause

FINAL = frozenset({"mail.sent", "mail.bounced", "mail.failed", "mail.rejected", "mail.skipped"})


@dataclass
class Found:
    """The log's contents after a run."""

    states: dict[bytes, bytes] = field(default_factory=dict)
    progress: dict[int, Progress] = field(default_factory=dict)
    commands: dict[str, SendCommand] = field(default_factory=dict)
    repeated_commands: int = 0
    decisions: set[bytes] = field(default_factory=set)
    outcomes: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Command id → types of its final outcomes."""
    ambiguous: set[str] = field(default_factory=set)
    message_ids: dict[str, str] = field(default_factory=dict)
    """Command id → Message-ID, of those that were sent."""
    codes: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """(Campaign, code) → whom it was issued to."""
    told: Counter[str] = field(default_factory=Counter)
    """What actors told each other, with all that a fault had them tell again, by type."""


class Follower:
    """Reads topics on from where it has stopped, and keeps what the checks need."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._positions: dict[tuple[str, int], int] = {}
        self.found = Found()

    async def catch_up(self) -> Found:
        """Read what is new in all topics."""
        # Changelog before events: what has been decided by then has its outcomes read as well.
        await self._read(topics.CUSTOMERS_CHANGELOG, self._take_state)
        await self._read(topics.SEND_COMMANDS, self._take_command)
        await self._read(topics.FACTS, lambda fact: self.found.decisions.add(fact.value or b""))
        await self._read(topics.CUSTOMER_SIGNALS, self._take_code)
        await self._read(topics.CUSTOMER_EVENTS, self._take_outcome)
        return self.found

    async def drained(self, targets: Mapping[int, int]) -> Found:
        """Wait until each partition has got to its target and every mail has its outcome."""
        while True:
            found = await self.catch_up()
            if all(
                partition in found.progress and found.progress[partition].next_offset >= end
                for partition, end in targets.items()
            ) and all(command in found.outcomes for command in found.commands):
                return found
            await poll_pause()

    async def _read(self, topic: str, take: Callable[[Record], object]) -> None:
        for partition, span in (await self._log.offsets(topic)).items():
            start = self._positions.get((topic, partition), span.start)
            if start < span.end:
                async for chunk in self._log.read(topic, partition, start, span.end):
                    for record in chunk:
                        take(record)
            self._positions[topic, partition] = span.end

    def _take_state(self, record: Record) -> None:
        if record.value is None or record.key is None:
            return
        found = self.found
        if record.key == PROGRESS_KEY:
            progress, before = unpack_progress(record.value), found.progress.get(record.partition)
            if before is None or progress.next_offset >= before.next_offset:
                found.progress[record.partition] = progress
        if record.key.startswith(OWN_PREFIX):
            return
        known = found.states.get(record.key)
        if known is None or head(known).applied <= head(record.value).applied:
            found.states[record.key] = record.value

    def _take_command(self, record: Record) -> None:
        command = COMMAND.validate_json(record.value or b"")
        if isinstance(command, SendCommand):
            self.found.repeated_commands += command.id in self.found.commands
            kept = self.found.commands.setdefault(command.id, command)
            assert kept == command, f"the same command again, but another: {kept} {command}"

    def _take_code(self, record: Record) -> None:
        body = json.loads(record.value or b"{}")
        if body.get("signal") == "coupon.changed" and body["change"] == "issued":
            self.found.codes[body["campaign"], body["code"]].add(body["customer"])

    def _take_outcome(self, record: Record) -> None:
        type_ = (record.header("ce_type") or b"").decode()
        if record.header(ORIGIN) is not None:
            self.found.told[type_] += 1
        if not type_.startswith("mail."):
            return
        body = json.loads(record.value or b"{}")
        if body.get("ambiguous"):
            self.found.ambiguous.add(body["command_id"])
        if type_ in FINAL:
            self.found.outcomes[body["command_id"]].add(type_)
        if type_ == "mail.sent":
            self.found.message_ids[body["command_id"]] = body["message_id"]


async def reference(log: Log, progress: Mapping[int, Progress], link_key: bytes) -> Outcome:
    """Replay the log up to where the workers have got, with their key of the links' names."""
    definitions = Definitions(link_key=link_key)
    for (_, version), content in (await load(log)).items():
        assert version_of(content) == version
        definitions.add(version, content)
    outcome = Outcome()
    for number, span in sorted((await log.offsets(topics.CUSTOMER_EVENTS)).items()):
        partition = ReplayedPartition(number, definitions, {}, outcome)
        stop = progress[number].next_offset
        async for chunk in log.read(topics.CUSTOMER_EVENTS, number, span.start, stop):
            for record in chunk:
                partition.absorb(record)
        partition.finish()
    return outcome


def _same(kept: bytes, replayed: bytes) -> bool:
    """A record without a body says in the store when it goes (`tombstones.py`): replay removes
    none."""
    if is_erased(kept) and is_erased(replayed):
        return head(kept).applied == head(replayed).applied
    return kept == replayed


def check_states(found: Found, outcome: Outcome, load_: Load) -> None:
    """The kept states are those of the replay, and the numbers those of the naive fold."""
    replayed = {key.encode(): stored for key, stored in outcome.customers.items()}
    assert found.states.keys() == replayed.keys()
    wrong = [key for key in replayed if not _same(found.states[key], replayed[key])]
    assert not wrong, [
        (decode_customer("", found.states[key]), decode_customer("", replayed[key]))
        for key in wrong[:2]
    ]
    for key, expected in load_.expected.items():
        customer: Customer = decode_customer(key, found.states[key.encode()])
        assert customer.statistics.count == expected.orders, key
        assert customer.statistics.spent.get("EUR", 0) == expected.spent, key
        assert customer.views == expected.views, key


def check_decisions(found: Found, outcome: Outcome) -> None:
    """Live and replay have decided and commanded the same."""
    replayed = {json.loads(line[-1])["id"] for line in outcome.commands}
    assert found.commands.keys() == replayed
    canonical = {json.dumps(json.loads(d), sort_keys=True) for d in found.decisions}
    again = {json.dumps(json.loads(line[-1]), sort_keys=True) for line in outcome.decisions}
    assert canonical == again


def check_codes(found: Found, load_: Load, campaign: str) -> int:
    """Each order has got a code of its own out of the pool, and no code was used up for nothing."""
    owners = {code: who for (of, code), who in found.codes.items() if of == campaign}
    shared = {code: who for code, who in owners.items() if len(who) > 1}
    assert not shared, shared
    assert len(owners) == sum(each.orders for each in load_.expected.values())
    key = POOL_PREFIX + campaign
    [given] = decode_customer(key, found.states[key.encode()]).given
    assert given.place == len(owners)
    return len(owners)


def check_told(found: Found) -> Counter[str]:
    """Forwarded events and requests to a pool were among it; that none counts twice, or not at all,
    shows in the sums and codes."""
    forwarded = found.told["product.viewed"]
    assert forwarded, "nothing was forwarded"
    assert found.told["coupon.requested"], "no pool was asked"
    return Counter(forwarded=forwarded, asked_of_a_pool=found.told["coupon.requested"])


def check_mails(found: Found, inbox: Inbox) -> Counter[str]:
    """Marketing at most once, transactional at least once, and every excess is known."""
    ambiguous_ids = {found.message_ids[c] for c in found.ambiguous if c in found.message_ids}
    tally: Counter[str] = Counter()
    for message_id, copies in inbox.copies.items():
        tally[inbox.classes[message_id]] += 1
        if inbox.classes[message_id] == "marketing":
            assert copies == 1, f"marketing mail {message_id} arrived {copies} times"
        elif copies > 1:
            tally["transactional_again"] += copies - 1
            assert message_id in ambiguous_ids, f"{message_id} arrived {copies} times, unexplained"
    for command_id, command in found.commands.items():
        final = found.outcomes[command_id]
        assert len(final) == 1, f"{command_id} has the outcomes {sorted(final)}"
        if command.mail_class == "transactional":
            assert final == {"mail.sent"}, f"{command_id}: {sorted(final)}"
            assert inbox.copies[found.message_ids[command_id]] >= 1, f"{command_id} never arrived"
        elif final == {"mail.sent"}:
            assert inbox.copies[found.message_ids[command_id]] == 1, f"{command_id} never arrived"
    tally["commands"] = len(found.commands)
    tally["ambiguous"] = len(found.ambiguous)
    tally["repeated_commands"] = found.repeated_commands
    return tally
