"""`/p/TOKEN/copy` and `/p/TOKEN/erase`: the rights of GDPR art. 15, 17 and 20.

A copy is sent by the shop, to the address that it knows, never shown here: whoever has a mail
would have it. Erasing needs a mail that is not old, since it can't be undone.
"""

from __future__ import annotations

from typing import NamedTuple

import structlog
from aiohttp import web

from agents.mailer.tokens import Preferences
from streams.log import LogError
from streams.public.desk import Desk
from streams.public.metrics import Request
from streams.public.words import Words

RECENT_MS = 30 * 86_400_000
"""Older mails have been forwarded, printed and left in mailboxes that are somebody else's now."""

SOURCE = "preferences_page"

_log = structlog.get_logger(__name__)


class _Question(NamedTuple):
    """What is asked, and what follows."""

    type: str
    title: str
    text: str
    button: str
    understood: str
    done: str
    done_text: str


class OwnData:
    """Asks and takes one of the two requests."""

    def __init__(self, desk: Desk, kind: Request) -> None:
        self._desk = desk
        self._kind = kind

    async def ask(self, request: web.Request) -> web.Response:
        """Say what will happen, and ask."""
        words = self._desk.pages.words(request)
        content = self._desk.read(request, Preferences)
        if content is None:
            return self._desk.pages.unknown(words)
        if self._too_old(content):
            return self._refuse(words)
        question = self._question(words)
        return self._desk.pages.message(
            words,
            question.title,
            question.text,
            button=question.button,
            understood=question.understood,
            links=[(f"../{request.match_info['token']}?lang={words.language}", words.back)],
        )

    async def take(self, request: web.Request) -> web.Response:
        """Write the request down."""
        desk = self._desk
        words = desk.pages.words(request)
        content = desk.read(request, Preferences)
        if content is None:
            return desk.pages.unknown(words)
        if self._too_old(content):
            return self._refuse(words)
        question = self._question(words)
        if question.understood and not await _is_understood(request):
            return await self.ask(request)
        proof = desk.proof(request, words, source=SOURCE, mail=content.command_id)
        try:
            await desk.tell([desk.event(question.type, content.customer, proof)])
        except LogError as error:
            _log.error("privacy request could not be written", kind=self._kind, error=str(error))
            return desk.pages.later(words)
        desk.metrics.privacy_request(self._kind)
        return desk.pages.message(words, question.done, question.done_text)

    def _too_old(self, content: Preferences) -> bool:
        return self._desk.clock.now() - content.time > RECENT_MS

    def _refuse(self, words: Words) -> web.Response:
        return self._desk.pages.message(words, words.too_old, words.too_old_text, status=410)

    def _question(self, words: Words) -> _Question:
        if self._kind == "copy":
            return _Question(
                "customer.data_requested",
                words.copy,
                words.copy_text,
                words.copy_button,
                "",
                words.copied,
                words.copied_text,
            )
        return _Question(
            "customer.erasure_requested",
            words.erase,
            words.erase_text,
            words.erase_button,
            words.erase_understood,
            words.erased,
            words.erased_text,
        )


async def _is_understood(request: web.Request) -> bool:
    try:
        form = await request.post()
    except (ValueError, web.HTTPException):
        return False
    return form.get("understood") == "yes"
