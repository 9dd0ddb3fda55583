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
        self, request: web.Request, messages: PageMessages, content: Unsubscribe
    ) -> web.Response:
        return self._context.pages.statement(
            messages,
            messages["unsubscribe"],
            messages["unsubscribe_text"],
            button=messages["unsubscribe_button"],
            links=[self._choose(content, messages)],
        )

    def _event(
        self,
        request: web.Request,
        messages: PageMessages,
        content: Unsubscribe,
        form: dict[str, str],
    ) -> Event:
        one_click = form.get("List-Unsubscribe") == "One-Click"
        source = "one_click" if one_click else "unsubscribe_page"
        proof = self._context.proof(request, messages, source=source, mail=content.command_id)
        data = {"command_id": content.command_id, "reason": source, "ip": proof.get("ip", "")}
        if not one_click:  # which shows no page, so there were no words
            data["wording"] = messages.version
        return self._context.event("mail.unsubscribed", content.customer, data)

    def _count(self, event: Event) -> None:
        source = cast(MailObjected, event.data).reason
        self._context.metrics.consent("marketing", "withdrawn", source)

    def _answer(self, messages: PageMessages, content: Unsubscribe) -> web.Response:
        links = [self._choose(content, messages)]
        return self._context.pages.statement(
            messages, messages["unsubscribed"], messages["unsubscribed_text"], links=links
        )

    def _choose(self, content: Unsubscribe, messages: PageMessages) -> Link:
        """Rather less than nothing: the way to the preferences."""
        choose = Preferences(content.customer, content.command_id, content.time)
        token = self._context.tokens.make(choose)
        url = f"../{PATHS[Preferences]}/{token}?lang={messages.language}"
        return url, messages["unsubscribe_choose"]


class SubscriptionPage(ConfirmationPage[Confirm]):
    """`/y/TOKEN`: the second half of a double opt-in, which puts them on the list with their
    consent to marketing. The link expires."""

    def _too_late(self, messages: PageMessages, content: Confirm) -> web.Response | None:
        if self._context.clock.now() < content.expires:
            return None
        return self._context.pages.to_the_shop(
            messages, messages["confirm_expired"], messages["confirm_expired_text"]
        )

    def _question(
        self, request: web.Request, messages: PageMessages, content: Confirm
    ) -> web.Response:
        return self._context.pages.statement(
            messages,
            messages["confirm"],
            messages["confirm_text"],
            button=messages["confirm_button"],
        )

    def _event(
        self, request: web.Request, messages: PageMessages, content: Confirm, form: dict[str, str]
    ) -> Event:
        proof = self._context.proof(
            request, messages, source="double_opt_in", mail=content.command_id
        )
        data = {"list": content.list, "confirmed": True, **proof}
        return self._context.event("list.subscribed", content.customer, data)

    def _count(self, event: Event) -> None:
        self._context.metrics.consent("marketing", "given", "double_opt_in")

    def _answer(self, messages: PageMessages, content: Confirm) -> web.Response:
        return self._context.pages.statement(
            messages, messages["confirmed"], messages["confirmed_text"]
        )
