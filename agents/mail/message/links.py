"""Where the links of ours in a mail lead: the pages of `streams/http/public/`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agents.mail.message.tokens import (
    Answer,
    Confirm,
    Content,
    Preferences,
    Tokens,
    Unsubscribe,
    View,
)
from agents.mail.settings import MailSettings
from agents.mail.templates.variables import spoken
from schemas.commands import SendCommand
from schemas.time_units import DAY_MS

if TYPE_CHECKING:  # pages make links, and need no templates for that
    from agents.mail.message.render import Rendered


PATHS: dict[type[Content], str] = {
    Unsubscribe: "u",
    Preferences: "p",
    View: "v",
    Confirm: "y",
    Answer: "a",
}
"""First part of the path; the token is the second."""

_ASKED = "?list="

LIST_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
"""As workflows may call one."""
MAX_LISTS = 10
"""Lists that one mail may ask about: each makes its links longer."""

MAX_WORDS = 200
"""Characters of a question or an answer in a link: the page shows them again."""


class MailLinks:
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
            "preferences_url": None if command.elsewhere else self._preferences(command),
            "browser_url": self._link(View(command.customer, command.id, command.time)),
            "confirm_url": self._confirm(command),
            **self._survey(command),
        }

    def seal_asked_lists(self, rendered: Rendered, command: SendCommand) -> Rendered:
        """Seal the lists that a rendered mail asks about into its links to the preferences.

        `preferences_url ~ "?list=NAME"` in a template is such a question. A name that stands only
        in the address could be any, and whoever has a mail could make up a thousand.
        """
        if _ASKED not in rendered.html and _ASKED not in rendered.text:
            return rendered
        address = self._preferences(command)
        asked = re.compile(re.escape(address + _ASKED) + LIST_NAME)
        found = {
            match[0] for part in (rendered.html, rendered.text) for match in asked.finditer(part)
        }
        names = sorted(each.removeprefix(address + _ASKED) for each in found)
        if not names:
            return rendered
        sealed = self._preferences(command, tuple(names[:MAX_LISTS]))
        return rendered._replace(
            html=rendered.html.replace(address, sealed), text=rendered.text.replace(address, sealed)
        )

    def _preferences(self, command: SendCommand, lists: tuple[str, ...] = ()) -> str:
        return self._link(Preferences(command.customer, command.id, command.time, lists))

    def _confirm(self, command: SendCommand) -> str | None:
        """A mail about a list can ask whether the address is right."""
        name = command.variables.get("list")
        if not name:
            return None
        expires = command.time + self._confirm_ms
        return self._link(Confirm(command.customer, command.id, str(name), expires))

    def _survey(self, command: SendCommand) -> dict[str, Any]:
        """A mail's question, each answer with a link: to our page, unless it has one of its own."""
        survey = command.variables.get("survey")
        answers = survey.get("answers") if isinstance(survey, dict) else None
        if not isinstance(survey, dict) or not isinstance(answers, list):
            return {}
        linked = [
            {**each, "url": self._answer(command, survey, each)}
            if isinstance(each, dict) and each.get("answer") and not each.get("url")
            else each
            for each in answers
        ]
        return {"survey": {**survey, "answers": linked}}

    def _answer(
        self, command: SendCommand, survey: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> str:
        texts = (survey.get("question"), answer.get("label"))
        question, label = (
            str(spoken(each, command.locale) or "")[:MAX_WORDS].strip() for each in texts
        )
        meant = Answer(
            command.customer,
            command.id,
            str(survey.get("id") or command.workflow)[:MAX_WORDS],
            str(answer["answer"])[:MAX_WORDS],
            question,
            label,
        )
        return self._link(meant)

    def _link(self, content: Content) -> str:
        return f"{self._root}/{PATHS[type(content)]}/{self._tokens.make(content)}"
