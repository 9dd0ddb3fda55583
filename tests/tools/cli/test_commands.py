"""Commands do what they say, errors are one clear line, and --json is JSON."""

import gzip
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.customer import Customer, encode_customer, encode_erased
from schemas.customer.consent import Consent, Subscription
from schemas.customer.links import AddressStatements, Links
from schemas.events import INTERNAL_TYPES, PAYLOADS
from schemas.records import OutRecord, Record
from schemas.reference import of_visitor
from streams.clock import SystemClock
from streams.log import Log
from streams.partitioner import partition_of
from streams.runtime.factories import log_from
from streams.settings.loading import load_settings
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from tests.tools.cli.conftest import Ritorno

ADDED = {
    "type": "track", "event": "Product Added", "messageId": "m1", "userId": "c-1",
    "properties": {"product_id": "p1", "quantity": 1, "price": "52.00", "currency": "EUR"},
}  # fmt: skip
NEGATIVE = {
    "type": "track", "event": "Order Completed", "messageId": "m2", "userId": "c-1",
    "properties": {"order_id": "o1", "total": "-5", "currency": "EUR"},
}  # fmt: skip


def write(path: str, *lines: object) -> str:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    Path(path).write_text("\n".join(texts) + "\n")
    return path


async def read_all(topic: str) -> list[Record]:
    log: Log = log_from(load_settings(), SystemClock())
    await log.start()
    records: list[Record] = []
    for partition, span in (await log.offsets(topic)).items():
        async for chunk in log.read(topic, partition, span.start, span.end):
            records += chunk
    await log.stop()
    return records


def stored(topic: str) -> list[Record]:
    import asyncio  # noqa: PLC0415  # commands run their own loop, so these tests are not async

    return asyncio.run(read_all(topic))


async def _append(topic: str, key: bytes, values: list[bytes | None]) -> None:
    log: Log = log_from(load_settings(), SystemClock())
    await log.start()
    partition = partition_of(key, await log.partitions(topic))
    await log.append(topic, partition, [OutRecord(key, value) for value in values])
    await log.stop()


