"""All definitions that are live against all that would be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from schemas.definitions import AnyDefinition
from schemas.definitions.workflow import Workflow
from streams.messages.translations import Language
from streams.tools.workflow_files.changes.alteration import Alteration
from streams.tools.workflow_files.changes.steps import altered_workflow
from streams.tools.workflow_files.changes.values import altered

ChangeKind = Literal["added", "withdrawn", "changed"]


class Versioned(NamedTuple):
    """A definition and its version."""

    version: str
    definition: AnyDefinition | None
    """None when this Ritorno can't read it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionChange:
    """What would become of one definition."""

    id: str
    kind: ChangeKind
    definition: str
    """`workflow`, `policy`, `segments`…"""
    title: str = ""
    old: str = ""
    """Version that is live; empty when none is."""
    new: str = ""
    """Version that would be; empty when none would."""
    alterations: tuple[Alteration, ...] = ()


def compare(
    live: Mapping[str, Versioned], coming: Mapping[str, Versioned], language: Language
) -> list[DefinitionChange]:
    """Return what differs by id, in the order changed, added, withdrawn; nothing for the rest."""
    return [
        *_changed(live, coming, language),
        *(_lone("added", id_, coming[id_], language) for id_ in sorted(coming.keys() - live)),
        *(_lone("withdrawn", id_, live[id_], language) for id_ in sorted(live.keys() - coming)),
    ]


def _changed(
    live: Mapping[str, Versioned], coming: Mapping[str, Versioned], language: Language
) -> Iterator[DefinitionChange]:
    for id_ in sorted(live.keys() & coming):
        old, new = live[id_], coming[id_]
        if old.version != new.version:
            yield DefinitionChange(
                id=id_,
                kind="changed",
                definition=_kind(new),
                title=_title(new, language),
                old=old.version,
                new=new.version,
                alterations=tuple(_alterations(old.definition, new.definition, language)),
            )


def _lone(kind: ChangeKind, id_: str, given: Versioned, language: Language) -> DefinitionChange:
    return DefinitionChange(
        id=id_,
        kind=kind,
        definition=_kind(given),
        title=_title(given, language),
        old=given.version if kind == "withdrawn" else "",
        new=given.version if kind == "added" else "",
    )


def _alterations(
    old: AnyDefinition | None, new: AnyDefinition | None, language: Language
) -> Iterator[Alteration]:
    if old is None or new is None:
        return
    if type(old) is not type(new):
        yield Alteration("changed", "", "definition", old.definition, new.definition)
    elif isinstance(old, Workflow) and isinstance(new, Workflow):
        yield from altered_workflow(old, new, language)
    else:
        yield from altered(old, new, language)


def _kind(given: Versioned) -> str:
    return "" if given.definition is None else given.definition.definition


def _title(given: Versioned, language: Language) -> str:
    if not isinstance(given.definition, Workflow):
        return ""
    title = given.definition.title
    return title.get(language) or next(iter(title.values()), "")
