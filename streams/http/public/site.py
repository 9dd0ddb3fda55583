"""The public HTTP server of a worker: which page answers which path, and what all answers share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

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
from streams.log import Log
from streams.logging import get_logger
from streams.operate.public_metrics import SiteMetrics

MAX_BODY = 65_536
"""Bytes of a form: a hundred lists with long names."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = get_logger(__name__)


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
    ) -> None:
        """`read_own` reads a customer of this worker (`CustomersRuntime.read_customer`), `lookups`
        asks another worker, `view` renders a mail (`Composer.view`)."""
        self._context = PageContext(
            log=log,
            tokens=Tokens(settings.signing_keys),
            signer=RecordSigner(settings.signing_keys),
            pages=Pages(settings.shop, settings.fallback_locale),
            clock=clock,
            metrics=metrics,
            keep_ip=keep_ip,
        )
        hosts = AllowedHosts(settings.shop.url, settings.tracking_hosts)
        self._hits = Hits(self._context, settings.tracking, hosts)
        self._lookup = CustomerLookup(log, read_own, lookups)
        self._view = MailView(self._context, view)
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int, *, shared: bool = False) -> int:
        """Listen and return the port (useful with port 0). Raises OSError.

        `shared` with other processes: the kernel gives each connection to one of them.
        """
        self._runner = web.AppRunner(self.application(), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, reuse_port=shared or None)
        await site.start()
        address = self._runner.addresses[0]
        return int(address[1])

    async def stop(self) -> None:
        """Stop listening, and note the hits that wait. Safe to call twice."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            await self._hits.close()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(client_max_size=MAX_BODY, middlewares=[self._guarded])
        application.on_response_prepare.append(_with_headers)
        router = application.router
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
        return application

    async def _unknown(self, request: web.Request) -> web.Response:
        return self._context.pages.unknown(self._context.pages.messages(request))

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer with a page whatever happens."""
        pages = self._context.pages
        try:
            return await handler(request)
        except web.HTTPException as error:
            return pages.not_understood(pages.messages(request), status=error.status)
        except Exception as error:
            if error is request.content.exception():  # whoever asked has gone
                error.__traceback__ = None  # its frames hold the body, and the body holds it
                return web.Response(status=400)
            # A defect of ours: somebody waits, and must not see it.
            _log.exception("public page failed", path=request.path[:3], error=repr(error))
            return pages.later(pages.messages(request))


async def _with_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)  # nobody's business


def _add(router: web.UrlDispatcher, path: str, page: ConfirmationPage[ContentT]) -> None:
    router.add_get(path, page.ask)
    router.add_post(path, page.take)