def append(topic: str, key: bytes, *values: bytes | None) -> None:
    import asyncio  # noqa: PLC0415  # as above

    asyncio.run(_append(topic, key, list(values)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["topics", "create", "--partitions", "x"], "Invalid value for '--partitions'"),
        (["--broker", "nowhere", "doctor"], "--broker = 'nowhere': expected kafka://HOST"),
        (["--config", "no.toml", "doctor"], "--config: no file no.toml"),
        (["publish", "missing.ndjson"], "missing.ndjson: No such file"),
        (["workflows", "lint", "/nowhere"], "/nowhere"),
        (["dead-letters", "resend"], "say which ones"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    ritorno: Ritorno, arguments: list[str], expected: str
) -> None:
    done = ritorno(*arguments)
    assert done.code == 2
    assert expected in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""


def test_help_works_whatever_is_set(ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RITORNO_BROKER", "nonsense")
    assert ritorno("worker", "--help").code == 0
    assert "Usage: ritorno worker" in ritorno("worker", "--help").out


def test_topics_are_created_once(ritorno: Ritorno) -> None:
    first = ritorno("topics", "create", "--partitions", "3", "--json").json[0]
    assert set(first.values()) == {"created"}
    assert set(ritorno("topics", "create", "--json").json[0].values()) == {"exists"}
    listed = {
        line["topic"]: line["partitions"] for line in ritorno("topics", "list", "--json").json
    }
    assert listed[CUSTOMER_EVENTS] == listed[CUSTOMERS_CHANGELOG] == 3
    assert listed["dead-letters"] == 1


def test_publish_goes_on_after_a_bad_line(ritorno: Ritorno) -> None:
    done = ritorno("publish", write("e.ndjson", ADDED, "not json", "", NEGATIVE), "--json")
    assert done.code == 1
    [report] = done.json
    assert (report["published"], report["refused"]) == (1, 2)
    assert [each["line"] for each in report["examples"]] == [2, 4]
    assert "total" in report["examples"][1]["detail"]
    assert "-5" in report["examples"][1]["detail"]
    [record] = stored(CUSTOMER_EVENTS)
    assert record.key == b"c-1"
    assert record.partition == partition_of(b"c-1", 4)
    assert record.header("ce_type") == b"cart.product_added"
    assert record.header("ce_id") == b"m1"


def test_publish_tells_a_person_line_field_and_value(ritorno: Ritorno) -> None:
    done = ritorno("publish", write("e.ndjson", NEGATIVE))
    assert "line 1: total: " in done.err
    assert "'-5'" in done.err
    assert "1 line refused (1 invalid_event)" in done.err


def test_publish_without_dead_letters(ritorno: Ritorno) -> None:
    assert ritorno("publish", write("e.ndjson", NEGATIVE), "--no-dead-letter").code == 1
    assert ritorno("dead-letters", "list", "--json").json == []


def test_publish_from_a_line_and_from_standard_input(
    ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({**ADDED, "messageId": f"m{n}"}) for n in range(1, 6)]
    stdin = io.TextIOWrapper(io.BytesIO("\r\n".join(lines).encode("utf-8-sig")))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert ritorno("publish", "-", "--from-line", "4").code == 0
    ids = [record.header("ce_id") for record in stored(CUSTOMER_EVENTS)]
    assert ids == [b"m4", b"m5"]


def test_publish_reads_packed_files_and_says_when_one_is_torn(ritorno: Ritorno) -> None:
    packed = gzip.compress(Path(write("e.ndjson", ADDED)).read_bytes())
    Path("e.ndjson.gz").write_bytes(packed)
    assert ritorno("publish", "e.ndjson.gz", "--json").json[0]["published"] == 1
    for torn in (packed[:-12], packed[:20] + b"?" + packed[21:], b"not packed"):
        Path("torn.ndjson.gz").write_bytes(torn)
        done = ritorno("publish", "torn.ndjson.gz")
        assert done.code == 2
        assert done.err.startswith("ritorno: torn.ndjson.gz: ")
        assert done.err.count("\n") == 1


def test_terminal_codes_in_what_is_refused_are_not_obeyed(ritorno: Ritorno) -> None:
    bad = {**ADDED, "type": "\x1b]0;owned\x07[red]"}
    done = ritorno("publish", write("e.ndjson", bad))
    listed = ritorno("dead-letters", "list")
    shown = ritorno("dead-letters", "show", "0:0")
    for text in (done.err, listed.out, shown.out):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "[red]" in listed.out


def test_a_letter_is_sent_again_once_after_the_fix(
    ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch
) -> None:
    ritorno("publish", write("e.ndjson", NEGATIVE, ADDED))
    [letter] = ritorno("dead-letters", "list", "--json").json
    assert (letter["id"], letter["reason"], letter["offset"]) == ("0:0", "invalid_event", 1)

    still = ritorno("dead-letters", "resend", "0:0")
    assert still.code == 1
    assert "still refused" in still.err
    assert len(ritorno("dead-letters", "list", "--json").json) == 1

    def fixed(line: bytes, *how: Any, **more: Any) -> Any:
        return real(line.replace(b'"-5"', b'"5"'), *how, **more)

    from streams.operate import dead_letters  # noqa: PLC0415  # the fix is deployed here

    real = dead_letters.parse_published
    monkeypatch.setattr(dead_letters, "parse_published", fixed)
    assert ritorno("dead-letters", "resend", "--reason", "invalid_event", "--json").json == [
        {"resent": 1, "kept": []}
    ]
    assert ritorno("dead-letters", "list", "--json").json == []
    assert ritorno("dead-letters", "resend", "--all", "--json").json == [{"resent": 0, "kept": []}]
    assert ritorno("dead-letters", "resend", "0:0").code == 2
    ids = [record.header("ce_id") for record in stored(CUSTOMER_EVENTS)]
    assert ids == [b"m1", b"m2"]


def test_a_customer_is_shown_by_the_highest_applied(ritorno: Ritorno) -> None:
    ritorno("topics", "create")
    new, old = Customer(key="c-1", applied=7), Customer(key="c-1", applied=3)
    new.profile.first_name, new.profile.email = "[red]Zoë", "zoe@posta.it"
    new.consents["marketing"] = Consent(True, 1_772_357_400_000, "checkout", "e-1")
    new.lists["news"] = Subscription(True, 1_772_357_400_000, pending=True)
    # A worker that was paused too long has written an old state after the newer one.
    append(CUSTOMERS_CHANGELOG, b"c-1", encode_customer(new), encode_customer(old))
    [shown] = ritorno("customer", "show", "c-1", "--json").json
    assert shown["applied"] == 7
    assert shown["profile"]["first_name"] == "[red]Zoë"
    assert shown["consents"]["marketing"]["time"] == "2026-03-01T09:30:00Z"
    view = ritorno("customer", "show", "c-1").out
    assert "[red]Zoë, zoe@posta.it" in view
    assert "marketing: given 2026-03-01T09:30:00Z (checkout)" in view
    assert "news: not confirmed yet, asked 2026-03-01T09:30:00Z" in view


def test_a_customer_and_a_visitor_of_one_id_are_both_shown(ritorno: Ritorno) -> None:
    ritorno("topics", "create")
    visitor = of_visitor("c-1")
    seen = 1_772_357_400_000
    append(CUSTOMERS_CHANGELOG, b"c-1", encode_customer(Customer(key="c-1", first_seen=seen)))
    kept = encode_customer(Customer(key=visitor, became="rosa"))
    append(CUSTOMERS_CHANGELOG, visitor.encode(), kept)
    shown = ritorno("customer", "show", "c-1", "--json").json
    assert [(each["key"], each.get("visitor"), each["became"]) for each in shown] == [
        ("c-1", None, ""), ("c-1", True, "rosa")
    ]  # fmt: skip
    rows = [line.split() for line in ritorno("customer", "show", "c-1").out.splitlines()]
    assert ["customer", "c-1"] in rows
    assert ["visitor", "c-1"] in rows
    assert ["turned", "out", "to", "be", "rosa"] in rows


def test_an_unknown_and_an_erased_customer(ritorno: Ritorno) -> None:
    ritorno("topics", "create")
    append(CUSTOMERS_CHANGELOG, b"gone", encode_customer(Customer(key="gone", applied=1)))
    append(CUSTOMERS_CHANGELOG, b"gone", encode_erased(2))
    assert "nothing is known about 'nobody'" in ritorno("customer", "show", "nobody").err
    assert "'gone' was erased" in ritorno("customer", "show", "gone").err
    append(CUSTOMERS_CHANGELOG, b"gone", None)
    assert "nothing is known about 'gone'" in ritorno("customer", "show", "gone").err


def test_the_first_workflows_come_with_the_topics_and_changed_ones_by_command(
    ritorno: Ritorno, tmp_path: Path
) -> None:
    """An event may be published before any worker runs, and must find the workflows live."""
    ritorno("topics", "create")
    [first] = ritorno("workflows", "publish", "--json").json
    assert {"w06-abandoned-cart-a", "w11-welcome"} <= first["live"].keys()
    assert (first["changed"], first["added"]) == (False, [])
    changed = tmp_path / "changed"
    shutil.copytree(load_settings().workflows_dir, changed)
    file = changed / "w11-welcome.yaml"
    file.write_text(file.read_text().replace("for: 5d", "for: 6d"))
    [second] = ritorno("workflows", "publish", str(changed), "--json").json
    assert second["changed"]
    assert second["added"] == [f"w11-welcome@{second['live']['w11-welcome']}"]
    assert second["changes"] == {"w11-welcome": "changed"}
    [again] = ritorno("workflows", "publish", str(changed), "--json").json
    assert again == {"live": second["live"], "added": [], "changed": False, "changes": {}}


def test_schemas_are_exported(ritorno: Ritorno) -> None:
    [done] = ritorno("schemas", "export", "out", "--json").json
    assert done["directory"] == "out"
    assert len(done["schemas"]) > 20
    for path in done["schemas"]:
        content = json.loads(Path(path).read_text())
        assert content.get("$schema") or content.get("asyncapi") or content["openapi"]
    Path("file").write_text("")
    assert ritorno("schemas", "export", "file").code == 1


def test_every_event_type_that_a_shop_may_send_is_listed(ritorno: Ritorno) -> None:
    types = {each["name"]: each for each in ritorno("events", "types", "--json").json}
    assert types.keys() == PAYLOADS.keys() - INTERNAL_TYPES
    completed = types["order.completed"]
    assert completed["segment"] == "Order Completed"
    assert completed["needed"] == ["order_id"]
    assert "payment_method" in completed["properties"]
    assert all(each["about"].endswith((".", "…")) for each in types.values())
    listed = ritorno("events", "types").out
    assert "wishlist.added" in listed
    assert "order_id*" in listed


def test_doctor_says_what_is_missing(ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RITORNO_SMTP_URL", "smtp://127.0.0.1:9")  # the discard port: nobody there
    done = ritorno("doctor", "--json")
    assert done.code == 1
    found = {line["check"]: line for line in done.json}
    assert found["topics"]["status"] == "fail"
    assert found["topics"]["remedy"] == "ritorno topics create"
    assert found["relay"]["status"] == "fail"


def test_doctor_compares_all_that_is_kept_when_asked_to(ritorno: Ritorno) -> None:
    assert ritorno("topics", "create").code == 0
    plain = {line["check"] for line in ritorno("doctor", "--json").json}
    deep = {line["check"]: line["status"] for line in ritorno("doctor", "--deep", "--json").json}
    assert deep.keys() - plain == {"log file", "changelogs", "stores"}
    assert {deep[name] for name in deep.keys() - plain} == {"ok"}


def test_the_installed_command(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "ritorno"
    done = subprocess.run(
        [command, "publish", "-"], input=b"{}\n", cwd=tmp_path, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert b"line 1: " in done.stderr
    assert b"Traceback" not in done.stderr
    quiet = subprocess.run(
        f"{command} --help | head -1", shell=True, capture_output=True, check=False, timeout=60
    )
    assert quiet.stderr == b""


def test_a_file_is_replayed_by_several_processes(ritorno: Ritorno, tmp_path: Path) -> None:
    lines = [
        {"type": "track", "event": "Product Viewed", "messageId": str(n), "userId": f"c{n % 9}",
         "timestamp": f"2026-03-01T09:00:{n:02}Z", "properties": {"product_id": "moka"}}
        for n in range(60)
    ]  # fmt: skip
    (tmp_path / "events.ndjson").write_text("\n".join(map(json.dumps, lines)))
    call = ("replay", "events.ndjson", "--until", "2026-03-31", "--json", "--out")
    for jobs in ("1", "2"):
        done = ritorno(*call, f"out-{jobs}", "--jobs", jobs)
        assert (done.code, done.json[0]["events"]) == (0, 60), done.err
    for name in ("commands", "decisions", "customers"):
        one, two = ((tmp_path / f"out-{jobs}" / f"{name}.ndjson").read_bytes() for jobs in "12")
        assert one == two
    for source, problem in (("-", "only once"), ("customer-events", "is no file")):
        done = ritorno("replay", source, "--until", "2026-03-31", "--out", "x", "--jobs", "2")
        assert (done.code, done.out) == (2, "")
        assert problem in done.err


def test_an_objection_under_another_id_is_shown(ritorno: Ritorno) -> None:
    links = Links(elsewhere=AddressStatements(objected=5))
    consents = {"marketing": Consent(given=True, time=1, event_id="e", source="s")}
    ritorno("topics", "create")
    for key, known in (("c-1", links), ("c-2", Links())):
        customer = Customer(key=key, links=known, consents=consents)
        customer.profile.email = "lucia@example.it"
        append(CUSTOMERS_CHANGELOG, key.encode(), encode_customer(customer))
    assert "has objected to marketing under another id" in ritorno("customer", "show", "c-1").out
    assert "under another id" not in ritorno("customer", "show", "c-2").out
