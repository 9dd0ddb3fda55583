"""Nothing of the catalogue is missing, and the page that lists it says what is true."""

from __future__ import annotations

import pytest

from schemas.definitions.steps import SendStep
from streams.mail.templates import read_sources
from tests.catalogue.__main__ import FILE, page
from tests.catalogue.rows import CONVERSATIONS, RULES, WORKFLOWS, conversations, rules

SHOWN, RULED = conversations(), rules()


@pytest.mark.parametrize("row", CONVERSATIONS)
def test_every_conversation_is_shipped_and_shown(row: str) -> None:
    assert SHOWN[row], "no workflow"
    for workflow, tests in SHOWN[row]:
        assert tests, f"{workflow.id} has no test of it"


@pytest.mark.parametrize("row", RULES)
def test_every_rule_is_shown(row: str) -> None:
    assert RULED[row]


def test_every_mail_is_there_in_both_languages_and_each_is_tested_in_both() -> None:
    sources = read_sources(WORKFLOWS)
    workflows = {each.workflow.id: each.workflow for shown in SHOWN.values() for each in shown}
    untested = []
    for workflow in workflows.values():
        mails = {step.send for step in workflow.all_steps() if isinstance(step, SendStep)}
        for language in ("it", "en"):
            assert {f"{mail}.{language}.j2" for mail in mails} <= sources.keys()
            sent = {
                expected.send
                for test in workflow.tests
                for expected in test.expect
                if (test.customer.locale or "it")[:2] == language
            }
            untested += [(workflow.id, mail, language) for mail in sorted(mails - sent)]
    assert untested == []


def test_the_page_says_what_is_true() -> None:
    assert FILE.read_text("utf-8") == page(), "`make catalogue` writes it anew"
