"""What relays answer to RCPT, and what it means; `replies.txt` has the wordings."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from agents.mail.bounces.addresses import marked
from agents.mail.replies import LONGEST_REPLY, RelayRefused, Stage, reason_text

RECIPIENT = "anna@cliente.example"
SENDER = "shop@bottega.example"


class Wording(NamedTuple):
    """One reply, as it travels."""

    kind: str
    """What it means."""
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """For the test's id."""
        return f"{self.kind}: {self.lines[-1][:60]}"

    def refusal(self, stage: Stage = "rcpt") -> RelayRefused:
        """Return the reply as a session with a relay hands it on."""
        said = "\n".join(line[4:] for line in self.lines)
        text = reason_text(marked(said, [SENDER], RECIPIENT), LONGEST_REPLY)
        return RelayRefused(stage, int(self.lines[0][:3]), text)


def wordings() -> list[Wording]:
    """Return all of `replies.txt`."""
    found, kind = [], ""
    for line in Path(__file__).with_name("replies.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            kind = line.strip("[]")
        elif line and not line.startswith("#"):
            found.append(Wording(kind, tuple(line.split("\\n"))))
    return found
