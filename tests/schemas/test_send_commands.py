"""Commands as they travel: what is read, what is refused, what an older one says by default."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.commands import COMMAND, NotifyCommand, SendCommand
from tests.mail.samples import START, send

NOTIFY = {
    "action": "notify", "id": "n1", "time": START, "expires": START + 1, "customer": "u1",
    "workflow": "w1", "version": "v1", "run": "r1", "step": "s1",
    "url": "https://crm.example/hook", "body": {"score": 80, "tags": ["hot"]},
}  # fmt: skip


def test_a_command_from_before_bulk_and_quiet_hours_has_neither() -> None:
    older = send().model_dump(mode="json", by_alias=True, exclude={"bulk", "quiet"})
    command = COMMAND.validate_python(older)
    assert isinstance(command, SendCommand)
    assert (command.bulk, command.quiet) == (False, None)


def test_quiet_hours_travel_as_from_and_to() -> None:
    command = send(quiet={"from": "21:00", "to": "09:00"})
    assert '"quiet":{"from":"21:00","to":"09:00"}' in command.model_dump_json(by_alias=True)
    assert COMMAND.validate_json(command.model_dump_json(by_alias=True)) == command


@pytest.mark.parametrize("hours", [{"from": "24:00", "to": "09:00"}, {"from": "9", "to": "10:00"}])
def test_hours_that_no_clock_shows_are_refused(hours: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"quiet\.from"):
        send(quiet=hours)


def test_a_notify_command_travels_whole() -> None:
    command = COMMAND.validate_python(NOTIFY)
    assert isinstance(command, NotifyCommand)
    assert COMMAND.validate_json(command.model_dump_json()) == command
