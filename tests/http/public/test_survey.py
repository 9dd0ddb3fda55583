"""A mail's question: its links, the page that sends an answer off, and what the actor hears."""

from __future__ import annotations

from typing import Any

import pytest

from agents.mail.message.compose import Composer
from agents.mail.message.links import MailLinks
from agents.mail.message.tokens import Answer, BadToken, Confirm, Tokens
from schemas.stored import HEAD_SIZE
from tests.harness import Harness
from tests.http.public.visits import BROWSER, ENGLISH, ITALIAN, RENDERER, visit
from tests.mail.samples import SETTINGS, send

ANSWER = Answer("u1", "m1", "after-delivery", "bad", "Come ti trovi?", "Per niente")
TOKENS = Tokens(SETTINGS.signing_keys)


async def test_a_get_shows_the_answer_and_sends_nothing_off() -> None:
    async with visit() as here:
        for method in ("GET", "HEAD"):
            answer, page = await here.get(here.url("a", ANSWER), method)
            assert answer.status == 200
        _, page = await here.get(here.url("a", ANSWER))
        for words in ("Come ti trovi?", "Per niente", ITALIAN["answer_button"], 'method="post"'):
            assert words in page
        english = {**BROWSER, "Accept-Language": "en"}
        _, page = await here.get(here.url("a", ANSWER), headers=english)
        assert ENGLISH["answer_button"] in page
    assert not here.log.kept


async def test_a_post_is_the_answer_and_another_one_is_the_next() -> None:
    better = Answer("u1", "m1", "after-delivery", "so-so", "Come ti trovi?", "Così così")
    async with visit() as here:
        for each in (ANSWER, better):
            _, page = await here.post(here.url("a", each))
            assert ITALIAN["answered"] in page
    first, second = here.events()
    assert (first.type, first.customer, first.data.survey) == (
        "survey.answered", "u1", "after-delivery",
    )  # fmt: skip
    assert (first.data.answer, first.data.question) == ("bad", "Come ti trovi?")
    assert second.data.answer == "so-so"
    assert not here.metrics.seen  # nothing was agreed to


async def test_another_links_token_answers_nothing() -> None:
    async with visit() as here:
        confirm = here.tokens.make(Confirm("u1", "m1", "newsletter", 9_999_999_999_999))
        answer, _ = await here.post(here.url("a", confirm))
        assert answer.status == 404
    assert not here.log.kept


SURVEY: dict[str, Any] = {
    "id": "after-delivery",
    "question": {"it": "Come ti trovi?", "en": "How is it?"},
    "answers": [
        {"label": {"it": "Per niente", "en": "Not at all"}, "answer": "bad"},
        {"label": "Altrove", "answer": "elsewhere", "url": "https://shop.example/survey"},
        {"label": "Niente"},
    ],
}


def given(survey: object, **more: Any) -> Any:
    command = send(template="survey", variables={"survey": survey}, **more)
    return MailLinks(SETTINGS, TOKENS).variables(command, "").get("survey")


@pytest.mark.parametrize(
    ("locale", "words"),
    [("it", ("Come ti trovi?", "Per niente")), ("en", ("How is it?", "Not at all"))],
)
def test_an_answer_without_an_address_leads_to_our_page(
    locale: str, words: tuple[str, str]
) -> None:
    ours, theirs, none = given(SURVEY, locale=locale)["answers"]
    token = ours["url"].removeprefix(f"{SETTINGS.public_url}/a/")
    assert TOKENS.read(token, Answer) == Answer("u1", "m1", "after-delivery", "bad", *words)
    assert (theirs["url"], none.get("url")) == ("https://shop.example/survey", None)
    with pytest.raises(BadToken):
        TOKENS.read(token, Confirm)


@pytest.mark.parametrize("survey", [None, "x", [], {}, {"answers": None}, {"answers": "x"}])
def test_what_is_no_survey_gets_no_links(survey: object) -> None:
    assert given(survey) is None


def test_an_odd_survey_does_not_fail() -> None:
    odd = {"question": 7, "answers": [3, {"answer": 4, "label": ["x"]}, {"answer": "x" * 999}]}
    number, four, long = given(odd)["answers"]
    read = [TOKENS.read(each["url"].rpartition("/")[2], Answer) for each in (four, long)]
    assert (number, read[0].answer, len(read[1].answer)) == (3, "4", 200)
    assert read[0].survey == send().workflow  # the survey has no name of its own


def test_the_mail_has_the_links_and_they_are_not_counted_as_clicks() -> None:
    mail = send(template="survey", variables={"survey": SURVEY}, tracking="identified")
    message = Composer(SETTINGS, RENDERER).view(mail)
    assert message.html.count(f"{SETTINGS.public_url}/a/") == 1
    assert "https://shop.example/survey" in message.html


def test_an_answer_of_somebody_erased_makes_nobody_known_again() -> None:
    harness = Harness.of()
    harness.tell("survey.answered", sender="/ritorno/public", survey="s", answer="bad")
    assert len(harness.store[b"anna"]) == HEAD_SIZE  # an offset, and nothing of a person
    harness.tell("survey.answered", sender="/shop", survey="s", answer="bad")
    assert harness.customer().first_seen > 0
