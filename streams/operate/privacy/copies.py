"""Writes the copy of one's data that a person may ask for (GDPR art. 15 and 20).

Everything is JSON, as it is kept, for another program to read; the mails that can still be made of
their commands are there as they looked. README.txt says what each file is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import fill
from typing import Any

from pydantic_core import from_json

from agents.mail.message.render import Rendered, RenderError
from schemas.commands import COMMAND, SendCommand
from schemas.description import describe, links_of
from schemas.instant import to_rfc3339
from schemas.languages import MAIL_LANGUAGES
from schemas.records import Record
from schemas.reference import shown
from streams.messages.translations import language_of, message
from streams.operate.privacy.collecting import Collected

_FILES = {
    "customer.json": "copy.customer",
    "visitors.json": "copy.visitors",
    "events.ndjson": "copy.events",
    "mails.ndjson": "copy.mails",
    "mails/": "copy.views",
    "decisions.ndjson": "copy.decisions",
    "signals.ndjson": "copy.signals",
    "refused.ndjson": "copy.refused",
}
"""What a copy may hold, each with the message that says what it is."""
_WIDTH = 98


def write_copy(
    collected: Collected,
    directory: Path,
    *,
    time: int,
    shop: str,
    email: str,
    view: Callable[[SendCommand], Rendered],
) -> dict[str, int]:
    """Write everything into `directory`, which must not hold anything; return records by file.

    `view` renders a mail for the browser. Raises OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty")
    states = [describe(each) | {"links": links_of(each)} for each in collected.states]
    state = states[0] if states else None
    _write(directory / "customer.json", [json.dumps(state, ensure_ascii=False, indent=2)])
    if visitors := states[1:]:
        text = json.dumps(visitors, ensure_ascii=False, indent=2)
        _write(directory / "visitors.json", [text])
    counts = {
        "events.ndjson": _write_lines(directory / "events.ndjson", map(_event, collected.events)),
        "decisions.ndjson": _write_lines(
            directory / "decisions.ndjson", map(_value, collected.decisions)
        ),
        "signals.ndjson": _write_lines(
            directory / "signals.ndjson", map(_value, collected.signals)
        ),
        "refused.ndjson": _write_lines(
            directory / "refused.ndjson", map(_event, collected.refused)
        ),
        "mails.ndjson": _write_mails(collected, directory, view),
    }
    ids = ", ".join(map(shown, collected.ids))
    _write(directory / "README.txt", [_readme(shop, to_rfc3339(time), ids, email)])
    return counts


def _readme(shop: str, time: str, ids: str, email: str) -> str:
    """Say what each file is, in every language of mails, since it goes where those go."""
    files = [
        "\n".join([name, *(f"    {words}" for words in _said(about))])
        for name, about in _FILES.items()
    ]
    return "\n".join([
        " / ".join(_said("copy.title")),
        f"{shop}, {time}",
        "",
        *(fill(words, _WIDTH) for words in _said("copy.about")),
        "",
        *files,
        "",
        *_said("copy.form"),
        "",
        f"{' / '.join(_said('copy.ids'))}: {ids}",
        f"{' / '.join(_said('copy.questions'))}: {email}",
        "",
    ])  # fmt: skip


def _said(id_: str) -> list[str]:
    return [message(language_of(each), id_) for each in MAIL_LANGUAGES]


def _write_mails(
    collected: Collected, directory: Path, view: Callable[[SendCommand], Rendered]
) -> int:
    """One line a mail, with what became of it; those whose command is gone have only that."""
    commands = {
        command.id: command for command in map(_send_command, collected.commands) if command
    }
    outcomes: dict[str, list[Any]] = {}
    for record in collected.events:
        kind = _text(record.header("ce_type")) or ""
        if kind.startswith("mail."):
            about = _value(record)
            id_ = about.get("command_id") if isinstance(about, dict) else None
            known = id_ if isinstance(id_, str) else ""  # anybody may have written anything
            outcomes.setdefault(known, []).append({"type": kind, **_event(record)})
    lines = []
    for number, id_ in enumerate(dict.fromkeys([*commands, *outcomes]), 1):
        command = commands.get(id_)
        line: dict[str, Any] = {
            "id": id_,
            "command": None,
            "shown_in": None,
            "outcomes": outcomes.get(id_, []),
        }
        if command is not None:
            line["command"] = command.model_dump(mode="json", by_alias=True, exclude_none=True)
            line["shown_in"] = _write_mail(command, number, directory, view)
        lines.append(line)
    return _write_lines(directory / "mails.ndjson", lines)


def _write_mail(
    command: SendCommand, number: int, directory: Path, view: Callable[[SendCommand], Rendered]
) -> str | None:
    """Write a mail as it looked; None when its template can't make it any more."""
    try:
        html = view(command).html
    except RenderError:
        return None
    (directory / "mails").mkdir(mode=0o700, exist_ok=True)
    name = f"mails/{number:03}.html"  # no name of a template leads out of the directory
    _write(directory / name, [html])
    return name


def _send_command(record: Record) -> SendCommand | None:
    try:
        command = COMMAND.validate_json(record.value or b"")
    except ValueError:
        return None
    return command if isinstance(command, SendCommand) else None


def _event(record: Record) -> dict[str, Any]:
    return {
        "recorded": to_rfc3339(record.timestamp),
        "about": _text(record.key),
        "headers": {name: _text(value) for name, value in record.headers},
        "data": _value(record),
    }


def _value(record: Record) -> Any:
    try:
        return from_json(record.value or b"null")
    except ValueError:
        return _text(record.value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _write_lines(path: Path, lines: Iterable[Any]) -> int:
    return _write(path, (json.dumps(line, ensure_ascii=False) for line in lines))


def _write(path: Path, lines: Iterable[str]) -> int:
    """Write lines into a new file that only its owner may read; return how many."""
    path.touch(mode=0o600, exist_ok=False)
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for count, line in enumerate(lines, 1):  # noqa: B007  # the last count is the result
            file.write(line + "\n")
    return count
