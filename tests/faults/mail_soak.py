"""The mailer killed again and again while mails go out: `make soak-mail`.

python -m tests.faults.mail_soak [--mails 5000] [--kills 50] [--seed 1]

A real worker on the embedded log, a real SMTP server that takes its time between the final dot and
its reply, a real web server. The worker is killed (kill -9) at random instants of its life, start
and recovery among them. What must hold in the end:

- marketing arrives at most once, and once when its outcome is `sent`; otherwise it is `failed` and
  ambiguous;
- a receipt arrives, and a second copy has the same bytes and is admitted as ambiguous;
- what the server refuses bounces and never arrives; webhooks arrive at least once;
- each command has exactly one final outcome.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from pathlib import Path

from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from agents.mail.message.message_ids import local_part
from schemas.commands import NotifyCommand, SendCommand
from schemas.records import OutRecord
from schemas.topics import CUSTOMER_EVENTS, SEND_COMMANDS
from streams.clock import SystemClock
from streams.mail.inspection import read_queues
from streams.partitioner import partition_of
from streams.runtime.logs.embedded import EmbeddedLog
from streams.topology import topics
from tests.faults.fleet import Worker
from tests.faults.verify import FINAL
from tests.keys import SECRET, SIGNER
from tests.mail.samples import DAY, notify, send
from tests.ports import free_port
from tests.waiting import poll_pause

REPLY_SECONDS = 0.06
"""Longest time from the final dot to its reply: with ten connections there is nearly always a mail
in the window in which nobody can know."""

STILLBORN = 0.15
"""Share of the lives that end at some instant of start and recovery; the others end while mails go
out, after as many as make the mails last for all lives."""

STARTING_SECONDS = 2.5
LONGEST_LIFE = 15.0

WEBHOOKS = 0.04
"""Webhooks per mail."""

APPENDED = 500

STUCK_SECONDS = 120
"""After that, what is neither final nor deferred will not be."""


class Inbox:
    """An SMTP server that remembers every copy, refuses some recipients, and takes its time."""

    def __init__(self, seed: int) -> None:
        self.copies: defaultdict[str, list[bytes]] = defaultdict(list)
        """Local part of the Message-ID → the texts that came."""
        self.arrived = 0
        self.port = free_port()
        self._news = threading.Condition()
        self._random = random.Random(seed)
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Inbox:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def until(self, arrived: float, seconds: float) -> None:
        """Wait until so many have arrived, for so long at most. From any other thread."""
        with self._news:
            self._news.wait_for(lambda: self.arrived >= arrived, seconds)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        """Take a recipient, or refuse one that isn't there."""
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # as above
        """Take a mail; from here on it has arrived, whatever becomes of the reply."""
        content = envelope.content
        assert isinstance(content, bytes)
        message_id = str(BytesHeaderParser().parsebytes(content)["Message-ID"])
        self.copies[message_id[1:].partition("@")[0]].append(content)
        with self._news:
            self.arrived += 1
            self._news.notify_all()
        await asyncio.sleep(self._random.random() * REPLY_SECONDS)  # a slow relay is what is played
        return "250 taken"


