"""`/p/TOKEN/copy` and `/p/TOKEN/erase`: the rights of GDPR art. 15, 17 and 20.

A copy is sent by the shop, to the address that it knows, never shown here: whoever has a mail
would have it. Erasing needs a mail that is not old, since it can't be undone.
"""

from __future__ import annotations

from aiohttp import web

from agents.mail.message.tokens import Preferences
from schemas.events import Event
from schemas.time_units import DAY_MS
from streams.http.public.confirmation import ConfirmationPage
from streams.http.public.messages import PageMessages

RECENT_MS = 30 * DAY_MS
"""Older mails have been forwarded, printed and left in mailboxes that are somebody else's now."""

SOURCE = "preferences_page"


class _OwnData(ConfirmationPage[Preferences]):
    """What both requests have in common."""

    def _too_late(self, messages: PageMessages, content: Preferences) -> web.Response | None:
        if self._context.clock.now() - content.time <= RECENT_MS:
            return None
        return self._context.pages.statement(
            messages, messages["too_old"], messages["too_old_text"], status=410
        )

    def _request(
        self, type_: str, request: web.Request, messages: PageMessages, content: Preferences
    ) -> Event:
        proof = self._context.proof(request, messages, source=SOURCE, mail=content.command_id)
        return self._context.event(type_, content.customer, proof)


class CopyPage(_OwnData):
    """Asks for a copy."""

    def _question(
        self, request: web.Request, messages: PageMessages, content: Preferences
    ) -> web.Response:
        return self._context.pages.statement(
            messages,
            messages["copy"],
            messages["copy_text"],
            button=messages["copy_button"],
            links=[_back(request, messages)],
        )

    def _event(
        self,
        request: web.Request,
        messages: PageMessages,
        content: Preferences,
        form: dict[str, str],
    ) -> Event:
        return self._request("customer.data_requested", request, messages, content)

    def _count(self, event: Event) -> None:
        self._context.metrics.privacy_request("copy")

    def _answer(self, messages: PageMessages, content: Preferences) -> web.Response:
        return self._context.pages.statement(messages, messages["copied"], messages["copied_text"])


class ErasurePage(_OwnData):
    """Erases, once it is understood what that means."""

    def _question(
        self, request: web.Request, messages: PageMessages, content: Preferences
    ) -> web.Response:
        return self._context.pages.statement(
            messages,
            messages["erase"],
            messages["erase_text"],
            button=messages["erase_button"],
            understood=messages["erase_understood"],
            links=[_back(request, messages)],
        )

    def _event(
        self,
        request: web.Request,
        messages: PageMessages,
        content: Preferences,
        form: dict[str, str],
    ) -> Event | None:
        if form.get("understood") != "yes":
            return None
        return self._request("customer.erasure_requested", request, messages, content)

    def _count(self, event: Event) -> None:
        self._context.metrics.privacy_request("erase")

    def _answer(self, messages: PageMessages, content: Preferences) -> web.Response:
        return self._context.pages.statement(messages, messages["erased"], messages["erased_text"])


def _back(request: web.Request, messages: PageMessages) -> tuple[str, str]:
    return f"../{request.match_info['token']}?lang={messages.language}", messages["back"]
