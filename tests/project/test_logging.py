"""One line per event, JSON where no terminal is, and no mail address in it."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from streams.http.admin import AdminServer
from streams.http.server.counts import DoorCounts
from streams.logging import configure_logging, mask_address
from streams.runtime.log_lines import A_MINUTE, KINDS, LEFT_OUT
from streams.settings.values import Address


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_without_a_terminal(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    structlog.get_logger("streams.runtime.worker").info("partition opened", partition=3, name="Zoë")
    [line] = lines(stream)
    assert line["message"] == "partition opened"
    assert (line["partition"], line["level"], line["name"]) == (3, "info", "Zoë")
    assert line["logger"] == "streams.runtime.worker"
    assert str(line["timestamp"]).endswith("Z")


def test_text_when_asked_for(stream: io.StringIO) -> None:
    configure_logging(style="text", stream=stream)
    structlog.get_logger("x").warning("relay down", relay="relay:25")
    assert "relay down" in stream.getvalue()
    assert "relay=relay:25" in stream.getvalue()


def test_addresses_are_masked_wherever_they_come_from(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    log = structlog.get_logger("x")
    log.warning("refused", to="maria.rossi@posta.it", nested={"list": ["<a.b+c@d.example>"]})
    logging.getLogger("aiosmtplib").warning("550 <%s> unknown", "maria.rossi@posta.it")
    try:
        raise ValueError("maria.rossi@posta.it is not right")
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    assert "maria" not in text
    assert "a.b+c" not in text
    assert text.count("m***@posta.it") >= 3
    assert "a***@d.example" in text


def test_libraries_are_quiet_until_something_is_wrong(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    logging.getLogger("faust.worker").info("hello")
    logging.getLogger("aiokafka.consumer.group_coordinator").info("rebalance")
    logging.getLogger("streams.runtime.transports.kafka").info("[^-Consumer]: Starting...")
    logging.getLogger("mode.timers").warning("Timer %s is overlapping", "livelock")
    logging.getLogger("aiokafka").error("broker gone")
    assert [line["message"] for line in lines(stream)] == ["broker gone"]


def test_what_is_logged_first_looks_as_what_is_logged_later() -> None:
    """structlog is imported only then."""
    script = """
import logging, sys
from streams.logging import configure_logging, get_logger
configure_logging()
assert "structlog" not in sys.modules
logging.getLogger("aiokafka").error("broker gone")
for number in range(2):
    get_logger("streams.runtime.worker").warning("refused", to="maria.rossi@posta.it",
    number=number)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
    gone, *refused = [json.loads(line) for line in done.stderr.splitlines()]
    assert (gone["message"], gone["logger"], gone["level"]) == ("broker gone", "aiokafka", "error")
    assert [(line["message"], line["number"], line["to"]) for line in refused] == [
        ("refused", number, "m***@posta.it") for number in range(2)
    ]
    assert [set(line) for line in refused] == 2 * [{*gone, "number", "to"}]


def test_only_logging_itself_imports_structlog() -> None:
    """Or what is logged before it is configured would go to stdout."""
    sources = Path(__file__).parents[2]
    importing = {
        str(path.relative_to(sources))
        for package in ("agents", "schemas", "streams")
        for path in (sources / package).rglob("*.py")
        if "import structlog" in path.read_text()
    }
    assert importing == {"streams/logging.py"}


def test_debug_shows_all(stream: io.StringIO) -> None:
    configure_logging(level="debug", stream=stream)
    logging.getLogger("aiokafka").debug("heartbeat %s", 1)
    assert [line["message"] for line in lines(stream)] == ["heartbeat 1"]


def test_what_is_no_address_stays() -> None:
    assert mask_address("customer c-1 @ shop") == "customer c-1 @ shop"


def test_of_the_same_mistake_a_few_lines_a_minute_are_written(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("logging.time.time", lambda: now[0])
    before = LEFT_OUT["error"]
    configure_logging(stream=stream)
    log = structlog.get_logger("streams.mail.suppression_list")
    for number in range(100):
        log.error("a suppression can't be read", key=f"k{number}")
        logging.getLogger("other").warning("%s is bad", number)
        log.info("a step of many", number=number)
    log.error("another one")
    texts = [line["message"] for line in lines(stream)]
    assert texts.count("a suppression can't be read") == A_MINUTE
    assert sum(str(text).endswith(" is bad") for text in texts) == A_MINUTE
    assert (texts.count("a step of many"), texts.count("another one")) == (100, 1)
    assert LEFT_OUT["error"] - before == 100 - A_MINUTE
    now[0] += 60
    log.error("a suppression can't be read", key="k")
    logging.getLogger("other").warning("%s is bad", "x")
    last = lines(stream)[-2:]
    assert last[0]["left_out"] == 100 - A_MINUTE
    assert last[1]["message"] == f"x is bad ({100 - A_MINUTE} such lines were left out)"


def test_a_clock_that_was_put_back_keeps_nothing_silent(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("logging.time.time", lambda: now[0])
    configure_logging(stream=stream)
    log = structlog.get_logger("streams.mail.suppression_list")
    for _ in range(A_MINUTE + 3):
        log.error("a suppression can't be read")
    now[0] -= 3_600
    log.error("a suppression can't be read")
    assert len(lines(stream)) == A_MINUTE + 1
    assert lines(stream)[-1]["left_out"] == 3


def test_kinds_of_lines_without_end_are_one(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    for number in range(KINDS + 100):
        structlog.get_logger("x").warning(f"kind {number}")
    assert len(lines(stream)) == KINDS + A_MINUTE


async def test_what_is_no_http_is_counted_and_not_told(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    counts = DoorCounts()
    server = AdminServer(bind=Address("127.0.0.1", 0), checks={}, counts=counts)
    await server.start()
    before = len(lines(stream))
    try:
        for _ in range(A_MINUTE + 5):
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(b"GET /healthz HTTP/1.1\r\nthis is no header\r\n\r\n")
            assert b" 400 " in await reader.readline()
            writer.close()
            await writer.wait_closed()
    finally:
        await server.stop()
    assert len(lines(stream)) == before
    assert counts.refused["admin", "malformed"] == A_MINUTE + 5
