"""The keys file: what may stand in it, who it lets in, and that a change holds within a look."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from schemas.failures import InputError
from streams.http.ingest.keys import WriteKeys, parse_keys, read_keys
from streams.http.ingest.keys_file import KeysFile
from streams.http.ingest.rates import BURST_SECONDS, MOST_ADDRESSES, RateLimits
from streams.settings.operator_file import OperatorFileError
from streams.tools import write_keys
from tests.http.ingest.posting import KEYS, ORIGIN, PUBLIC, SECRET, START, Posting

VIEW = {"type": "track", "event": "Product Viewed", "anonymousId": "a-7", "messageId": "m-1",
        "properties": {"product_id": "MOKA-3"}}  # fmt: skip
VALUE = "rp_0123456789abcdef"


def test_a_mistake_names_line_and_field_and_no_secret() -> None:
    for text, said in (
        ("keys:\n- id: a b\n  kind: public\n  source: /x\n  values: [VALUE]",
         "keys.yaml:2: keys.0.id: expected letters"),
        ("keys:\n- id: a\n  kind: open\n  source: /x", "keys.0.kind"),
        ("keys:\n- id: a\n  kind: public\n  source: /ritorno/x\n  values: [VALUE]",
         "begins Ritorno's own sources"),
        ("keys:\n- id: a\n  kind: public\n  source: /x", "keys.0.values: a public key needs one"),
        ("keys:\n- id: a\n  kind: secret\n  source: /x\n  values: [VALUE]",
         "a secret key has none"),
        ("keys:\n- id: a\n  kind: secret\n  source: /x\n  hashes: [hunter2]", "(not shown)"),
        ("keys:\n- id: a\n  kind: public\n  source: /x\n  values: [VALUE]\n  origins: [negozio.it]",
         "expected an origin"),
        ("keys:\n- id: a\n  kind: public\n  source: /x\n  values: [VALUE]\n  orgins: []",
         "keys.0.orgins: no such field; did you mean origins?"),
        ("keys:\n- &a {id: a, kind: public, source: /x, values: [VALUE]}\n- *a",
         "keys.1.id: one before it has the same"),
        ("keys: [", "keys.yaml:"),
        ("keys: {a: 1}", "keys"),
    ):  # fmt: skip
        with pytest.raises(OperatorFileError) as caught:
            parse_keys(text.replace("VALUE", VALUE).encode(), Path("keys.yaml"))
        assert said in str(caught.value) and "keys.yaml" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there_has_no_keys(tmp_path: Path) -> None:
    assert read_keys(tmp_path / "none.yaml").keys == ()
    assert parse_keys(b"", Path("keys.yaml")) == ()


async def test_without_a_key_that_is_one_nobody_gets_in(port: Posting) -> None:
    for key in ("", "rp_nothing", "x" * 3_000, "rs_" + "é" * 10):
        answer = await port.post("/v1/track", VIEW, key=key)
        assert (answer.status, answer.body["reason"]) == (401, "unknown_key")
    broken = {"Authorization": "Basic !!!"}
    assert (await port.post("/v1/track", VIEW, headers=broken)).status == 401
    bearer = {"Authorization": f"Bearer {SECRET}"}
    assert (await port.post("/v1/track", VIEW, headers=bearer)).status == 200
    assert len(await port.events()) == 1
    assert port.metric('ritorno_ingest_requests_total{key="unknown",status="401"}') == "5.0"


async def test_a_revoked_key_is_dead_with_the_next_look(port: Posting) -> None:
    assert (await port.post("/v1/track", VIEW)).status == 200
    write_keys.revoke(port.keys, "till", START)
    await port.port.keys.look()
    answer = await port.post("/v1/track", VIEW)
    assert (answer.status, answer.body["reason"]) == (401, "revoked_key")
    assert "# of the tests" in port.keys.read_text()
    assert (await port.post("/v1/track", VIEW, key=PUBLIC)).status == 200


async def test_a_broken_file_keeps_the_last_good_one_and_says_so(port: Posting) -> None:
    good = port.keys.read_text()
    being_written = ("", "# of the tests\n")
    for broken in ("keys: [", good.replace("kind: secret", "kind: open"), *being_written, None):
        if broken is None:
            port.keys.unlink()
        else:
            port.keys.write_text(broken)
        await port.port.keys.look()
        assert (await port.post("/v1/track", VIEW)).status == 200
        assert port.metric("ritorno_ingest_keys_kept") == "1.0"
    os.mkfifo(port.keys)
    async with asyncio.timeout(5):  # nobody writes into it
        await port.port.keys.look()
    port.keys.unlink()
    assert port.port.keys.refused == 6
    port.keys.write_text(good.replace("/negozio/cassa", "/negozio/altra"))
    await port.port.keys.look()
    assert port.metric("ritorno_ingest_keys_kept") == "0.0"
    await port.post("/v1/track", {**VIEW, "messageId": "m-9"})
    assert {event.source for event in await port.events()} == {"/negozio/cassa", "/negozio/altra"}


async def test_a_file_that_says_that_there_are_no_keys_is_believed(port: Posting) -> None:
    port.keys.write_text("keys: []\n")
    await port.port.keys.look()
    assert (await port.post("/v1/track", VIEW)).status == 401


async def test_it_is_looked_at_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 2:
            write_keys.add(path, "site", secret=False, source="/s", origins=[], rate=None)
        if len(paused) == 4:
            raise KeyboardInterrupt

    keys = KeysFile(path, pause=pause)
    with pytest.raises(KeyboardInterrupt):
        await keys._run()
    assert paused == [1.0] * 4
    assert [key.id for key in keys.current.keys] == ["site"]


async def test_a_key_may_tell_only_what_its_file_says(port: Posting) -> None:
    text = port.keys.read_text()
    port.keys.write_text(
        text.replace("kind: secret", 'kind: secret\n    types: ["cart.*", custom.quiz]')
    )
    await port.port.keys.look()
    for event, status in (("Product Added", 200), ("Quiz", 200), ("Product Viewed", 403)):
        answer = await port.post("/v1/track", {**VIEW, "event": event})
        assert answer.status == status


async def test_who_sends_too_much_is_told_when_to_come_again(port: Posting) -> None:
    text = port.keys.read_text()
    port.keys.write_text(text.replace("kind: public", "kind: public\n    address_rate: 1"))
    await port.port.keys.look()
    batch = {"batch": [{**VIEW, "messageId": f"m-{n}"} for n in range(12)]}
    assert (await port.post("/v1/batch", batch, key=PUBLIC)).status == 200
    refused = await port.post("/v1/batch", batch, key=PUBLIC)
    assert (refused.status, refused.body["reason"]) == (429, "address_rate")
    assert refused.headers["Retry-After"] == "3"
    elsewhere = {"X-Forwarded-For": "192.0.2.7"}
    assert (await port.post("/v1/batch", batch, key=PUBLIC, headers=elsewhere)).status == 200
    port.clock.advance(START + 3_000)
    assert (await port.post("/v1/track", VIEW, key=PUBLIC)).status == 200
    port.keys.write_text(text.replace("kind: secret", "kind: secret\n    rate: 0.5"))
    await port.port.keys.look()
    assert (await port.post("/v1/batch", batch)).status == 200
    refused = await port.post("/v1/batch", batch)
    assert (refused.status, refused.body["reason"]) == (429, "key_rate")
    assert refused.headers["Retry-After"] == "16"


def test_buckets_are_bounded_and_a_clock_that_goes_back_fills_none() -> None:
    rates = RateLimits()
    for number in range(MOST_ADDRESSES + 10):
        rates.take("site", str(number), 1.0, 1, START)
    assert len(rates._buckets) == MOST_ADDRESSES
    rates.take("site", "x", 1.0, int(BURST_SECONDS) + 5, START)
    assert rates.wait("site", "x", 1.0, START - 100_000) == 6
    assert rates.wait("site", "x", 1.0, START + 5_001) == 0
    assert rates.wait("site", "y", None, START) == 0


def test_keys_are_made_rotated_and_revoked(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.yaml"
    site = write_keys.add(path, "site", secret=False, source="/s", origins=[ORIGIN], rate=5.0)
    till = write_keys.add(path, "till", secret=True, source="/t", origins=[], rate=None)
    assert till.value not in path.read_text(), "of a secret key its hash alone is kept"
    assert Path(site.identity_secret).stat().st_mode & 0o777 == 0o600

    def found(value: str) -> Any:
        keys: WriteKeys = read_keys(path)
        return keys.find(value)

    assert (found(site.value).id, found(till.value).id) == ("site", "till")
    second = {name: write_keys.rotate(path, name) for name in ("site", "till")}
    for key_id, first in (("site", site.value), ("till", till.value)):
        assert found(first).id == found(second[key_id].value).id == key_id
    third = write_keys.rotate(path, "till")
    assert found(till.value) is None
    assert found(second["till"].value).id == found(third.value).id == "till"
    write_keys.drop_previous(path, "till")
    assert found(second["till"].value) is None
    write_keys.revoke(path, "site", START)
    assert found(site.value).revoked == START
    for wrong in (
        lambda: write_keys.add(path, "site", secret=False, source="/s", origins=[], rate=None),
        lambda: write_keys.add(path, "x", secret=True, source="/s", origins=[ORIGIN], rate=None),
        lambda: write_keys.add(path, "x", secret=False, source="/s", origins=["nero"], rate=None),
        lambda: write_keys.rotate(path, "nobody"),
        lambda: write_keys.revoke(path, "site", START),
        lambda: write_keys.drop_previous(path, "till"),
    ):
        before = path.read_text()
        with pytest.raises(InputError):
            wrong()
        assert path.read_text() == before


def test_a_file_that_a_person_wrote_keeps_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("# ours\n" + KEYS.replace("file:PROOF", f"file:{path}"))
    write_keys.rotate(path, "site")
    write_keys.add(path, "app", secret=False, source="/app", origins=[], rate=None)
    assert [key.id for key in parse_keys(path.read_bytes(), Path("keys.yaml"))] == [
        "site",
        "till",
        "app",
    ]
    assert path.read_text().startswith("# ours\n\n# of the tests\n")
