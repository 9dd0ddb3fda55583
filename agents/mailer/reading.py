"""Reads a record of `send-commands`."""

from __future__ import annotations

from pydantic import ValidationError

from schemas.checking import Unreadable, first_error
from schemas.commands import COMMAND, Command, Control
from schemas.records import Record

MAX_COMMAND_ID = 160
"""Event ids have at most 200 characters; `/deferred/NN/tried` follows the command's id."""


def read_record(record: Record) -> Command:
    """Return the command of a record. Raises Unreadable."""
    try:
        command = COMMAND.validate_json(record.value or b"")
    except ValidationError as error:
        broken = error.errors()[0]["type"] == "json_invalid"
        reason = "invalid_json" if broken else "invalid_command"
        raise Unreadable(reason, first_error(error)) from None
    if isinstance(command, Control):
        if record.key is not None:
            raise Unreadable("invalid_command", "key: control records have none")
        return command
    if not (command.id and len(command.id) <= _longest(command) and command.id.isprintable()):
        raise Unreadable("invalid_command", f"id: not usable (got {command.id[:64]!r})")
    if record.key != command.customer.encode():
        raise Unreadable("invalid_command", "key: is not the customer of the command")
    return command


def _longest(command: Command) -> int:
    return 200 if command.action == "feedback" else MAX_COMMAND_ID
