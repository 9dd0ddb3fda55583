"""Makes the public pages: HTML from templates, with headers that leave a browser nothing to leak.

The style is part of the page, and the policy names it by its hash: not even a hole in a template
could bring in another one, a script, a frame, or a form that leads elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agents.mail.settings import Shop
from streams.http.public.messages import PageMessages
from streams.messages.translations import language_of, languages, message_ids

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)
"""For a mail in the browser: its styles are inline, its pictures the shop's; it runs nothing."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}

Link = tuple[str, str]
"""Where it leads, and its label."""


class Pages:
    """The pages of one shop."""

    def __init__(self, shop: Shop, fallback_locale: str) -> None:
        self._shop = shop
        self._messages: dict[str, PageMessages] = {each: PageMessages(each) for each in languages()}
        self.fallback = self._messages[language_of(fallback_locale)]
        """For who can't be asked for a language."""
        for each in languages():  # read now: a third of a second that no visitor waits for
            message_ids(each)
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def messages(self, request: web.Request) -> PageMessages:
        """Return the words in the language that was chosen, or that the browser prefers."""
        accepted = request.headers.get("Accept-Language", "").lower()[:200]
        wanted = re.findall(r"(?:^|,)\s*([a-z]+)", accepted)
        for language in (request.query.get("lang", ""), *wanted):
            if language in self._messages:
                return self._messages[language]
        return self.fallback

    def page(
        self, messages: PageMessages, template: str, title: str, *, status: int = 200, **known: Any
    ) -> web.Response:
        """Return a page made of a template."""
        html = self._environment.get_template(f"{template}.html.j2").render(
            messages=messages,
            title=title,
            shop=self._shop,
            style=Markup(_STYLE),  # our own file
            others=[each for each in self._messages.values() if each is not messages],
            **known,
        )
        return web.Response(status=status, text=html, content_type="text/html", charset="utf-8")

    def statement(
        self,
        messages: PageMessages,
        title: str,
        text: str,
        *,
        status: int = 200,
        button: str = "",
        understood: str = "",
        links: Sequence[Link] = (),
    ) -> web.Response:
        """Return a page that says one thing, or asks one."""
        return self.page(
            messages,
            "message",
            title,
            status=status,
            text=text,
            button=button,
            understood=understood,
            links=links,
        )

    # What may go wrong on every page.

    def unknown(self, messages: PageMessages) -> web.Response:
        """The link is none of ours."""
        return self.statement(messages, messages["unknown"], messages["unknown_text"], status=404)

    def not_understood(self, messages: PageMessages, status: int = 400) -> web.Response:
        """What was sent is not what the page sends."""
        title, text = messages["not_understood"], messages["not_understood_text"]
        return self.statement(messages, title, text, status=status)

    def later(self, messages: PageMessages, status: int = 503) -> web.Response:
        """The log does not answer, or we have no time."""
        title, text = messages["later"], messages["later_text"]
        response = self.statement(messages, title, text, status=status)
        response.headers["Retry-After"] = "120"
        return response

    def to_the_shop(self, messages: PageMessages, title: str, text: str) -> web.Response:
        """Something is gone; the shop isn't."""
        return self.statement(
            messages, title, text, status=410, links=[(self._shop.url, messages["to_the_shop"])]
        )
