"""`ritorno mail` against a log on which a real mailer works between the commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.mail.message.compose import Composer
from agents.mail.message.verp import ReturnAddresses
from agents.mail.settings import SigningKey
from schemas.commands import Command, Control
from schemas.events import Event
from schemas.outcomes import MailEngaged
from schemas.records import OutRecord
from schemas.topics import CUSTOMER_EVENTS, SEND_COMMANDS
from schemas.wire import to_record
from streams.clock import SystemClock
from streams.log import Log
from streams.mail.mailer import MailerRuntime
from streams.mail.relay import parse_relay
from streams.mail.smtp import SmtpPool
from streams.mail.templates import load_renderer
from streams.mail.webhooks import Webhooks
from streams.partitioner import partition_of
from streams.runtime.factories import log_from, signing_keys
from streams.runtime.state.memory import MemoryStore
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from streams.settings.loading import load_settings
from tests.keys import SECRET, SIGNER
from tests.mail.doubles import (
    AnyLog,
    CountingMetrics,
    SimpleLeases,
    expired_everywhere,
    suppress_nobody,
)
from tests.mail.samples import DAY, HOUR, SETTINGS, cancel, notify, send
from tests.mail.servers import DOT, RCPT, ScriptedRelay, scripted
from tests.tools.cli.conftest import Ritorno

NOW = SystemClock().now()
TIMES = {"time": NOW, "expires": NOW + DAY}
TEMPLATES = Path(__file__).parents[3] / "workflows"


class Mailer:
    """A mailer that has lived for a while, and the log that it leaves behind."""

    def __init__(self, log: Log, relay: ScriptedRelay) -> None:
        self.log = log
        self.relay = relay
        self.composer = Composer(SETTINGS, load_renderer(TEMPLATES))

    async def tell(self, *commands: Command | Event) -> None:
        """Append commands, and events as other programs tell them."""
        for command in commands:
            topic, record = SEND_COMMANDS, None
            if isinstance(command, Event):
                topic, record = CUSTOMER_EVENTS, to_record(command)
            elif not isinstance(command, Control):
                value = command.model_dump_json(by_alias=True).encode()
                plain = OutRecord(command.customer.encode(), value)
                record = SIGNER.sign(SEND_COMMANDS, plain)
            assert record is not None
            partition = partition_of(record.key or b"", await self.log.partitions(topic))
            await self.log.append(topic, partition, [record])

    async def work(self) -> None:
        """Take over what is there and deliver what is due, as one process."""
        runtime = MailerRuntime(
            signer=SIGNER,
            log=self.log,
            partition_manager=SimpleLeases(),
            open_store=lambda _: MemoryStore(),
            check=lambda _: None,
            relays=[
                SmtpPool(
                    parse_relay(self.relay.url), clock=SystemClock(), metrics=CountingMetrics()
                )
            ],
            webhooks=Webhooks(seconds=1.0),
            compose=self.composer.compose,
            message_id=self.composer.message_id,
            suppress=suppress_nobody,
            log_time=expired_everywhere,
            identity=AnyLog(),
            clock=SystemClock(),
            metrics=CountingMetrics(),
        )
        for partition, span in (await self.log.offsets(SEND_COMMANDS)).items():
            tp = TopicPartition(SEND_COMMANDS, partition)
            start = await runtime.opened(tp) or 0
            async for chunk in self.log.read(SEND_COMMANDS, partition, start, span.end):
                await runtime.process(PartitionBatch(tp=tp, fetch_epoch=1, records=chunk))
        async with asyncio.timeout(10):
            await runtime.until_idle()
        await runtime.close()


@asynccontextmanager
async def mailer(script: dict[str, list[str]] | None = None) -> AsyncIterator[Mailer]:
    log = log_from(load_settings(), SystemClock())
    await log.start()
    try:
        async with scripted(script) as relay:
            yield Mailer(log, relay)
    finally:
        await log.stop()


Play = Callable[..., None]


@pytest.fixture
def play(ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Tell a mailer some commands and let it work; the commands of the shell sign as it does."""
    monkeypatch.setenv("RITORNO_TOKEN_KEYS", f"k1:{SECRET}")
    assert ritorno("topics", "create", "--partitions", "2").code == 0

    def run(*commands: Command | Event, script: dict[str, list[str]] | None = None) -> None:
        async def scene() -> None:
            async with mailer(script) as here:
                await here.tell(*commands)
                await here.work()

        asyncio.run(scene())

    return run


