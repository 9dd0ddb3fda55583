"""What the world may reach: the unsubscribe links of our mails.

    GET  /u/TOKEN   asks "really?" and changes nothing: scanners follow every link in a mail
    POST /u/TOKEN   unsubscribes: the page's button, or a mail program's one-click (RFC 8058)

It speaks plain HTTP on loopback; whatever stands before it speaks TLS. Nobody is told whether a
customer exists: a token is either ours or it is not.
"""

from __future__ import annotations

import re
from html import escape
from typing import NamedTuple

import structlog
from aiohttp import web

from agents.mailer.metrics import MailerMetrics
from agents.mailer.tokens import BadToken, Tokens, Unsubscribe
from schemas import topics
from schemas.events import Event
from schemas.outcomes import MailEngaged
from schemas.wire import to_record
from streams.clock import Clock
from streams.log import Log, LogError
from streams.partitioner import partition_of

SOURCE = "/ritorno/public"

MAX_BODY = 4_096
"""The one-click body has 26 bytes."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}

_log = structlog.get_logger(__name__)


class _Words(NamedTuple):
    """A page's words in one language."""

    ask: str
    explain: str
    button: str
    done: str
    done_text: str
    unknown: str
    unknown_text: str
    later: str
    later_text: str


_WORDS = {
    "it": _Words(
        ask="Vuoi annullare l’iscrizione?",
        explain="Non ti manderemo più comunicazioni promozionali. "
        "Continuerai a ricevere le conferme dei tuoi ordini.",
        button="Annulla l’iscrizione",
        done="Iscrizione annullata",
        done_text="Non riceverai più le nostre comunicazioni. Puoi chiudere questa pagina.",
        unknown="Questo link non è valido",
        unknown_text="Controlla di averlo copiato per intero, oppure rispondi a una nostra email.",
        later="Riprova tra qualche minuto",
        later_text="Al momento non possiamo registrare la richiesta. Ci dispiace.",
    ),
    "en": _Words(
        ask="Do you want to unsubscribe?",
        explain="We will send you no more promotional mails. "
        "You will still receive the confirmations of your orders.",
        button="Unsubscribe",
        done="You are unsubscribed",
        done_text="You will not hear from us any more. You can close this page.",
        unknown="This link is not valid",
        unknown_text="Check that you copied all of it, or reply to one of our mails.",
        later="Please try again in a few minutes",
        later_text="We can’t take note of your request right now. We are sorry.",
    ),
}


class PublicSite:
    """The public HTTP server of a worker."""

    def __init__(
        self,
        *,
        log: Log,
        tokens: Tokens,
        shop_name: str,
        clock: Clock,
        metrics: MailerMetrics,
        fallback_locale: str = "it",
    ) -> None:
        self._log = log
        self._tokens = tokens
        self._shop_name = shop_name
        self._clock = clock
        self._metrics = metrics
        self._fallback = fallback_locale if fallback_locale in _WORDS else "it"
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port (useful with port 0). Raises OSError."""
        self._runner = web.AppRunner(self.application(), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        address = self._runner.addresses[0]
        return int(address[1])

    async def stop(self) -> None:
        """Stop listening. Safe to call twice."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_get("/u/{token}", self._ask)
        application.router.add_post("/u/{token}", self._unsubscribe)
        application.router.add_route("*", "/{rest:.*}", self._unknown)
        return application

    async def _ask(self, request: web.Request) -> web.Response:
        words = self._words(request)
        if self._read(request) is None:
            return self._not_found(words)
        form = (
            '<form method="post"><button type="submit" '
            'style="padding:14px 28px;border:0;border-radius:6px;background:#1f5f4a;color:#fff;'
            f'font-size:16px;">{escape(words.button)}</button></form>'
        )
        return self._page(200, words.ask, words.explain, form)

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        words = self._words(request)
        content = self._read(request)
        if content is None:
            return self._not_found(words)
        source = "one_click" if await _is_one_click(request) else "page"
        try:
            await self._tell(content, source)
        except LogError as error:
            _log.error("unsubscription could not be written", error=str(error))
            return self._page(503, words.later, words.later_text)
        self._metrics.unsubscribed(source)
        return self._page(200, words.done, words.done_text)

    async def _unknown(self, request: web.Request) -> web.Response:
        return self._not_found(self._words(request))

    async def _tell(self, content: Unsubscribe, source: str) -> None:
        """Append the event; its id derives from the mail, so a second click changes nothing."""
        event = Event(
            id=f"{content.command_id}/unsubscribed",
            type="mail.unsubscribed",
            source=SOURCE,
            time=self._clock.now(),
            customer=content.customer,
            anonymous_id=None,
            backfill=False,
            data=MailEngaged(command_id=content.command_id, reason=source),
        )
        partitions = await self._log.partitions(topics.CUSTOMER_EVENTS)
        partition = partition_of(content.customer.encode(), partitions)
        await self._log.append(topics.CUSTOMER_EVENTS, partition, [to_record(event)])

    def _read(self, request: web.Request) -> Unsubscribe | None:
        try:
            return self._tokens.read(request.match_info["token"])
        except BadToken:
            return None

    def _words(self, request: web.Request) -> _Words:
        wanted = request.headers.get("Accept-Language", "").lower()
        for language in re.findall(r"(?:^|,)\s*([a-z]+)", wanted):
            if language in _WORDS:
                return _WORDS[language]
        return _WORDS[self._fallback]

    def _not_found(self, words: _Words) -> web.Response:
        return self._page(404, words.unknown, words.unknown_text)

    def _page(self, status: int, title: str, text: str, more: str = "") -> web.Response:
        """`more` is HTML, all else is text."""
        body = (
            '<!DOCTYPE html><html><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self._shop_name)}</title></head>"
            '<body style="font-family:Helvetica,Arial,sans-serif;max-width:32em;'
            'margin:15vh auto;padding:0 1em;color:#222;">'
            f"<p>{escape(self._shop_name)}</p><h1>{escape(title)}</h1>"
            f"<p>{escape(text)}</p>{more}</body></html>"
        )
        return web.Response(
            status=status, text=body, content_type="text/html", charset="utf-8", headers=_HEADERS
        )


async def _is_one_click(request: web.Request) -> bool:
    """Whether a mail program asks (RFC 8058), as form data of either kind."""
    try:
        form = await request.post()
    except (ValueError, web.HTTPException):
        return False  # the token counts, not the body
    return form.get("List-Unsubscribe") == "One-Click"
