"""Unsubscribing, and confirming a subscription."""

from __future__ import annotations

from typing import cast

from aiohttp import web

from agents.mail.message.links import PATHS
from agents.mail.message.tokens import Confirm, Preferences, Unsubscribe
from schemas.events import Event
from schemas.outcomes import MailObjected
from streams.http.public.confirmation import ConfirmationPage
from streams.http.public.messages import PageMessages
from streams.http.public.pages import Link


class UnsubscribePage(ConfirmationPage[Unsubscribe]):
    """`/u/TOKEN`: the page's button, or a mail program's one-click (RFC 8058). The link never
    expires."""

    def _question(
        self, request: web.Request, words: PageMessages, content: Unsubscribe
    ) -> web.Response:
        return self._context.pages.message(
            words,
            words["unsubscribe"],
            words["unsubscribe_text"],
            button=words["unsubscribe_button"],
            links=[self._choose(content, words)],
        )

    def _event(
        self, request: web.Request, words: PageMessages, content: Unsubscribe, form: dict[str, str]
    ) -> Event:
        one_click = form.get("List-Unsubscribe") == "One-Click"
        source = "one_click" if one_click else "unsubscribe_page"
        proof = self._context.proof(request, words, source=source, mail=content.command_id)
        data = {"command_id": content.command_id, "reason": source, "ip": proof.get("ip", "")}
        if not one_click:  # which shows no page, so there were no words
            data["wording"] = words.version
        return self._context.event("mail.unsubscribed", content.customer, data)

    def _count(self, event: Event) -> None:
        source = cast(MailObjected, event.data).reason
        self._context.metrics.consent("marketing", "withdrawn", source)

    def _answer(self, words: PageMessages, content: Unsubscribe) -> web.Response:
        links = [self._choose(content, words)]
        return self._context.pages.message(
            words, words["unsubscribed"], words["unsubscribed_text"], links=links
        )

    def _choose(self, content: Unsubscribe, words: PageMessages) -> Link:
        """Rather less than nothing: the way to the preferences."""
        choose = Preferences(content.customer, content.command_id, content.time)
        token = self._context.tokens.make(choose)
        return f"../{PATHS[Preferences]}/{token}?lang={words.language}", words["unsubscribe_choose"]


class SubscriptionPage(ConfirmationPage[Confirm]):
    """`/y/TOKEN`: the second half of a double opt-in, which puts them on the list with their
    consent to marketing. The link expires."""

    def _too_late(self, words: PageMessages, content: Confirm) -> web.Response | None:
        if self._context.clock.now() < content.expires:
            return None
        return self._context.pages.to_the_shop(
            words, words["confirm_expired"], words["confirm_expired_text"]
        )

    def _question(
        self, request: web.Request, words: PageMessages, content: Confirm
    ) -> web.Response:
        return self._context.pages.message(
            words, words["confirm"], words["confirm_text"], button=words["confirm_button"]
        )

    def _event(
        self, request: web.Request, words: PageMessages, content: Confirm, form: dict[str, str]
    ) -> Event:
        proof = self._context.proof(request, words, source="double_opt_in", mail=content.command_id)
        data = {"list": content.list, "confirmed": True, **proof}
        return self._context.event("list.subscribed", content.customer, data)

    def _count(self, event: Event) -> None:
        self._context.metrics.consent("marketing", "given", "double_opt_in")

    def _answer(self, words: PageMessages, content: Confirm) -> web.Response:
        return self._context.pages.message(words, words["confirmed"], words["confirmed_text"])
