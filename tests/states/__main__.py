"""Writes `docs/states.md`: `python -m tests.states`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from agents.mail.queue import lifecycle as mails
from agents.transitions import Transition
from agents.workflows import lifecycle as runs
from tests.states.audit import NONE

FILE = Path(__file__).parents[2] / "docs" / "states.md"

MANY = 5
"""States of which the others are named."""

PAGE = """\
# States of a run and of a mail

`make states` writes this page from the tables in `agents/workflows/lifecycle.py` and
`agents/mail/queue/lifecycle.py`, and a test compares. Nothing else writes a run or a mail's state;
the simulation holds every transition against its row. The drawings show what changes the state, the
tables all that may happen.

## A run

One customer's way through one workflow. Its state follows from why its step is put off
(`held_for`); what is finished is in a list of its own, until its goal doesn't count any more. A run
that is adopted or taken up goes on in the state that it had.

{runs_drawn}

{runs_listed}

## A mail

As the mailer's queue keeps it. Webhooks go the same ways. What is finished is forgotten a day after
it would have expired, so that its command is known if it comes again.

{mails_drawn}

{mails_listed}
"""


def page() -> str:
    """Return the page as it has to be."""
    return PAGE.format(
        runs_drawn=drawn(runs.TRANSITIONS),
        runs_listed=listed(runs.TRANSITIONS),
        mails_drawn=drawn(mails.TRANSITIONS),
        mails_listed=listed(mails.TRANSITIONS),
    )


def drawn(rows: Iterable[Transition]) -> str:
    """Return a state diagram in Mermaid: one arrow between two states, for all that leads there."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for before in row.before:
            for after in row.after:
                if before != after:
                    arrows.setdefault((before, after), []).append(row.event)
    lines = [
        f"    {_end(before)} --> {_end(after)}: {', '.join(events)}"
        for (before, after), events in arrows.items()
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def listed(rows: Sequence[Transition]) -> str:
    """Return a table of all rows."""
    known = dict.fromkeys(state for row in rows for state in (*row.before, *row.after))
    lines = [
        f"| `{row.event}` | {_states(row.before, known)} "
        f"| {_states(row.after, known) or 'the same'} "
        f"| {', '.join(f'`{name}`' for name in row.sets)} | {row.meaning} |"
        for row in rows
    ]
    return "\n".join(["| event | from | to | sets | |", "|---|---|---|---|---|", *lines])


def _end(state: str) -> str:
    return "[*]" if state == NONE else state


def _states(states: Sequence[str], known: Iterable[str]) -> str:
    if len(states) < MANY:
        return ", ".join("–" if state == NONE else state for state in states)
    others = [state for state in known if state not in (*states, NONE)]
    return f"any but {', '.join(others)}" if others else "any"


if __name__ == "__main__":
    FILE.write_text(page(), "utf-8")
    print(f"written to {FILE}")
