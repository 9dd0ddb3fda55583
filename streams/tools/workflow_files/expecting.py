"""Compares what a workflow's test expects with what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from agents.mail.message.render import Rendered, RenderError
from schemas.commands import SendCommand
from schemas.decisions import Decision
from schemas.definitions.tests import Expected, WorkflowTest, moment, moment_text


class Difference(NamedTuple):
    """One thing that is not as expected."""

    expectation: int | None
    """Which of the test's; None when it is about something that was not expected."""
    text: str


def differences(
    test: WorkflowTest,
    mails: Sequence[SendCommand],
    decisions: Sequence[Decision],
    render: Callable[[SendCommand], Rendered],
) -> Iterator[Difference]:
    """Yield how the mails and decisions of a workflow differ from what its test expects.

    `render` returns a mail's words, or raises RenderError: every mail has to be readable.
    """
    left, open_ = list(mails), list(decisions)
    for number, expected in enumerate(test.expect):
        at = moment(expected.at, test.start)
        if expected.send:
            mail = next((each for each in left if _is_mail(each, expected, at)), None)
            if mail is None:
                yield Difference(number, f"at {expected.at} should be sent: {_named(expected)}")
                continue
            left.remove(mail)
            for text in _words(mail, expected, render):
                yield Difference(number, text)
        else:
            decision = next((each for each in open_ if _is_decision(each, expected, at)), None)
            if decision is None:
                yield Difference(number, f"at {expected.at} should be decided: {_named(expected)}")
                continue
            open_.remove(decision)
    for mail in left:
        at_text = moment_text(mail.time, test.start)
        yield Difference(None, f"at {at_text} was sent: {mail.template}, which is not expected")
        for text in _words(mail, Expected(at="0m", send=mail.template), render):
            yield Difference(None, text)


def told(decision: Decision, start: int) -> str:
    """Return a decision as a line of a test's timeline."""
    parts = (decision.step, decision.decision, decision.template, decision.reason, decision.detail)
    return f"{moment_text(decision.time, start):>10}  {' '.join(filter(None, parts))}"


def _is_mail(mail: SendCommand, expected: Expected, at: int) -> bool:
    return (
        (mail.template, mail.time) == (expected.send, at)
        and expected.step in ("", mail.step)
        and expected.locale in ("", mail.locale)
    )


def _is_decision(decision: Decision, expected: Expected, at: int) -> bool:
    return (
        (decision.decision, decision.time) == (expected.decision, at)
        and expected.step in ("", decision.step)
        and expected.reason in ("", decision.reason)
        and expected.detail in ("", decision.detail)
    )


def _words(
    mail: SendCommand, expected: Expected, render: Callable[[SendCommand], Rendered]
) -> Iterator[str]:
    try:
        rendered = render(mail)
    except RenderError as error:
        yield str(error)
        return
    everything = _one_line(f"{rendered.subject}\n{rendered.text}\n{rendered.html}")
    for words in expected.contains:
        if _one_line(words) not in everything:
            yield f"{mail.template} does not contain {words!r}"
    for words in expected.lacks:
        if _one_line(words) in everything:
            yield f"{mail.template} contains {words!r}"


def _one_line(text: str) -> str:
    """Return a text as somebody reads it who sees neither line ends nor no-break spaces."""
    return " ".join(text.split())


def _named(expected: Expected) -> str:
    asked = {name: getattr(expected, name) for name in ("step", "reason", "detail", "locale")}
    what = expected.send or expected.decision
    return what + "".join(f", {name} {value}" for name, value in asked.items() if value)
