"""Two shops on one cluster, each with the permissions that docs/kafka.md lists and no others, one
of them logging in with tokens; and both were given the same keys by mistake."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from schemas.instant import to_rfc3339
from schemas.records import OutRecord
from streams.clock import SystemClock
from streams.log import LogError, scan
from streams.runtime.logs.kafka import KafkaLog
from streams.runtime.logs.kafka.security import KafkaSecurity
from streams.topic_names import TopicNames
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS, FACTS, SEND_COMMANDS
from tests.broker import KafkaBroker
from tests.faults.fleet import Fleet, Inbox
from tests.faults.run import SESSION_SECONDS
from tests.tokens import TokenServer, token_server
from tests.waiting import poll_pause

pytestmark = [pytest.mark.kafka, pytest.mark.processes]

DOC = Path(__file__).parents[2] / "docs" / "kafka.md"
PREFIXES = {"it": "shop-it.", "de": "shop-de."}
SECONDS = 60

# Kafka's own numbers.
RESOURCES = {"topic": 2, "group": 3}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
LITERAL, PREFIXED, ALLOW = 3, 4, 3
PATTERNS = {"literal": LITERAL, "prefixed": PREFIXED}

ASKED_ANYWAY = {
    ("IDEMPOTENT_WRITE", "Cluster:LITERAL:kafka-cluster"),  # then: may it write any topic?
    ("WRITE", "Topic:LITERAL:hardcode"),  # the broker's own way to ask that
    ("CREATE", "Cluster:LITERAL:kafka-cluster"),  # then: may it create this one?
}


def documented() -> Iterator[tuple[str, str, str, int, str]]:
    """Yield user, kind, name, pattern and operation of each permission on the page."""
    parser = ArgumentParser()
    parser.add_argument("--bootstrap-server")
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--allow-principal")
    parser.add_argument("--resource-pattern-type", choices=PATTERNS, default="literal")
    for option in ("--operation", "--topic", "--group"):
        parser.add_argument(option, action="append", default=[])
    text = DOC.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^kafka-acls\.sh (.*)$", text, re.MULTILINE):
        said = parser.parse_args(shlex.split(line))
        for operation in said.operation:
            for kind in RESOURCES:
                for name in getattr(said, kind):
                    pattern = PATTERNS[said.resource_pattern_type]
                    yield said.allow_principal, kind, name, pattern, operation


async def allow(broker: KafkaBroker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        for user, kind, name, pattern, operation in documented():
            answer = await admin._send_request(
                CreateAclsRequest(
                    RESOURCES[kind], name, pattern, user, "*", OPERATIONS[operation], ALLOW
                )
            )
            assert [code for code, _ in answer.creation_responses] == [0]
    finally:
        await admin.close()


@pytest.fixture
async def server() -> AsyncIterator[TokenServer]:
    async with token_server() as running:
        yield running


def common(broker: KafkaBroker, shop: str, inbox: Inbox) -> dict[str, str]:
    return {
        "RITORNO_BROKER": f"kafka://{broker.sasl_bootstrap}",
        "RITORNO_KAFKA_SECURITY": "sasl_tls",
        "RITORNO_KAFKA_CA_FILE": str(broker.ca_file),
        "RITORNO_KAFKA_SESSION_SECONDS": str(SESSION_SECONDS),
        "RITORNO_TOPIC_PREFIX": PREFIXES[shop],
        "RITORNO_PARTITIONS": "1",
        "RITORNO_SMTP_URL": f"smtp://127.0.0.1:{inbox.port}",
        "RITORNO_TOKEN_KEYS": "a:0123456789abcdef0123456789abcdef",
    }


def by_password(broker: KafkaBroker, user: str) -> dict[str, str]:
    return {
        "RITORNO_KAFKA_SASL_MECHANISM": "PLAIN",
        "RITORNO_KAFKA_USERNAME": user,
        "RITORNO_KAFKA_PASSWORD": broker.password,
    }


def by_token(server: TokenServer) -> dict[str, str]:
    return {
        "RITORNO_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "RITORNO_KAFKA_TOKEN_URL": server.url,
        "RITORNO_KAFKA_USERNAME": "ritorno",
        "RITORNO_KAFKA_PASSWORD": "secret of ritorno",
    }


async def test_two_shops_with_the_least_permissions(
    kafka_broker: KafkaBroker, server: TokenServer, tmp_path: Path
) -> None:
    broker = kafka_broker
    await allow(broker)
    inboxes = {shop: Inbox() for shop in PREFIXES}
    it, de = (common(broker, shop, inboxes[shop]) for shop in PREFIXES)
    operator = Fleet(tmp_path, **it, **by_password(broker, "shop-operator"))
    publisher = Fleet(tmp_path, **it, **by_password(broker, "shop-publisher"))
    workers = Fleet(tmp_path / "it", **it, **by_password(broker, "shop-worker"))
    others = Fleet(tmp_path / "de", **de, **by_token(server))
    events = tmp_path / "events.ndjson"
    events.write_text("\n".join(map(json.dumps, _order())))
    for inbox in inboxes.values():
        inbox.start()
    try:
        made, _ = await asyncio.gather(
            *(asyncio.to_thread(each.command, "topics", "create") for each in (operator, others))
        )
        assert "shop-it.customer-events" in made
        # Under the same id, in groups of their own.
        await asyncio.gather(workers.start("w"), others.start("w"))
        await asyncio.to_thread(publisher.command, "publish", str(events))
        await _mails(inboxes["it"])
        said = await asyncio.gather(
            asyncio.to_thread(operator.command, "explain", "anna"),
            asyncio.to_thread(operator.command, "doctor"),
        )
        assert "as shop-it.customer-events and so on" in said[1]
        await _put_into_the_other(broker)
        await _refused(broker)
        assert (len(inboxes["it"].copies), len(inboxes["de"].copies)) == (1, 0)
        assert (workers.stop(), others.stop()) == ({"w": 0}, {"w": 0})
    finally:
        workers.kill()
        others.kill()
        for inbox in inboxes.values():
            inbox.stop()
    denied = re.findall(
        r"User:shop-\w+ is Denied operation = (\w+) from host = \S+ on resource = (\S+)",
        broker.output.read_text(),
    )
    assert set(denied) <= ASKED_ANYWAY
    await _stays_outside(broker)


def _order() -> Iterator[dict[str, object]]:
    now = to_rfc3339(SystemClock().now())
    yield {
        "type": "identify", "userId": "anna", "messageId": "1", "timestamp": now,
        "traits": {"email": "anna@example.com"},
    }  # fmt: skip
    yield {
        "type": "track", "event": "Order Completed", "userId": "anna", "messageId": "2",
        "timestamp": now,
        "properties": {
            "order_id": "1001", "total": "26.00", "currency": "EUR",
            "products": [{"product_id": "moka", "name": "Moka", "price": "26.00", "quantity": 1}],
        },
    }  # fmt: skip


async def _mails(inbox: Inbox) -> None:
    async with asyncio.timeout(SECONDS):
        while not inbox.copies:
            await poll_pause()


async def _put_into_the_other(broker: KafkaBroker) -> None:
    """Copy the command that one shop's customer was sent, as it was signed, to the other shop."""
    logs = [KafkaLog([broker.bootstrap], names=TopicNames(each)) for each in PREFIXES.values()]
    for log in logs:
        await log.start()
    try:
        commands = [each async for each in scan(logs[0], SEND_COMMANDS) if each.key == b"anna"]
        assert commands
        copies = [OutRecord(each.key, each.value, each.headers) for each in commands]
        await logs[1].append(SEND_COMMANDS, 0, copies)
    finally:
        for log in logs:
            await log.stop()


async def _refused(broker: KafkaBroker) -> None:
    log = KafkaLog([broker.bootstrap], names=TopicNames(PREFIXES["de"]))
    await log.start()
    try:
        async with asyncio.timeout(SECONDS):
            while not (letters := [each async for each in scan(log, DEAD_LETTERS)]):
                await poll_pause()
    finally:
        await log.stop()
    assert b"not as it was signed" in (letters[0].header("dl_detail") or b"")


async def _stays_outside(broker: KafkaBroker) -> None:
    """Who may publish can't read, and a worker of one shop can't touch the other's topics."""
    for user, prefix, topic in (
        ("shop-publisher", PREFIXES["it"], CUSTOMER_EVENTS),
        ("shop-worker", PREFIXES["de"], FACTS),
    ):
        security = KafkaSecurity(
            tls=True, ca_file=broker.ca_file, mechanism="PLAIN", username=user,
            password=broker.password,
        )  # fmt: skip
        log = KafkaLog([broker.sasl_bootstrap], security=security, names=TopicNames(prefix))
        await log.start()
        try:
            with pytest.raises(LogError, match=f"no permission for topic .*{prefix}"):
                [each async for each in scan(log, topic)]
        finally:
            await log.stop()
