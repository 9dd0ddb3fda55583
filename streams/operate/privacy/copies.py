"""Writes the copy of one's data that a person may ask for (GDPR art. 15 and 20).

Everything is JSON, as it is kept, for another program to read; the mails that can still be made of
their commands are there as they looked. README.txt says what each file is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from agents.mail.message.render import Rendered, RenderError
from schemas.commands import COMMAND, SendCommand
from schemas.description import describe
from schemas.instant import to_rfc3339
from schemas.records import Record
from schemas.reference import shown
from streams.operate.privacy.collecting import Collected

README = """\
I TUOI DATI / YOUR DATA
{shop}, {time}

Questa è la copia dei dati che ti riguardano nel sistema con cui il negozio gestisce le
comunicazioni ai clienti (GDPR, articoli 15 e 20). Altri sistemi del negozio, come la contabilità,
possono conservarne altri.
This is the copy of the data about you in the system with which the shop looks after its mails to
customers (GDPR, articles 15 and 20). Other systems of the shop, such as its accounts, may hold
more.

customer.json
    Ciò che sappiamo di te adesso: profilo, consensi con le loro prove, ordini, punteggi.
    What we know of you now: profile, consents with their evidence, orders, scores.
visitors.json
    Solo se c'è: un visitatore con lo stesso identificativo, che nessuno ha collegato a te.
    Only where there is one: a visitor with the same id, whom nobody has linked to you.
events.ndjson
    Ciò che hai fatto e ciò che è successo: visite, carrello, ordini, consensi, email.
    What you did and what happened: visits, cart, orders, consents, mails.
mails.ndjson
    Le email decise per te: quando, perché, su quale base giuridica, con quale esito.
    The mails decided for you: when, why, on which legal basis, with which outcome.
mails/
    Quelle email che si possono ancora mostrare, così come apparivano.
    Those mails that can still be shown, as they looked.
decisions.ndjson
    Le decisioni automatiche prese sulle comunicazioni, con il motivo di ognuna.
    The automated decisions about your mails, each with its reason.
signals.ndjson
    Ciò che abbiamo comunicato ad altri sistemi del negozio.
    What we told other systems of the shop.
refused.ndjson
    Ciò che è arrivato su di te e non si è potuto leggere.
    What came about you and could not be read.

Le righe dei file .ndjson sono oggetti JSON, una per riga, per data. Gli orari sono UTC.
The lines of the .ndjson files are JSON objects, one a line, by date. Times are UTC.

Identificativi / Ids: {ids}
Domande / Questions: {email}
"""


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
    states = list(map(describe, collected.states))
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
    readme = README.format(shop=shop, time=to_rfc3339(time), ids=ids, email=email)
    _write(directory / "README.txt", [readme])
    return counts


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
