"""What publishing would do, in lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from schemas.instant import to_rfc3339
from streams.messages.decisions import Language
from streams.messages.spans import both
from streams.tools.workflow_files.changes.alteration import Alteration
from streams.tools.workflow_files.changes.comparing import DefinitionChange
from streams.tools.workflow_files.changes.in_flight import Fate, Flights, Then

LineKind = Literal["title", "added", "removed", "changed", "runs", "held", "note"]

_PHRASES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "changed": "changed", "added": "new", "withdrawn": "withdrawn",
        "nothing": "Publishing these files would change nothing.",
        "first": "Nothing has been published yet; all of this would be live.",
        "all_changed": "changed: {count}", "all_added": "new: {count}",
        "all_withdrawn": "withdrawn: {count}", "unchanged": "as they are: {count}",
        "unread": "what differs can't be put into words",
        "withdrawn_note": "no new runs begin", "held": "held back at {step}: {what}",
        "moved": "{new}, no longer {old}",
        "stays": "in flight, ending with version {version}: {places}",
        "goes_on": "in flight, going on at the same step: {places}",
        "moves_on": "in flight, going on at another step: {places}",
        "ends": "in flight, ending since no step is left for them: {places}",
        "lost": "in flight, of version {version} that nobody knows: {places}",
        "at": "{runs} at {step}", "from_to": "{runs} from {step} to {to}",
        "of_them_held": "{place} ({held} with a mail held back)",
        "due": "; next steps due {first} to {last}", "due_at": "; next steps due {first}",
        "members": "{said} (customers in it now: {count})",
        "policy": "mails held back that it would judge: {count}",
    },
    "it": {
        "changed": "cambia", "added": "nuovo", "withdrawn": "ritirato",
        "nothing": "Pubblicare questi file non cambierebbe nulla.",
        "first": "Non è ancora stato pubblicato nulla; tutto questo diventerebbe attivo.",
        "all_changed": "cambiano: {count}", "all_added": "nuovi: {count}",
        "all_withdrawn": "ritirati: {count}", "unchanged": "restano come sono: {count}",
        "unread": "ciò che cambia non si può dire a parole",
        "withdrawn_note": "non comincia più per nessuno", "held": "trattenuta in {step}: {what}",
        "moved": "{new}, non più {old}",
        "stays": "in corso, fino alla fine con la versione {version}: {places}",
        "goes_on": "in corso, proseguono dallo stesso passo: {places}",
        "moves_on": "in corso, proseguono da un altro passo: {places}",
        "ends": "in corso, finiscono perché non resta loro alcun passo: {places}",
        "lost": "in corso, della versione {version} che nessuno conosce: {places}",
        "at": "{runs} in {step}", "from_to": "{runs} da {step} a {to}",
        "of_them_held": "{place} ({held} con una mail trattenuta)",
        "due": "; prossimi passi da {first} a {last}", "due_at": "; prossimi passi {first}",
        "members": "{said} (clienti che ne fanno parte ora: {count})",
        "policy": "mail trattenute che giudicherebbe: {count}",
    },
}  # fmt: skip
_ORDER: Sequence[Then] = ("stays", "goes_on", "moves_on", "ends", "lost")


class ReportLine(NamedTuple):
    """One line."""

    kind: LineKind
    text: str


def overview(
    changes: Sequence[DefinitionChange], unchanged: int, first: bool, language: Language
) -> str:
    """Return how much would change, in a line."""
    say = _PHRASES[language]
    if not changes:
        return say["nothing"]
    if first:
        return say["first"]
    kinds = [change.kind for change in changes]
    counts = [say[f"all_{kind}"].format(count=kinds.count(kind)) for kind in dict.fromkeys(kinds)]
    return ", ".join([*counts, say["unchanged"].format(count=unchanged)])


def brief(change: DefinitionChange, language: Language) -> str:
    """Return what would become of a definition in a line: what is otherwise, but not how."""
    marks = {"added": "+ ", "removed": "− ", "moved": "", "changed": ""}
    parts = [marks[each.kind] + ".".join(filter(None, (each.step, each.path)))
             for each in change.alterations]  # fmt: skip
    more = f" ({', '.join(parts)})" if parts else ""
    return f"{change.id}: {_PHRASES[language][change.kind]}{more}"


def told(
    change: DefinitionChange, flights: Flights | None, fates: Sequence[Fate], language: Language
) -> Iterator[ReportLine]:
    """Yield what would become of a definition, and of its runs."""
    say = _PHRASES[language]
    versions = " → ".join(version for version in (change.old, change.new) if version)
    title = f", {change.title}" if change.title else ""
    yield ReportLine("title", f"{change.id}{title}: {say[change.kind]} ({versions})")
    for each in change.alterations:
        yield ReportLine(_line_kind(each), _alteration(each, flights, language))
    if change.kind == "changed" and not change.alterations:
        yield ReportLine("note", say["unread"])
    if change.kind == "withdrawn" and change.definition == "workflow":
        yield ReportLine("note", say["withdrawn_note"])
    if flights is not None:
        yield from _runs(change.id, flights, fates, language)
        held = sum(flights.held.values())
        if change.definition == "policy" and held:
            yield ReportLine("held", say["policy"].format(count=held))


def _runs(
    workflow: str, flights: Flights, fates: Sequence[Fate], language: Language
) -> Iterator[ReportLine]:
    say = _PHRASES[language]
    groups: dict[tuple[Then, str], list[Fate]] = {}
    for fate in sorted(fates, key=lambda fate: _ORDER.index(fate.then)):
        by_version = fate.version if fate.then in ("stays", "lost") else ""
        groups.setdefault((fate.then, by_version), []).append(fate)
    for (then, version), several in groups.items():
        places = both([_place(fate, language) for fate in several], language)
        text = say[then].format(version=version, places=places)
        due = flights.due.get((workflow, version))
        if then == "stays" and due is not None:
            first, last = map(_second, due)
            text += say["due_at" if first == last else "due"].format(first=first, last=last)
        yield ReportLine("runs", text)
        for fate in several:
            for each in fate.mail:
                what = _alteration(each, None, language)
                yield ReportLine("held", say["held"].format(step=fate.step, what=what))


def _place(fate: Fate, language: Language) -> str:
    say = _PHRASES[language]
    moves = fate.then == "moves_on"
    place = say["from_to" if moves else "at"].format(runs=fate.runs, step=fate.step, to=fate.to)
    return say["of_them_held"].format(place=place, held=fate.held) if fate.held else place


def _alteration(given: Alteration, flights: Flights | None, language: Language) -> str:
    say = _PHRASES[language]
    where = ", ".join(part for part in (given.step, given.path) if part)
    if given.kind == "moved":
        what = say["moved"].format(new=given.new, old=given.old)
    else:
        what = " → ".join(part for part in (given.old, given.new) if part)
    said = f"{where}: {what}"
    room, _, rest = given.path.partition(".")
    if flights is None or given.step or room != "segments":
        return said
    count = flights.segments[rest.partition(".")[0]]
    return say["members"].format(said=said, count=count)


def _line_kind(given: Alteration) -> LineKind:
    return given.kind if given.kind in ("added", "removed") else "changed"


def _second(instant: int) -> str:
    return to_rfc3339(instant - instant % 1000)
