"""One line per event, JSON where no terminal is, and no mail address in it."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from streams.http.admin import AdminServer
from streams.http.server.counts import DoorCounts
from streams.logging import configure_logging, mask_address
from streams.runtime import log_lines
from streams.runtime.log_lines import AT_FIRST, KINDS, LEFT_OUT, QUIET, BoundedLines
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
    assert texts.count("a suppression can't be read") == AT_FIRST
    assert sum(str(text).endswith(" is bad") for text in texts) == AT_FIRST
    assert (texts.count("a step of many"), texts.count("another one")) == (100, 1)
    assert LEFT_OUT["error"] - before == 100 - AT_FIRST
    now[0] += 60
    log.error("a suppression can't be read", key="k")
    logging.getLogger("other").warning("%s is bad", "x")
    last = lines(stream)[-2:]
    assert last[0]["left_out"] == 100 - AT_FIRST
    assert last[1]["message"] == f"x is bad ({100 - AT_FIRST} such lines were left out)"


def test_a_clock_that_was_put_back_keeps_nothing_silent(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("logging.time.time", lambda: now[0])
    configure_logging(stream=stream)
    log = structlog.get_logger("streams.mail.suppression_list")
    for _ in range(AT_FIRST + 3):
        log.error("a suppression can't be read")
    now[0] -= 3_600
    log.error("a suppression can't be read")
    assert len(lines(stream)) == AT_FIRST + 1
    assert lines(stream)[-1]["left_out"] == 3


def test_kinds_of_lines_without_end_are_one(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    for number in range(KINDS + 100):
        structlog.get_logger("x").warning(f"kind {number}")
    assert len(lines(stream)) == KINDS + AT_FIRST


class Storm:
    """A complaint that is made again and again, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, logger: str) -> None:
        self.now = 1_000_000.0
        self._logger = logging.getLogger(logger)
        monkeypatch.setattr("logging.time.time", lambda: self.now)

    def rages(self, seconds: int) -> None:
        """Ten lines a second."""
        for _ in range(seconds * 10):
            self.now += 0.1
            self._logger.warning("%s can't be reached", "it")


def bounded() -> BoundedLines:
    (found,) = [
        each
        for handler in logging.getLogger().handlers
        for each in handler.filters
        if isinstance(each, BoundedLines)
    ]
    return found


@pytest.mark.parametrize(
    ("logger", "at_first", "ending"),
    [
        ("streams.x", AT_FIRST, "over: %s can't be reached"),
        ("aiokafka.x", 1, "the Kafka client complains no more"),
        ("faust.x", 1, "Faust complains no more"),
    ],
)
def test_a_storm_begins_goes_on_each_minute_and_ends(
    stream: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    logger: str,
    at_first: int,
    ending: str,
) -> None:
    configure_logging(stream=stream, level="error")  # that it is over is told at any level
    logging.getLogger(logger.partition(".")[0]).setLevel(logging.WARNING)
    monkeypatch.setattr(logging.getLogger(logger), "level", logging.WARNING)
    storm = Storm(monkeypatch, logger)
    storm.rages(200)
    told = [str(line["message"]) for line in lines(stream)]
    assert told[:at_first] == ["it can't be reached"] * at_first
    assert len(told) == at_first + 3
    assert all(each.endswith("such lines were left out)") for each in told[at_first:])
    storm.now += QUIET - 1
    bounded().tell_what_ended(storm.now)
    assert len(lines(stream)) == at_first + 3
    storm.now += 1
    bounded().tell_what_ended(storm.now)
    bounded().tell_what_ended(storm.now)
    (last,) = lines(stream)[at_first + 3 :]
    assert last["message"] == f"{ending} (lines=2000, seconds=200)"
    storm.rages(1)
    assert lines(stream)[-1]["message"] == "it can't be reached", "it begins anew"


def test_what_was_no_storm_has_no_end(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logging(stream=stream)
    storm = Storm(monkeypatch, "aiokafka")
    logging.getLogger("aiokafka").warning("once")
    storm.now += 100
    bounded().tell_what_ended(storm.now)
    assert [line["message"] for line in lines(stream)] == ["once"]


def test_that_it_is_over_is_told_though_nothing_else_is(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "QUIET", 0.05)
    configure_logging(stream=stream)
    is_told = threading.Event()
    handler = logging.getLogger().handlers[0]
    monkeypatch.setattr(handler, "flush", lambda: is_told.set() if "no more" in
                        stream.getvalue() else None)  # fmt: skip
    for _ in range(3):
        logging.getLogger("mode").warning("it crashed")
    assert is_told.wait(10)
    assert bounded()._timer is None or not bounded()._groups


def test_a_thread_that_breaks_down_is_a_line(stream: io.StringIO) -> None:
    configure_logging(stream=stream)

    def breaks() -> None:
        raise RuntimeError("no more")

    thread = threading.Thread(target=breaks, name="a-thread")
    thread.start()
    thread.join()
    (line,) = lines(stream)
    assert line["message"] == "a thread has broken down: a-thread"
    assert "RuntimeError: no more" in str(line["exception"])


async def test_what_is_no_http_is_counted_and_not_told(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    counts = DoorCounts()
    server = AdminServer(bind=Address("127.0.0.1", 0), checks={}, counts=counts)
    await server.start()
    before = len(lines(stream))
    try:
        for _ in range(AT_FIRST + 5):
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(b"GET /healthz HTTP/1.1\r\nthis is no header\r\n\r\n")
            assert b" 400 " in await reader.readline()
            writer.close()
            await writer.wait_closed()
    finally:
        await server.stop()
    assert len(lines(stream)) == before
    assert counts.refused["admin", "malformed"] == AT_FIRST + 5
