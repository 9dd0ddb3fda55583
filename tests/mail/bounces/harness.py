"""An intake on a log in memory, and reports about mails of ours."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from agents.digests import derived_id
from agents.mail.bounces.verdict import BounceVerdict
from agents.mail.message.tokens import Tokens, Unsubscribe
from agents.mail.message.verp import ReturnAddresses
from agents.mail.settings import SigningKey
from streams.clock import VirtualClock
from streams.mail.inbound.intake import ReturnIntake
from streams.mail.inbound.kept import KeptMessages
from streams.mail.inbound.reading_child import answer
from streams.mail.inbound.reading_process import ReadingProcess
from streams.mail.inbound.sources import UnsubscribeLinks
from streams.topology import CUSTOMER_EVENTS
from tests.keys import SIGNER
from tests.mail.bounces.messages import report
from tests.runtime.doubles import START, MemoryLog, memory_log

KEYS = (SigningKey("k1", "a secret of some length"),)
DOMAIN = "rimbalzi.negozio.example"
RETURNS = ReturnAddresses(KEYS, DOMAIN)
TOKENS = Tokens(KEYS)
COMMAND = derived_id("anna", "run", "step")
ANNA = RETURNS.sender(COMMAND, "anna")


class Counted:
    """Remembers what was counted; stands in for ReturnCounters."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, ...]] = Counter()

    def returned(self, channel: str, kind: str, result: str) -> None:
        self.seen[channel, kind, result] += 1

    def forged(self, channel: str, tokens: int) -> None:
        self.seen[channel, "forged"] += tokens

    def refused(self) -> None:
        self.seen["refused",] += 1

    def failed(self, channel: str) -> None:
        self.seen[channel, "failed"] += 1


class IntakeHarness:
    """Everything that an intake needs."""

    def __init__(
        self,
        log: MemoryLog,
        keep: Path,
        *,
        reader: ReadingProcess | None = None,
        most: int = 1 << 20,
    ) -> None:
        self.log = log
        self.keep = keep
        self.counted = Counted()
        self.clock = VirtualClock(START)
        self.reader = reader or InThisProcess()
        self.intake = ReturnIntake(
            log=log,
            returns=RETURNS,
            read_link=UnsubscribeLinks(TOKENS).read,
            clock=self.clock,
            metrics=self.counted,
            reader=self.reader,
            kept=KeptMessages(keep, self.clock, days=90, most=most),
            signer=SIGNER,
        )

    @property
    def told(self) -> list[dict[str, Any]]:
        """What the actors were told, with type, id and customer."""
        found = []
        for record in self.log.records(CUSTOMER_EVENTS):
            headers = {name: value.decode() for name, value in record.headers}
            found.append(
                json.loads(record.value or b"")
                | {"type": headers["ce_type"], "id": headers["ce_id"]}
                | {"customer": (record.key or b"").decode()}
            )
        return found

    @property
    def kept(self) -> list[Path]:
        """What a person should read."""
        return sorted(self.keep.glob("*.eml"))


class InThisProcess(ReadingProcess):
    """Reads without another process, which takes a second to start."""

    async def read(self, raw: bytes, *, patient: bool = False) -> BounceVerdict:
        """Return what a message says."""
        return answer(raw).verdict


async def harness(
    keep: Path, *, reader: ReadingProcess | None = None, most: int = 1 << 20
) -> IntakeHarness:
    """Return one on a new log."""
    return IntakeHarness(await memory_log(), keep, reader=reader, most=most)


def bounce(to: str = ANNA, *, header: str = "", status: str = "5.1.1", said: str = "") -> bytes:
    """A delivery report that came to `to`; `header` is a line of the returned mail."""
    text = report(said or "host said: 550 5.1.1 User unknown", status=status).lstrip()
    text = text.replace("To: rimbalzi@negozio.example", f"To: {to}")
    text = text.replace("X-Ritorno-Mail: tabc", header or "X-Nothing: here")
    text = text.replace("https://negozio.example/u/k.t.s", "https://altrove.example/u/k.t.s")
    return text.encode()


def unsubscribe_link(customer: str = "anna") -> str:
    """The header of a mail whose token says all."""
    link = f"https://negozio.example/u/{TOKENS.make(Unsubscribe(customer, COMMAND))}"
    return f"List-Unsubscribe: <{link}>, <mailto:via@negozio.example>"
