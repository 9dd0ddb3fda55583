"""The definitions that actors decide by: all published versions, and the ones that are live."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.definitions import DEFINITION, AnyDefinition
from schemas.definitions.scoring import Scoring
from schemas.definitions.workflow import Workflow


class UnknownVersion(LookupError):
    """A version is named that nobody has published here."""

    def __init__(self, definition: str, version: str) -> None:
        super().__init__(f"{definition}@{version}")
        self.definition = definition
        self.version = version


@dataclass(frozen=True, slots=True)
class Published:
    """A workflow with its version, and which occurrences its runs have to be told of."""

    workflow: Workflow
    version: str
    listens_to: frozenset[str]


class Definitions:
    """All published versions. Grows while it is in use: a version never changes and never goes."""

    def __init__(self) -> None:
        self._workflows: dict[tuple[str, str], Published] = {}
        self._scorings: dict[tuple[str, str], Scoring] = {}

    def add(self, version: str, content: bytes) -> AnyDefinition:
        """Add one version from its published JSON. Raises pydantic.ValidationError."""
        definition = DEFINITION.validate_json(content)
        key = (definition.id, version)
        if isinstance(definition, Scoring):
            self._scorings[key] = definition
        else:
            self._workflows[key] = Published(definition, version, _listens_to(definition))
        return definition

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._workflows or key in self._scorings

    def workflow(self, id_: str, version: str) -> Published:
        """Return one version of a workflow. Raises UnknownVersion."""
        try:
            return self._workflows[id_, version]
        except KeyError:
            raise UnknownVersion(id_, version) from None

    def live(self, versions: Mapping[str, str]) -> Live:
        """Return the view on the versions that are live. Raises UnknownVersion."""
        for key in versions.items():
            if key not in self:
                raise UnknownVersion(*key)
        scorings = [self._scorings[k] for k in sorted(versions.items()) if k in self._scorings]
        workflows = [self._workflows[k] for k in sorted(versions.items()) if k in self._workflows]
        return Live(self, _by_trigger(workflows), scorings[0] if scorings else None)


@dataclass(frozen=True, slots=True)
class Live:
    """What new runs begin with, arranged for the hot path."""

    definitions: Definitions
    by_trigger: Mapping[str, list[Published]] = field(default_factory=dict)
    scoring: Scoring | None = None


def _by_trigger(workflows: Iterable[Published]) -> dict[str, list[Published]]:
    by_trigger: defaultdict[str, list[Published]] = defaultdict(list)
    for published in workflows:
        by_trigger[published.workflow.trigger].append(published)
    return dict(by_trigger)


def _listens_to(workflow: Workflow) -> frozenset[str]:
    names: set[str] = {workflow.trigger, *workflow.exit_on}
    for step in workflow.steps:
        names.update(step.stop_on)
        names.update(wait.since for wait in step.wait)
    return frozenset(names)