@dataclass
class Hooks:
    """A web server that counts what is posted, by the command's id."""

    copies: Counter[str] = field(default_factory=Counter)
    port: int = 0

    async def start(self) -> web.AppRunner:
        """Listen."""

        async def take(request: web.Request) -> web.Response:
            await request.read()
            self.copies[request.headers["webhook-id"]] += 1
            return web.Response()

        app = web.Application()
        app.router.add_post("/hook", take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner


@dataclass
class Found:
    """What the log says in the end."""

    finals: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Command id → types of its final outcomes."""
    ambiguous: set[str] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)
    """Command id → state of what is not finished."""
    ended: dict[str, str] = field(default_factory=dict)
    """Command id → state of what is."""


class MailSoak:
    """One run."""

    def __init__(
        self, directory: Path, *, mails: int, kills: int, seed: int, say: Callable[[str], None]
    ) -> None:
        self._directory = directory
        self._kills = kills
        self._random = random.Random(seed)
        self._say = say
        self._log = EmbeddedLog(directory / "log", SystemClock())
        self._inbox = Inbox(seed)
        self._hooks = Hooks()
        self._mails = mails
        self._commands: dict[str, SendCommand] = {}
        self._webhooks: dict[str, NotifyCommand] = {}

    async def go(self, *, patience: float) -> Counter[str]:
        """Run and verify. `patience`: seconds that mails in doubt get for their next attempt."""
        await self._log.start()
        hooks = await self._hooks.start()
        try:
            with self._inbox, self._worker() as worker:
                await self._log.create_topics(topics(2))
                await self._command()
                await self._kill_again_and_again(worker)
                found = await self._to_the_end(worker, patience)
        finally:
            await hooks.cleanup()
            await self._log.stop()
        return self._verify(found)

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
        worker = Worker("mailer", self._directory / "mailer", {
            "RITORNO_BROKER": f"embedded://{self._directory / 'log'}",
            "RITORNO_SMTP_URL": f"smtp://127.0.0.1:{self._inbox.port}",
            "RITORNO_MAIL_PUBLIC_URL": "https://mail.shop.example",  # part of every mail
            "RITORNO_TOKEN_KEYS": f"k1:{SECRET}",
        })  # fmt: skip
        try:
            yield worker
        finally:
            if worker.running:
                worker.kill()

    async def _command(self) -> None:
        """Append all commands: a third receipts, the others series and campaigns."""
        now, chance = SystemClock().now(), self._random
        url = f"http://127.0.0.1:{self._hooks.port}/hook"
        times = {"time": now, "expires": now + DAY}
        records: defaultdict[int, list[OutRecord]] = defaultdict(list)
        for number in range(self._mails):
            customer = f"u{number}"
            who = "nobody" if chance.random() < 0.02 else "somebody"
            domain = chance.choice(["gmail.com", "libero.it", "yahoo.it", "shop.example"])
            command = send(f"mail-{number}", urgent=number % 3 == 0, bulk=number % 3 == 1,
                           customer=customer, email=f"{who}{number}@{domain}", **times)  # fmt: skip
            self._commands[command.id] = command
            hook = notify(f"hook-{number}", customer=customer, url=url, **times)
            hooks = [hook] if chance.random() < WEBHOOKS else []
            self._webhooks |= {each.id: each for each in hooks}
            for each in (command, *hooks):
                value = each.model_dump_json(by_alias=True).encode()
                key = customer.encode()
                record = SIGNER.sign(SEND_COMMANDS, OutRecord(key, value))
                records[partition_of(key, 2)].append(record)
        for partition, group in records.items():
            for start in range(0, len(group), APPENDED):
                await self._log.append(SEND_COMMANDS, partition, group[start : start + APPENDED])

    async def _kill_again_and_again(self, worker: Worker) -> None:
        for number in range(1, self._kills + 1):
            worker.start()
            await self._live()
            if not worker.running:
                raise AssertionError(f"the worker has ended:\n{worker.last_words()}")
            await asyncio.to_thread(worker.kill)
            self._say(f"kill {number:3}: {self._inbox.arrived:,} mails have arrived")

    async def _live(self) -> None:
        """Wait for as long as this life is to last."""
        if self._random.random() < STILLBORN:
            await asyncio.sleep(self._random.uniform(0, STARTING_SECONDS))  # the moment of the kill
            return
        share = self._mails / self._kills
        enough = self._inbox.arrived + self._random.uniform(1, 1.8 * share)
        await asyncio.to_thread(self._inbox.until, enough, LONGEST_LIFE)

    async def _to_the_end(self, worker: Worker, patience: float) -> Found:
        """Let it work undisturbed until all is final, or waits for later than `patience`."""
        worker.start()
        deadline = time.monotonic() + patience
        while True:
            await poll_pause()
            found = await self._look()
            asked = len(self._commands) + len(self._webhooks)
            soon = any(state != "deferred" for state in found.waiting.values())
            known = len(found.ended) + len(found.waiting) == asked
            late = time.monotonic() - deadline
            if known and not soon and (not found.waiting or late > 0):
                await asyncio.to_thread(worker.kill)
                return found
            if late > STUCK_SECONDS:
                raise AssertionError(f"it comes to no end: {Counter(found.waiting.values())}")

    async def _look(self) -> Found:
        found = Found()
        for entry in (await read_queues(self._log)).entries():
            where = found.ended if entry.finished and not entry.pending else found.waiting
            where[entry.id] = entry.state
        for partition, span in (await self._log.offsets(CUSTOMER_EVENTS)).items():
            async for chunk in self._log.read(CUSTOMER_EVENTS, partition, span.start, span.end):
                for record in chunk:
                    type_ = (record.header("ce_type") or b"").decode()
                    if type_.startswith("mail."):
                        _note(found, type_, json.loads(record.value or b"{}"))
        return found

    def _verify(self, found: Found) -> Counter[str]:
        tally: Counter[str] = Counter()
        for id_, command in self._commands.items():
            copies = self._inbox.copies.get(local_part(id_), [])
            finals = found.finals[id_]
            kind = f"{command.mail_class}{', bulk' if command.bulk else ''}"
            tally[f"{kind}: mails"] += 1
            tally[f"{kind}: ambiguous"] += id_ in found.ambiguous
            if command.email.startswith("nobody"):
                # Who dies before the refusal is written down can't know that there was one.
                doubt = command.mail_class == "marketing" and id_ in found.ambiguous
                expected = {"mail.failed"} if doubt else {"mail.bounced"}
                assert (finals or expected) == expected, f"{id_}: {sorted(finals)}"
                assert not copies, f"{id_} was refused and has arrived"
                tally["refused by the server"] += 1
            elif command.mail_class == "marketing":
                self._verify_marketing(id_, len(copies), found)
                if finals == {"mail.failed"}:
                    tally[f"{kind}: failed, {'and has arrived' if copies else 'and has not'}"] += 1
            else:
                self._verify_receipt(id_, copies, found)
                tally[f"{kind}: second copies"] += max(0, len(copies) - 1)
                tally[f"{kind}: waits for its next attempt"] += not finals
        for id_ in self._webhooks:
            assert found.ended.get(id_) == "sent" or id_ in found.waiting, (id_, found.ended[id_])
            assert self._hooks.copies[id_] >= 1 or id_ in found.waiting, f"{id_} never arrived"
            tally["webhooks"] += 1
            tally["webhooks: second copies"] += max(0, self._hooks.copies[id_] - 1)
        return tally

    def _verify_marketing(self, id_: str, copies: int, found: Found) -> None:
        finals = found.finals[id_]
        assert copies <= 1, f"{id_} arrived {copies} times"
        assert len(finals) == 1, f"{id_} has the outcomes {sorted(finals)}"
        if finals == {"mail.sent"}:
            assert copies == 1, f"{id_} was never taken, and is called sent"
        else:
            assert finals == {"mail.failed"} and id_ in found.ambiguous, f"{id_}: {finals}"

    def _verify_receipt(self, id_: str, copies: list[bytes], found: Found) -> None:
        finals = found.finals[id_]
        assert len(set(copies)) <= 1, f"{id_} has come in {len(set(copies))} different forms"
        assert len(copies) <= 1 or id_ in found.ambiguous, f"{id_} came twice, unexplained"
        if finals:
            assert finals == {"mail.sent"}, f"{id_} has the outcomes {sorted(finals)}"
            assert copies, f"{id_} never arrived"
        else:
            assert found.waiting[id_] == "deferred" and id_ in found.ambiguous, id_


def _note(found: Found, type_: str, data: dict[str, object]) -> None:
    id_ = str(data["command_id"])
    if data.get("ambiguous"):
        found.ambiguous.add(id_)
    if type_ in FINAL:
        found.finals[id_].add(type_)


def main() -> None:
    """Read the options, run, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=5_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="ritorno-soak-mail-"))
    began = time.monotonic()
    run = MailSoak(
        directory,
        mails=options.mails,
        kills=options.kills,
        seed=options.seed,
        say=lambda text: print(f"{time.strftime('%H:%M:%S')} {text}", flush=True),
    )
    try:
        tally = asyncio.run(run.go(patience=300))
    except BaseException:
        print(f"FAILED. Seed {options.seed}; logs and data are kept in {directory}", flush=True)
        raise
    shutil.rmtree(directory)
    print(f"{options.kills} × kill -9, {options.mails:,} mails, seed {options.seed}, "
          f"{time.monotonic() - began:.0f} s: every class got its promise")  # fmt: skip
    for name, count in sorted(tally.items()):
        print(f"  {name:40} {count:6,}")


if __name__ == "__main__":
    main()
