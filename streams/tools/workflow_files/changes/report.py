"""What publishing would do, in lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from schemas.instant import to_rfc3339
from streams.messages.spans import both
from streams.messages.translations import Language, message
from streams.tools.workflow_files.changes.alteration import Alteration
from streams.tools.workflow_files.changes.comparing import DefinitionChange
from streams.tools.workflow_files.changes.in_flight import RunOutcome, RunsInFlight, Then

LineKind = Literal["title", "added", "removed", "changed", "runs", "held", "note"]

_ORDER: Sequence[Then] = ("stays", "goes_on", "moves_on", "ends", "lost")


class ReportLine(NamedTuple):
    """One line."""

    kind: LineKind
    text: str


def overview(
    changes: Sequence[DefinitionChange], unchanged: int, first: bool, language: Language
) -> str:
    """Return how much would change, in a line."""
    if not changes:
        return message(language, "change.nothing")
    if first:
        return message(language, "change.first")
    kinds = [change.kind for change in changes]
    counts = [
        message(language, f"change.all.{kind}", count=kinds.count(kind))
        for kind in dict.fromkeys(kinds)
    ]
    return ", ".join([*counts, message(language, "change.unchanged", count=unchanged)])


def brief(change: DefinitionChange, language: Language) -> str:
    """Return what would become of a definition in a line: what is otherwise, but not how."""
    marks = {"added": "+ ", "removed": "− ", "moved": "", "changed": ""}
    parts = [marks[each.kind] + ".".join(filter(None, (each.step, each.path)))
             for each in change.alterations]  # fmt: skip
    more = f" ({', '.join(parts)})" if parts else ""
    return f"{change.id}: {message(language, f'change.{change.kind}')}{more}"


def report_lines(
    change: DefinitionChange,
    in_flight: RunsInFlight | None,
    outcomes: Sequence[RunOutcome],
    language: Language,
) -> Iterator[ReportLine]:
    """Yield what would become of a definition, and of its runs."""
    versions = " → ".join(version for version in (change.old, change.new) if version)
    title = f", {change.title}" if change.title else ""
    becomes = message(language, f"change.{change.kind}")
    yield ReportLine("title", f"{change.id}{title}: {becomes} ({versions})")
    for each in change.alterations:
        yield ReportLine(_line_kind(each), _alteration(each, in_flight, language))
    if change.kind == "changed" and not change.alterations:
        yield ReportLine("note", message(language, "change.unread"))
    if change.kind == "withdrawn" and change.definition == "workflow":
        yield ReportLine("note", message(language, "change.withdrawn_note"))
    if in_flight is not None:
        yield from _runs(change.id, in_flight, outcomes, language)
        held = sum(in_flight.held.values())
        if change.definition == "policy" and held:
            yield ReportLine("held", message(language, "change.policy", count=held))


def _runs(
    workflow: str, in_flight: RunsInFlight, outcomes: Sequence[RunOutcome], language: Language
) -> Iterator[ReportLine]:
    groups: dict[tuple[Then, str], list[RunOutcome]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: _ORDER.index(outcome.then)):
        by_version = outcome.version if outcome.then in ("stays", "lost") else ""
        groups.setdefault((outcome.then, by_version), []).append(outcome)
    for (then, version), several in groups.items():
        places = both([_place(outcome, language) for outcome in several], language)
        text = message(language, f"change.runs.{then}", version=version, places=places)
        due = in_flight.due.get((workflow, version))
        if then == "stays" and due is not None:
            first, last = map(_second, due)
            name = "change.due_at" if first == last else "change.due"
            text += message(language, name, first=first, last=last)
        yield ReportLine("runs", text)
        for outcome in several:
            for each in outcome.mail:
                what = _alteration(each, None, language)
                text = message(language, "change.held_mail", step=outcome.step, what=what)
                yield ReportLine("held", text)


def _place(outcome: RunOutcome, language: Language) -> str:
    name = "change.runs_from_to" if outcome.then == "moves_on" else "change.runs_at"
    place = message(language, name, runs=outcome.runs, step=outcome.step, to=outcome.to)
    if not outcome.held:
        return place
    return message(language, "change.of_them_held", place=place, held=outcome.held)


def _alteration(given: Alteration, in_flight: RunsInFlight | None, language: Language) -> str:
    where = ", ".join(part for part in (given.step, given.path) if part)
    if given.kind == "moved":
        what = message(language, "change.moved", new=given.new, old=given.old)
    else:
        what = " → ".join(part for part in (given.old, given.new) if part)
    said = f"{where}: {what}"
    room, _, rest = given.path.partition(".")
    if in_flight is None or given.step or room != "segments":
        return said
    count = in_flight.segments[rest.partition(".")[0]]
    return message(language, "change.members", said=said, count=count)


def _line_kind(given: Alteration) -> LineKind:
    return given.kind if given.kind in ("added", "removed") else "changed"


def _second(instant: int) -> str:
    return to_rfc3339(instant - instant % 1000)
