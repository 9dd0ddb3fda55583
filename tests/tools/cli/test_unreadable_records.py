"""Whatever lies in a topic, a command that reads the topic says where and goes on."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.origin import HEADER as ORIGIN
from schemas.records import OutRecord
from schemas.stored import ORIGIN_PREFIX, PROGRESS_KEY, pack
from streams.clock import SystemClock
from streams.partitioner import partition_of
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.skipped_records import NAMED
from streams.topology import EMBEDDED_PARTITIONS, topics
from tests.tools.cli.conftest import Ritorno
from tests.tools.cli.test_all_commands import COMMANDS

WHO = "anna"

KEYS = (WHO.encode(), None, b"", b"\xff\xfe", b"live", b"w06@1", PROGRESS_KEY, ORIGIN_PREFIX + b"x")
VALUES = (
    None,
    b"",
    b"\xff",
    b"garbage",
    b"null",
    b"7",
    b"[]",
    b"{}",
    b"[" * 50_000,
    b'{"live": 7}',
    b'{"live": {"w06": 7}}',
    b'{"sku": 7, "name": []}',
    b'{"signal": "customer.erased"}',
    b'{"fact": "hit"}',
    b'{"offset": 1, "what": "record", "more": ' + b"[" * 50_000,
    pack(1, 2, b"\xc1"),
)
TYPES = (
    "",
    "order.completed",
    "mail.sent",
    "ritorno.workflows",
    "ritorno.products",
    "ritorno.retry",
    "ritorno.set_aside",
)

READ_NO_TOPIC = {
    "carts calculator",
    "demo",
    "import",
    "workflows lint",
    "workflows test",
    "workflows fields",
    "workflows graph",
    "templates list",
    "templates lint",
    "templates preview",
    "bounces classify",
    "schemas export",
    "events types",
    "dkim generate",
    "dkim show",
    "mappings test",
    "webhooks test",
    "ingest keys new",
    "ingest keys list",
    "ingest keys revoke",
}
ELSEWHERE = {
    "events follow": "goes on without end, tests/tools/cli/test_follow_command.py",
    "mappings run": "reads what a worker's mappings read, tests/mappings",
    "mappings show": "needs Kafka, tests/mappings",
    "connect": "reads shops and not topics, tests/connect",
    "worker": "tests/runtime and tests/simulation",
    "restore": "copies as `topics copy` does, tests/operate/test_backup.py",
    "privacy erase": "waits for a worker; what it reads is read by `privacy export` as well",
}

READING = {
    "topics create": (),
    "topics list": (),
    "topics copy": ("--from", "embedded://data/log"),
    "clock show": (),
    "clock rule": (),
    "backup": ("saved",),
    "publish": ("-",),
    "products publish": ("feed.csv",),
    "products list": (),
    "replay": ("customer-events", "--until", "2030-01-01", "--out", "replayed"),
    "explain": (WHO,),
    "kpi": (),
    "cohorts": (),
    "attribution": (),
    "funnel": ("w06-cart",),
    "roi": ("--costs", "costs.csv"),
    "insights rebuild": (),
    "insights snapshot": (),
    "sql": ("SELECT count(*) FROM facts",),
    "experiments": (),
    "hits": ("w06-cart",),
    "events quality": (),
    "customer show": (WHO,),
    "customer retry": (WHO,),
    "customer unlink": (WHO, "v"),
    "privacy evidence": (WHO,),
    "privacy requests": (),
    "privacy export": (WHO, "--out", "copy"),
    "mail list": (),
    "mail show": ("some-id",),
    "mail pause": ("--reason", "test"),
    "mail resume": (),
    "mail release": ("--held",),
    "workflows publish": (),
    "workflows review": (),
    "workflows diff": (),
    "dead-letters list": (),
    "dead-letters show": ("0:0",),
    "dead-letters resend": ("--all",),
    "suppressions list": (),
    "suppressions show": ("anna@example.org",),
    "suppressions add": ("anna@example.org", "--reason", "test"),
    "suppressions release": ("anna@example.org", "--reason", "test"),
    "doctor": (),
    "audience export": ("vip", "--format", "csv", "--out", "audience.csv"),
    "audience list": (),
    "webhooks list": (),
    "webhooks failed": (),
    "webhooks replay": ("gestionale",),
    "crm list": (),
    "crm failed": (),
    "crm replay": ("hubspot",),
}
"""Command → arguments with which it reads what it may read."""

EXIT_CODES = {
    "audience export": 2,
    "explain": 1,
    "hits": 2,
    "suppressions release": 2,
    "customer show": 1,
    "customer unlink": 1,
    "privacy evidence": 1,
    "privacy export": 1,
    "mail show": 2,
    "dead-letters show": 2,
    "funnel": 2,
    "dead-letters resend": 1,
    "doctor": 1,
    "topics copy": 1,
}
"""Of those that don't find what they are asked for, or have to say that something is wrong."""

