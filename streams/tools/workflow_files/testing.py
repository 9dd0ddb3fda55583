"""Runs the tests that workflow files carry: a replay on virtual time, and what came of it.

A test's events become the lines of a file and go through `streams/tools/replay.py`, so what is
tested is what the worker does. Every mail is rendered as its recipient would get it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.definitions.published import Definitions
from agents.mail.message.render import Rendered
from schemas.commands import SendCommand
from schemas.decisions import Decision
from schemas.definitions import canonical, version_of
from schemas.definitions.shop import Policy
from schemas.definitions.steps import CallStep
from schemas.definitions.tests import GivenEvent, WorkflowTest, moment, moment_text
from schemas.definitions.workflow import Workflow
from schemas.instant import to_rfc3339
from schemas.time_units import DAY_MS
from schemas.wire import PRODUCT_UPDATED
from streams.runtime.definition_files import Reading
from streams.tools.replay import replay_file
from streams.tools.workflow_files.expecting import differences, told

CUSTOMER = "giulia"
"""Whom a test is about."""
AFTERWARDS = 30 * DAY_MS
"""For how long a test goes on when it does not say: nothing may come later than expected."""


@dataclass(frozen=True, slots=True)
class WorkflowTestResult:
    """What came of one test."""

    workflow: str
    name: str
    location: str
    """`FILE:LINE`."""
    mails: int
    virtual_ms: int
    """Time that passed in it."""
    problems: list[str] = field(default_factory=list)
    """Each begins with its own `FILE:LINE`; none: the test has passed."""
    timeline: list[str] = field(default_factory=list)
    """All that the workflow decided, a line each."""


class WorkflowTestRunner:
    """The workflow files of a directory, ready to be tried."""

    def __init__(self, reading: Reading, render: Callable[[SendCommand], Rendered]) -> None:
        """`reading` is one without findings; `render` may raise RenderError."""
        self._reading = reading
        self._render = render
        self._definitions = Definitions()
        self._versions: dict[str, str] = {}
        self.workflows: dict[str, Workflow] = {}
        for id_, definition in reading.definitions.items():
            content = canonical(definition)
            self._versions[id_] = version_of(content)
            self._definitions.add(self._versions[id_], content)
            if isinstance(definition, Workflow):
                self.workflows[id_] = definition

    def try_out(self, ids: Collection[str]) -> Iterator[WorkflowTestResult]:
        """Run the tests of these workflows, one after the other."""
        for id_ in ids:
            for number, test in enumerate(self.workflows[id_].tests):
                yield self._try(self.workflows[id_], number, test)

    def _try(self, workflow: Workflow, number: int, test: WorkflowTest) -> WorkflowTestResult:
        mails: list[SendCommand] = []
        decisions: list[Decision] = []

        def watch(content: SendCommand | Decision) -> None:
            if content.workflow != workflow.id:
                return
            if isinstance(content, SendCommand):
                mails.append(content)
            else:
                decisions.append(content)

        until = _until(test)
        outcome = replay_file(
            _lines(test),
            until=until,
            definitions=self._definitions,
            live=self._live(workflow, test),
            watch=watch,
        )
        here = self._location(workflow, number)
        problems = [f"{here}: given, {where}: {detail}" for where, _, detail in outcome.refusals]
        for expectation, text in differences(test, mails, decisions, self._render):
            problems.append(f"{self._location(workflow, number, expectation)}: {text}")
        begun = [each.time for each in decisions if each.decision == "entered"]
        if begun and not test.begins:
            when = moment_text(begun[0], test.start)
            problems.append(f"{here}: at {when} it begins, which it should not")
        timeline = [told(decision, test.start) for decision in decisions]
        virtual_ms = until - test.start
        return WorkflowTestResult(
            workflow.id, test.name, here, len(mails), virtual_ms, problems, timeline
        )

    def _live(self, workflow: Workflow, test: WorkflowTest) -> Mapping[str, str]:
        """Return what is live in a test: see `WorkflowTest`."""
        live = {workflow.id, *test.workflows}
        waiting = list(live)
        while waiting:
            steps = self.workflows[waiting.pop()].all_steps()
            called = {step.call for step in steps if isinstance(step, CallStep)} - live
            waiting += called
            live |= called
        others: tuple[type, ...] = (Workflow,) if test.policy else (Workflow, Policy)
        live |= {
            id_ for id_, each in self._reading.definitions.items() if not isinstance(each, others)
        }
        return {id_: version for id_, version in self._versions.items() if id_ in live}

    def _location(self, workflow: Workflow, number: int, expectation: int | None = None) -> str:
        path: list[str | int] = ["tests", number]
        if expectation is not None:
            path += ["expect", expectation]
        return self._reading.location(workflow.id, path)


def _until(test: WorkflowTest) -> int:
    if test.until is not None:
        return moment(test.until, test.start)
    named = [each.at for each in test.given] + [each.at for each in test.expect]
    return max(moment(at, test.start) for at in named) + AFTERWARDS


def _lines(test: WorkflowTest) -> Iterator[bytes]:
    """Yield the test's events as lines of a file, each where it is to be read."""
    first = min(moment(each.at, test.start) for each in test.given)
    person, before = test.customer, min(first, test.start) - DAY_MS
    yield _event("person", "customer.created", before, person.traits, backfill=True)
    if person.consent:
        consent = {"purpose": "marketing", "source": "test"}
        yield _event("consent", "consent.given", before, consent, backfill=True)
    for name in person.lists:
        yield _event(f"list-{name}", "list.subscribed", before, {"list": name}, backfill=True)
    for number, given in enumerate(test.given):
        at = moment(given.at, test.start)
        if given.product is not None:
            line = {"type": PRODUCT_UPDATED, "time": to_rfc3339(at), "data": given.product}
            yield json.dumps(line).encode()
        else:
            yield _given(f"given-{number}", at, given)


def _given(id_: str, at: int, given: GivenEvent) -> bytes:
    customer = given.customer or ("" if given.visitor else CUSTOMER)
    return _event(
        id_,
        given.event,
        at,
        given.properties,
        backfill=given.backfill,
        customer=customer,
        visitor=given.visitor,
    )


def _event(
    id_: str,
    type_: str,
    at: int,
    data: Mapping[str, Any],
    *,
    backfill: bool,
    customer: str = CUSTOMER,
    visitor: str = "",
) -> bytes:
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": id_,
        "source": "/test",
        "type": type_,
        "time": to_rfc3339(at),
        "backfill": backfill,
        "data": data,
    }
    if customer:
        event["subject"] = customer
    if visitor:
        event["anonymousid"] = visitor
    return json.dumps(event).encode()
