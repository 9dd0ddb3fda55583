"""Answering the question of a mail."""

from __future__ import annotations

from aiohttp import web

from agents.mail.message.tokens import Answer
from schemas.events import Event
from streams.http.public.confirmation import ConfirmationPage
from streams.http.public.messages import PageMessages


class SurveyPage(ConfirmationPage[Answer]):
    """`/a/TOKEN`: the answer that was pressed in the mail, to be sent off. The link never expires;
    who answers again has thought better of it."""

    def _question(
        self, request: web.Request, messages: PageMessages, content: Answer
    ) -> web.Response:
        return self._context.pages.statement(
            messages,
            content.question or messages["your_answer"],
            f"{messages['your_answer']}: {content.label or content.answer}",
            button=messages["answer_button"],
        )

    def _event(
        self, request: web.Request, messages: PageMessages, content: Answer, form: dict[str, str]
    ) -> Event:
        data = {name: getattr(content, name) for name in ("survey", "question", "answer")}
        return self._context.event("survey.answered", content.customer, data)

    def _count(self, event: Event) -> None:
        """It is counted where every event is; nothing was agreed to."""

    def _answer(self, messages: PageMessages, content: Answer) -> web.Response:
        return self._context.pages.statement(
            messages, messages["answered"], messages["answered_text"]
        )
