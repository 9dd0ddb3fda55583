"""`ritorno bounces`: what messages that came back say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from agents.mail.bounces.reading import classify
from agents.mail.bounces.verdict import BounceVerdict
from streams.mail.inbound.files import StoredMessage, read_messages
from streams.messages.plurals import several
from streams.tools.cli.console import JsonFlag, UserError, print_json, say, stdout
from streams.tools.cli.tables import listing

SHOWN = 80
"""Characters of a server's words in the table; --json has all that are kept."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Bounces, complaints, automatic answers.", no_args_is_help=True)
    group.callback()(lambda: None)  # a group with one command stays a group
    group.command("classify")(classify_files)
    app.add_typer(group, name="bounces")


def classify_files(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Messages, maildirs, mboxes.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Say what each message is, whom it is about, and why it came back.

    Kinds: hard, soft, blocked, content, throttled, complaint, autoreply, delayed, delivered,
    unknown. Of several failed recipients the first is shown; --json has all of them.
    """
    if missing := [str(path) for path in paths if not path.exists()]:
        raise UserError(f"there is no {', '.join(missing)}")
    kinds: Counter[str] = Counter()
    rows = []
    for name, verdict in _verdicts(paths):
        kinds[verdict.first.kind] += 1
        if as_json:
            print_json(_as_dict(name, verdict))
        else:
            rows.append(_row(name, verdict))
    if as_json:
        return
    if rows:
        columns = ("file", "kind", "address", "reason", "code", "what the server said")
        stdout().print(listing(columns, rows))
    stdout().print(_summary(kinds), markup=False)


def _verdicts(paths: list[Path]) -> Iterator[tuple[str, BounceVerdict]]:
    for path in paths:
        try:
            for message in read_messages(path):
                if isinstance(message, StoredMessage):
                    yield message.name, classify(message.raw)
                else:
                    say(f"skipped {message.name}: {message.why}")
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None


def _as_dict(name: str, verdict: BounceVerdict) -> dict[str, Any]:
    first = verdict.first
    return {
        "file": name,
        "kind": first.kind,
        "address": first.address,
        "reason": first.reason,
        "code": first.code,
        "enhanced_code": first.enhanced_code,
        "text": first.text,
        "source": verdict.source,
        "message_id": verdict.returned.message_id,
        "recipients": [recipient._asdict() for recipient in verdict.recipients],
    }


def _row(name: str, verdict: BounceVerdict) -> tuple[str, ...]:
    first = verdict.first
    code = " ".join(str(part) for part in (first.code, first.enhanced_code) if part)
    more = f" (+{len(verdict.recipients) - 1})" if len(verdict.recipients) > 1 else ""
    return Path(name).name, first.kind, first.address + more, first.reason, code, first.text[:SHOWN]


def _summary(kinds: Counter[str]) -> str:
    if not kinds:
        return "No messages."
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{several(kinds.total(), 'message')}: {counts}"
