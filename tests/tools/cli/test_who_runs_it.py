"""Who runs a command is known also where the system has no name for them."""

from __future__ import annotations

import getpass

import pytest

from streams.tools.cli.console import this_user


def test_who_has_no_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert this_user() == "4711"