def engaged(type_: str, id_: str) -> Event:
    return Event(id=f"{id_}/{type_}", type=type_, source="/t", time=NOW + 2 * HOUR, customer="u1",
                 anonymous_id=None, backfill=False,
                 data=MailEngaged(command_id=id_, workflow="w06"))  # fmt: skip


def words(life: dict[str, Any]) -> list[str]:
    return [change["what"] for change in life["changes"]]


def test_the_life_of_a_mail_that_was_refused_once(ritorno: Ritorno, play: Play) -> None:
    play(send(**TIMES), script={RCPT: ["451 4.7.1 <giulia@example.com>: greylisted"]})
    (life,) = ritorno("mail", "show", "m1", "--json").json
    assert (life["state"], life["attempts"]) == ("deferred", 1)
    assert words(life) == ["decided", "queued", "attempting", "deferred"]
    deferred = life["changes"][-1]
    assert (deferred["code"], deferred["enhanced_code"]) == (451, "4.7.1")
    assert deferred["reason"] == "4.7.1 <…>: greylisted"
    assert (life["customer"], life["class"], life["template"], life["workflow"]) == (
        "u1", "marketing", "cart-reminder", "w06"
    )  # fmt: skip
    assert "giulia" not in str(life)


def test_the_life_of_a_mail_that_was_read(ritorno: Ritorno, play: Play) -> None:
    play(send(**TIMES), engaged("mail.delivered", "m1"), engaged("mail.complained", "m1"))
    (life,) = ritorno("mail", "show", "m1", "--json").json
    assert life["state"] == "sent"
    assert words(life) == ["decided", "queued", "attempting", "sent", "delivered", "complained"]
    assert life["message_id"].startswith("<")
    for message_id in (life["message_id"], life["message_id"].strip("<>")):
        (same,) = ritorno("mail", "show", message_id, "--json").json
        assert same["id"] == "m1"
    (same,) = ritorno("mail", "show", "m1", "--customer", "u1", "--json").json
    assert same == life
    shown = ritorno("mail", "show", "m1").out
    assert life["message_id"] in shown
    assert "complained" in shown


def test_the_header_of_a_mail_finds_it(ritorno: Ritorno, play: Play) -> None:
    id_ = "0" * 31 + "1"
    play(send(id_, **TIMES))
    token = ReturnAddresses(signing_keys(load_settings())).token(id_, "u1")
    assert token
    (life,) = ritorno("mail", "show", token, "--json").json
    assert (life["id"], life["customer"], life["state"]) == (id_, "u1", "sent")
    other = ReturnAddresses([SigningKey("k", "not ours" * 8)]).token(id_, "u1")
    assert "no trace of a mail" in ritorno("mail", "show", other).err


def test_a_message_id_finds_a_mail_in_doubt(ritorno: Ritorno, play: Play) -> None:
    """Nothing says `sent` of it, and yet it may be in somebody's inbox."""
    play(send(**TIMES), script={DOT: ["drop"]})
    message_id = Composer(SETTINGS, load_renderer(TEMPLATES)).message_id("m1")
    (life,) = ritorno("mail", "show", message_id, "--json").json
    assert (life["id"], life["state"]) == ("m1", "failed")
    assert life["changes"][-1]["ambiguous"] is True
    assert "nobody knows" in ritorno("mail", "show", "m1").out


def test_the_life_of_mails_that_were_never_sent(ritorno: Ritorno, play: Play) -> None:
    play(cancel("m1"), send("m1", **TIMES), send("m2", email="not an address", **TIMES))
    (life,) = ritorno("mail", "show", "m1", "--json").json
    assert life["state"] == "skipped"
    assert [(c["what"], c["reason"]) for c in life["changes"] if c["reason"]] == [
        ("taken back", "order.completed"), ("skipped", "cancelled")
    ]  # fmt: skip
    (life,) = ritorno("mail", "show", "m2", "--json").json
    assert (life["state"], life["changes"][-1]["reason"]) == ("rejected", "invalid_address")


