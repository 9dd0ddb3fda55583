"""Reads a record of `send-commands`."""

from __future__ import annotations

from pydantic import ValidationError

from schemas.bounds import KEY_BYTES, fits
from schemas.commands import COMMAND, Command, Control
from schemas.records import Record
from schemas.validation import Unreadable, first_error, too_long

MAX_COMMAND_ID = 160
"""Bytes. Event ids have at most 200; `/deferred/NN/tried` follows the command's id."""

MAX_COMMAND_BYTES = 800_000
"""Of a command: what is kept of a mail holds it, with what becomes of the mail. Ours are smaller
(`agents/definitions/template_variables.py`)."""

_TEXTS = ("customer", "workflow", "step", "template")
"""Stand in every outcome of a mail, or beside others in one record."""


def read_record(record: Record) -> Command:
    """Return the command of a record. Raises Unreadable."""
    size = len(record.value or b"")
    if size > MAX_COMMAND_BYTES:
        problem = f"{size} bytes, at most {MAX_COMMAND_BYTES} are accepted"
        raise Unreadable("too_large", problem)
    try:
        command = COMMAND.validate_json(record.value or b"")
    except ValidationError as error:
        broken = error.errors()[0]["type"] == "json_invalid"
        reason = "invalid_json" if broken else "invalid_command"
        raise Unreadable(reason, first_error(error)) from None
    for name in _TEXTS:
        text = getattr(command, name, "")
        if not fits(text, KEY_BYTES):
            raise too_long(name, text, KEY_BYTES)
    if isinstance(command, Control):
        if record.key is not None:
            raise Unreadable("invalid_command", "key: control records have none")
        return command
    if not (command.id and fits(command.id, _longest(command)) and command.id.isprintable()):
        raise Unreadable("invalid_command", f"id: not usable (got {command.id[:64]!r})")
    if record.key != command.customer.encode():
        raise Unreadable("invalid_command", "key: is not the customer of the command")
    return command


def _longest(command: Command) -> int:
    return 200 if command.action == "feedback" else MAX_COMMAND_ID