FILES = {
    "WEBHOOKS": """
webhooks:
  - {name: gestionale, url: "http://127.0.0.1:9/ritorno", types: ["*"], private: true,
     secrets: ["file:secret"]}
""",
    "CRM": """
crm:
  - name: hubspot
    url: http://127.0.0.1:9
    private: true
    token: file:secret
    write:
      path: /contacts
      by: email
      map: [{types: [score.changed], properties: {score: data.value}}]
""",
}
"""Of those whom some commands speak for; nobody answers there."""

EVENT = (
    b'{"type": "track", "event": "Product Viewed", "userId": "u1", "messageId": "m1",'
    b' "properties": {"product_id": "s1"}}\n'
)


def garbage() -> Iterator[OutRecord]:
    for key in KEYS:
        for value in VALUES:
            yield OutRecord(key, value)
        for kind in TYPES:
            for value in (None, b"\xff", b"[]", b"{}", b"[" * 50_000):
                headers = [("ce_type", kind.encode()), ("ce_id", b"\xff"), (ORIGIN, b"::")]
                yield OutRecord(key, value, headers)
    own = [(name, b"\xff") for name in ("dl_reason", "dl_detail", "dl_topic")]
    numbers = [("dl_partition", b"x"), ("dl_offset", b"1"), ("dl_time", b"now")]
    yield OutRecord(None, b"", [*own, *numbers])
    yield OutRecord(None, b"", [("dl_resolved", b"x")])
    for topic in (b"products", b"customer-events", b"send-commands", b"nowhere", b"\xff"):
        for number in (b"0", b"-1", b"999"):
            for kind in TYPES:
                for value in (b"{}", b'{"products": 7}', b'{"products": [{"sku": {}}]}', b"\xff"):
                    own = [("dl_reason", b"invalid_json"), ("dl_detail", b""), ("dl_topic", topic)]
                    numbers = [
                        ("dl_partition", number),
                        ("dl_offset", b"1"),
                        ("dl_time", b"2026-03-01T09:00:00Z"),
                    ]
                    before = [("ce_type", kind.encode()), (ORIGIN, b"0:0:0:0")]
                    yield OutRecord(None, value, [*before, *own, *numbers])


async def fill(directory: Path) -> None:
    log = EmbeddedLog(directory, SystemClock())
    await log.start()
    try:
        await log.create_topics(topics(EMBEDDED_PARTITIONS))
        for spec in topics(EMBEDDED_PARTITIONS):
            compacted = "compact" in spec.config["cleanup.policy"]
            records = [each for each in garbage() if each.key is not None or not compacted]
            for number in {0, partition_of(WHO.encode(), spec.partitions)}:
                await log.append(spec.name, number, records)
    finally:
        await log.stop()


def test_each_command_is_looked_at() -> None:
    assert {*READING, *READ_NO_TOPIC, *ELSEWHERE} == {*COMMANDS}


@pytest.fixture(scope="module")
def garbage_dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("garbage") / "log"
    asyncio.run(fill(directory))
    return directory


@pytest.fixture
def filled(
    ritorno: Ritorno, tmp_path: Path, garbage_dump: Path, monkeypatch: pytest.MonkeyPatch
) -> Ritorno:
    shutil.copytree(garbage_dump, tmp_path / "data" / "log")
    (tmp_path / "feed.csv").write_text("sku,name,price,currency\ns1,Shirt,9.90,EUR\n")
    (tmp_path / "costs.csv").write_text("month,what,workflow,amount\n2026-03,mails,,5\n")
    (tmp_path / "secret").write_text("a secret of sixteen letters or more")
    for name, text in FILES.items():
        file = tmp_path / f"{name.lower()}.yaml"
        file.write_text(text)
        monkeypatch.setenv(f"RITORNO_{name}", str(file))
    return ritorno


@pytest.mark.parametrize("command", READING)
def test_it_goes_on(filled: Ritorno, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(EVENT)))
    broker = ("--broker", "embedded://elsewhere") if command == "topics copy" else ()
    done = filled(*broker, *command.split(), *READING[command])
    assert (command, done.code) == (command, EXIT_CODES.get(command, 0)), done.err
    assert "Traceback" not in done.err + done.out


def test_what_is_among_it_is_found_and_the_garbage_named(filled: Ritorno) -> None:
    assert filled("products", "publish", "feed.csv").code == 0
    done = filled("products", "list")
    assert done.out.split()[0] == "s1"
    assert done.err.count("warning: not a product, passed over (") == NAMED
    assert "topic=products, partition=0, offset=1," in done.err
    assert "more that is not a product, passed over" in done.err