def test_the_life_of_a_webhook(ritorno: Ritorno, play: Play) -> None:
    play(notify(url="http://127.0.0.1:1/hook", **TIMES), notify("n2", url="ftp://x", **TIMES))
    (life,) = ritorno("mail", "show", "n1", "--json").json
    assert (life["state"], life["workflow"]) == ("deferred", "w20")
    assert words(life) == ["decided", "queued", "attempting", "deferred"]
    (life,) = ritorno("mail", "show", "n2", "--json").json
    assert life["state"] == "rejected"


@pytest.mark.parametrize("wanted", ["nobody", "<nobody@shop.example>", "nobody@shop.example"])
def test_no_trace_of_a_mail(ritorno: Ritorno, play: Play, wanted: str) -> None:
    play(send(**TIMES))
    done = ritorno("mail", "show", wanted)
    assert done.code == 2
    assert done.err.startswith("ritorno: no trace of a mail")


def test_pause_list_release_resume(ritorno: Ritorno, play: Play) -> None:
    done = ritorno("mail", "pause", "--class", "marketing", "--reason", "wrong prices")
    assert (done.code, done.out) == (0, "Paused: marketing mails.\n")
    play(*(send(f"m{n}", **TIMES) for n in range(3)), send("t", urgent=True, **TIMES),
         send("b", bulk=True, workflow="w11", **TIMES))  # fmt: skip
    held = ritorno("mail", "list", "--state", "held", "--json").json
    assert {each["id"] for each in held} == {"m0", "m1", "m2", "b"}
    assert {each["held"] for each in held} == {"paused"}
    (bulk,) = ritorno("mail", "list", "--class", "bulk", "--json").json
    assert (bulk["delivery"], bulk["class"], bulk["workflow"]) == ("bulk", "marketing", "w11")
    assert len(ritorno("mail", "list", "--workflow", "w06", "--json").json) == 3
    assert len(ritorno("mail", "list", "--limit", "2", "--json").json) == 2
    listed = ritorno("mail", "list")
    assert "marketing mails (wrong prices)" in listed.out
    assert listed.out.count("held paused") == 4
    assert "No mails are bounced" in ritorno("mail", "list", "--state", "bounced").out

    assert ritorno("mail", "release", "m1").out == "Released: m1.\n"
    play()
    (life,) = ritorno("mail", "show", "m1", "--json").json
    assert (life["state"], words(life)[-3:]) == ("sent", ["held", "attempting", "sent"])
    assert ritorno("mail", "release", "m1").err.startswith(
        "ritorno: no mail 'm1' waits; this one is sent"
    )

    assert ritorno("mail", "release", "--held").code == 0
    play(send("m9", **TIMES))
    (left,) = ritorno("mail", "list", "--json").json
    assert left["id"] == "m9"

    assert ritorno("mail", "resume").out == "Resumed: all mails.\n"
    play()
    assert ritorno("mail", "list").out == "No mails wait.\n"


def test_a_control_reaches_every_partition(ritorno: Ritorno, play: Play) -> None:
    assert ritorno("mail", "pause", "--json").json[0]["action"] == "pause"
    play(*(send(f"m{n}", customer=f"u{n}", **TIMES) for n in range(8)))
    assert len(ritorno("mail", "list", "--state", "held", "--json").json) == 8


def test_a_workflow_that_nobody_published_is_worth_a_word(ritorno: Ritorno) -> None:
    assert ritorno("topics", "create").code == 0
    done = ritorno("mail", "pause", "--workflow", "w11-welcom")
    assert done.code == 0
    assert "No workflow 'w11-welcom' is published; did you mean w11-welcome?" in done.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pause", "--class", "all"], "--class all: expected one of transactional, marketing"),
        (["list", "--state", "gone"], "--state gone: expected one of queued, deferred, held"),
        (["list", "--class", "marketing"], "--class marketing: expected one of transactional"),
        (["release"], "say which: a command id, or --held for all"),
        (["release", "m1", "--held"], "say which"),
        (["release", "m1"], "no mail 'm1' waits"),
    ],
)
def test_mistakes_are_named(
    ritorno: Ritorno, play: Play, arguments: list[str], expected: str
) -> None:
    done = ritorno("mail", *arguments)
    assert done.code == 2
    assert expected in done.err
