"""Unsubscribing, and confirming a subscription: one question, one button."""

from __future__ import annotations

import structlog
from aiohttp import web

from agents.mailer.links import PATHS
from agents.mailer.tokens import Confirm, Preferences, Unsubscribe
from schemas.events import Event
from streams.log import LogError
from streams.public.desk import Desk
from streams.public.pages import Link
from streams.public.words import Words

_log = structlog.get_logger(__name__)


class Unsubscribing:
    """`/u/TOKEN`. The link never expires."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ask(self, request: web.Request) -> web.Response:
        """Ask whether it is meant; scanners get here as well."""
        words = self._desk.pages.words(request)
        content = self._desk.read(request, Unsubscribe)
        if content is None:
            return self._desk.pages.unknown(words)
        return self._desk.pages.message(
            words,
            words.unsubscribe,
            words.unsubscribe_text,
            button=words.unsubscribe_button,
            links=[self._choose(content, words)],
        )

    async def unsubscribe(self, request: web.Request) -> web.Response:
        """End marketing: the page's button, or a mail program's one-click (RFC 8058)."""
        desk = self._desk
        words = desk.pages.words(request)
        content = desk.read(request, Unsubscribe)
        if content is None:
            return desk.pages.unknown(words)
        source = "one_click" if await _is_one_click(request) else "unsubscribe_page"
        try:
            await desk.tell([self._event(request, content, words, source)])
        except LogError as error:
            _log.error("unsubscription could not be written", error=str(error))
            return desk.pages.later(words)
        desk.metrics.consent("marketing", "withdrawn", source)
        links = [self._choose(content, words)]
        return desk.pages.message(words, words.unsubscribed, words.unsubscribed_text, links=links)

    def _event(
        self, request: web.Request, content: Unsubscribe, words: Words, source: str
    ) -> Event:
        proof = self._desk.proof(request, words, source=source, mail=content.command_id)
        data = {"command_id": content.command_id, "reason": source, "ip": proof.get("ip", "")}
        if source != "one_click":  # which shows no page, so there were no words
            data["wording"] = words.version
        return self._desk.event("mail.unsubscribed", content.customer, data)

    def _choose(self, content: Unsubscribe, words: Words) -> Link:
        """Rather less than nothing: the way to the preferences."""
        choose = Preferences(content.customer, content.command_id, content.time)
        token = self._desk.tokens.make(choose)
        return f"../{PATHS[Preferences]}/{token}?lang={words.language}", words.unsubscribe_choose


class Confirming:
    """`/y/TOKEN`: the second half of a double opt-in. The link expires."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ask(self, request: web.Request) -> web.Response:
        """Ask whether it was them."""
        desk = self._desk
        words = desk.pages.words(request)
        content = desk.read(request, Confirm)
        if content is None:
            return desk.pages.unknown(words)
        if self._expired(content):
            return self._too_late(words)
        button = words.confirm_button
        return desk.pages.message(words, words.confirm, words.confirm_text, button=button)

    async def confirm(self, request: web.Request) -> web.Response:
        """Put them on the list, with their consent to marketing."""
        desk = self._desk
        words = desk.pages.words(request)
        content = desk.read(request, Confirm)
        if content is None:
            return desk.pages.unknown(words)
        if self._expired(content):
            return self._too_late(words)
        proof = desk.proof(request, words, source="double_opt_in", mail=content.command_id)
        data = {"list": content.list, "confirmed": True, **proof}
        try:
            await desk.tell([desk.event("list.subscribed", content.customer, data)])
        except LogError as error:
            _log.error("confirmation could not be written", error=str(error))
            return desk.pages.later(words)
        desk.metrics.consent("marketing", "given", "double_opt_in")
        return desk.pages.message(words, words.confirmed, words.confirmed_text)

    def _expired(self, content: Confirm) -> bool:
        return self._desk.clock.now() >= content.expires

    def _too_late(self, words: Words) -> web.Response:
        return self._desk.pages.to_the_shop(
            words, words.confirm_expired, words.confirm_expired_text
        )


async def _is_one_click(request: web.Request) -> bool:
    """Whether a mail program asks (RFC 8058), as form data of either kind."""
    try:
        form = await request.post()
    except (ValueError, web.HTTPException):
        return False  # the token counts, not the body
    return form.get("List-Unsubscribe") == "One-Click"
