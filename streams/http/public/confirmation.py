"""What the pages with one question and one button have in common: GET asks, POST takes the answer.

Scanners follow every link in a mail and press no button, so a GET changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic

from aiohttp import web

from agents.mail.message.tokens import ContentT
from schemas.events import Event
from streams.http.public.context import PageContext
from streams.http.public.messages import PageMessages
from streams.http.server.forms import read_form_fields
from streams.log import LogError
from streams.logging import get_logger

_log = get_logger(__name__)


class ConfirmationPage(ABC, Generic[ContentT]):
    """One question. Whoever derives from it says which, and what follows from the answer."""

    def __init__(self, context: PageContext, opened_by: type[ContentT]) -> None:
        """`opened_by`: what the link's token holds."""
        self._context = context
        self._opened_by: type[ContentT] = opened_by

    async def ask(self, request: web.Request) -> web.Response:
        """Ask whether it is meant."""
        messages = self._context.pages.messages(request)
        content = self._context.read(request, self._opened_by)
        if content is None:
            return self._context.pages.unknown(messages)
        refusal = self._too_late(messages, content)
        return self._question(request, messages, content) if refusal is None else refusal

    async def take(self, request: web.Request) -> web.Response:
        """Write the answer down, and say so."""
        context = self._context
        messages = context.pages.messages(request)
        content = context.read(request, self._opened_by)
        if content is None:
            return context.pages.unknown(messages)
        if (refusal := self._too_late(messages, content)) is not None:
            return refusal
        form = await _form(request)
        event = self._event(request, messages, content, form)
        if event is None:
            return self._question(request, messages, content)
        try:
            await context.append([event])
        except LogError as error:
            _log.error("an answer could not be written", type=event.type, error=str(error))
            return context.pages.later(messages)
        self._count(event)
        return self._answer(messages, content)

    def _too_late(self, messages: PageMessages, content: ContentT) -> web.Response | None:
        """Return what to say when the link does not hold any more; by default it does for ever."""
        return None

    @abstractmethod
    def _question(
        self, request: web.Request, messages: PageMessages, content: ContentT
    ) -> web.Response:
        """Return the page that asks."""

    @abstractmethod
    def _event(
        self, request: web.Request, messages: PageMessages, content: ContentT, form: dict[str, str]
    ) -> Event | None:
        """Return what the answer means, with its proof; None: it is not complete, ask again."""

    @abstractmethod
    def _count(self, event: Event) -> None:
        """The answer is durable."""

    @abstractmethod
    def _answer(self, messages: PageMessages, content: ContentT) -> web.Response:
        """Return the page that says what was done."""


async def _form(request: web.Request) -> dict[str, str]:
    """Return what was sent; empty when it is no form, because the token counts, not the body."""
    try:
        return await read_form_fields(request)
    except web.HTTPException:
        return {}
