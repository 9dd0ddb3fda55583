"""The public HTTP server of a worker: which page answers which path, and what all answers share."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from agents.mail.message.render import Rendered
from agents.mail.message.tokens import Answer, Confirm, ContentT, Preferences, Tokens, Unsubscribe
from agents.mail.message.tracking import AllowedHosts
from agents.mail.settings import MailSettings
from schemas.commands import SendCommand
from schemas.signing import RecordSigner
from streams.clock import Clock
from streams.http.internal.client import Lookups
from streams.http.public.confirmation import ConfirmationPage
from streams.http.public.context import PageContext
from streams.http.public.hits import Hits
from streams.http.public.lookup import CustomerLookup
from streams.http.public.own_data import CopyPage, ErasurePage
from streams.http.public.pages import HEADERS, Pages
from streams.http.public.preferences import PreferencesPage
from streams.http.public.survey import SurveyPage
from streams.http.public.unsubscribe import SubscriptionPage, UnsubscribePage
from streams.http.public.view import MailView
from streams.http.server.counts import DoorCounts
from streams.http.server.http_server import DoorLimits, HttpServer
from streams.http.server.proxies import NamedProxies
from streams.log import Log
from streams.operate.public_metrics import SiteMetrics
from streams.settings.values import Address

LIMITS = DoorLimits(connections=1_000, body_bytes=65_536)
"""A form of a hundred lists with long names. A page takes milliseconds, so a thousand connections
are many thousand people; who comes then waits for a moment."""

LATER = (429, 503)
"""What the same request may get an answer to, a while later."""


class PublicSite:
    """The public HTTP server of a worker."""

    def __init__(
        self,
        *,
        log: Log,
        settings: MailSettings,
        read_own: Callable[[bytes, int], bytes | None],
        lookups: Lookups | None,
        view: Callable[[SendCommand], Rendered],
        clock: Clock,
        metrics: SiteMetrics,
        keep_ip: bool = False,
        proxies: NamedProxies | None = None,
        limits: DoorLimits = LIMITS,
        counts: DoorCounts | None = None,
    ) -> None:
        """`read_own` reads a customer of this worker (`CustomersRuntime.read_customer`), `lookups`
        asks another worker, `view` renders a mail (`Composer.view`). What `proxies` say of
        whose request it is counts."""
        proxies = proxies or NamedProxies()
        self._context = PageContext(
            log=log,
            tokens=Tokens(settings.signing_keys),
            signer=RecordSigner(settings.signing_keys),
            pages=Pages(settings.shop, settings.fallback_locale),
            clock=clock,
            metrics=metrics,
            keep_ip=keep_ip,
            proxies=proxies,
        )
        hosts = AllowedHosts(settings.shop.url, settings.tracking_hosts)
        self._hits = Hits(self._context, settings.tracking, hosts)
        self._lookup = CustomerLookup(log, read_own, lookups)
        self._view = MailView(self._context, view)
        self._server = HttpServer(
            "public",
            limits=limits,
            counts=counts or DoorCounts(),
            refusal=self._refusal,
            headers=HEADERS,
            proxies=proxies,
        )
        self._add_routes(self._server.router)

    async def start(self, bind: Address, *, shared: bool = False) -> Address:
        """Listen and return where (useful with port 0). Raises OSError.

        `shared` with other processes: the kernel gives each connection to one of them.
        """
        return await self._server.start(bind, shared=shared)

    async def stop(self) -> None:
        """Stop listening, and note the hits that wait. Safe to call twice."""
        await self._server.stop()
        await self._hits.close()

    def _add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/o/{token}", self._hits.opened)
        router.add_get("/c/{token}", self._hits.clicked)
        router.add_get("/v/{token}", self._view.show)
        preferences = PreferencesPage(self._context, self._lookup)
        router.add_get("/p/{token}", preferences.show)
        router.add_post("/p/{token}", preferences.save)
        _add(router, "/u/{token}", UnsubscribePage(self._context, Unsubscribe))
        _add(router, "/y/{token}", SubscriptionPage(self._context, Confirm))
        _add(router, "/a/{token}", SurveyPage(self._context, Answer))
        _add(router, "/p/{token}/copy", CopyPage(self._context, Preferences))
        _add(router, "/p/{token}/erase", ErasurePage(self._context, Preferences))
        router.add_route("*", "/{rest:.*}", self._unknown)

    async def _unknown(self, request: web.Request) -> web.Response:
        return self._context.pages.unknown(self._context.pages.messages(request))

    def _refusal(self, request: web.BaseRequest | None, status: int) -> web.Response:
        """Return the page of what isn't answered, in the language of whoever can be asked."""
        pages = self._context.pages
        messages = pages.messages(request) if isinstance(request, web.Request) else pages.fallback
        if status in LATER:
            return pages.later(messages, status=status)
        return pages.not_understood(messages, status=status)


def _add(router: web.UrlDispatcher, path: str, page: ConfirmationPage[ContentT]) -> None:
    router.add_get(path, page.ask)
    router.add_post(path, page.take)
