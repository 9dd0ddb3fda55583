"""Checks of the topics: are all there, with the partitions and the settings that they must have?

`check_topics` is also what a worker asks before it starts: on a topic without append time timers
would follow producers' clocks, and with different partition counts a customer's command would be
read by a worker that doesn't know the customer. Neither can be put right afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.log import Log, TopicDescription, TopicSpec
from streams.messages.plurals import several
from streams.operate.check import Check, CheckStatus
from streams.operate.lookup import known_count
from streams.settings import Settings
from streams.topology import CUSTOMER_EVENTS, LOG_RECORD_BYTES, OPTIONAL, PER_CUSTOMER, topics


async def check_topics(log: Log, settings: Settings) -> list[Check]:
    """Compare the topics with the topology. Raises LogError."""
    described = {spec.name: await log.describe(spec.name) for spec in topics(1)}
    missing = [
        log.named(name)
        for name, found in described.items()
        if found is None and name not in OPTIONAL
    ]
    if missing:
        text = f"missing: {', '.join(missing)}"
        return [Check("topics", CheckStatus.FAIL, text, "ritorno topics create")]
    existing = [found for found in described.values() if found is not None]
    return [
        Check("topics", CheckStatus.OK, f"all {len(existing)} exist{_called(log)}"),
        _check_counts(existing, settings, await known_count(log)),
        *_check_policies(existing, settings, log),
    ]


def _called(log: Log) -> str:
    """Return how topics are called that have a prefix."""
    name = log.named(CUSTOMER_EVENTS)
    return "" if name == CUSTOMER_EVENTS else f", as {name} and so on"


def _check_counts(existing: Sequence[TopicDescription], settings: Settings, known: int) -> Check:
    """`known`: how many partitions there were when customers were read last; 0: nobody knows."""
    counts = {each.name: each.partitions for each in existing if each.name in PER_CUSTOMER}
    count = counts[CUSTOMER_EVENTS]
    odd = [f"{name} has {number}" for name, number in counts.items() if number != count]
    if known not in (0, count):
        others = f", and {', '.join(odd)}" if odd else ""
        return Check(
            "partitions",
            CheckStatus.FAIL,
            f"{CUSTOMER_EVENTS} has {several(count, 'partition')} and had {known} when its "
            f"customers were read{others}: their events would go where nobody knows them",
            "Stop whoever publishes, and copy the topics to others with "
            f"{several(known, 'partition')}: docs/moving.md.",
        )
    if odd:
        return Check(
            "partitions",
            CheckStatus.FAIL,
            f"{CUSTOMER_EVENTS} has {several(count, 'partition')}, but {', '.join(odd)}",
            "They must agree, and a topic's count can't be changed once it holds records: delete "
            "the odd ones while they are empty, then run `ritorno topics create "
            f"--partitions {count}`.",
        )
    if settings.partitions not in (None, count):
        unused = f"the setting partitions = {settings.partitions} has no effect"
        text = f"{several(count, 'partition')}; {unused}"
        return Check("partitions", CheckStatus.WARN, text, f"Set RITORNO_PARTITIONS={count}.")
    rest = [f"{each.name} has {each.partitions}" for each in existing if each.name not in counts]
    text = f"{count} for each of the {len(counts)} that must agree; {', '.join(rest)}"
    return Check("partitions", CheckStatus.OK, text)


def _check_policies(
    existing: Sequence[TopicDescription], settings: Settings, log: Log
) -> list[Check]:
    wanted = {spec.name: spec for spec in topics(1)}
    checks: list[Check] = []
    for found in existing:
        wrong = _wrong_settings(wanted[found.name], found)
        if wrong:
            listed = ", ".join(f"{name} is {is_}, not {want}" for name, is_, want in wrong)
            name = "append time" if wrong[0][0] == "message.timestamp.type" else "topic policy"
            changes = ",".join(f"{name}={want}" for name, _, want in wrong)
            remedy = _alter_command(settings, log.named(found.name), changes)
            checks.append(Check(name, CheckStatus.FAIL, f"{found.name}: {listed}", remedy))
    if not checks:
        checks.append(Check("topic policy", CheckStatus.OK, "append time and compaction as needed"))
    return checks


def _wrong_settings(spec: TopicSpec, found: TopicDescription) -> list[tuple[str, str, str]]:
    """Return (setting, value, needed value) of what would lose data, falsify time or refuse
    records."""
    needed = {"cleanup.policy": spec.config["cleanup.policy"]}
    if spec.name == CUSTOMER_EVENTS:
        needed = {"message.timestamp.type": "LogAppendTime", **needed}
    wrong = [
        (name, found.config.get(name, "not set"), value)
        for name, value in needed.items()
        if found.config.get(name) != value
    ]
    takes = int(spec.config.get("max.message.bytes", LOG_RECORD_BYTES))
    if int(found.config.get("max.message.bytes", takes)) < takes:
        # What we keep and send is measured against this: what is larger would be refused for ever.
        wrong.append(("max.message.bytes", found.config["max.message.bytes"], str(takes)))
    lag = spec.config.get("min.compaction.lag.ms")
    if lag is not None and int(found.config.get("min.compaction.lag.ms", "0")) < int(lag):
        value = found.config.get("min.compaction.lag.ms", "0")
        wrong.append(("min.compaction.lag.ms", value, lag))
    return wrong


def _alter_command(settings: Settings, topic: str, changes: str) -> str:
    servers = ",".join(settings.bootstrap_servers) or "HOST:PORT"
    return (
        f"kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics "
        f"--entity-name {topic} --add-config {changes}"
    )
