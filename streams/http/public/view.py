"""`/v/TOKEN`: a mail in the browser, made again of its command, for as long as that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from agents.mail.message.render import Rendered, RenderError
from agents.mail.message.tokens import View
from schemas.commands import SendCommand
from streams.http.public.context import PageContext
from streams.http.public.pages import MAIL_POLICY
from streams.log import LogError
from streams.logging import get_logger
from streams.operate.lookup import find_command

AT_ONCE = 4
"""Commands looked for at the same time."""

SECONDS = 10.0

_log = get_logger(__name__)


class MailView:
    """Shows mails."""

    def __init__(self, context: PageContext, render: Callable[[SendCommand], Rendered]) -> None:
        """`render` is `Composer.view`."""
        self._context = context
        self._render = render
        self._looking = asyncio.Semaphore(AT_ONCE)

    async def show(self, request: web.Request) -> web.Response:
        """Show the mail. Nothing in it is tracked here, and opening it counts for nothing."""
        pages = self._context.pages
        messages = pages.messages(request)
        content = self._context.read(request, View)
        if content is None:
            return pages.unknown(messages)
        try:
            async with self._looking, asyncio.timeout(SECONDS):
                command = await find_command(
                    self._context.log, content.customer, content.command_id, content.time
                )
        except (LogError, TimeoutError) as error:
            _log.warning("a mail can't be shown", error=repr(error))
            return pages.later(messages)
        if command is None:
            return pages.statement(
                messages, messages["view_gone"], messages["view_gone_text"], status=410
            )
        try:
            rendered = self._render(command)
        except RenderError as error:
            _log.error("a mail can't be shown", template=command.template, error=str(error))
            return pages.statement(
                messages, messages["view_gone"], messages["view_gone_text"], status=410
            )
        response = web.Response(text=rendered.html, content_type="text/html", charset="utf-8")
        response.headers["Content-Security-Policy"] = MAIL_POLICY
        return response
