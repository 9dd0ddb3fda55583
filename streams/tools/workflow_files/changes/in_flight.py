"""The runs in flight, and what would become of each: by the engine's own rule, not a copy of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from agents.definitions.published import Definitions, WorkflowVersion
from agents.workflows import lifecycle, versioning
from schemas.customer import Customer
from schemas.stored import NEVER
from streams.messages.translations import Language
from streams.tools.workflow_files.changes.alteration import Alteration
from streams.tools.workflow_files.changes.steps import altered_step

Then = Literal["stays", "goes_on", "moves_on", "ends", "lost"]
"""stays: ends with the version it began with. goes_on: at the same step of the new version.
moves_on: at another of its steps. ends: none of its steps is left. lost: its version is unknown."""


@dataclass(slots=True)
class RunsInFlight:
    """All customers' runs, counted."""

    customers: int = 0
    runs: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """(workflow, version, step's place) → runs that wait at it."""
    held: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """How many of them hold back a mail."""
    due: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """(workflow, version) → the first and the last time (ms) at which a step is due."""
    segments: Counter[str] = field(default_factory=Counter)
    """Segment → customers who are in it."""

    def count(self, customer: Customer) -> None:
        """Add a customer."""
        self.customers += 1
        self.segments.update(customer.segments)
        for run in customer.runs:
            position = (run.workflow, run.version, run.step)
            self.runs[position] += 1
            self.held[position] += lifecycle.state(run) == "held"
            if run.due < NEVER:
                first, last = self.due.get(position[:2], (run.due, run.due))
                self.due[position[:2]] = min(first, run.due), max(last, run.due)

    def of(self, workflow: str) -> int:
        """Return how many runs of a workflow there are."""
        return sum(count for (name, _, _), count in self.runs.items() if name == workflow)


class RunOutcome(NamedTuple):
    """What would become of the runs at one step of one version."""

    version: str
    step: str
    """Id of the step that they wait at; its place when nobody knows the version."""
    runs: int
    held: int
    then: Then
    to: str = ""
    """Id of the step at which they would go on."""
    mail: tuple[Alteration, ...] = ()
    """What would be otherwise of the mails that are held."""


def outcomes(
    workflow: str,
    in_flight: RunsInFlight,
    definitions: Definitions,
    coming: str | None,
    language: Language,
) -> Iterator[RunOutcome]:
    """Yield what would become of a workflow's runs if `coming` were its live version; None: if none
    were. `definitions` hold every version that was or would be published."""
    live = None if coming is None else definitions.find(workflow, coming)
    for (name, version, position), count in sorted(in_flight.runs.items()):
        if name == workflow:
            published = definitions.find(name, version)
            outcome = RunOutcome(
                version, f"#{position + 1}", count, in_flight.held[name, version, position], "lost"
            )
            yield (
                outcome
                if published is None
                else _outcome(outcome, position, published, live, language)
            )


def _outcome(
    outcome: RunOutcome,
    position: int,
    published: WorkflowVersion,
    live: WorkflowVersion | None,
    language: Language,
) -> RunOutcome:
    instructions = published.program.instructions
    if position >= len(instructions):
        return outcome._replace(then="ends")
    step = instructions[position].step
    outcome = outcome._replace(step=step.id)
    if live is None or live.version == published.version or not _follows(published):
        return outcome._replace(then="stays")
    to = versioning.position(position, published, live)
    if to is None:
        return outcome._replace(then="ends")
    new = live.program.instructions[to].step
    if new.id != step.id or type(new) is not type(step):
        return outcome._replace(then="moves_on", to=new.id)
    mail = tuple(altered_step(step, new, language)) if outcome.held else ()
    return outcome._replace(then="goes_on", to=new.id, mail=mail)


def _follows(published: WorkflowVersion) -> bool:
    return published.workflow.versions == "live"
