"""Where the links of ours in a mail lead: the pages of `streams/public/`."""

from __future__ import annotations

from typing import Any

from agents.mailer.settings import MailSettings
from agents.mailer.tokens import Confirm, Content, Preferences, Tokens, Unsubscribe, View
from schemas.commands import SendCommand

DAY_MS = 86_400_000

PATHS: dict[type[Content], str] = {
    Unsubscribe: "u",
    Preferences: "p",
    View: "v",
    Confirm: "y",
}
"""First part of the path; the token is the second."""


class Links:
    """Makes the links of a mail."""

    def __init__(self, settings: MailSettings, tokens: Tokens) -> None:
        self._root = settings.public_url.rstrip("/")
        self._confirm_ms = settings.confirm_days * DAY_MS
        self._tokens = tokens

    def unsubscribe(self, command: SendCommand) -> str:
        """Return the link that ends marketing with one click."""
        return self._link(Unsubscribe(command.customer, command.id, command.time))

    def variables(self, command: SendCommand, unsubscribe: str) -> dict[str, Any]:
        """Return the links that templates may name; those that a mail has not are null."""
        marketing = command.mail_class == "marketing"
        return {
            "unsubscribe_url": unsubscribe if marketing else None,
            "preferences_url": self._link(Preferences(command.customer, command.id, command.time)),
            "browser_url": self._link(View(command.customer, command.id, command.time)),
            "confirm_url": self._confirm(command),
        }

    def _confirm(self, command: SendCommand) -> str | None:
        """A mail about a list can ask whether the address is right."""
        name = command.variables.get("list")
        if not name:
            return None
        expires = command.time + self._confirm_ms
        return self._link(Confirm(command.customer, command.id, str(name), expires))

    def _link(self, content: Content) -> str:
        return f"{self._root}/{PATHS[type(content)]}/{self._tokens.make(content)}"
